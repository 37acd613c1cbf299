"""Invitations: an address that opens one account, once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from conftest import PASSWORD, Browser, user_named
from portal.accounts import people
from portal.models import utcnow
from stage import at_once, browser_with, cookie_of, database_dump, events, settings_of

FIELDS = {"name": "Carol Clark", "password": PASSWORD}


@pytest.fixture
def token(app: Flask) -> str:
    with app.app_context():
        return people.invite(people.create("carol@example.org", settings_of(app)))


def test_invited_person_chooses_a_password_and_is_in(app: Flask, token: str) -> None:
    browser = Browser(app)
    page = browser.get(f"/invitations/{token}")
    assert page.status_code == 200
    assert "carol@example.org" in page.text
    assert page.headers["Referrer-Policy"] == "no-referrer"
    response = browser.post(f"/invitations/{token}", FIELDS)
    assert (response.status_code, response.location) == (303, "/documents")
    assert "Carol Clark" in browser.get("/documents").text
    assert Browser(app).sign_in("carol@example.org").status_code == 303
    assert events(app, "user.invitation_accepted")[0].actor == "carol@example.org"


def test_nobody_can_sign_in_before(app: Flask, token: str) -> None:
    assert Browser(app).sign_in("carol@example.org").status_code == 401
    assert user_named(app, "carol@example.org").status == "invited"


def test_invitation_works_once(app: Flask, token: str) -> None:
    assert Browser(app).post(f"/invitations/{token}", FIELDS).status_code == 303
    assert Browser(app).get(f"/invitations/{token}").status_code == 404
    again = {**FIELDS, "password": "five loud rivers bend"}
    assert Browser(app).post(f"/invitations/{token}", again).status_code == 404
    assert Browser(app).sign_in("carol@example.org").status_code == 303


def test_invitation_is_used_once_by_many_at_once(app: Flask, token: str) -> None:
    browsers = [Browser(app) for _ in range(8)]
    tokens = [browser.token() for browser in browsers]

    def accept(number: int) -> int:
        headers = {"X-CSRFToken": tokens[number]}
        path = f"/invitations/{token}"
        return browsers[number].client.post(path, data=FIELDS, headers=headers).status_code

    assert sorted(at_once(8, accept)) == [303] + [404] * 7
    assert len(events(app, "user.invitation_accepted")) == 1


def test_invitation_lasts_seven_days(app: Flask, time_machine: Any) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    with app.app_context():
        token = people.invite(people.create("carol@example.org", settings_of(app)))
    time_machine.move_to(start + timedelta(days=7) - timedelta(seconds=1), tick=False)
    assert Browser(app).get(f"/invitations/{token}").status_code == 200
    time_machine.move_to(start + timedelta(days=7), tick=False)
    assert Browser(app).get(f"/invitations/{token}").status_code == 404
    assert Browser(app).post(f"/invitations/{token}", FIELDS).status_code == 404


def test_newer_invitation_ends_the_older(app: Flask, token: str) -> None:
    with app.app_context():
        newer = people.invite(people.by_email("carol@example.org"))
    assert Browser(app).get(f"/invitations/{token}").status_code == 404
    assert Browser(app).get(f"/invitations/{newer}").status_code == 200


def test_invitation_of_one_person_ends_nobody_elses(app: Flask, token: str) -> None:
    with app.app_context():
        other = people.invite(people.create("dave@example.org", settings_of(app)))
        people.invite(people.by_email("carol@example.org"))
        people.disable(people.by_email("carol@example.org"))
    assert Browser(app).get(f"/invitations/{token}").status_code == 404
    assert Browser(app).post(f"/invitations/{other}", FIELDS).status_code == 303


def test_invitation_of_a_disabled_account_is_dead(app: Flask, token: str) -> None:
    with app.app_context():
        people.disable(people.by_email("carol@example.org"))
    assert Browser(app).get(f"/invitations/{token}").status_code == 404
    with app.app_context():
        people.enable(people.by_email("carol@example.org"))
    assert Browser(app).get(f"/invitations/{token}").status_code == 404


def test_invitation_made_for_a_disabled_account_is_dead_until_it_is_enabled(app: Flask) -> None:
    with app.app_context():
        carol = people.create("carol@example.org", settings_of(app))
        people.disable(carol)
        token = people.invite(carol)
    assert Browser(app).get(f"/invitations/{token}").status_code == 404
    assert Browser(app).post(f"/invitations/{token}", FIELDS).status_code == 404
    with app.app_context():
        people.enable(people.by_email("carol@example.org"))
    assert Browser(app).post(f"/invitations/{token}", FIELDS).status_code == 303


def test_setting_a_password_ends_the_invitation(app: Flask, token: str) -> None:
    with app.app_context():
        people.set_password(people.by_email("carol@example.org"), PASSWORD, settings_of(app))
    assert Browser(app).get(f"/invitations/{token}").status_code == 404


def test_invitation_for_somebody_who_is_here_already_ends_their_sessions(
    app: Flask, alice: Browser
) -> None:
    with app.app_context():
        token = people.invite(people.by_email("alice@example.org"))
    assert alice.get("/documents").status_code == 200
    browser = Browser(app)
    response = browser.post(f"/invitations/{token}", {"name": "Alice", "password": PASSWORD})
    assert response.status_code == 303
    assert alice.get("/documents").status_code == 302
    assert browser.get("/documents").status_code == 200


def test_accepting_in_somebody_elses_browser_signs_them_out(
    app: Flask, token: str, bob: Browser
) -> None:
    before = cookie_of(bob)
    assert bob.post(f"/invitations/{token}", FIELDS).status_code == 303
    assert "carol@example.org" in bob.get("/documents").text
    assert browser_with(app, before).get("/documents").status_code == 302


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 201),
        ("password", "short"),
        ("password", "carol@example.org"),
        ("password", ""),
    ],
)
def test_field_that_breaks_a_rule_leaves_the_invitation_open(
    app: Flask, token: str, field: str, value: str
) -> None:
    before = database_dump(app)
    response = Browser(app).post(f"/invitations/{token}", {**FIELDS, field: value})
    assert response.status_code == 422
    assert f'id="{field}-wrong"' in response.text
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert database_dump(app) == before


def test_unknown_invitation_is_the_page_that_is_not_there(app: Flask, visitor: Browser) -> None:
    for made_up in ("made-up", "x" * 4000, "%00", "\N{SNOWMAN}"):
        assert visitor.get(f"/invitations/{made_up}").status_code == 404


def test_invitation_that_is_over_says_whom_to_ask(visitor: Browser) -> None:
    page = visitor.get("/invitations/made-up").text
    assert "ask whoever invited you for a new invitation" in page
    assert "your documents" not in page


def test_the_token_is_in_no_table(app: Flask, token: str) -> None:
    assert token not in repr(database_dump(app))
