"""Cookies copied before a session ended are dead on every route, and nothing tells they lived."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import update
from werkzeug.routing import Rule

from conftest import PASSWORD, Browser, user_named
from portal.accounts import deletion, people
from portal.database import transaction
from portal.models import User, utcnow
from stage import HOST, NOTHING, browser_with, cookie_of, settings_of
from two_factor import turn_on

ALICE = "alice@example.org"


def paths_of(rule: Rule) -> str:
    path = rule.rule
    for name, converter in rule._converters.items():
        kind = "uuid:" if type(converter).__name__ == "UUIDConverter" else ""
        path = path.replace(f"<{kind}{name}>", NOTHING if kind else "nothing")
    assert "<" not in path, path
    return path


def routes(app: Flask) -> list[tuple[str, str]]:
    """Every route that is not public, with each of its methods."""
    found = [
        (method, paths_of(rule))
        for rule in app.url_map.iter_rules()
        for method in sorted(set(rule.methods or ()) - {"OPTIONS"})
        if not getattr(app.view_functions[rule.endpoint], "is_public", False)
    ]
    assert len(found) > 40
    return found


def assert_dead(app: Flask, copied: Browser) -> None:
    visitor = Browser(app)
    for method, path in routes(app):
        one, other = (
            browser.client.open(path, method=method, data={} if method == "POST" else None)
            for browser in (copied, visitor)
        )
        where = f"{method} {path}"
        if "/api/" in where:
            assert one.status_code == 401, where
        else:
            assert one.status_code == 302, where
            assert one.location.startswith("/login?next="), where
        assert (one.status_code, one.location, one.data) == (
            other.status_code,
            other.location,
            other.data,
        ), where


def sign_out(app: Flask, alice: Browser) -> None:
    alice.post("/logout")


def change_password(app: Flask, alice: Browser) -> None:
    other = Browser(app)
    other.sign_in(ALICE)
    data = {"current_password": PASSWORD, "new_password": "five loud rivers bend"}
    assert other.post("/account/password", data).status_code == 303


def change_password_there(app: Flask, alice: Browser) -> None:
    """In the very browser from which the cookie was copied."""
    data = {"current_password": PASSWORD, "new_password": "five loud rivers bend"}
    assert alice.post("/account/password", data).status_code == 303
    assert alice.get("/documents").status_code == 200


def turn_second_factor_on_there(app: Flask, alice: Browser) -> None:
    turn_on(alice)
    assert alice.get("/documents").status_code == 200


def set_password(app: Flask, alice: Browser) -> None:
    with app.app_context():
        people.set_password(people.by_email(ALICE), "nine warm stones rest", settings_of(app))


def disable(app: Flask, alice: Browser) -> None:
    with app.app_context():
        people.disable(people.by_email(ALICE))


def disable_and_enable(app: Flask, alice: Browser) -> None:
    disable(app, alice)
    with app.app_context():
        people.enable(people.by_email(ALICE))


def end_others(app: Flask, alice: Browser) -> None:
    other = Browser(app)
    other.sign_in(ALICE)
    assert other.post("/account/sessions", {"action": "end-others"}).status_code == 303


def end_others_there(app: Flask, alice: Browser) -> None:
    assert alice.post("/account/sessions", {"action": "end-others"}).status_code == 303
    assert alice.get("/documents").status_code == 200


def end_all(app: Flask, alice: Browser) -> None:
    with app.app_context():
        people.end_sessions(people.by_email(ALICE))


def delete(app: Flask, alice: Browser) -> None:
    with app.app_context():
        with transaction() as session:
            asked_at = utcnow() - deletion.GRACE
            session.execute(update(User).values(deletion_asked_at=asked_at))
        deletion.delete_for_ever(people.by_email(ALICE))


@pytest.mark.parametrize(
    "end",
    [
        sign_out,
        change_password,
        change_password_there,
        turn_second_factor_on_there,
        set_password,
        disable,
        disable_and_enable,
        end_others,
        end_others_there,
        end_all,
        delete,
    ],
)
def test_copied_cookie_is_dead_on_every_route(
    app: Flask, alice: Browser, end: Callable[[Flask, Browser], None]
) -> None:
    copied = browser_with(app, cookie_of(alice))
    device = alice.client.get_cookie("portal_device", domain=HOST)
    assert device
    copied.client.set_cookie("portal_device", device.value, domain=HOST)
    assert copied.get("/documents").status_code == 200
    end(app, alice)
    assert_dead(app, copied)


def test_live_cookie_is_let_in(app: Flask, alice: Browser) -> None:
    """Or the tests above would be content with anything."""
    copied = browser_with(app, cookie_of(alice))
    assert copied.get("/account/sessions").status_code == 200
    with pytest.raises(AssertionError):
        assert_dead(app, copied)
    assert user_named(app, ALICE).public_id != uuid.UUID(NOTHING)
