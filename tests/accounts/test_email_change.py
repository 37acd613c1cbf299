"""Another e-mail address: the password, a click at both addresses, and nothing before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from conftest import PASSWORD, Browser, Cast, user_named
from portal.accounts import email_change, passwords, people
from portal.database import transaction
from portal.documents import housekeeping
from portal.errors import Conflict
from portal.extensions import db
from portal.models import EmailChange, utcnow
from post_office import html_of, link_in, mails_to, outbox, text_of
from stage import at_once, database_dump, events, settings_of

OLD, NEW = "alice@example.org", "archer@example.com"


def ask(browser: Browser, new: str = NEW, password: str = PASSWORD) -> int:
    fields = {"new_email": new, "current_password": password}
    return browser.post("/account/email", fields).status_code


def links(app: Flask, new: str = NEW) -> tuple[str, str]:
    """The newest addresses mailed to the old and to the new address."""
    found = []
    for address in (OLD, new):
        mails = [mail for mail in mails_to(app, address) if "/account/email/" in text_of(mail)]
        found.append(link_in(mails[-1]))
    return found[0], found[1]


@pytest.fixture
def pair(app: Flask, alice: Browser) -> tuple[str, str]:
    assert ask(alice) == 303
    return links(app)


def email_of(app: Flask) -> str:
    with app.app_context():
        return db.session.scalars(select(people.User.email)).first() or ""


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_address_changes_when_both_have_agreed(
    app: Flask, alice: Browser, pair: tuple[str, str], visitor: Browser, order: tuple[int, int]
) -> None:
    first, second = pair[order[0]], pair[order[1]]
    page = visitor.get(first)
    assert page.status_code == 200
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert visitor.post(first).status_code == 303
    assert "You agreed" in visitor.get(first).text
    assert email_of(app) == OLD
    assert "agreed" in alice.get("/account").text
    assert visitor.post(second).status_code == 303
    assert email_of(app) == NEW
    assert alice.get("/account").status_code == 200, "the session goes on"
    assert NEW in alice.get("/account").text
    assert Browser(app).sign_in(NEW).status_code == 303
    assert Browser(app).sign_in(OLD).status_code == 401
    (asked,) = events(app, "user.email_change_asked")
    assert (asked.owner, asked.detail["new_email"]) == (OLD, NEW)
    (done,) = events(app, "user.email_changed")
    assert (done.owner, done.detail["old_email"]) == (NEW, OLD)
    for dead in pair:
        assert visitor.get(dead).status_code == 404
        assert visitor.post(dead).status_code == 404


def test_both_addresses_are_told(app: Flask, pair: tuple[str, str], visitor: Browser) -> None:
    for path in pair:
        visitor.post(path)
    for address in (OLD, NEW):
        (notice,) = [
            mail for mail in mails_to(app, address) if "address was changed" in mail["Subject"]
        ]
        assert f"from {OLD} to {NEW}" in text_of(notice)


def test_one_address_that_agrees_twice_is_one(
    app: Flask, pair: tuple[str, str], visitor: Browser
) -> None:
    for path in pair:
        for _ in range(2):
            visitor.post(path)
        if path == pair[0]:
            assert email_of(app) == OLD


def test_programs_that_look_at_links_agree_to_nothing(
    app: Flask, pair: tuple[str, str], visitor: Browser
) -> None:
    visitor.token()
    before = database_dump(app)
    for path in pair:
        for _ in range(2):
            assert visitor.get(path).status_code == 200
            assert visitor.head(path).status_code == 200
    assert database_dump(app) == before


def test_agreeing_needs_the_token_of_the_form(app: Flask, pair: tuple[str, str]) -> None:
    for path in pair:
        assert Browser(app).client.post(path).status_code == 400
    assert email_of(app) == OLD


def test_either_address_can_stop_it(app: Flask, alice: Browser, visitor: Browser) -> None:
    for side in (0, 1):
        assert ask(alice) == 303
        pair = links(app)
        visitor.post(pair[1 - side])
        assert visitor.post(pair[side], {"action": "refuse"}).status_code == 303
        for path in pair:
            assert visitor.post(path).status_code == 404
    assert email_of(app) == OLD


def test_owner_takes_it_back(
    app: Flask, alice: Browser, pair: tuple[str, str], visitor: Browser
) -> None:
    assert NEW in alice.get("/account").text
    assert alice.post("/account/email", {"action": "cancel"}).status_code == 303
    assert NEW not in alice.get("/account").text
    assert visitor.get(pair[0]).status_code == 404


def test_wish_of_somebody_else_is_another(app: Flask, alice: Browser, bob: Browser) -> None:
    assert ask(alice) == 303
    assert NEW not in bob.get("/account").text
    assert ask(bob, "baker@example.com") == 303
    for browser in (alice, bob):
        assert "neither has agreed yet" in browser.get("/account").text
    bob.post("/account/email", {"action": "cancel"})
    assert NEW in alice.get("/account").text


def test_unknown_action_is_refused(app: Flask, pair: tuple[str, str], visitor: Browser) -> None:
    assert visitor.post(pair[0], {"action": "explode"}).status_code == 400
    assert "You agreed" not in visitor.get(pair[0]).text


def test_newer_wish_ends_the_older(
    app: Flask, alice: Browser, pair: tuple[str, str], visitor: Browser
) -> None:
    assert ask(alice, "other@example.com") == 303
    for path in pair:
        assert visitor.post(path).status_code == 404


def test_it_lasts_a_day(app: Flask, alice: Browser, visitor: Browser, time_machine: Any) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    ask(alice)
    pair = links(app)
    time_machine.move_to(start + timedelta(hours=24) - timedelta(seconds=1), tick=False)
    assert visitor.post(pair[0]).status_code == 303
    time_machine.move_to(start + timedelta(hours=24), tick=False)
    assert visitor.post(pair[1]).status_code == 404
    with app.app_context():
        assert email_change.pending(user_named(app, OLD).id) is None
        assert housekeeping.purge(settings_of(app)).addresses == 1
        assert db.session.scalars(select(EmailChange)).all() == []


@pytest.mark.parametrize(
    ("new", "password", "field"),
    [
        (NEW, "wrong wrong wrong", "email_current_password"),
        (NEW, "", "email_current_password"),
        ("", PASSWORD, "new_email"),
        ("nobody", PASSWORD, "new_email"),
        (" ALICE@example.org ", PASSWORD, "new_email"),
    ],
)
def test_field_that_breaks_a_rule_sends_nothing(
    app: Flask, alice: Browser, new: str, password: str, field: str
) -> None:
    before = database_dump(app, "throttles")
    response = alice.post("/account/email", {"new_email": new, "current_password": password})
    assert response.status_code == 422
    assert f'id="{field}-wrong"' in response.text
    assert database_dump(app, "throttles") == before
    assert outbox(app) == []


def test_guessing_at_the_password_is_throttled(app: Flask, alice: Browser) -> None:
    assert [ask(alice, password="wrong wrong") for _ in range(10)] == [422] * 10
    assert ask(alice) == 429


def test_right_password_forgets_the_wrong_ones(app: Flask, alice: Browser) -> None:
    for _ in range(9):
        ask(alice, password="wrong wrong")
    assert ask(alice) == 303
    assert ask(alice, password="wrong wrong") == 422


@pytest.mark.parametrize(
    "change",
    [{"password_hash": "another"}, {"email": "other@example.com"}, {"disabled_at": utcnow()}],
)
def test_account_that_changes_while_the_password_is_checked_keeps_its_address(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    check = passwords.check_password

    def slowly(*args: Any) -> bool:
        with transaction() as session:
            session.execute(update(people.User).values(change))
        return check(*args)

    alice.token()
    monkeypatch.setattr(passwords, "check_password", slowly)
    assert ask(alice) == 422
    assert outbox(app) == []


def test_portal_does_not_mail_strangers_without_end(app: Flask, alice: Browser) -> None:
    answers = [ask(alice, f"{number}@example.com") for number in range(6)]
    assert answers == [303] * 5 + [429]


def test_mail_to_the_new_address_names_nobody(app: Flask, pair: tuple[str, str]) -> None:
    (mail,) = mails_to(app, NEW)
    for text in (text_of(mail), html_of(mail), str(mail["Subject"])):
        assert "Alice" not in text
        assert OLD not in text


def test_address_of_another_account_is_answered_like_any_other(
    app: Flask, alice: Browser, bob: Browser, visitor: Browser
) -> None:
    assert ask(alice, bob.email) == 303
    pair = links(app, bob.email)
    assert visitor.post(pair[0]).status_code == 303
    before = database_dump(app)
    response = visitor.post(pair[1])
    assert response.status_code == 409
    assert database_dump(app) == before
    assert user_named(app, OLD).email == OLD


def test_two_who_want_the_same_address_do_not_both_get_it(
    app: Flask, cast: Cast, alice: Browser, bob: Browser
) -> None:
    tokens = []
    for browser in (alice, bob):
        assert ask(browser) == 303
        mails = [m for m in mails_to(app, browser.email) if "/account/email/" in text_of(m)]
        tokens.append(link_in(mails[-1]).rpartition("/")[2])
    news = [link_in(mail).rpartition("/")[2] for mail in mails_to(app, NEW)]
    with app.app_context():
        for token in tokens:
            email_change.agree(token)

    def act(number: int) -> bool:
        with app.app_context():
            try:
                return email_change.agree(news[number]).is_done
            except Conflict:
                return False

    assert sorted(at_once(2, act)) == [False, True]


def test_mailed_new_password_is_over_with_the_old_address(
    app: Flask, pair: tuple[str, str], visitor: Browser
) -> None:
    visitor.post("/forgot-password", {"email": OLD})
    reset = link_in([m for m in mails_to(app, OLD) if "new password" in m["Subject"]][-1])
    assert visitor.get(reset).status_code == 200
    for path in pair:
        visitor.post(path)
    assert visitor.get(reset).status_code == 404


def test_new_password_stops_the_change(
    app: Flask, alice: Browser, pair: tuple[str, str], visitor: Browser
) -> None:
    """Whoever asked for it with the old password has lost it."""
    fields = {"current_password": PASSWORD, "new_password": "five loud rivers bend"}
    assert alice.post("/account/password", fields).status_code == 303
    assert visitor.post(pair[0]).status_code == 404


def test_disabled_account_moves_nowhere(
    app: Flask, pair: tuple[str, str], visitor: Browser
) -> None:
    with app.app_context():
        user = people.by_email(OLD)
        user.disabled_at = utcnow()
        db.session.commit()
    assert visitor.get(pair[0]).status_code == 404
    assert visitor.post(pair[0]).status_code == 404


def test_programs_get_json(app: Flask, alice: Browser, visitor: Browser) -> None:
    fields = {"new_email": NEW, "current_password": PASSWORD}
    answer = alice.post_json("/account/email", fields)
    assert (answer.status_code, answer.get_json()) == (201, {"asked": True})
    old, new = links(app)
    assert visitor.post_json(old).get_json() == {"agreed": True, "changed": False}
    assert visitor.post_json(new).get_json() == {"agreed": True, "changed": True}


def test_tokens_are_in_no_table(app: Flask, pair: tuple[str, str]) -> None:
    for path in pair:
        assert path.rpartition("/")[2] not in repr(database_dump(app))


def test_visitor_is_sent_to_sign_in_and_made_up_addresses_are_not_there(
    app: Flask, visitor: Browser
) -> None:
    assert ask(visitor) == 302
    for made_up in ("made-up", "x" * 4000, "%00"):
        assert visitor.get(f"/account/email/{made_up}").status_code == 404
        assert visitor.post(f"/account/email/{made_up}").status_code == 404
