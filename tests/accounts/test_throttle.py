"""Counting guesses: each against its own limit, none forgotten, none held against others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from conftest import PASSWORD, Browser
from portal.accounts import passwords, people, throttle
from portal.accounts.throttle import Limit
from portal.errors import Busy, TooManyTries
from portal.extensions import db
from portal.models import Throttle, utcnow
from stage import at_once, settings_of

ALICE, BOB = throttle.for_account("alice@example.org"), throttle.for_account("bob@example.org")
SMALL = Limit("account", "small", 2, timedelta(minutes=1))


def tries(app: Flask, limit: Limit) -> int | None:
    with app.app_context():
        return db.session.scalar(select(Throttle.tries).where(Throttle.key == limit.key))


def test_try_counts_against_its_own_limits_alone(app: Flask) -> None:
    with app.app_context():
        throttle.count(ALICE, throttle.for_address("192.0.2.1"))
        throttle.count(ALICE)
    assert tries(app, ALICE) == 2
    assert tries(app, throttle.for_address("192.0.2.1")) == 1
    assert tries(app, BOB) is None


def test_limit_is_reached_after_its_tries_and_over_after_its_window(
    app: Flask, time_machine: Any
) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    with app.app_context():
        throttle.count(SMALL)
        time_machine.move_to(start + timedelta(seconds=30), tick=False)
        throttle.count(SMALL)
        with pytest.raises(TooManyTries) as caught:
            throttle.count(SMALL)
        assert caught.value.retry_after == 30
        time_machine.move_to(start + timedelta(seconds=59.9), tick=False)
        with pytest.raises(TooManyTries) as caught:
            throttle.count(SMALL)
        assert caught.value.retry_after == 1
        # A refused try does not make the wait longer.
        time_machine.move_to(start + timedelta(seconds=60), tick=False)
        throttle.count(SMALL)
    assert tries(app, SMALL) == 1


def test_refused_try_is_counted_nowhere(app: Flask) -> None:
    """Who is told to wait did not guess: the count of the address must not grow."""
    address = throttle.for_address("192.0.2.1")
    with app.app_context():
        for _ in range(SMALL.tries):
            throttle.count(SMALL, address)
        for _ in range(5):
            with pytest.raises(TooManyTries):
                throttle.count(SMALL, address)
    assert tries(app, address) == SMALL.tries


def test_success_gives_one_try_back_to_the_others_and_forgets_its_own(app: Flask) -> None:
    here, there = throttle.for_address("192.0.2.1"), throttle.for_address("192.0.2.2")
    with app.app_context():
        for _ in range(3):
            throttle.count(ALICE, here)
        throttle.count(BOB, there)
        throttle.forgive(ALICE, here)
    assert tries(app, ALICE) is None
    assert tries(app, here) == 2
    assert (tries(app, BOB), tries(app, there)) == (1, 1)


def test_no_try_is_given_back_that_was_not_made(app: Flask) -> None:
    here = throttle.for_address("192.0.2.1")
    with app.app_context():
        throttle.count(here)
        for _ in range(3):
            throttle.forgive(ALICE, here)
    assert tries(app, here) == 0


def test_tries_at_the_same_moment_are_all_counted(app: Flask) -> None:
    def count(_number: int) -> None:
        with app.app_context():
            throttle.count(throttle.for_address("192.0.2.1"))

    at_once(20, count)
    assert tries(app, throttle.for_address("192.0.2.1")) == 20


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("", "192.0.2.1", False),
        ("no address", "no address", True),
    ],
)
def test_whole_ipv6_network_is_one_address(one: str, other: str, same: bool) -> None:
    keys = throttle.for_address(one).key, throttle.for_address(other).key
    assert (keys[0] == keys[1]) == same


def test_kinds_do_not_mix() -> None:
    kinds = (
        throttle.for_account,
        throttle.for_address,
        throttle.for_app_passwords,
        throttle.for_device,
        throttle.for_link,
        throttle.for_proof,
        throttle.for_tokens,
    )
    assert len({kind("x").key for kind in kinds}) == len(kinds)


def test_cleared_count_begins_anew_and_no_other(app: Flask) -> None:
    with app.app_context():
        for _ in range(ALICE.tries):
            throttle.count(ALICE, BOB)
        throttle.clear(ALICE)
        throttle.count(ALICE)
        with pytest.raises(TooManyTries):
            throttle.count(BOB)
        throttle.clear()
    assert tries(app, ALICE) == 1


def test_try_that_was_never_judged_is_given_back(app: Flask) -> None:
    with app.app_context():
        throttle.count(ALICE, BOB)
        with pytest.raises(Busy), throttle.judging(ALICE, BOB):
            raise Busy
        with pytest.raises(ZeroDivisionError), throttle.judging(ALICE):
            raise ZeroDivisionError
        throttle.count(ALICE)
    assert (tries(app, ALICE), tries(app, BOB)) == (1, 0)


# Where guesses come from, and who they harm

WRONG = "three quiet herons waded"


def guess(
    browser: Browser, token: str, email: str, address: str, password: str = WRONG, **headers: str
) -> int:
    return browser.client.post(
        "/login",
        data={"email": email, "password": password, "csrf_token": token},
        environ_overrides={"REMOTE_ADDR": address},
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    ).status_code


def test_guesses_at_one_account_from_many_addresses_have_one_limit(app: Flask, alice: Any) -> None:
    browser = Browser(app)
    token = browser.token()
    statuses = [guess(browser, token, "alice@example.org", f"192.0.2.{n}") for n in range(30)]
    assert statuses == [401] * 10 + [429] * 20
    networks = [guess(browser, token, "alice@example.org", f"2001:db8:{n}::1") for n in range(5)]
    assert networks == [429] * 5


def test_forged_address_counts_for_nothing_without_a_proxy(app: Flask) -> None:
    browser = Browser(app)
    token = browser.token()
    statuses = [
        guess(browser, token, f"a{n}@example.org", "192.0.2.1", X_Forwarded_For=f"198.51.100.{n}")
        for n in range(62)
    ]
    assert statuses == [401] * 60 + [429] * 2


def test_behind_a_proxy_only_what_the_proxy_itself_saw_counts(make_app: Any) -> None:
    app = make_app(trusted_proxies=1)
    browser = Browser(app)
    token = browser.token()

    def through_proxy(number: int, forged: str, seen: str) -> int:
        email, chain = f"a{number}@example.org", f"{forged}, {seen}"
        return guess(browser, token, email, "127.0.0.1", X_Forwarded_For=chain)

    statuses = [through_proxy(n, f"198.51.100.{n}", "192.0.2.1") for n in range(62)]
    assert statuses == [401] * 60 + [429] * 2
    assert through_proxy(62, "192.0.2.1", "192.0.2.2") == 401


def test_of_a_hundred_guesses_at_once_from_a_hundred_addresses_ten_are_judged(
    make_app: Any,
) -> None:
    apps = make_app(), make_app()
    browsers = [Browser(apps[number % 2]) for number in range(100)]
    tokens = [browser.token() for browser in browsers]

    def act(number: int) -> int:
        address = f"198.51.100.{number}"
        return guess(browsers[number], tokens[number], "alice@example.org", address)

    statuses = at_once(100, act)
    # Beyond its line a process says 503 and gives the try back: never one more than the limit.
    assert statuses.count(401) <= 10
    assert statuses.count(429) >= 80
    assert set(statuses) <= {401, 429, 503}


def test_of_a_hundred_guesses_at_once_at_a_link_ten_are_judged(
    make_app: Any, app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed, password="open sesame")
    apps = app, make_app()
    browsers = [Browser(apps[number % 2]) for number in range(100)]
    tokens = [browser.token() for browser in browsers]

    def act(number: int) -> int:
        return (
            browsers[number]
            .client.post(
                link["path"],
                data={"password": "a wrong guess", "csrf_token": tokens[number]},
                environ_overrides={"REMOTE_ADDR": f"198.51.100.{number}"},
            )
            .status_code
        )

    statuses = at_once(100, act)
    assert statuses.count(401) <= 10
    assert set(statuses) <= {401, 429, 503}
    assert Browser(app).post(link["path"], {"password": "open sesame"}).status_code == 429


def test_guesses_at_one_account_shut_nobody_else_out(app: Flask, alice: Any, bob: Any) -> None:
    browser = Browser(app)
    token = browser.token()
    for number in range(12):
        guess(browser, token, "alice@example.org", f"192.0.2.{number}")
    assert guess(browser, token, "bob@example.org", "203.0.113.1", PASSWORD) == 303


def test_browser_that_was_signed_in_before_is_not_shut_out_by_strangers(
    app: Flask, alice: Browser
) -> None:
    alice.post("/logout")
    for _ in range(12):
        Browser(app).sign_in("alice@example.org", WRONG)
    assert Browser(app).sign_in("alice@example.org").status_code == 429
    alice.email = ""
    assert alice.sign_in("alice@example.org").status_code == 303
    assert Browser(app).sign_in("alice@example.org").status_code == 429


def test_browser_that_was_signed_in_before_has_ten_guesses_of_its_own(
    app: Flask, alice: Browser
) -> None:
    alice.post("/logout")
    alice.email = ""
    statuses = [alice.sign_in("alice@example.org", WRONG).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    assert alice.sign_in("alice@example.org").status_code == 429
    assert Browser(app).sign_in("alice@example.org").status_code == 303


def test_known_browser_is_known_to_its_own_account_alone(
    app: Flask, alice: Browser, bob: Browser
) -> None:
    """With an account of one's own one gets no more guesses at somebody else's."""
    bob.post("/logout")
    bob.email = ""
    statuses = [bob.sign_in("alice@example.org", WRONG).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    unknown = [bob.sign_in("nobody@example.org", WRONG).status_code for _ in range(12)]
    assert unknown == statuses


def test_right_password_from_a_known_browser_forgives_no_stranger(
    app: Flask, alice: Browser
) -> None:
    stranger = Browser(app)
    for _ in range(9):
        assert stranger.sign_in("alice@example.org", WRONG).status_code == 401
    alice.post("/logout")
    alice.email = ""
    assert alice.sign_in("alice@example.org").status_code == 303
    assert stranger.sign_in("alice@example.org", WRONG).status_code == 401
    assert stranger.sign_in("alice@example.org", WRONG).status_code == 429


def test_who_is_signed_in_stays_so_whoever_guesses(app: Flask, alice: Browser) -> None:
    for _ in range(12):
        Browser(app).sign_in("alice@example.org", WRONG)
    assert alice.get("/documents").status_code == 200


def test_password_set_by_an_admin_lets_somebody_in_who_was_shut_out(
    app: Flask, alice: Browser
) -> None:
    new = "five loud rivers bend"
    for _ in range(12):
        Browser(app).sign_in("alice@example.org", WRONG)
    with app.app_context():
        people.set_password(people.by_email("alice@example.org"), new, settings_of(app))
    assert Browser(app).sign_in("alice@example.org", new).status_code == 303


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/account/email", {"new_email": "archer@example.com", "current_password": PASSWORD}),
        ("/account/delete", {"action": "ask", "password": PASSWORD}),
        ("/account/password", {"current_password": PASSWORD, "new_password": "five loud rivers"}),
    ],
)
def test_own_password_that_could_not_be_checked_costs_no_tries(
    alice: Browser, monkeypatch: pytest.MonkeyPatch, path: str, fields: dict[str, str]
) -> None:
    def busy(*_args: Any) -> bool:
        raise Busy

    monkeypatch.setattr(passwords, "check_password", busy)
    assert {alice.post(path, fields).status_code for _ in range(12)} == {503}


def test_flood_is_told_that_the_portal_is_busy_and_costs_no_tries(make_app: Any) -> None:
    """More at once than lanes and line hold: those beyond were not judged, and may try again."""
    app = make_app(bcrypt_rounds=11)
    count = 48
    browsers = [Browser(app) for _ in range(count)]
    tokens = [browser.token() for browser in browsers]

    def act(number: int) -> TestResponse:
        return browsers[number].client.post(
            "/login",
            data={
                "email": f"a{number}@example.org",
                "password": WRONG,
                "csrf_token": tokens[number],
            },
            environ_overrides={"REMOTE_ADDR": f"192.0.2.{number}"},
        )

    answers = at_once(count, act)
    busy = [number for number, answer in enumerate(answers) if answer.status_code == 503]
    assert {answer.status_code for answer in answers} == {401, 503}
    assert all(int(answers[number].headers["Retry-After"]) > 0 for number in busy)
    for number in busy:
        assert not tries(app, throttle.for_account(f"a{number}@example.org"))
        assert not tries(app, throttle.for_address(f"192.0.2.{number}"))
