"""A forgotten password: the mail, the address in it, and what a new password ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select

from conftest import PASSWORD, Browser, Cast, user_named
from portal.accounts import people, recovery
from portal.database import transaction
from portal.documents import housekeeping
from portal.extensions import db
from portal.models import Mail, PasswordReset, PendingSignIn, utcnow
from portal.tokens import hash_token
from post_office import link_in, mails_to, outbox, text_of
from stage import (
    at_once,
    browser_with,
    cookie_of,
    database_dump,
    events,
    facts,
    program,
    settings_of,
)

NEW = "five loud rivers bend"
ALICE = "alice@example.org"


def ask(browser: Browser, email: str = ALICE) -> int:
    return browser.post("/forgot-password", {"email": email}).status_code


def reset(browser: Browser, path: str, password: str = NEW) -> int:
    return browser.post(path, {"password": password}).status_code


def newest_link(app: Flask, address: str = ALICE) -> str:
    mails = [mail for mail in mails_to(app, address) if "choose a new password" in mail["Subject"]]
    assert mails, "no mail came"
    return link_in(mails[-1])


@pytest.fixture
def path(app: Flask, alice: Browser, visitor: Browser) -> str:
    """The address that was mailed to Alice."""
    assert ask(visitor) == 303
    return newest_link(app)


def test_mailed_address_leads_to_a_new_password(app: Flask, path: str, visitor: Browser) -> None:
    page = visitor.get(path)
    assert page.status_code == 200
    assert ALICE in page.text
    assert page.headers["Referrer-Policy"] == "no-referrer"
    response = visitor.post(path, {"password": NEW})
    assert (response.status_code, response.location) == (303, "/login")
    assert "Your password was changed" in visitor.get("/login").text
    assert visitor.get("/documents").status_code == 302, "a mail alone signs nobody in"
    assert Browser(app).sign_in(ALICE, PASSWORD).status_code == 401
    assert Browser(app).sign_in(ALICE, NEW).status_code == 303
    (done,) = events(app, "user.password_reset")
    assert (done.actor, done.owner) == (ALICE, ALICE)


def test_sign_in_page_leads_to_it(visitor: Browser) -> None:
    assert 'href="/forgot-password"' in visitor.get("/login").text
    assert visitor.get("/forgot-password").status_code == 200


def test_mail_says_where_until_when_and_holds_no_other_address(app: Flask, path: str) -> None:
    (mail,) = [mail for mail in outbox(app) if "choose a new password" in mail["Subject"]]
    assert "It works once, until " in text_of(mail)
    assert path not in str(mail["Subject"])
    assert text_of(mail).count("http://127.0.0.1:8000") == 2
    assert text_of(mail).count("http") == 2


def test_address_in_the_mail_is_the_portals_whatever_host_was_named(
    app: Flask, alice: Browser, visitor: Browser
) -> None:
    headers = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    visitor.post("/forgot-password", {"email": ALICE}, headers=headers)
    localhost = {"base_url": "http://localhost:8000"}
    token = visitor.get("/forgot-password", **localhost).text.partition('csrf_token" value="')[2]
    fields = {"email": ALICE, "csrf_token": token.partition('"')[0]}
    assert visitor.client.post("/forgot-password", data=fields, **localhost).status_code == 303
    assert len(mails_to(app, ALICE)) == 2
    for mail in mails_to(app, ALICE):
        assert "evil" not in mail.as_string()
        assert "localhost" not in text_of(mail)


def test_answer_is_the_same_for_everybody(app: Flask, alice: Browser, cast: Cast) -> None:
    cast.person("dora@example.org", "Dora")
    with app.app_context():
        people.disable(people.by_email("dora@example.org"))
        people.invite(people.create("ivy@example.org", settings_of(app)))
    answers = []
    for email in (ALICE, "nobody@example.org", "dora@example.org", "ivy@example.org"):
        browser = Browser(app)
        token = browser.token()
        response = browser.client.post(
            "/forgot-password", data={"email": email}, headers={"X-CSRFToken": token}
        )
        answers.append((facts(response), browser.get(response.location).status_code))
        assert response.status_code == 303
        assert email not in browser.get(response.location).text
    assert all(answer == answers[0] for answer in answers)
    assert [str(mail["To"]) for mail in outbox(app)] == [f"Alice Archer <{ALICE}>"]
    assert len(events(app, "user.password_reset_asked")) == 4


def test_work_is_the_same_for_everybody(app: Flask, alice: Browser) -> None:
    """As many transactions and nearly as many statements, whether anybody is known or not."""
    counted: dict[str, list[int]] = {}
    with app.app_context():
        engine = db.engine

        def work(email: str) -> None:
            counts = [0, 0]

            def count_statement(*_: object) -> None:
                counts[0] += 1

            def count_commit(*_: object) -> None:
                counts[1] += 1

            event.listen(engine, "before_cursor_execute", count_statement)
            event.listen(engine, "commit", count_commit)
            try:
                recovery.ask(email, settings_of(app))
            finally:
                event.remove(engine, "before_cursor_execute", count_statement)
                event.remove(engine, "commit", count_commit)
            counted[email] = counts

        work(ALICE)
        work("nobody@example.org")
    (known, unknown) = counted.values()
    assert abs(known[0] - unknown[0]) <= 1
    assert known[1] == unknown[1]
    assert not (settings_of(app).instance_dir / "outbox").exists(), "a file tells by its time"


def test_unknown_address_leaves_no_mail_behind(app: Flask, visitor: Browser) -> None:
    assert ask(visitor, "nobody@example.org") == 303
    assert outbox(app) == []
    with app.app_context():
        assert db.session.scalars(select(Mail)).all() == []
        assert db.session.scalars(select(PasswordReset)).all() == []


@pytest.mark.parametrize("email", ["", "nobody", "a@b@c.org", "a\0@example.org", "x" * 2000])
def test_what_is_no_address_is_said_beside_the_field(
    app: Flask, visitor: Browser, email: str
) -> None:
    response = visitor.post("/forgot-password", {"email": email})
    assert response.status_code == 422
    assert 'id="email-wrong"' in response.text
    assert events(app, "user.password_reset_asked") == []


def test_programs_get_json(app: Flask, alice: Browser, visitor: Browser) -> None:
    answer = visitor.post_json("/forgot-password", {"email": ALICE})
    assert (answer.status_code, answer.get_json()) == (201, {"asked": True})
    path = newest_link(app)
    weak = visitor.post_json(path, {"password": "short"})
    assert (weak.status_code, weak.get_json()["errors"].keys()) == (422, {"password"})
    done = visitor.post_json(path, {"password": NEW})
    assert (done.status_code, done.get_json()) == (201, {"changed": True})
    gone = visitor.post_json(path, {"password": NEW})
    assert gone.status_code == 404


# How often


def test_one_account_is_mailed_five_times_an_hour(
    app: Flask, alice: Browser, bob: Browser, visitor: Browser, time_machine: Any
) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    for email in (ALICE, "nobody@example.org"):
        assert [ask(visitor, email) for _ in range(5)] == [303] * 5
        response = visitor.post("/forgot-password", {"email": f" {email.upper()}"})
        assert response.status_code == 429
        assert int(response.headers["Retry-After"]) == 3600
    assert ask(visitor, "bob@example.org") == 303
    assert len(mails_to(app, ALICE)) == 5
    time_machine.move_to(start + timedelta(hours=1), tick=False)
    assert ask(visitor) == 303


def test_one_network_address_asks_thirty_times(app: Flask, visitor: Browser) -> None:
    answers = [ask(visitor, f"{number}@example.org") for number in range(31)]
    assert answers == [303] * 30 + [429]


def test_a_flood_of_asking_does_not_spoil_the_first_address(
    app: Flask, path: str, visitor: Browser
) -> None:
    for _ in range(10):
        ask(visitor)
    assert visitor.get(path).status_code == 200


# The address


def test_address_works_once_and_ends_the_others(app: Flask, path: str, visitor: Browser) -> None:
    ask(visitor)
    other = newest_link(app)
    assert other != path
    assert reset(visitor, path) == 303
    for dead in (path, other):
        assert visitor.get(dead).status_code == 404
        assert reset(visitor, dead, "nine warm stones rest") == 404
    assert Browser(app).sign_in(ALICE, NEW).status_code == 303


def test_address_is_used_once_by_many_at_once(app: Flask, path: str) -> None:
    browsers = [Browser(app) for _ in range(6)]
    tokens = [browser.token() for browser in browsers]

    def act(number: int) -> int:
        headers = {"X-CSRFToken": tokens[number]}
        data = {"password": f"{NEW} number {number}"}
        return browsers[number].client.post(path, data=data, headers=headers).status_code

    assert sorted(at_once(6, act)) == [303] + [404] * 5
    assert len(events(app, "user.password_reset")) == 1


def test_address_lasts_an_hour(
    app: Flask, alice: Browser, visitor: Browser, time_machine: Any
) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    ask(visitor)
    path = newest_link(app)
    time_machine.move_to(start + timedelta(hours=1) - timedelta(seconds=1), tick=False)
    assert visitor.get(path).status_code == 200
    time_machine.move_to(start + timedelta(hours=1), tick=False)
    assert visitor.get(path).status_code == 404
    assert reset(visitor, path) == 404


def test_looking_at_it_changes_nothing(app: Flask, path: str, visitor: Browser) -> None:
    visitor.token()
    before = database_dump(app)
    for _ in range(3):
        visitor.get(path)
        visitor.head(path)
    assert database_dump(app) == before


def test_address_of_a_disabled_account_is_dead(app: Flask, path: str, visitor: Browser) -> None:
    with app.app_context():
        people.disable(people.by_email(ALICE))
    assert visitor.get(path).status_code == 404
    assert reset(visitor, path) == 404
    with app.app_context():
        people.enable(people.by_email(ALICE))
    assert visitor.get(path).status_code == 404


def test_disabling_in_the_middle_is_noticed(app: Flask, path: str, alice: Browser) -> None:
    """Also where the disabling forgot to end the address: the query itself asks."""
    with app.app_context():
        user = people.by_email(ALICE)
        user.disabled_at = utcnow()
        db.session.commit()
    assert Browser(app).get(path).status_code == 404


def test_made_up_address_is_the_page_that_is_not_there(visitor: Browser) -> None:
    for made_up in ("made-up", "x" * 4000, "%00", "\N{SNOWMAN}"):
        assert visitor.get(f"/reset-password/{made_up}").status_code == 404
        assert reset(visitor, f"/reset-password/{made_up}") == 404


def test_token_is_in_no_table(app: Flask, alice: Browser, visitor: Browser) -> None:
    ask(visitor)
    before = database_dump(app)
    token = newest_link(app).rpartition("/")[2]
    assert token not in repr(before) + repr(database_dump(app))
    with app.app_context():
        assert db.session.scalars(select(PasswordReset)).one().token_hash == hash_token(token)


@pytest.mark.parametrize("password", ["", "short", ALICE, "x" * 1025])
def test_password_that_breaks_the_rule_leaves_the_address_good(
    app: Flask, path: str, visitor: Browser, password: str
) -> None:
    response = visitor.post(path, {"password": password})
    assert response.status_code == 422
    assert 'id="password-wrong"' in response.text
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert reset(visitor, path) == 303


def test_without_the_token_of_the_form_nothing_changes(app: Flask, path: str) -> None:
    assert Browser(app).client.post(path, data={"password": NEW}).status_code == 400
    assert Browser(app).sign_in(ALICE).status_code == 303


# What it ends


def test_every_session_ends(app: Flask, path: str, alice: Browser, visitor: Browser) -> None:
    copied = browser_with(app, cookie_of(alice))
    assert reset(visitor, path) == 303
    for browser in (alice, copied):
        assert browser.get("/documents").status_code == 302


def test_every_token_ends(app: Flask, path: str, alice: Browser, visitor: Browser) -> None:
    script = program(alice, "documents:read")
    assert script.open("/documents").status_code == 200
    assert reset(visitor, path) == 303
    assert script.open("/documents").status_code == 401


def test_browser_of_somebody_else_is_signed_out_too(app: Flask, path: str, bob: Browser) -> None:
    before = cookie_of(bob)
    assert reset(bob, path) == 303
    assert bob.get("/documents").status_code == 302
    assert browser_with(app, before).get("/documents").status_code == 302


def test_who_owes_the_second_proof_begins_again(
    app: Flask, path: str, alice: Browser, visitor: Browser
) -> None:
    with app.app_context(), transaction() as session:
        user = people.by_email(ALICE)
        ends_at = utcnow() + timedelta(minutes=5)
        waiting = {"token_hash": b"x" * 32, "user_id": user.id, "expires_at": ends_at}
        session.add(PendingSignIn(how="password", **waiting))
    assert reset(visitor, path) == 303
    with app.app_context():
        assert db.session.scalars(select(PendingSignIn)).all() == []


def test_owner_locked_out_by_guesses_gets_in_again(
    app: Flask, alice: Browser, visitor: Browser
) -> None:
    for _ in range(11):
        Browser(app).sign_in(ALICE, "a wrong guess")
    assert Browser(app).sign_in(ALICE).status_code == 429
    ask(visitor)
    assert reset(visitor, newest_link(app)) == 303
    assert Browser(app).sign_in(ALICE, NEW).status_code == 303


def test_owner_is_told_by_mail(app: Flask, path: str, visitor: Browser) -> None:
    reset(visitor, path)
    (notice,) = [m for m in mails_to(app, ALICE) if "your password was changed" in m["Subject"]]
    assert "Network address: 127.0.0.1" in text_of(notice)
    assert NEW not in notice.as_string()


@pytest.mark.parametrize("way", ["account", "command line"])
def test_another_way_to_a_new_password_ends_the_address_and_is_told(
    app: Flask, path: str, alice: Browser, visitor: Browser, way: str
) -> None:
    if way == "account":
        fields = {"current_password": PASSWORD, "new_password": NEW}
        assert alice.post("/account/password", fields).status_code == 303
    else:
        with app.app_context():
            people.set_password(people.by_email(ALICE), NEW, settings_of(app))
    assert visitor.get(path).status_code == 404
    assert [m for m in mails_to(app, ALICE) if "your password was changed" in m["Subject"]]


def test_old_addresses_are_purged(app: Flask, path: str, alice: Browser, time_machine: Any) -> None:
    with app.app_context():
        assert housekeeping.purge(settings_of(app)).addresses == 0
        time_machine.move_to(utcnow() + timedelta(hours=1))
        assert housekeeping.purge(settings_of(app)).addresses == 1
        assert db.session.scalars(select(PasswordReset)).all() == []


# Because an admin says so


def page_of(app: Flask, email: str) -> str:
    return f"/admin/users/{user_named(app, email).public_id}"


def test_admin_has_an_address_mailed_and_does_not_see_it(
    app: Flask, ada: Browser, alice: Browser, visitor: Browser
) -> None:
    here = page_of(app, ALICE)
    response = ada.post(here, {"action": "reset-password"})
    assert (response.status_code, response.location) == (303, here)
    path = newest_link(app)
    token = path.rpartition("/")[2]
    seen = response.text + ada.get(here).text + ada.get("/admin/mail").text
    assert token not in seen + ada.get("/admin/audit").text
    answer = ada.post_json(here, {"action": "reset-password"})
    assert answer.get_json().keys() == {"id", "mailed"}
    assert alice.get("/documents").status_code == 200, "nothing changed so far"
    (asked, _again) = events(app, "user.password_reset_asked")
    assert (asked.actor, asked.owner) == ("ada@example.org", ALICE)
    assert "an admin of" in text_of(mails_to(app, ALICE)[0])
    assert reset(visitor, path) == 303


def test_admin_cannot_mail_a_new_password_to_somebody_shut_out(
    app: Flask, ada: Browser, alice: Browser
) -> None:
    here = page_of(app, ALICE)
    ada.post(here, {"action": "disable"})
    assert ada.post(here, {"action": "reset-password"}).status_code == 409
    assert mails_to(app, ALICE) == []


def test_nobody_else_has_it_mailed(
    app: Flask, alice: Browser, bob: Browser, visitor: Browser
) -> None:
    assert bob.post(page_of(app, ALICE), {"action": "reset-password"}).status_code == 404
    assert visitor.post(page_of(app, ALICE), {"action": "reset-password"}).status_code == 302
    assert mails_to(app, ALICE) == []
