"""An authenticator app for tests, and the way to turn it on."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyotp
from flask import Flask
from sqlalchemy import update

from conftest import Browser
from portal.accounts import people, policies
from portal.accounts.policies import NewAccounts, TwoFactor
from portal.database import transaction
from portal.models import Session, utcnow


@dataclass
class App:
    """What an authenticator app does."""

    secret: str
    #: The code that turned it on.
    used: str = ""

    def code(self, steps: int = 0) -> str:
        """What it shows now, or so many half minutes later."""
        return pyotp.TOTP(self.secret).at(utcnow(), counter_offset=steps)


def app_on_page(browser: Browser) -> App:
    """The key that the page shows for a new app."""
    page = browser.get("/account/two-factor").text
    found = re.search(r'id="secret" type="text" value="([A-Z2-7]{32})"', page)
    assert found, page
    return App(found[1])


def turn_on(browser: Browser) -> tuple[App, list[str]]:
    """Set the app up; answers it and the recovery codes."""
    app = app_on_page(browser)
    app.used = app.code()
    response = browser.post("/account/two-factor", {"action": "enable", "code": app.used})
    assert (response.status_code, response.location) == (303, "/account/two-factor"), response.text
    codes = codes_on_page(browser)
    assert len(codes) == 10
    return app, codes


def codes_on_page(browser: Browser) -> list[str]:
    page = browser.get("/account/two-factor").text
    return re.findall(r"<li>((?:[a-z2-7]{6}-){3}[a-z2-7]{6})</li>", page)


def prove_now(app: Flask, email: str) -> None:
    """Let somebody's sessions have proved themselves at this moment."""
    with app.app_context():
        user_id = people.by_email(email).id
        with transaction() as session:
            now = {"proved_at": utcnow()}
            session.execute(update(Session).where(Session.user_id == user_id).values(now))


def forget_proof(app: Flask, email: str) -> None:
    """Let the newest proof of somebody's sessions be eleven minutes old."""
    from datetime import timedelta

    with app.app_context():
        user_id = people.by_email(email).id
        with transaction() as session:
            old = utcnow() - timedelta(minutes=11)
            session.execute(update(Session).where(Session.user_id == user_id).values(proved_at=old))


def decide(app: Flask, two_factor: TwoFactor) -> None:
    with app.app_context():
        policies.decide(two_factor, NewAccounts.INVITED)
