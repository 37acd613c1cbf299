"""How strong a password is, told while it is typed: to anybody who fills a form, kept nowhere."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from conftest import Browser
from portal.accounts.pace import Pace
from portal.errors import TooManyTries
from stage import database_dump, settings_of

PATH = "/account/password/strength"
GOOD = "three quiet herons wade"


def ask(browser: Browser, password: str, **fields: str) -> dict[str, Any]:
    response = browser.post(PATH, {"password": password, **fields})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.get_json()
    return answer


@pytest.mark.parametrize(
    ("password", "taken", "words"),
    [
        ("", False, "at least 12 characters"),
        ("herons", False, "at least 12 characters"),
        ("password1234", False, "most common"),
        ("dragonmonkey", False, "easy to guess"),
        (GOOD, True, "Strength: strong."),
        ("x" * 1025, False, "at most 1024"),
    ],
)
def test_visitor_is_told_score_and_rule(
    visitor: Browser, password: str, taken: bool, words: str
) -> None:
    answer = ask(visitor, password)
    assert answer["taken"] is taken
    assert words in answer["words"]
    assert answer["score"] in (range(2, 5) if taken else range(2))


def test_visitor_is_judged_by_what_the_form_says_of_them(visitor: Browser) -> None:
    own = ask(visitor, "Margherita Verdi 12", name="Margherita Verdi", email="m@example.org")
    assert "your own name" in own["words"]
    assert ask(visitor, "Margherita Verdi 12")["taken"]


def test_person_is_judged_by_their_own_name_and_address(alice: Browser) -> None:
    assert "your own name" in ask(alice, "alice.archer.12")["words"]


def test_name_of_the_portal_is_no_password(make_app: Any) -> None:
    visitor = Browser(make_app(site_name="Harbour & Hill"))
    assert "name of this portal" in ask(visitor, "Harbour&Hill2026")["words"]


def test_what_is_told_is_what_the_form_does(app: Flask, alice: Browser) -> None:
    for password in ("alice archer 1", "password1234", "five loud rivers bend"):
        told = ask(alice, password)
        data = {"current_password": GOOD, "new_password": password}
        response = alice.post("/account/password", data)
        assert (response.status_code == 303) == told["taken"]
        if not told["taken"]:
            assert told["words"] in response.text


def test_nothing_is_kept_or_logged(
    app: Flask, alice: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = database_dump(app)
    secret = "seven copper lanterns hum"
    ask(alice, secret)
    visitor = Browser(app)
    token = visitor.token()
    answer = visitor.client.post(PATH, data={"password": secret, "csrf_token": token})
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    assert secret not in answer.text
    assert database_dump(app) == before
    assert secret not in caplog.text
    for path in settings_of(app).instance_dir.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path


def test_another_site_cannot_ask(visitor: Browser) -> None:
    assert visitor.client.post(PATH, data={"password": GOOD}).status_code == 400
    headers = {"Origin": "https://evil.example"}
    assert visitor.post(PATH, {"password": GOOD}, headers=headers).status_code == 400


def test_address_of_it_is_for_asking_only(alice: Browser) -> None:
    assert alice.get(PATH).status_code == 405


def test_who_asks_too_fast_is_told_to_wait_and_nobody_else(app: Flask, visitor: Browser) -> None:
    token = visitor.token()

    def once(address: str) -> TestResponse:
        data = {"password": "short", "csrf_token": token}
        return visitor.client.post(PATH, data=data, environ_overrides={"REMOTE_ADDR": address})

    answers = [once("192.0.2.1") for _ in range(400)]
    statuses = [answer.status_code for answer in answers]
    assert statuses[:60] == [200] * 60
    assert 429 in statuses
    assert int(answers[statuses.index(429)].headers["Retry-After"]) >= 1
    assert once("192.0.2.2").status_code == 200


def test_pace_comes_back_with_time_up_to_its_burst() -> None:
    pace = Pace(burst=3, per_second=2)
    for _ in range(3):
        pace.take("192.0.2.1", now=10)
    with pytest.raises(TooManyTries) as caught:
        pace.take("192.0.2.1", now=10)
    assert caught.value.retry_after == 1
    pace.take("192.0.2.2", now=10)
    pace.take("192.0.2.1", now=10.5)
    with pytest.raises(TooManyTries):
        pace.take("192.0.2.1", now=10.5)
    for _ in range(3):
        pace.take("192.0.2.1", now=1000)
    with pytest.raises(TooManyTries):
        pace.take("192.0.2.1", now=1000)


def test_pace_counts_a_whole_ipv6_network_as_one() -> None:
    pace = Pace(burst=1, per_second=1)
    pace.take("2001:db8::1", now=1)
    with pytest.raises(TooManyTries):
        pace.take("2001:db8::2", now=1)
    pace.take("2001:db8:0:1::1", now=1)


def test_pace_remembers_a_bounded_number_of_addresses() -> None:
    pace = Pace(burst=1, per_second=1)
    for number in range(10_500):
        pace.take(f"a{number}", now=1)
    assert len(pace._left) == 10_000
    pace.take("a0", now=1)  # forgotten
    with pytest.raises(TooManyTries):
        pace.take("a10499", now=1)


def test_every_form_that_chooses_a_password_asks(alice: Browser) -> None:
    page = alice.get("/account").text
    assert page.count(f'data-strength="{PATH}"') == 1
