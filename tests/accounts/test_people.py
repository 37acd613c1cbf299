"""The services around accounts: rules, the last admin, and what ends with a session."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import func, select

from conftest import PASSWORD, Browser, Cast, user_named
from portal.accounts import emails, people, sessions
from portal.accounts.people import checked_name
from portal.database import transaction
from portal.errors import Conflict, Invalid, NotFound, PortalError
from portal.extensions import db
from portal.models import Role, Session, User
from stage import at_once, events, settings_of


def admins_of(app: Flask) -> int:
    with app.app_context():
        query = select(func.count()).where(User.role == "admin", User.disabled_at.is_(None))
        return db.session.scalar(query) or 0


def act_on(app: Flask, email: str, act: Callable[[User], None]) -> str:
    """Run a service on an account in a context of its own; answers how it ended."""
    with app.app_context():
        try:
            act(people.by_email(email))
        except PortalError as error:
            return type(error).__name__
    return "done"


def demote(user: User) -> None:
    people.save(user, name=user.name, role=Role.USER, quota_bytes=None)


@pytest.fixture
def admins(app: Flask) -> list[str]:
    addresses = ["ada@example.org", "grace@example.org"]
    with app.app_context():
        for address in addresses:
            people.create(address, settings_of(app), role=Role.ADMIN, password=PASSWORD)
    return addresses


# Making accounts


def test_address_is_kept_in_one_form(app: Flask) -> None:
    with app.app_context():
        user = people.create("  ALICE@Example.Org ", settings_of(app))
        assert (user.email, user.name) == ("alice@example.org", "alice")
        with pytest.raises(Conflict) as caught:
            people.create("alice@EXAMPLE.org", settings_of(app))
    assert "email" in caught.value.errors


def test_address_is_taken_once_by_many_at_once(app: Flask) -> None:
    def make(_number: int) -> str:
        with app.app_context():
            try:
                people.create("alice@example.org", settings_of(app))
            except Conflict:
                return "taken"
            return "made"

    assert sorted(at_once(8, make)) == ["made"] + ["taken"] * 7
    assert len(events(app, "user.created")) == 1


@pytest.mark.parametrize("email", ["", "alice", "alice@", "@example.org", "a b@c.d", "a@b@c.d"])
def test_what_is_no_address_is_refused(app: Flask, email: str) -> None:
    with app.app_context(), pytest.raises(Invalid) as caught:
        people.create(email, settings_of(app))
    assert "email" in caught.value.errors


@pytest.mark.parametrize("email", ["alice", "A" * 400, "\0", "ÄB", " x "])
def test_what_is_no_address_can_still_be_compared(email: str) -> None:
    assert emails.normalised(email) == emails.normalised(email.upper())
    assert len(emails.normalised(email)) <= 254


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "a\0b", "a\x1b[31m"])
def test_name_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        checked_name(name)


def test_name_is_one_line() -> None:
    assert checked_name("  Alice \n\t Archer ") == "Alice Archer"
    assert checked_name("x" * 200) == "x" * 200


def test_weak_password_makes_no_account(app: Flask) -> None:
    with app.app_context(), pytest.raises(Invalid):
        people.create("alice@example.org", settings_of(app), password="short")
    assert admins_of(app) == 0
    with app.app_context(), pytest.raises(NotFound):
        people.by_email("alice@example.org")


# The last admin


@pytest.mark.parametrize("act", [people.disable, demote])
def test_last_admin_can_be_neither_disabled_nor_demoted(
    app: Flask, cast: Cast, act: Callable[[User], None]
) -> None:
    cast.person("ada@example.org", "Ada", Role.ADMIN)
    assert act_on(app, "ada@example.org", act) == "Conflict"
    user = user_named(app, "ada@example.org")
    assert user.is_admin
    assert user.is_active


@pytest.mark.parametrize("act", [people.disable, demote])
def test_disabled_admin_does_not_count_as_another(
    app: Flask, admins: list[str], act: Callable[[User], None]
) -> None:
    assert act_on(app, admins[0], people.disable) == "done"
    assert act_on(app, admins[1], act) == "Conflict"


def test_admin_who_is_only_invited_does_not_count_as_another(app: Flask, cast: Cast) -> None:
    cast.person("ada@example.org", "Ada Admin", Role.ADMIN)
    with app.app_context():
        people.create("aldo@example.org", settings_of(app), role=Role.ADMIN)
    assert act_on(app, "ada@example.org", people.disable) == "Conflict"
    assert act_on(app, "aldo@example.org", people.disable) == "done"


def test_admin_who_is_not_the_last_can_go(app: Flask, admins: list[str]) -> None:
    assert act_on(app, admins[0], demote) == "done"
    assert act_on(app, admins[1], demote) == "Conflict"
    assert act_on(app, admins[0], people.disable) == "done"


def test_last_admin_may_be_given_another_name_and_quota(app: Flask, cast: Cast) -> None:
    cast.person("ada@example.org", "Ada", Role.ADMIN)

    def save(user: User) -> None:
        people.save(user, name="Ada L.", role=Role.ADMIN, quota_bytes=5)

    assert act_on(app, "ada@example.org", save) == "done"
    assert user_named(app, "ada@example.org").quota_bytes == 5
    assert events(app, "user.changed")[0].detail == {
        "changed": {"name": ["Ada", "Ada L."], "quota_bytes": [None, 5]}
    }


@pytest.mark.parametrize("round_", range(5))
def test_two_admins_who_end_each_other_at_once_leave_one(
    app: Flask, admins: list[str], round_: int
) -> None:
    acts = [people.disable, demote]
    results = at_once(8, lambda n: act_on(app, admins[n % 2], acts[n // 2 % 2]))
    assert "Conflict" in results
    assert admins_of(app) == 1


# Sessions


def test_disabling_ends_every_session_and_is_noted_once(
    app: Flask, alice: Browser, bob: Browser
) -> None:
    second = Browser(app)
    second.sign_in("alice@example.org", remember="y")
    assert act_on(app, "alice@example.org", people.disable) == "done"
    assert act_on(app, "alice@example.org", people.disable) == "done"
    for browser in (alice, second):
        assert browser.get("/documents").status_code == 302
    assert bob.get("/documents").status_code == 200
    assert Browser(app).sign_in("alice@example.org").status_code == 401
    assert len(events(app, "user.disabled")) == 1


def test_enabling_lets_sign_in_again_with_no_old_session(app: Flask, alice: Browser) -> None:
    act_on(app, "alice@example.org", people.disable)
    assert act_on(app, "alice@example.org", people.enable) == "done"
    assert act_on(app, "alice@example.org", people.enable) == "done"
    assert alice.get("/documents").status_code == 302
    assert Browser(app).sign_in("alice@example.org").status_code == 303
    assert len(events(app, "user.enabled")) == 1


def test_session_of_a_disabled_account_is_dead_even_if_its_row_stayed(
    app: Flask, alice: Browser
) -> None:
    with app.app_context():
        people.by_email("alice@example.org").disabled_at = people.utcnow()
        db.session.commit()
    assert alice.get("/documents").status_code == 302


def test_ending_sessions_signs_out_everywhere_and_nobody_else(
    app: Flask, alice: Browser, bob: Browser
) -> None:
    assert act_on(app, "alice@example.org", people.end_sessions) == "done"
    assert alice.get("/documents").status_code == 302
    assert bob.get("/documents").status_code == 200
    assert Browser(app).sign_in("alice@example.org").status_code == 303


def test_set_password_ends_sessions_of_that_account_alone(
    app: Flask, alice: Browser, bob: Browser
) -> None:
    with app.app_context():
        user = people.by_email("alice@example.org")
        people.set_password(user, "five loud rivers bend", settings_of(app))
    assert alice.get("/documents").status_code == 302
    assert bob.get("/documents").status_code == 200
    assert Browser(app).sign_in("alice@example.org", PASSWORD).status_code == 401
    assert Browser(app).sign_in("bob@example.org", PASSWORD).status_code == 303
    assert [e.owner for e in events(app, "user.password_changed")] == ["alice@example.org"]


def test_password_is_checked_against_the_persons_own_name(app: Flask, alice: Browser) -> None:
    with app.app_context(), pytest.raises(Invalid):
        people.set_password(people.by_email("alice@example.org"), "alice archer", settings_of(app))


def test_ending_all_but_one_leaves_that_one(app: Flask, alice: Browser) -> None:
    Browser(app).sign_in("alice@example.org")
    with app.app_context():
        user = people.by_email("alice@example.org")
        keep = db.session.scalar(select(func.min(Session.id)))
        with transaction():
            sessions.end_all(user.id, but=keep)
        assert db.session.scalars(select(Session.id)).all() == [keep]
