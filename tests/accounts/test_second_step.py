"""The second half of a sign-in: until it is done, nothing is open."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from conftest import PASSWORD, Browser, Cast
from portal.accounts import pending, people, second_step, throttle
from portal.accounts.second_step import NobodyWaits
from portal.database import transaction
from portal.documents import housekeeping
from portal.extensions import db
from portal.models import Passkey, PendingSignIn, Session, Throttle, utcnow
from security_key import SecurityKey, add_passkey, options_to_use
from stage import (
    HOST,
    at_once,
    browser_with,
    cookie_of,
    database_dump,
    events,
    settings_of,
    twins,
)
from two_factor import App, codes_on_page, turn_on

PAGE = "/login/two-factor"
ALICE = "alice@example.org"
NEW = "five loud rivers bend"


@pytest.fixture
def shown(alice: Browser) -> App:
    """Alice's app; the code of this half minute is used up."""
    app, _ = turn_on(alice)
    return app


@pytest.fixture
def waiting(app: Flask, shown: App) -> Browser:
    """A browser in which Alice's password was entered."""
    browser = Browser(app)
    response = browser.sign_in(ALICE, next="/trash")
    assert (response.status_code, response.location) == (303, f"{PAGE}?next=/trash")
    browser.email = ""
    return browser


def token_in(browser: Browser) -> str:
    """What the cookie of a browser that waits says."""
    interface: Any = browser.app.session_interface
    content = interface.get_signing_serializer(browser.app).loads(cookie_of(browser))
    token: str = content["waits_for_second_factor"]
    return token


def rows(app: Flask, model: Any) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count(model.id))) or 0


def test_password_alone_opens_nothing(app: Flask, waiting: Browser) -> None:
    for path in ("/documents", "/account", "/account/two-factor", "/account/passkeys"):
        assert waiting.get(path).location.startswith("/login?next="), path
    assert rows(app, Session) == 1  # the one in which it was turned on
    assert "One more step" in waiting.get(f"{PAGE}?next=/trash").text


def test_password_alone_is_no_sign_in_in_the_log(app: Flask, waiting: Browser) -> None:
    assert len(events(app, "session.started")) == 1


def test_right_code_signs_in_and_leads_on(app: Flask, waiting: Browser, shown: App) -> None:
    response = waiting.post(PAGE, {"code": shown.code(1), "next": "/trash"})
    assert (response.status_code, response.location) == (303, "/trash")
    assert waiting.get("/documents").status_code == 200
    assert events(app, "session.started")[-1].detail["how"] == "password, code"
    assert rows(app, PendingSignIn) == 0
    with app.app_context():
        flags = db.session.scalars(select(Session.has_second_factor).order_by(Session.id)).all()
    assert flags == [True, True]


def test_recovery_code_signs_in_once(app: Flask, alice: Browser) -> None:
    _, codes = turn_on(alice)
    for code, status in ((codes[0], 303), (codes[0], 401), (codes[1], 303)):
        browser = Browser(app)
        browser.sign_in(ALICE)
        assert browser.post(PAGE, {"code": code}).status_code == status
    assert len(events(app, "user.recovery_code_used")) == 2
    assert {each.actor for each in events(app, "user.recovery_code_used")} == {ALICE}


def test_code_that_turned_it_on_signs_nobody_in(waiting: Browser, shown: App) -> None:
    assert waiting.post(PAGE, {"code": shown.used}).status_code == 401


def test_code_works_once(app: Flask, waiting: Browser, shown: App) -> None:
    code = shown.code(1)
    assert waiting.post(PAGE, {"code": code}).status_code == 303
    again = Browser(app)
    again.sign_in(ALICE)
    assert again.post(PAGE, {"code": code}).status_code == 401


@pytest.mark.parametrize("code", ["", "000000", "x" * 300, "\x00", "🌍🌍🌍🌍🌍🌍"])
def test_wrong_code_opens_nothing(app: Flask, waiting: Browser, code: str) -> None:
    response = waiting.post(PAGE, {"code": code})
    assert response.status_code in {401, 422}
    assert waiting.get("/documents").status_code == 302
    assert rows(app, Session) == 1


def test_wrong_code_is_in_the_log(app: Flask, waiting: Browser) -> None:
    waiting.post(PAGE, {"code": "000000"})
    (event,) = events(app, "session.second_factor_refused")
    assert (event.owner, event.detail) == (ALICE, {"how": "code", "reason": "wrong"})


def test_program_is_told_as_a_problem(waiting: Browser) -> None:
    response = waiting.post_json(PAGE, {"code": "000000"})
    assert (response.status_code, response.content_type) == (401, "application/problem+json")


def test_guesses_are_throttled_for_the_account_wherever_they_come_from(
    app: Flask, waiting: Browser, shown: App
) -> None:
    for number in range(5):
        browser = Browser(app)
        browser.sign_in(ALICE)
        environ = {"REMOTE_ADDR": f"192.0.2.{number}"}
        response = browser.post(PAGE, {"code": "000000"}, environ_overrides=environ)
        assert response.status_code == 401
    response = waiting.post(PAGE, {"code": shown.code(1)})
    assert response.status_code == 429
    assert 0 < int(response.headers["Retry-After"]) <= 900
    assert rows(app, Session) == 1
    assert events(app, "session.second_factor_refused")[-1].detail["reason"] == "throttled"


def test_guesses_are_throttled_for_the_address(app: Flask, cast: Cast) -> None:
    for number in range(13):
        who = cast.person(f"p{number}@example.org", "P")
        turn_on(who)
    browsers = [Browser(app) for _ in range(13)]
    for number, browser in enumerate(browsers):
        browser.sign_in(f"p{number}@example.org")
        browser.email = ""
    statuses = []
    for browser in browsers:
        statuses += [browser.post(PAGE, {"code": "000000"}).status_code for _ in range(5)]
    assert statuses == [401] * 60 + [429] * 5


def test_guesses_of_others_at_the_same_address_do_not_shut_out_a_known_browser(
    app: Flask, alice: Browser, shown: App
) -> None:
    alice.post("/logout")
    alice.email = ""
    alice.sign_in(ALICE)
    alice.email = ""
    stranger = Browser(app)
    stranger.sign_in(ALICE)
    stranger.email = ""
    with app.app_context():
        for _ in range(60):
            throttle.count(throttle.for_address("127.0.0.1"))
    assert stranger.post(PAGE, {"code": shown.code(1)}).status_code == 429
    assert alice.post(PAGE, {"code": shown.code(1)}).status_code == 303


def test_owner_gets_in_after_the_delay(
    app: Flask, waiting: Browser, shown: App, time_machine: Any
) -> None:
    for _ in range(6):
        waiting.post(PAGE, {"code": "000000"})
    time_machine.move_to(utcnow() + timedelta(minutes=15, seconds=1))
    browser = Browser(app)
    browser.sign_in(ALICE)
    assert browser.post(PAGE, {"code": shown.code()}).status_code == 303


def test_right_code_forgets_the_wrong_ones(app: Flask, waiting: Browser, shown: App) -> None:
    for _ in range(4):
        waiting.post(PAGE, {"code": "000000"})
    assert waiting.post(PAGE, {"code": shown.code(1)}).status_code == 303
    browser = Browser(app)
    browser.sign_in(ALICE)
    assert [browser.post(PAGE, {"code": "000000"}).status_code for _ in range(5)] == [401] * 5


def test_guesses_at_the_same_moment_are_all_counted(app: Flask, waiting: Browser) -> None:
    token = waiting.token()
    browsers = twins(waiting, 12)
    data = {"code": "000000", "csrf_token": token}
    statuses = at_once(12, lambda n: browsers[n].client.post(PAGE, data=data).status_code)
    assert sorted(statuses) == [401] * 5 + [429] * 7


def test_one_waiting_sign_in_becomes_one_session(app: Flask, alice: Browser) -> None:
    _, codes = turn_on(alice)
    browser = Browser(app)
    browser.sign_in(ALICE)
    browser.email = ""
    token = browser.token()
    browsers = twins(browser, 5)

    def finish(number: int) -> str:
        data = {"code": codes[number], "csrf_token": token}
        return browsers[number].client.post(PAGE, data=data).location

    assert at_once(5, finish).count("/documents") == 1
    assert rows(app, Session) == 2


def test_one_that_is_done_leaves_the_others_waiting(
    app: Flask, waiting: Browser, shown: App
) -> None:
    elsewhere = Browser(app)
    elsewhere.sign_in(ALICE)
    assert waiting.post(PAGE, {"code": shown.code(1)}).status_code == 303
    assert elsewhere.get(PAGE).status_code == 200
    assert rows(app, PendingSignIn) == 1


# What ends it


def test_nobody_takes_one_that_has_ended(app: Flask, waiting: Browser, time_machine: Any) -> None:
    token = token_in(waiting)
    time_machine.move_to(utcnow() + pending.LASTS)
    with app.app_context():
        assert not pending.take(token)


def test_it_ends_after_ten_minutes(
    app: Flask, waiting: Browser, shown: App, time_machine: Any
) -> None:
    start = utcnow()
    time_machine.move_to(start + timedelta(minutes=9, seconds=50))
    assert waiting.get(PAGE).status_code == 200
    time_machine.move_to(start + timedelta(minutes=10, seconds=1))
    assert waiting.get(PAGE).location == "/login"
    token = waiting.token()
    response = waiting.client.post(PAGE, data={"code": shown.code(), "csrf_token": token})
    assert (response.status_code, response.location) == (303, "/login")
    assert waiting.post_json(PAGE, {"code": shown.code()}).status_code == 401
    assert rows(app, Session) == 1


@pytest.mark.parametrize("end", ["password", "set password", "disable", "end sessions", "reset"])
def test_it_ends_with_the_sessions(
    app: Flask, alice: Browser, waiting: Browser, shown: App, end: str
) -> None:
    if end == "password":
        data = {"current_password": PASSWORD, "new_password": NEW}
        assert alice.post("/account/password", data).status_code == 303
    else:
        with app.app_context():
            user = people.by_email(ALICE)
            if end == "set password":
                people.set_password(user, NEW, settings_of(app))
            elif end == "disable":
                people.disable(user)
                people.enable(user)
            elif end == "end sessions":
                people.end_sessions(user)
            else:
                second_step.second_factor.reset(user)
    assert rows(app, PendingSignIn) == 0
    response = waiting.post(PAGE, {"code": shown.code(1)})
    assert (response.status_code, response.location) == (303, "/login")
    assert waiting.get("/documents").status_code == 302


def test_disabled_person_is_not_let_in(app: Flask, waiting: Browser, shown: App) -> None:
    """The account is looked at too, not only the row that waits."""
    with app.app_context(), transaction():
        people.by_email(ALICE).disabled_at = utcnow()
    assert waiting.get(PAGE).location == "/login"
    assert waiting.post(PAGE, {"code": shown.code(1)}).location == "/login"
    assert rows(app, Session) == 1


def test_disabled_while_the_code_is_checked_gets_no_session(
    app: Flask, waiting: Browser, shown: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between finding who waits and letting them in, somebody else may be quicker."""
    find = pending.find

    def find_and_lose(token: str) -> Any:
        found = find(token)
        db.session.commit()
        act = threading.Thread(target=disable)
        act.start()
        act.join()
        return found

    def disable() -> None:
        with app.app_context(), transaction():
            people.by_email(ALICE).disabled_at = utcnow()

    token = token_in(waiting)
    monkeypatch.setattr(pending, "find", find_and_lose)
    with app.app_context(), pytest.raises(NobodyWaits):
        second_step.with_code(token, shown.code(1), settings_of(app))
    assert rows(app, Session) == 1


def test_cookie_copied_while_waiting_is_dead_once_it_is_done(
    app: Flask, waiting: Browser, shown: App
) -> None:
    copied = browser_with(app, cookie_of(waiting))
    assert waiting.post(PAGE, {"code": shown.code(1)}).status_code == 303
    assert copied.get(PAGE).location == "/login"


def test_token_in_the_cookie_is_not_in_the_database(app: Flask, waiting: Browser) -> None:
    token = token_in(waiting)
    assert token not in repr(database_dump(app))


def test_who_never_entered_a_password_is_sent_to_sign_in(visitor: Browser) -> None:
    assert visitor.get(PAGE).location == "/login"
    assert visitor.post(PAGE, {"code": "123456"}).location == "/login"


def test_password_of_somebody_else_ends_the_session_before(
    app: Flask, bob: Browser, shown: App
) -> None:
    copied = browser_with(app, cookie_of(bob))
    assert bob.sign_in(ALICE).location == PAGE
    assert copied.get("/documents").status_code == 302


def test_kept_signed_in_is_kept_over_the_second_step(
    app: Flask, alice: Browser, shown: App
) -> None:
    browser = Browser(app)
    browser.sign_in(ALICE, remember="y")
    response = browser.post(PAGE, {"code": shown.code(1)})
    (cookie,) = [c for c in response.headers.getlist("Set-Cookie") if "session=" in c]
    assert "Expires=" in cookie
    with app.app_context():
        newest = db.session.scalars(select(Session).order_by(Session.id.desc())).first()
        assert newest
        assert newest.is_remembered


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example/", "/\\evil.example"])
def test_next_leads_to_no_other_site(waiting: Browser, shown: App, target: str) -> None:
    response = waiting.post(PAGE, {"code": shown.code(1), "next": target})
    assert response.location == "/documents"


def test_ended_ones_are_swept_away(app: Flask, waiting: Browser, time_machine: Any) -> None:
    with app.app_context():
        housekeeping.purge(settings_of(app))
    assert rows(app, PendingSignIn) == 1
    time_machine.move_to(utcnow() + timedelta(minutes=11))
    with app.app_context():
        housekeeping.purge(settings_of(app))
    assert rows(app, PendingSignIn) == 0


# With a passkey


def test_own_passkey_finishes_the_sign_in(app: Flask, alice: Browser) -> None:
    key = add_passkey(alice)
    browser = Browser(app)
    assert browser.sign_in(ALICE).location == PAGE
    browser.email = ""
    options = options_to_use(browser)
    assert [each["type"] for each in options["allowCredentials"]] == ["public-key"]
    key.count = 5
    response = browser.post(PAGE, {"credential": key.use(options)})
    assert (response.status_code, response.location) == (303, "/documents")
    assert events(app, "session.started")[-1].detail["how"] == "password, passkey"
    with app.app_context():
        assert db.session.scalars(select(Passkey.sign_count)).all() == [5]


def test_passkey_of_somebody_else_finishes_nothing(
    app: Flask, bob: Browser, waiting: Browser
) -> None:
    key = add_passkey(bob)
    response = waiting.post(PAGE, {"credential": key.use(options_to_use(waiting))})
    assert response.status_code == 401
    assert waiting.get("/documents").status_code == 302
    assert events(app, "session.second_factor_refused")[-1].detail["how"] == "passkey"


def test_unknown_passkey_finishes_nothing(waiting: Browser) -> None:
    key = SecurityKey(user_handle=bytes(16))
    response = waiting.post(PAGE, {"credential": key.use(options_to_use(waiting))})
    assert response.status_code == 401


def test_too_many_wrong_codes_do_not_stop_a_passkey(app: Flask, alice: Browser) -> None:
    key = add_passkey(alice)
    browser = Browser(app)
    browser.sign_in(ALICE)
    browser.email = ""
    for _ in range(6):
        browser.post(PAGE, {"code": "000000"})
    response = browser.post(PAGE, {"credential": key.use(options_to_use(browser))})
    assert response.status_code == 303


def test_wrong_proofs_alone_count_against_the_address(app: Flask, alice: Browser) -> None:
    def tries() -> tuple[int | None, ...]:
        limits = throttle.for_address(HOST), throttle.for_passkeys(HOST)
        with app.app_context():
            return tuple(
                db.session.scalar(select(Throttle.tries).where(Throttle.key == limit.key))
                for limit in limits
            )

    key = add_passkey(alice)
    code, *_ = codes_on_page(alice)
    for wrong, counted in (({"credential": "{}"}, (0, 1)), ({"code": "000000"}, (1, 1))):
        browser = Browser(app)
        browser.sign_in(ALICE)
        browser.email = ""
        assert browser.post(PAGE, wrong).status_code in {401, 422}
        assert tries() == counted
        right = {"code": code}
        if "code" in wrong:
            right = {"credential": key.use(options_to_use(browser))}
        assert browser.post(PAGE, right).status_code == 303
        assert tries() == counted


def test_passkey_works_where_others_have_guessed_too_often(app: Flask, alice: Browser) -> None:
    key = add_passkey(alice)
    with app.app_context():
        for _ in range(60):
            throttle.count(throttle.for_address(HOST))
    browser = Browser(app)
    answer = {"credential": key.use(options_to_use(browser))}
    assert browser.post("/login", answer).status_code == 303
    assert browser.get("/documents").status_code == 200


def test_second_step_is_a_fresh_proof(app: Flask, waiting: Browser, shown: App) -> None:
    waiting.post(PAGE, {"code": shown.code(1)})
    waiting.email = ALICE
    assert (
        waiting.post("/account/two-factor", {"action": "disable"}).location == "/account/two-factor"
    )
