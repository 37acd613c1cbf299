"""Signing in and out: one text for every reason, and out means out."""

from __future__ import annotations

import re
import statistics
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from conftest import PASSWORD, Browser, Cast, user_named
from portal.accounts import passwords, people, sign_in
from portal.accounts.sign_in import SignInRefused
from portal.database import transaction
from portal.extensions import db
from portal.models import Session, Throttle, User, utcnow
from stage import (
    NOTHING,
    at_once,
    browser_with,
    cookie_of,
    database_dump,
    events,
    settings_of,
)
from test_gate import addresses
from test_house_rules import PUBLIC

WRONG = "three quiet herons waded"


def sessions_of(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count(Session.id))) or 0


def answer_to(app: Flask, email: str, password: str) -> tuple[int, str]:
    """Status and page of a sign-in, without what varies from page to page."""
    response = Browser(app).sign_in(email, password)
    page = re.sub(r'(name="csrf[-_]token" (?:content|value)=)"[^"]+"', r"\1", response.text)
    return response.status_code, page.replace(email, "…")


def test_signed_in_person_sees_their_documents(app: Flask, alice: Browser) -> None:
    browser = Browser(app)
    response = browser.sign_in("alice@example.org")
    assert (response.status_code, response.location) == (303, "/documents")
    assert "alice@example.org" in browser.get("/documents").text
    assert [each.actor for each in events(app, "session.started")] == ["alice@example.org"] * 2
    seen = user_named(app, "alice@example.org").last_seen_at
    assert seen is not None
    assert utcnow() - seen < timedelta(minutes=5)


@pytest.mark.parametrize(
    "written", ["ALICE@Example.ORG", "  alice@example.org ", "Alice@example.org"]
)
def test_case_and_spaces_of_the_address_do_not_matter(
    app: Flask, alice: Browser, written: str
) -> None:
    assert Browser(app).sign_in(written).status_code == 303


def test_unknown_disabled_invited_and_wrong_are_one_answer(app: Flask, cast: Cast) -> None:
    cast.person("alice@example.org", "Alice")
    cast.person("off@example.org", "Switched Off")
    with app.app_context():
        people.create("invited@example.org", settings_of(app))
        people.disable(people.by_email("off@example.org"))
    wrong = answer_to(app, "alice@example.org", WRONG)
    assert wrong[0] == 401
    assert "do not go together" in wrong[1]
    for email in ("nobody@example.org", "off@example.org", "invited@example.org", "no address"):
        assert answer_to(app, email, PASSWORD) == wrong
    assert sessions_of(app) == 1
    refused = events(app, "session.refused")
    assert len(refused) == 5
    assert {each.detail["reason"] for each in refused} == {"wrong"}
    assert {each.actor for each in refused} == {"visitor"}


def test_unknown_account_takes_as_long_as_a_known_one(make_app: Any) -> None:
    app = make_app(bcrypt_rounds=9)
    with app.app_context():
        people.create("alice@example.org", settings_of(app), password=PASSWORD)
    took: dict[str, list[float]] = {"alice@example.org": [], "nobody@example.org": []}
    for _ in range(5):
        for email, times in took.items():
            browser = Browser(app)
            token = browser.token()
            # Of the process: the hash is made in a thread of its own.
            started = time.process_time()
            browser.client.post(
                "/login",
                data={"email": email, "password": WRONG, "csrf_token": token},
            )
            times.append(time.process_time() - started)
    known, unknown = (statistics.median(times) for times in took.values())
    assert 0.7 < known / unknown < 1.4


@pytest.mark.parametrize(
    ("field", "words"), [("email", "Enter your e-mail"), ("password", "Enter")]
)
def test_empty_field_is_shown_beside_itself(visitor: Browser, field: str, words: str) -> None:
    data = {"email": "a@example.org", "password": PASSWORD, field: ""}
    response = visitor.post("/login", data)
    assert response.status_code == 422
    assert f'id="{field}-wrong"' in response.text
    assert words in response.text
    assert PASSWORD not in response.text


def test_sign_in_keeps_neither_the_old_token_nor_the_old_cookie(app: Flask, alice: Browser) -> None:
    browser = Browser(app)
    before = browser.token()
    planted = cookie_of(browser)
    assert browser.sign_in("alice@example.org").status_code == 303
    after = cookie_of(browser)
    assert after != planted
    assert browser_with(app, planted).get("/documents").status_code == 302
    response = browser.client.post(
        "/account", data={"csrf_token": before, "name": "Eve", "timezone": ""}
    )
    assert response.status_code == 400


def test_copied_cookie_is_dead_after_signing_out_on_every_route(app: Flask, alice: Browser) -> None:
    own = alice.upload()
    copied = browser_with(app, cookie_of(alice))
    assert copied.get("/documents").status_code == 200
    response = alice.post("/logout")
    assert (response.status_code, response.location) == (303, "/login")
    before = database_dump(app, "sessions")
    for endpoint, path, methods in addresses(app, own["id"]):
        if endpoint not in PUBLIC:
            for method in methods & {"GET", "POST", "HEAD"}:
                response = copied.client.open(path, method=method)
                assert response.status_code == (401 if "/api/" in path else 302), path
    assert database_dump(app, "sessions") == before
    assert events(app, "session.ended")[0].actor == "alice@example.org"


def test_signing_out_ends_this_session_and_no_other(app: Flask, alice: Browser) -> None:
    other = Browser(app)
    other.sign_in("alice@example.org")
    assert alice.post("/logout").status_code == 303
    assert other.get("/documents").status_code == 200
    assert alice.get("/documents").status_code == 302
    assert sessions_of(app) == 1


def test_signing_in_again_in_the_same_browser_ends_the_first_session(
    app: Flask, alice: Browser, bob: Browser
) -> None:
    first = cookie_of(alice)
    assert alice.sign_in("bob@example.org").status_code == 303
    assert browser_with(app, first).get("/documents").status_code == 302


def test_signed_in_person_is_led_on_from_the_sign_in_page(alice: Browser) -> None:
    response = alice.get("/login")
    assert (response.status_code, response.location) == (302, "/documents")


def test_the_token_in_the_cookie_is_in_no_table(app: Flask, alice: Browser) -> None:
    with app.test_request_context():
        serializer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
        token = serializer.loads(cookie_of(alice))["_user_id"]
    assert len(token) >= 43
    assert token not in repr(database_dump(app))


# Throttling


def test_eleventh_guess_at_an_account_is_told_to_wait(app: Flask, cast: Cast) -> None:
    cast.person("alice@example.org", "Alice")
    for email in ("alice@example.org", "nobody@example.org"):
        browser = Browser(app)
        statuses = [browser.sign_in(email, WRONG).status_code for _ in range(10)]
        assert statuses == [401] * 10
        response = browser.sign_in(email, PASSWORD)
        assert response.status_code == 429
        assert 0 < int(response.headers["Retry-After"]) <= 15 * 60
        assert "Wait 15 min" in response.text
    reasons = [each.detail["reason"] for each in events(app, "session.refused")]
    assert reasons.count("throttled") == 2


def test_after_the_wait_the_right_password_works_again(
    app: Flask, cast: Cast, time_machine: Any
) -> None:
    cast.person("alice@example.org", "Alice")
    now = utcnow()
    for _ in range(10):
        Browser(app).sign_in("alice@example.org", WRONG)
    assert Browser(app).sign_in("alice@example.org").status_code == 429
    time_machine.move_to(now + timedelta(minutes=14))
    assert Browser(app).sign_in("alice@example.org").status_code == 429
    time_machine.move_to(now + timedelta(minutes=16))
    assert Browser(app).sign_in("alice@example.org").status_code == 303


def test_success_forgets_the_wrong_guesses_before_it(app: Flask, alice: Browser) -> None:
    for _ in range(3):
        for _ in range(9):
            assert Browser(app).sign_in("alice@example.org", WRONG).status_code == 401
        assert Browser(app).sign_in("alice@example.org").status_code == 303


def test_guesses_from_one_address_at_many_accounts_are_throttled(app: Flask) -> None:
    browser = Browser(app)
    token = browser.token()

    def guess(number: int, address: str) -> int:
        data = {"email": f"a{number}@example.org", "password": WRONG, "csrf_token": token}
        environ = {"REMOTE_ADDR": address}
        return browser.client.post("/login", data=data, environ_overrides=environ).status_code

    assert [guess(number, "192.0.2.1") for number in range(60)] == [401] * 60
    assert guess(60, "192.0.2.1") == 429
    assert guess(60, "192.0.2.2") == 401


def test_signing_in_from_one_address_gives_its_try_back(app: Flask, alice: Browser) -> None:
    for _ in range(5):
        Browser(app).sign_in("alice@example.org")
    with app.app_context():
        tries = dict(db.session.execute(select(Throttle.key, Throttle.tries)).all())
    assert [n for key, n in tries.items() if key.startswith("address:")] == [0]
    assert not [key for key in tries if key.startswith("account:")]


def test_guesses_at_the_same_moment_are_all_counted(app: Flask, cast: Cast) -> None:
    cast.person("alice@example.org", "Alice")
    browsers = [Browser(app) for _ in range(24)]
    tokens = [browser.token() for browser in browsers]

    def guess(number: int) -> int:
        data = {
            "email": "alice@example.org",
            "password": WRONG,
            "csrf_token": tokens[number],
        }
        return browsers[number].client.post("/login", data=data).status_code

    statuses = at_once(24, guess)
    assert sorted(statuses) == [401] * 10 + [429] * 14


def test_throttle_is_shared_by_every_process(make_app: Any) -> None:
    first, second = make_app(), make_app()
    for number in range(10):
        Browser((first, second)[number % 2]).sign_in("nobody@example.org", WRONG)
    for app in (first, second):
        assert Browser(app).sign_in("nobody@example.org", WRONG).status_code == 429


def test_table_of_tries_tells_nobodys_address(app: Flask, visitor: Browser) -> None:
    visitor.sign_in("nobody@example.org", WRONG)
    with app.app_context():
        keys = repr(db.session.scalars(select(Throttle.key)).all())
    assert "nobody" not in keys
    assert "127.0.0.1" not in keys


# Sessions


def test_idle_session_ends(app: Flask, cast: Cast, time_machine: Any) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    alice = cast.person("alice@example.org", "Alice")
    time_machine.move_to(start + timedelta(minutes=60), tick=False)
    assert alice.get("/documents").status_code == 200
    time_machine.move_to(start + timedelta(minutes=120), tick=False)
    assert alice.get("/documents").status_code == 200
    time_machine.move_to(start + timedelta(minutes=180, seconds=1), tick=False)
    assert alice.get("/documents").status_code == 302
    assert alice.get(f"/documents/{NOTHING}/download").status_code == 302


def test_session_in_use_ends_after_its_days(make_app: Any, time_machine: Any) -> None:
    app = make_app(session_days=1)
    start = utcnow()
    time_machine.move_to(start, tick=False)
    alice = Cast(app).person("alice@example.org", "Alice")
    for hours in range(1, 24):
        time_machine.move_to(start + timedelta(hours=hours), tick=False)
        assert alice.get("/documents").status_code == 200
    time_machine.move_to(start + timedelta(hours=24), tick=False)
    assert alice.get("/documents").status_code == 302


def test_keep_me_signed_in_lifts_the_idle_limit_alone(
    app: Flask, alice: Browser, time_machine: Any
) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    browser = Browser(app)
    response = browser.sign_in("alice@example.org", remember="y")
    (cookie,) = [c for c in response.headers.getlist("Set-Cookie") if "session=" in c]
    assert "Expires=" in cookie
    copied = cookie_of(browser)
    for days, status in ((13.9, 200), (14, 302)):
        time_machine.move_to(start + timedelta(days=days), tick=False)
        assert browser_with(app, copied).get("/documents").status_code == status


def test_session_that_is_not_kept_ends_with_the_browser(app: Flask, alice: Browser) -> None:
    response = Browser(app).sign_in("alice@example.org")
    # The browser stays known as a device; that opens nothing.
    for cookie in response.headers.getlist("Set-Cookie"):
        if cookie.startswith("portal_device="):
            continue
        assert "Expires=" not in cookie
        assert "Max-Age=" not in cookie


def test_use_is_noted_at_most_once_a_minute(app: Flask, cast: Cast, time_machine: Any) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    alice = cast.person("alice@example.org", "Alice")

    def last_seen() -> Any:
        with app.app_context():
            return db.session.scalar(select(Session.last_seen_at))

    noted = last_seen()
    time_machine.move_to(start + timedelta(seconds=59), tick=False)
    alice.get("/documents")
    assert last_seen() == noted
    time_machine.move_to(start + timedelta(seconds=61), tick=False)
    alice.get("/documents")
    assert last_seen() == noted + timedelta(seconds=61)
    assert user_named(app, "alice@example.org").last_seen_at == noted + timedelta(seconds=61)


def test_use_of_one_session_keeps_no_other_alive(app: Flask, cast: Cast, time_machine: Any) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    alice, bob = (cast.person(f"{who}@example.org", who.title()) for who in ("alice", "bob"))
    second = Browser(app)
    second.sign_in("alice@example.org")
    time_machine.move_to(start + timedelta(minutes=59), tick=False)
    assert alice.get("/documents").status_code == 200
    assert user_named(app, "bob@example.org").last_seen_at == start
    time_machine.move_to(start + timedelta(minutes=61), tick=False)
    assert alice.get("/documents").status_code == 200
    assert second.get("/documents").status_code == 302
    assert bob.get("/documents").status_code == 302


def test_signing_in_is_noted_for_oneself_alone(app: Flask, cast: Cast, time_machine: Any) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    cast.person("bob@example.org", "Bob")
    time_machine.move_to(start + timedelta(minutes=5), tick=False)
    cast.person("alice@example.org", "Alice")
    assert user_named(app, "bob@example.org").last_seen_at == start
    assert user_named(app, "alice@example.org").last_seen_at == start + timedelta(minutes=5)


def test_download_is_no_use_of_a_session(
    app: Flask, alice: Browser, deed: dict[str, Any], time_machine: Any
) -> None:
    before = database_dump(app, "audit_events", "audit_head")
    time_machine.move_to(utcnow() + timedelta(minutes=30))
    response = alice.get(deed["download_url"])
    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers
    assert database_dump(app, "audit_events", "audit_head") == before


@pytest.mark.parametrize("change", ["disabled", "another password"])
def test_account_changed_while_its_password_is_checked_gets_no_session(
    app: Flask, change: str
) -> None:
    slow = replace(settings_of(app), bcrypt_rounds=12)
    another = passwords.hash_password("five loud rivers bend", rounds=4)
    with app.app_context():
        people.create("alice@example.org", slow, password=PASSWORD)

    def act(number: int) -> None:
        with app.app_context():
            if number == 0:
                with pytest.raises(SignInRefused):
                    sign_in.sign_in("alice@example.org", PASSWORD, slow)
                return
            time.sleep(0.1)
            alice = people.by_email("alice@example.org")
            if change == "disabled":
                people.disable(alice)
            else:
                # Hashed before: there would be no lane free for it now.
                with transaction() as session:
                    session.execute(update(User).values(password_hash=another))

    at_once(2, act)
    assert sessions_of(app) == 0
