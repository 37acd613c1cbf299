"""What the admins decide for everybody, and whom they help out."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from sqlalchemy import func, select

from conftest import Browser, user_named
from portal.accounts import people, policies
from portal.accounts.policies import NewAccounts, TwoFactor
from portal.extensions import db
from portal.models import Authenticator, Passkey, RecoveryCode
from security_key import add_passkey
from stage import database_dump, events, program
from two_factor import forget_proof, turn_on

PAGE = "/admin/settings"
ADA, ALICE = "ada@example.org", "alice@example.org"


def decided(app: Flask) -> tuple[TwoFactor, NewAccounts]:
    with app.app_context():
        return policies.two_factor(), policies.new_accounts()


def test_page_says_what_holds_and_whom_it_would_hit(
    app: Flask, ada: Browser, alice: Browser, bob: Browser
) -> None:
    page = ada.get(PAGE).text
    assert re.search(r'<input [^>]*checked[^>]*value="optional"', page)
    assert "1 person has to." in page
    assert "3 people have to." in page
    turn_on(bob)
    add_passkey(ada)
    page = ada.get(PAGE).text
    assert "0 people have to." in page
    assert "1 person has to." in page


def test_decision_is_in_force_at_once_and_in_the_log(app: Flask, ada: Browser) -> None:
    response = ada.post(PAGE, {"two_factor": "admins", "new_accounts": "invited"})
    assert (response.status_code, response.location) == (303, PAGE)
    assert decided(app) == (TwoFactor.ADMINS, NewAccounts.INVITED)
    assert ada.get(PAGE).location == "/account/two-factor"
    changes = [each.detail for each in events(app, "policy.changed")]
    assert {"policy": "two_factor", "old": "", "new": "admins"} in changes


def test_who_is_shut_out_has_nothing_to_set_up(app: Flask, ada: Browser, bob: Browser) -> None:
    assert "2 people have to." in ada.get(PAGE).text
    with app.app_context():
        people.disable(people.by_email(bob.email))
    assert "2 people have to." not in ada.get(PAGE).text


def test_what_holds_already_is_not_noted_again(app: Flask, ada: Browser) -> None:
    fields = {"two_factor": "optional", "new_accounts": "anyone"}
    for _ in range(2):
        assert ada.post(PAGE, fields).status_code == 303
        assert len(events(app, "policy.changed")) == 2


def test_session_that_exists_already_is_asked_too(ada: Browser, alice: Browser) -> None:
    assert alice.get("/documents").status_code == 200
    ada.post(PAGE, {"two_factor": "everyone", "new_accounts": "invited"})
    assert alice.get("/documents").location == "/account/two-factor"
    turn_on(alice)
    assert alice.get("/documents").status_code == 200


def test_program_may_decide_too(app: Flask, ada: Browser) -> None:
    response = ada.post_json(PAGE, {"two_factor": "optional", "new_accounts": "anyone"})
    assert response.status_code == 201
    assert decided(app) == (TwoFactor.OPTIONAL, NewAccounts.ANYONE)


@pytest.mark.parametrize(
    "fields",
    [{"two_factor": "sometimes"}, {"new_accounts": "friends"}, {"two_factor": ""}],
)
def test_decision_that_is_none_changes_nothing(
    app: Flask, ada: Browser, fields: dict[str, str]
) -> None:
    response = ada.post(PAGE, {"two_factor": "admins", "new_accounts": "invited", **fields})
    assert response.status_code == 422
    assert decided(app) == (TwoFactor.OPTIONAL, NewAccounts.INVITED)


def test_deciding_takes_a_fresh_proof(app: Flask, ada: Browser) -> None:
    forget_proof(app, ADA)
    response = ada.post(PAGE, {"two_factor": "admins", "new_accounts": "invited"})
    assert response.location == "/account/prove?next=%2Fadmin%2Fsettings"
    assert decided(app)[0] is TwoFactor.OPTIONAL


def test_who_is_no_admin_is_told_that_there_is_no_such_page(alice: Browser) -> None:
    assert alice.get(PAGE).status_code == 404
    data = {"two_factor": "optional", "new_accounts": "anyone"}
    assert alice.post(PAGE, data).status_code == 404


# Helping somebody who has lost everything


def person(app: Flask, email: str = ALICE) -> str:
    return f"/admin/users/{user_named(app, email).public_id}"


def rows(app: Flask) -> list[int]:
    with app.app_context():
        return [
            db.session.scalar(select(func.count()).select_from(model)) or 0
            for model in (Authenticator, RecoveryCode, Passkey)
        ]


def test_reset_takes_every_second_factor_and_ends_every_session(
    app: Flask, ada: Browser, alice: Browser
) -> None:
    turn_on(alice)
    add_passkey(alice)
    assert "Authenticator app, 1 passkey" in ada.get(person(app)).text
    response = ada.post(person(app), {"action": "reset-two-factor"})
    assert (response.status_code, response.location) == (303, person(app))
    assert rows(app) == [0, 0, 0]
    assert alice.get("/documents").status_code == 302
    assert Browser(app).sign_in(ALICE).location == "/documents"
    (event,) = events(app, "user.second_factor_off")
    assert (event.actor, event.owner) == (ADA, ALICE)


def test_reset_takes_nothing_from_anybody_else(
    app: Flask, ada: Browser, alice: Browser, bob: Browser
) -> None:
    turn_on(alice)
    turn_on(bob)
    add_passkey(bob)
    ada.post(person(app), {"action": "reset-two-factor"})
    assert rows(app) == [1, 10, 1]
    assert bob.get("/documents").status_code == 200


def test_reset_of_nothing_is_refused(app: Flask, ada: Browser, alice: Browser) -> None:
    before = database_dump(app)
    assert "Reset two-factor" not in ada.get(person(app)).text
    assert ada.post(person(app), {"action": "reset-two-factor"}).status_code == 409
    assert database_dump(app) == before
    assert alice.get("/documents").status_code == 200


def test_reset_takes_a_fresh_proof(app: Flask, ada: Browser, alice: Browser) -> None:
    turn_on(alice)
    forget_proof(app, ADA)
    response = ada.post(person(app), {"action": "reset-two-factor"})
    assert response.location.startswith("/account/prove?next=%2Fadmin%2Fusers%2F")
    assert rows(app) == [1, 10, 0]


def test_program_resets_nobody(app: Flask, ada: Browser, alice: Browser) -> None:
    """A token is no proof that its owner is there."""
    turn_on(alice)
    response = program(ada, "admin").post(person(app), {"action": "reset-two-factor"})
    assert (response.status_code, response.get_json()["reason"]) == (403, "fresh_proof")
    assert rows(app) == [1, 10, 0]


def test_who_is_no_admin_resets_nobody(app: Flask, alice: Browser, bob: Browser) -> None:
    turn_on(alice)
    assert bob.post(person(app), {"action": "reset-two-factor"}).status_code == 404
    assert rows(app) == [1, 10, 0]
