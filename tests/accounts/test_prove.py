"""Showing once more that it is you, before something sensitive."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from conftest import PASSWORD, Browser, Cast
from portal.accounts import people, proof, sessions
from portal.accounts.policies import TwoFactor
from portal.database import transaction
from portal.errors import Invalid, SignInRequired
from portal.extensions import db
from portal.gate import check_fresh_proof, needs_fresh_proof
from portal.models import Passkey, utcnow
from security_key import SecurityKey, add_passkey, options_to_use
from stage import at_once, browser_with, cookie_of, database_dump, events, settings_of
from two_factor import decide, forget_proof, turn_on

PAGE = "/account/prove"
ALICE = "alice@example.org"


@pytest.fixture
def app(make_app: Any) -> Flask:
    """The portal with three sensitive pages more."""
    app: Flask = make_app()

    @needs_fresh_proof
    def sensitive() -> str:
        return "done"

    def partly() -> str:
        check_fresh_proof()
        return "done"

    app.add_url_rule("/sensitive", view_func=sensitive, methods=["GET", "POST"])
    app.add_url_rule("/sensitive/act", "act", sensitive, methods=["POST"])
    app.add_url_rule("/partly", view_func=partly, methods=["GET", "POST"])
    return app


def is_fresh(browser: Browser) -> bool:
    return browser.get("/sensitive").status_code == 200


@pytest.fixture
def stale(app: Flask, alice: Browser) -> Browser:
    """Alice, whose newest proof is too old."""
    forget_proof(app, ALICE)
    return alice


def test_signing_in_is_a_proof_for_ten_minutes(alice: Browser, time_machine: Any) -> None:
    start = utcnow()
    time_machine.move_to(start + timedelta(minutes=9, seconds=50))
    assert is_fresh(alice)
    time_machine.move_to(start + timedelta(minutes=10, seconds=1))
    assert not is_fresh(alice)


@pytest.mark.parametrize("path", ["/sensitive", "/partly"])
def test_page_leads_there_and_back(stale: Browser, path: str) -> None:
    response = stale.get(f"{path}?q=a%26b")
    assert response.status_code == 302
    assert response.location == f"/account/prove?next=%2F{path[1:]}%3Fq%3Da%2526b"
    page = stale.get(response.location).text
    assert f'name="next" value="{path}?q=a%26b"' in page
    assert '<a class="back" href="/account">' in page
    response = stale.post(PAGE, {"password": PASSWORD, "next": f"{path}?q=a%26b"})
    assert (response.status_code, response.location) == (303, f"{path}?q=a%26b")
    assert stale.get(path).text == "done"


@pytest.mark.parametrize("path", ["/sensitive", "/partly"])
def test_form_leads_there_and_back_to_its_page(stale: Browser, path: str) -> None:
    response = stale.post(path, {"x": "y"})
    assert (response.status_code, response.location) == (303, f"/account/prove?next=%2F{path[1:]}")


def test_form_whose_address_is_no_page_leads_back_to_where_it_stands(stale: Browser) -> None:
    def leads_back_to(referer: str) -> str:
        return stale.post("/sensitive/act", headers={"Referer": referer}).location

    assert leads_back_to("http://127.0.0.1:8000/trash?x=1") == "/account/prove?next=%2Ftrash"
    assert leads_back_to("http://evil.example/trash") == "/account/prove?next=%2Faccount"
    assert leads_back_to("") == "/account/prove?next=%2Faccount"


@pytest.mark.parametrize("path", ["/sensitive", "/sensitive/act", "/partly"])
def test_program_is_told_what_is_missing(stale: Browser, path: str) -> None:
    response = stale.post_json(path)
    assert (response.status_code, response.content_type) == (403, "application/problem+json")
    problem = response.get_json()
    assert problem["reason"] == "fresh_proof"
    assert "fresh proof" in problem["detail"]


def test_visitor_is_sent_to_sign_in(visitor: Browser) -> None:
    assert visitor.get("/sensitive").location == "/login?next=%2Fsensitive"
    assert visitor.get(PAGE).location == "/login?next=%2Faccount%2Fprove"


def test_password_proves(app: Flask, stale: Browser) -> None:
    assert not is_fresh(stale)
    assert stale.post(PAGE, {"password": PASSWORD}).location == "/documents"
    assert is_fresh(stale)
    (event,) = events(app, "session.proved")
    assert (event.actor, event.detail) == (ALICE, {"how": "password"})


def test_code_proves_once(app: Flask, alice: Browser) -> None:
    shown, codes = turn_on(alice)
    once = shown.code(1)
    for code, status in ((once, 303), (once, 422), (codes[0], 303)):
        forget_proof(app, ALICE)
        assert alice.post(PAGE, {"code": code}).status_code == status
        assert is_fresh(alice) == (status == 303)
    assert [each.detail["how"] for each in events(app, "session.proved")][1:] == [
        "code",
        "recovery code",
    ]


def test_passkey_proves(app: Flask, alice: Browser) -> None:
    key = add_passkey(alice)
    forget_proof(app, ALICE)
    options = options_to_use(alice)
    assert len(options["allowCredentials"]) == 1
    key.count = 5
    assert alice.post(PAGE, {"credential": key.use(options)}).status_code == 303
    assert is_fresh(alice)
    assert events(app, "session.proved")[-1].detail == {"how": "passkey"}
    with app.app_context():
        assert db.session.scalars(select(Passkey.sign_count)).all() == [5]


def test_program_may_prove_too(stale: Browser) -> None:
    response = stale.post_json(PAGE, {"password": PASSWORD})
    assert (response.status_code, response.get_json()) == (201, {"proved": True})
    assert is_fresh(stale)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"password": "three loud herons"}, "password"),
        ({"password": ""}, "password"),
        ({}, "password"),
        ({"code": "000000"}, "code"),
        ({"code": "x" * 300}, "code"),
        ({"credential": "{}"}, ""),
    ],
)
def test_wrong_proof_proves_nothing(
    app: Flask, alice: Browser, fields: dict[str, str], field: str
) -> None:
    turn_on(alice)
    forget_proof(app, ALICE)
    response = alice.post(PAGE, fields)
    assert response.status_code == 422
    assert (f'id="{field}-wrong"' if field else 'role="alert"') in response.text
    assert not is_fresh(alice)


def test_wrong_proof_is_in_the_log(app: Flask, stale: Browser) -> None:
    stale.post(PAGE, {"password": "three loud herons"})
    (event,) = events(app, "session.second_factor_refused")
    assert (event.actor, event.owner) == (ALICE, ALICE)
    assert event.detail == {"how": "password", "reason": "wrong"}


def test_every_refusal_is_in_the_log(app: Flask, alice: Browser) -> None:
    turn_on(alice)
    forget_proof(app, ALICE)
    tries = [{"code": "000000"}] * 6 + [{"credential": "{}"}]
    tries += [{"password": "three loud herons"}] * 11
    for fields in tries:
        alice.post(PAGE, fields)
    noted = [tuple(each.detail.values()) for each in events(app, "session.second_factor_refused")]
    assert sorted(noted) == sorted(
        [("code", "wrong")] * 5
        + [("code", "throttled"), ("passkey", "wrong"), ("password", "throttled")]
        + [("password", "wrong")] * 10
    )


def test_proof_of_somebody_else_proves_nothing(app: Flask, alice: Browser, bob: Browser) -> None:
    _, codes = turn_on(bob)
    key = add_passkey(bob)
    forget_proof(app, ALICE)
    assert alice.post(PAGE, {"code": codes[0]}).status_code == 422
    answer = key.use(options_to_use(alice))
    assert alice.post(PAGE, {"credential": answer}).status_code == 422
    unknown = SecurityKey(user_handle=bytes(16)).use(options_to_use(alice))
    assert alice.post(PAGE, {"credential": unknown}).status_code == 422
    assert not is_fresh(alice)


def test_guesses_at_the_password_are_throttled_apart_from_those_of_strangers(
    app: Flask, stale: Browser
) -> None:
    """Or whoever guesses at an account from elsewhere keeps its owner from every sensitive act."""
    for _ in range(10):
        assert Browser(app).sign_in(ALICE, "three loud herons").status_code == 401
    assert Browser(app).sign_in(ALICE).status_code == 429
    assert stale.post(PAGE, {"password": PASSWORD}).status_code == 303
    forget_proof(app, ALICE)
    for _ in range(10):
        assert stale.post(PAGE, {"password": "three loud herons"}).status_code == 422
    response = stale.post(PAGE, {"password": PASSWORD})
    assert response.status_code == 429
    assert response.headers["Retry-After"]
    assert not is_fresh(stale)
    data = {"current_password": PASSWORD, "new_password": "five loud rivers bend"}
    assert stale.post("/account/password", data).status_code == 429


def test_guesses_at_codes_are_throttled_with_those_at_sign_in(app: Flask, alice: Browser) -> None:
    shown, _ = turn_on(alice)
    forget_proof(app, ALICE)
    for _ in range(5):
        assert alice.post(PAGE, {"code": "000000"}).status_code == 422
    assert alice.post(PAGE, {"code": shown.code(1)}).status_code == 429
    browser = Browser(app)
    browser.sign_in(ALICE)
    assert browser.post("/login/two-factor", {"code": shown.code(1)}).status_code == 429


def test_right_proof_forgets_the_wrong_ones(app: Flask, stale: Browser) -> None:
    for _ in range(9):
        stale.post(PAGE, {"password": "three loud herons"})
    assert stale.post(PAGE, {"password": PASSWORD}).status_code == 303
    assert stale.post(PAGE, {"password": "three loud herons"}).status_code == 422


def test_right_code_forgets_the_wrong_ones(app: Flask, alice: Browser) -> None:
    shown, _ = turn_on(alice)
    forget_proof(app, ALICE)
    for _ in range(4):
        alice.post(PAGE, {"code": "000000"})
    assert alice.post(PAGE, {"code": shown.code(1)}).status_code == 303
    assert alice.post(PAGE, {"code": "000000"}).status_code == 422


def test_proof_counts_in_its_own_session_alone(app: Flask, alice: Browser, bob: Browser) -> None:
    other = Browser(app)
    other.sign_in(ALICE)
    forget_proof(app, ALICE)
    forget_proof(app, "bob@example.org")
    assert alice.post(PAGE, {"password": PASSWORD}).status_code == 303
    assert is_fresh(alice)
    assert not is_fresh(other)
    assert not is_fresh(bob)


def test_password_that_was_changed_meanwhile_proves_nothing(app: Flask, stale: Browser) -> None:
    with app.app_context():
        people.set_password(people.by_email(ALICE), "five loud rivers bend", settings_of(app))
    assert stale.post(PAGE, {"password": PASSWORD}).location.startswith("/login")


def test_password_changed_while_it_is_checked_proves_nothing(app: Flask) -> None:
    slow = replace(settings_of(app), bcrypt_rounds=12)
    with app.app_context():
        alice = people.create(ALICE, slow, password=PASSWORD)
        with transaction():
            token = sessions.start(alice, slow, remember=False)

    def act(number: int) -> None:
        with app.app_context():
            if number == 0:
                person = sessions.load(token, slow)
                assert person
                with pytest.raises(Invalid):
                    proof.by_password(person, PASSWORD, slow)
            else:
                time.sleep(0.1)
                with transaction():
                    people.by_email(ALICE).password_hash = "another"

    at_once(2, act)
    assert events(app, "session.proved") == []


def test_session_that_has_ended_is_proved_no_more(app: Flask, alice: Browser) -> None:
    interface: Any = app.session_interface
    content = interface.get_signing_serializer(app).loads(cookie_of(alice))
    with app.app_context():
        person = sessions.load(content["_user_id"], settings_of(app))
        assert person
        sessions.end(person)
        with pytest.raises(SignInRequired), transaction():
            sessions.prove(person, "password")
    assert events(app, "session.proved") == []


def test_proof_counts_for_no_copied_cookie(app: Flask, stale: Browser) -> None:
    copied = browser_with(app, cookie_of(stale), ALICE)
    assert stale.post(PAGE, {"password": PASSWORD}).status_code == 303
    assert is_fresh(stale)
    assert copied.get("/sensitive").location == "/login?next=%2Fsensitive"


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil", ""])
def test_next_leads_to_no_other_site(stale: Browser, target: str) -> None:
    response = stale.post(PAGE, {"password": PASSWORD, "next": target})
    assert response.location == "/documents"


def test_page_offers_what_the_person_has(app: Flask, alice: Browser, bob: Browser) -> None:
    assert "With your password" in alice.get(PAGE).text
    assert "With a code" not in alice.get(PAGE).text
    add_passkey(alice)
    assert "With a code" in alice.get(PAGE).text  # one that replaces the passkey
    turn_on(bob)
    assert "With a code" in bob.get(PAGE).text
    add_passkey(bob)
    here = {"base_url": "http://localhost:8000"}
    bob.client.set_cookie("portal_session", cookie_of(bob), domain="localhost")
    assert "With a passkey" in bob.get(PAGE, **here).text


def test_who_has_nothing_to_prove_with_is_told_to_sign_in_again(app: Flask, alice: Browser) -> None:
    with app.app_context(), transaction():
        people.by_email(ALICE).password_hash = None
    assert "Sign out and in again" in alice.get(PAGE).text
    assert alice.post(PAGE, {"password": "None"}).status_code == 422
    assert not events(app, "session.proved")


def test_second_factor_comes_first(app: Flask, stale: Browser, cast: Cast) -> None:
    decide(app, TwoFactor.EVERYONE)
    assert stale.get("/sensitive").location == "/account/two-factor"


def test_proof_changes_nothing_but_its_moment(app: Flask, stale: Browser) -> None:
    before = database_dump(app, "sessions", "audit_events", "audit_head", "throttles")
    stale.post(PAGE, {"password": PASSWORD})
    assert database_dump(app, "sessions", "audit_events", "audit_head", "throttles") == before
