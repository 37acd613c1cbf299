"""Passkeys: added with a fresh proof, found without a name, and believed only as far as they go."""

from __future__ import annotations

import json
import secrets
import time
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as some
from sqlalchemy import select

from conftest import Browser, Cast
from portal.accounts import passkeys, people
from portal.accounts.passkeys import PasskeyRefused
from portal.database import transaction
from portal.extensions import db
from portal.models import Passkey, Session, utcnow
from security_key import (
    PRESENT,
    VERIFIED,
    SecurityKey,
    add_passkey,
    encoded,
    options_to_make,
    options_to_use,
)
from stage import NOTHING, at_once, browser_with, cookie_of, database_dump, events, settings_of
from two_factor import codes_on_page, forget_proof, turn_on

PAGE = "/account/passkeys"
ALICE = "alice@example.org"


def kept(app: Flask) -> list[Passkey]:
    with app.app_context():
        found = db.session.scalars(select(Passkey).order_by(Passkey.id)).all()
        db.session.expunge_all()
        return list(found)


def sign_in_with(app: Flask, key: SecurityKey, **fields: str) -> tuple[Browser, Any]:
    """Sign in at /login with a passkey and nothing else."""
    browser = Browser(app)
    response = browser.post("/login", {"credential": key.use(options_to_use(browser)), **fields})
    return browser, response


def refused_to_add(browser: Browser, credential: str) -> int:
    data = {"action": "add", "name": "x", "credential": credential}
    return browser.post(PAGE, data).status_code


# Adding


def test_added_passkey_is_on_the_page(app: Flask, alice: Browser, bob: Browser) -> None:
    add_passkey(alice, "Blue key")
    assert "Blue key" in alice.get(PAGE).text
    assert "Blue key" not in bob.get(PAGE).text
    (event,) = events(app, "user.passkey_added")
    assert (event.actor, event.owner, event.detail["name"]) == (ALICE, ALICE, "Blue key")


def test_first_one_turns_two_factor_on_and_brings_recovery_codes(
    app: Flask, alice: Browser
) -> None:
    other = Browser(app)
    other.sign_in(ALICE)
    add_passkey(alice)
    assert len(codes_on_page(alice)) == 10
    with app.app_context():
        assert db.session.scalars(select(Session.has_second_factor)).all() == [True]
    assert other.get("/documents").status_code == 302
    assert Browser(app).sign_in(ALICE).location == "/login/two-factor"
    assert len(events(app, "user.second_factor_on")) == 1


def test_second_one_leaves_codes_and_sessions_as_they_are(app: Flask, alice: Browser) -> None:
    key = add_passkey(alice)
    codes = codes_on_page(alice)
    other, _ = sign_in_with(app, key)
    add_passkey(alice, "Second")
    assert codes_on_page(alice) == []
    assert other.get("/documents").status_code == 200
    browser = Browser(app)
    browser.sign_in(ALICE)
    assert browser.post("/login/two-factor", {"code": codes[0]}).status_code == 303
    assert len(events(app, "user.second_factor_on")) == 1


def test_app_that_is_on_keeps_its_codes(alice: Browser) -> None:
    turn_on(alice)
    add_passkey(alice)
    assert codes_on_page(alice) == []


def test_browser_is_asked_for_one_that_needs_no_name_and_checks_its_owner(
    app: Flask, alice: Browser
) -> None:
    options = options_to_make(alice)
    assert options["rp"] == {"name": "Document Portal", "id": "localhost"}
    assert options["attestation"] == "none"
    selection = options["authenticatorSelection"]
    assert (selection["residentKey"], selection["userVerification"]) == ("required", "required")
    assert options["excludeCredentials"] == []
    key = add_passkey(alice)
    (excluded,) = options_to_make(alice)["excludeCredentials"]
    assert excluded["id"] == encoded(key.credential_id)
    assert options_to_use(Browser(app))["allowCredentials"] == []
    assert options_to_use(Browser(app))["userVerification"] == "required"


def test_without_a_name_it_gets_one(app: Flask, alice: Browser) -> None:
    add_passkey(alice, " ")
    assert kept(app)[0].name.startswith("Passkey of 2")


@pytest.mark.parametrize("name", ["x" * 101, "a\x07b", "\u202ea"])
def test_name_that_is_no_line_is_refused(app: Flask, alice: Browser, name: str) -> None:
    answer = SecurityKey().make(options_to_make(alice))
    response = alice.post_json(PAGE, {"action": "add", "name": name, "credential": answer})
    assert response.status_code == 422
    assert "name" in response.get_json()["errors"]
    assert kept(app) == []


def test_old_proof_adds_nothing(app: Flask, alice: Browser) -> None:
    answer = SecurityKey().make(options_to_make(alice))
    forget_proof(app, ALICE)
    refused = alice.post_json(f"{PAGE}/options")
    assert (refused.status_code, refused.get_json()["reason"]) == (403, "fresh_proof")
    response = alice.post(PAGE, {"action": "add", "credential": answer})
    assert response.location == f"/account/prove?next={quote(PAGE, safe='')}"
    assert kept(app) == []


def test_form_without_a_passkey_is_told_so(alice: Browser) -> None:
    response = alice.post(PAGE, {"action": "add", "name": "Laptop"})
    assert response.status_code == 422
    assert "made no passkey" in response.text


@pytest.mark.parametrize(
    "cheat",
    [
        {"origin": "http://localhost:8001"},
        {"origin": "http://127.0.0.1:8000"},
        {"origin": "https://localhost:8000"},
        {"domain": "127.0.0.1"},
        {"domain": "evil.example"},
        {"flags": PRESENT},
        {"flags": VERIFIED},
        {"credential_id": bytes(1024)},
    ],
    ids=lambda cheat: repr(cheat)[:40],
)
def test_answer_that_does_not_hold_adds_nothing(
    app: Flask, alice: Browser, cheat: dict[str, Any]
) -> None:
    answer = SecurityKey(**cheat).make(options_to_make(alice))
    assert refused_to_add(alice, answer) == 401
    assert kept(app) == []


def test_answer_to_another_question_adds_nothing(app: Flask, alice: Browser, bob: Browser) -> None:
    foreign = SecurityKey().make(options_to_make(bob))
    options_to_make(alice)
    assert refused_to_add(alice, foreign) == 401
    old = options_to_make(alice)
    options_to_make(alice)
    assert refused_to_add(alice, SecurityKey().make(old)) == 401
    assert kept(app) == []


def test_question_is_answered_once(app: Flask, alice: Browser) -> None:
    options = options_to_make(alice)
    with alice.client.session_transaction(base_url=settings_of(app).base_url) as kept_there:
        question = kept_there["passkey_challenge"]
    assert refused_to_add(alice, SecurityKey().make(options)) == 303
    with alice.client.session_transaction(base_url=settings_of(app).base_url) as kept_there:
        kept_there["passkey_challenge"] = question
    assert refused_to_add(alice, SecurityKey().make(options)) == 401
    assert len(kept(app)) == 1


def test_question_is_answered_once_however_many_do_at_the_same_moment(
    app: Flask, alice: Browser
) -> None:
    options = options_to_make(alice)
    token, cookie = alice.token(), cookie_of(alice)
    browsers = [browser_with(app, cookie, ALICE) for _ in range(5)]

    def add(number: int) -> int:
        answer = SecurityKey().make(options)
        data = {"action": "add", "credential": answer, "csrf_token": token}
        return browsers[number].client.post(PAGE, data=data).status_code

    assert sorted(at_once(5, add)) == [303] + [401] * 4
    assert len(kept(app)) == 1


def test_question_is_too_old_after_five_minutes(
    app: Flask, alice: Browser, time_machine: Any
) -> None:
    answer = SecurityKey().make(options_to_make(alice))
    time_machine.move_to(utcnow() + timedelta(minutes=5, seconds=2))
    assert refused_to_add(alice, answer) == 401
    assert kept(app) == []


def test_same_passkey_cannot_be_two_peoples(app: Flask, alice: Browser, bob: Browser) -> None:
    key = add_passkey(alice)
    assert refused_to_add(bob, key.make(options_to_make(bob))) == 401
    assert len(kept(app)) == 1


def test_there_are_at_most_twenty(app: Flask, alice: Browser) -> None:
    add_passkey(alice)
    with app.app_context():
        user_id = people.by_email(ALICE).id
        with transaction() as session:
            session.add_all(
                Passkey(
                    user_id=user_id,
                    credential_id=secrets.token_bytes(16),
                    public_key=b"",
                    name="old",
                )
                for _ in range(19)
            )
    assert refused_to_add(alice, SecurityKey().make(options_to_make(alice))) == 409
    assert len(kept(app)) == 20


# Signing in without a password


def test_passkey_alone_signs_in(app: Flask, alice: Browser) -> None:
    key = add_passkey(alice)
    browser, response = sign_in_with(app, key, next="/trash")
    assert (response.status_code, response.location) == (303, "/trash")
    assert ALICE in browser.get("/documents").text
    event = events(app, "session.started")[-1]
    assert (event.actor, event.detail["how"]) == (ALICE, "passkey")
    with app.app_context():
        newest = db.session.scalars(select(Session).order_by(Session.id.desc())).first()
        assert newest
        assert newest.has_second_factor
        assert not newest.is_remembered
    assert kept(app)[0].last_used_at is not None


def test_passkey_keeps_one_signed_in_who_asks_for_it(app: Flask, alice: Browser) -> None:
    _, response = sign_in_with(app, add_passkey(alice), remember="y")
    (cookie,) = [c for c in response.headers.getlist("Set-Cookie") if "session=" in c]
    assert "Expires=" in cookie


def test_passkey_leads_to_no_other_site(app: Flask, alice: Browser) -> None:
    _, response = sign_in_with(app, add_passkey(alice), next="//evil.example")
    assert response.location == "/documents"


def test_passkey_signs_its_owner_in_and_nobody_else(
    app: Flask, alice: Browser, bob: Browser
) -> None:
    add_passkey(alice)
    browser, _ = sign_in_with(app, add_passkey(bob))
    assert "bob@example.org" in browser.get("/account").text


@pytest.mark.parametrize(
    "cheat",
    [
        {"origin": "http://127.0.0.1:8000"},
        {"origin": "http://localhost"},
        {"domain": "evil.example"},
        {"flags": PRESENT},
        {"flags": VERIFIED},
        {"user_handle": b""},
        {"user_handle": bytes(16)},
        {"credential_id": b"another"},
    ],
    ids=repr,
)
def test_answer_that_does_not_hold_signs_nobody_in(
    app: Flask, alice: Browser, cheat: dict[str, Any]
) -> None:
    key = add_passkey(alice)
    for name, value in cheat.items():
        setattr(key, name, value)
    browser, response = sign_in_with(app, key)
    assert response.status_code == 401
    assert "did not work here" in response.text
    assert browser.get("/documents").status_code == 302
    assert events(app, "session.refused")[-1].detail["how"] == "passkey"


def test_signature_of_another_key_signs_nobody_in(app: Flask, alice: Browser) -> None:
    key = add_passkey(alice)
    thief = SecurityKey(user_handle=key.user_handle, credential_id=key.credential_id)
    assert sign_in_with(app, thief)[1].status_code == 401


def test_passkey_of_one_is_not_anothers_by_its_handle(
    app: Flask, alice: Browser, bob: Browser
) -> None:
    key, other = add_passkey(alice), add_passkey(bob)
    key.user_handle = other.user_handle
    assert sign_in_with(app, key)[1].status_code == 401


def test_answer_without_a_question_signs_nobody_in(app: Flask, alice: Browser) -> None:
    key = add_passkey(alice)
    elsewhere = options_to_use(Browser(app))
    response = Browser(app).post("/login", {"credential": key.use(elsewhere)})
    assert response.status_code == 401


@pytest.mark.parametrize("asked", ["soon", "", "in a minute"])
def test_question_that_we_did_not_put_is_none(app: Flask, alice: Browser, asked: str) -> None:
    key, settings = add_passkey(alice), settings_of(app)
    at = str(int(time.time()) + 60) if asked == "in a minute" else asked
    with app.app_context():
        challenge = f"{at}.text"
        answer = key.use(passkeys.request_options(None, challenge, settings))
        with pytest.raises(PasskeyRefused):
            passkeys.verify(answer, challenge, settings)


def test_answer_of_a_known_passkey_without_its_parts_is_refused(app: Flask, alice: Browser) -> None:
    key = add_passkey(alice)
    browser = Browser(app)
    answer = json.loads(key.use(options_to_use(browser))) | {"response": "text"}
    assert browser.post("/login", {"credential": json.dumps(answer)}).status_code == 401


def test_way_to_a_device_that_nobody_knows_is_passed_over(app: Flask, alice: Browser) -> None:
    answer = json.loads(SecurityKey().make(options_to_make(alice)))
    answer["response"]["transports"] = ["usb", "a string"]
    assert refused_to_add(alice, json.dumps(answer)) == 303
    assert kept(app)[0].transports == "usb"


def test_answer_works_once(app: Flask, alice: Browser) -> None:
    key = add_passkey(alice)
    browser = Browser(app)
    answer = key.use(options_to_use(browser))
    copied = browser_with(app, cookie_of(browser))
    assert browser.post("/login", {"credential": answer}).status_code == 303
    assert copied.post("/login", {"credential": answer}).status_code == 401


def test_question_for_a_stranger_does_not_serve_the_next_one(app: Flask, alice: Browser) -> None:
    key = add_passkey(alice)
    browser = Browser(app)
    options = options_to_use(browser)
    assert browser.post("/login", {"credential": "{}"}).status_code == 401
    assert browser.post("/login", {"credential": key.use(options)}).status_code == 401


@pytest.mark.parametrize(("before", "after", "works"), [(5, 6, True), (5, 5, False), (5, 4, False)])
def test_count_that_does_not_grow_means_a_copy(
    app: Flask, alice: Browser, before: int, after: int, works: bool
) -> None:
    key = add_passkey(alice)
    key.count = before
    assert sign_in_with(app, key)[1].status_code == 303
    key.count = after
    assert sign_in_with(app, key)[1].status_code == (303 if works else 401)
    assert kept(app)[0].sign_count == max(before, after if works else 0)


def test_count_is_compared_when_it_is_written(app: Flask, alice: Browser) -> None:
    """Two answers with the same count, verified before either was noted: one is let in."""
    key = add_passkey(alice)
    key.count = 1
    settings = settings_of(app)
    with app.app_context():
        proofs = []
        for _ in range(2):
            challenge = passkeys.new_challenge()
            options = passkeys.request_options(None, challenge, settings)
            proofs.append(passkeys.verify(key.use(options), challenge, settings))
        with transaction() as session:
            passkeys.spend(session, proofs[0])
        with pytest.raises(PasskeyRefused), transaction() as session:
            passkeys.spend(session, proofs[1])


def test_disabled_person_is_not_let_in(app: Flask, alice: Browser) -> None:
    key = add_passkey(alice)
    with app.app_context():
        people.disable(people.by_email(ALICE))
    assert sign_in_with(app, key)[1].status_code == 401
    with app.app_context():
        assert db.session.scalars(select(Session)).all() == []


def test_guesses_from_one_address_are_throttled_and_right_ones_are_not(
    app: Flask, alice: Browser
) -> None:
    key = add_passkey(alice)
    for _ in range(3):
        assert sign_in_with(app, key)[1].status_code == 303
    browser = Browser(app)
    token = browser.token()
    data = {"credential": "{}", "csrf_token": token}
    statuses = [browser.client.post("/login", data=data).status_code for _ in range(61)]
    assert statuses == [401] * 60 + [429]


@examples(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    some.recursive(
        some.none() | some.booleans() | some.integers() | some.text(max_size=20),
        lambda inner: (
            some.lists(inner, max_size=3)
            | some.dictionaries(
                some.sampled_from(
                    ["id", "rawId", "type", "response", "clientDataJSON", "userHandle", "x"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=8,
    )
)
def test_nonsense_is_refused_and_never_an_error(app: Flask, answer: Any) -> None:
    settings = settings_of(app)
    with app.app_context():
        with pytest.raises(PasskeyRefused):
            passkeys.verify(json.dumps(answer), passkeys.new_challenge(), settings)
        with pytest.raises(PasskeyRefused):
            passkeys._verified_registration(
                json.dumps(answer), "x", passkeys.Place("localhost", ("http://localhost:8000",))
            )


@pytest.mark.parametrize(
    "answer", ["", "x", "[" * 100_000, "null", '{"rawId": "é"}', '{"rawId":1}']
)
def test_what_is_no_credential_is_refused(app: Flask, answer: str) -> None:
    with app.app_context(), pytest.raises(PasskeyRefused):
        passkeys.verify(answer, passkeys.new_challenge(), settings_of(app))


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("signature", ""),
        ("signature", "AAAA"),
        ("authenticatorData", ""),
        ("authenticatorData", "AAAA"),
        ("clientDataJSON", ""),
        ("clientDataJSON", "bnVsbA"),
        ("clientDataJSON", "eyJ0eXBlIjogMX0"),
        ("userHandle", 5),
    ],
)
def test_damaged_answer_is_refused(app: Flask, alice: Browser, part: str, value: Any) -> None:
    key = add_passkey(alice)
    browser = Browser(app)
    answer = key.use(options_to_use(browser), response={part: value})
    assert browser.post("/login", {"credential": answer}).status_code == 401


# Names and removal


def test_renamed_passkey_has_its_new_name(app: Flask, alice: Browser) -> None:
    add_passkey(alice, "Old")
    id_ = str(kept(app)[0].public_id)
    data = {"action": "rename", "id": id_}
    assert alice.post(PAGE, {**data, "name": " New  one "}).status_code == 303
    assert kept(app)[0].name == "New one"
    (event,) = events(app, "user.passkey_renamed")
    assert event.detail == {"name": "New one", "old_name": "Old"}
    assert alice.post(PAGE, {**data, "name": "New one"}).status_code == 303
    assert len(events(app, "user.passkey_renamed")) == 1
    response = alice.post(PAGE, {**data, "name": "x" * 101})
    assert response.status_code == 422
    assert "1 to 100 characters" in response.text


def test_removed_passkey_opens_nothing_at_once(app: Flask, alice: Browser) -> None:
    turn_on(alice)
    key = add_passkey(alice)
    browser = Browser(app)
    options = options_to_use(browser)
    id_ = str(kept(app)[0].public_id)
    assert alice.post(PAGE, {"action": "remove", "id": id_}).status_code == 303
    assert browser.post("/login", {"credential": key.use(options)}).status_code == 401
    (event,) = events(app, "user.passkey_removed")
    assert (event.owner, event.detail["name"]) == (ALICE, "Laptop")
    assert events(app, "user.second_factor_off") == []
    assert Browser(app).sign_in(ALICE).location == "/login/two-factor"


def test_removed_while_it_is_used_opens_nothing(app: Flask, alice: Browser) -> None:
    key = add_passkey(alice)
    settings = settings_of(app)
    with app.app_context():
        challenge = passkeys.new_challenge()
        answer = key.use(passkeys.request_options(None, challenge, settings))
        proof = passkeys.verify(answer, challenge, settings)
    id_ = str(kept(app)[0].public_id)
    assert alice.post(PAGE, {"action": "remove", "id": id_}).status_code == 303
    with app.app_context(), pytest.raises(PasskeyRefused), transaction() as session:
        passkeys.spend(session, proof)


def test_with_the_last_one_two_factor_and_its_codes_end(app: Flask, alice: Browser) -> None:
    add_passkey(alice)
    alice.post(PAGE, {"action": "remove", "id": str(kept(app)[0].public_id)})
    assert len(events(app, "user.second_factor_off")) == 1
    assert Browser(app).sign_in(ALICE).location == "/documents"
    assert "of 10 left" not in alice.get("/account/two-factor").text


def test_removing_one_leaves_all_others(app: Flask, alice: Browser, bob: Browser) -> None:
    for browser in (alice, alice, bob):
        add_passkey(browser)
    first, second, bobs = kept(app)
    alice.post(PAGE, {"action": "remove", "id": str(second.public_id)})
    assert [each.id for each in kept(app)] == [first.id, bobs.id]


@pytest.mark.parametrize("action", ["rename", "remove"])
def test_passkey_of_somebody_else_is_not_there(
    app: Flask, alice: Browser, bob: Browser, action: str
) -> None:
    add_passkey(alice)
    id_ = str(kept(app)[0].public_id)
    before = database_dump(app)
    mine = bob.post(PAGE, {"action": action, "id": id_, "name": "Mine"})
    missing = bob.post(PAGE, {"action": action, "id": NOTHING, "name": "Mine"})
    assert (mine.status_code, missing.status_code) == (404, 404)
    assert mine.get_data() == missing.get_data()
    assert database_dump(app) == before


@pytest.mark.parametrize("id_", ["", "1", "x"])
def test_id_that_is_none_is_not_understood(alice: Browser, id_: str) -> None:
    data = {"action": "rename", "id": id_, "name": "x"}
    assert alice.post(PAGE, data).status_code == 400
    assert alice.post(PAGE, {"action": "explode"}).status_code == 400


def test_old_proof_removes_nothing(app: Flask, alice: Browser) -> None:
    add_passkey(alice)
    forget_proof(app, ALICE)
    response = alice.post(PAGE, {"action": "remove", "id": str(kept(app)[0].public_id)})
    assert response.location == f"/account/prove?next={quote(PAGE, safe='')}"
    assert len(kept(app)) == 1


# Where passkeys belong


@pytest.mark.parametrize(
    ("base_url", "domain", "origin"),
    [
        ("http://127.0.0.1:8000", "localhost", "http://localhost:8000"),
        ("http://localhost", "localhost", "http://localhost"),
        ("http://[::1]:8000", "localhost", "http://localhost:8000"),
        ("https://docs.example.org", "docs.example.org", "https://docs.example.org"),
        ("https://docs.example.org:8443", "docs.example.org", "https://docs.example.org:8443"),
    ],
)
def test_they_belong_to_the_address_people_use(
    make_app: Any, base_url: str, domain: str, origin: str
) -> None:
    place = passkeys.place(settings_of(make_app(base_url=base_url)))
    assert place
    assert (place.domain, place.origins) == (domain, (origin,))


@pytest.mark.parametrize("base_url", ["https://192.0.2.1", "https://[2001:db8::1]", "http://a.b"])
def test_there_are_none_where_browsers_allow_none(make_app: Any, base_url: str) -> None:
    app = make_app(base_url=base_url, allow_http=True)
    alice = Cast(app).person(ALICE, "Alice") if base_url.startswith("http:") else None
    assert passkeys.place(settings_of(app)) is None
    assert "passkey" not in Browser(app).get("/login").text
    assert Browser(app).post_json("/login/passkey-options").status_code == 409
    if alice:
        assert "Passkeys need an address" in alice.get(PAGE).text


def test_page_at_an_address_in_numbers_names_the_right_one(alice: Browser) -> None:
    page = alice.get(PAGE).text
    assert "http://localhost:8000/account/passkeys" in page
    assert "data-passkey" not in page
    there = alice.get("/login", base_url="http://localhost:8000").text
    assert "Sign in with a passkey" in there
