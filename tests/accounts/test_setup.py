"""The first start: one address, one first admin, once."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from conftest import PASSWORD, Browser
from portal.accounts import passwords, people, setup
from portal.errors import NotFound
from portal.extensions import db
from portal.models import Role, Setup, User, utcnow
from stage import at_once, events, settings_of

FIELDS = {"name": "Ada Admin", "email": "ada@example.org", "password": PASSWORD, "site_name": ""}


@pytest.fixture
def token(app: Flask) -> str:
    with app.app_context():
        token = setup.open_token()
    assert token
    return token


def people_of(app: Flask) -> list[tuple[str, str]]:
    with app.app_context():
        rows = db.session.execute(select(User.email, User.role)).all()
        return [(email, role) for email, role in rows]


def test_first_admin_comes_in_and_is_signed_in(app: Flask, token: str) -> None:
    browser = Browser(app)
    assert browser.get(f"/setup?token={token}").status_code == 200
    response = browser.post("/setup", {**FIELDS, "token": token, "site_name": "Archer & Co"})
    assert (response.status_code, response.location) == (303, "/admin")
    page = browser.get("/admin")
    assert page.status_code == 200
    assert "Archer &amp; Co" in page.get_data(as_text=True)
    assert people_of(app) == [("ada@example.org", Role.ADMIN)]
    assert [each.action for each in events(app)] == ["setup.completed"]


def test_name_that_is_set_beats_the_one_chosen(make_app: Any) -> None:
    app = make_app(site_name="From outside")
    with app.app_context():
        token = setup.open_token()
    Browser(app).post("/setup", {**FIELDS, "token": token, "site_name": "Chosen"})
    assert "From outside" in Browser(app).get("/login").get_data(as_text=True)


@pytest.mark.parametrize("wrong", ["", "made-up", "\N{SNOWMAN}", "x" * 5000])
def test_wrong_token_is_told_that_there_is_no_such_page(app: Flask, token: str, wrong: str) -> None:
    browser = Browser(app)
    assert browser.get("/setup", query_string={"token": wrong}).status_code == 404
    assert browser.post("/setup", {**FIELDS, "token": wrong}).status_code == 404
    assert people_of(app) == []


def test_without_a_token_ever_made_there_is_no_setup(app: Flask) -> None:
    browser = Browser(app)
    assert browser.get("/setup?token=made-up").status_code == 404
    assert browser.post("/setup", {**FIELDS, "token": ""}).status_code == 404


def test_afterwards_the_page_is_gone_for_ever(app: Flask, token: str) -> None:
    assert Browser(app).post("/setup", {**FIELDS, "token": token}).status_code == 303
    again = {**FIELDS, "email": "eve@example.org", "token": token}
    assert Browser(app).get(f"/setup?token={token}").status_code == 404
    assert Browser(app).post("/setup", again).status_code == 404
    with app.app_context():
        assert setup.open_token() is None
    assert people_of(app) == [("ada@example.org", Role.ADMIN)]


def test_once_anybody_has_an_account_the_link_is_dead(app: Flask, token: str) -> None:
    with app.app_context():
        people.create("alice@example.org", settings_of(app))
    assert Browser(app).get(f"/setup?token={token}").status_code == 404
    assert Browser(app).post("/setup", {**FIELDS, "token": token}).status_code == 404
    assert people_of(app) == [("alice@example.org", Role.USER)]


def test_a_used_link_stays_dead_when_every_account_is_gone(app: Flask, token: str) -> None:
    with app.app_context():
        row = db.session.execute(select(Setup)).scalar_one()
        row.completed_at = people.utcnow()
        db.session.commit()
    assert Browser(app).get(f"/setup?token={token}").status_code == 404
    assert Browser(app).post("/setup", {**FIELDS, "token": token}).status_code == 404


def test_newer_link_replaces_the_older(app: Flask, token: str) -> None:
    with app.app_context():
        newer = setup.open_token()
    assert Browser(app).get(f"/setup?token={token}").status_code == 404
    assert Browser(app).get(f"/setup?token={newer}").status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 201),
        ("email", ""),
        ("email", "not an address"),
        ("password", "short"),
        ("password", "ada@example.org"),
        ("site_name", "x" * 61),
    ],
)
def test_field_that_breaks_a_rule_is_shown_beside_itself(
    app: Flask, token: str, field: str, value: str
) -> None:
    response = Browser(app).post("/setup", {**FIELDS, "token": token, field: value})
    assert response.status_code == 422
    assert f'id="{field}-wrong"' in response.get_data(as_text=True)
    assert people_of(app) == []
    assert Browser(app).get(f"/setup?token={token}").status_code == 200


def test_of_twenty_at_once_exactly_one_becomes_admin(app: Flask, token: str) -> None:
    browsers = [Browser(app) for _ in range(20)]
    csrf = [browser.token() for browser in browsers]

    def try_it(number: int) -> int:
        data = {**FIELDS, "email": f"admin{number}@example.org", "token": token}
        return (
            browsers[number]
            .client.post("/setup", data=data, headers={"X-CSRFToken": csrf[number]})
            .status_code
        )

    statuses = at_once(20, try_it)
    # Beyond its line a process says 503 to who chooses a password.
    assert statuses.count(303) == 1
    assert set(statuses) <= {303, 404, 503}
    ((email, role),) = people_of(app)
    assert role == Role.ADMIN
    winner = browsers[statuses.index(303)]
    assert winner.get("/admin").status_code == 200
    assert email == f"admin{statuses.index(303)}@example.org"
    assert len(events(app, "setup.completed")) == 1


@pytest.mark.parametrize("change", ["a newer link", "completed"])
def test_link_that_ended_while_the_password_was_hashed_makes_no_admin(
    app: Flask, token: str, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check before bcrypt's long work is repeated after it."""

    def meanwhile(_password: str, _rounds: int) -> str:
        if change == "completed":
            db.session.execute(select(Setup)).scalar_one().completed_at = utcnow()
            db.session.commit()
        else:
            setup.open_token()
        return "$2b$04$"

    monkeypatch.setattr(passwords, "hash_password", meanwhile)
    with app.app_context(), pytest.raises(NotFound):
        setup.complete(token, **FIELDS, settings=settings_of(app))
    assert people_of(app) == []


def test_account_made_meanwhile_closes_the_setup(app: Flask, token: str) -> None:
    """The check before bcrypt's long work is repeated after it."""
    slow = replace(settings_of(app), bcrypt_rounds=12)

    def act(number: int) -> str:
        with app.app_context():
            if number == 0:
                with pytest.raises(NotFound):
                    setup.complete(token, **FIELDS, settings=slow)
            else:
                time.sleep(0.1)
                people.create("alice@example.org", settings_of(app))
        return "done"

    assert at_once(2, act) == ["done", "done"]
    assert people_of(app) == [("alice@example.org", Role.USER)]
    with app.app_context():
        assert db.session.execute(select(Setup.completed_at)).scalar_one() is None
