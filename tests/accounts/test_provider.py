"""Signing in with a provider: there and back, and whose account one comes to.

On the real thing (npm `oidc-provider`); `test_provider_answers.py` has what it never says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from conftest import PASSWORD, Browser, user_named
from live.provider import RealProvider, real_provider
from portal.accounts import people, policies, provider
from portal.accounts.policies import NewAccounts, TwoFactor
from portal.extensions import db
from portal.models import Identity, Invitation, User, utcnow
from stage import at_once, browser_with, cookie_of, database_dump, events, settings_of

BACK = "http://127.0.0.1:8000/login/oidc/callback"


@pytest.fixture(scope="module")
def real() -> Iterator[RealProvider]:
    with real_provider(BACK) as provider:
        yield provider


@pytest.fixture
def app(make_app: Any, real: RealProvider) -> Flask:
    app: Flask = make_app(**real.settings())
    return app


@dataclass
class Journey:
    """Somebody on the way to the provider and back."""

    browser: Browser
    provider: RealProvider

    def set_out(self, next_: str = "") -> str:
        """Press the button; answers where the portal sends one."""
        response = self.browser.get(f"/login/oidc?{urlencode({'next': next_})}")
        assert response.status_code == 302, response.text
        return response.location

    def arrive(self, login: str, next_: str = "") -> str:
        """Sign in over there; answers the path one is sent back to."""
        back = self.provider.sign_in(self.set_out(next_), login)
        return back.removeprefix("http://127.0.0.1:8000")

    def sign_in(self, login: str, next_: str = "") -> TestResponse:
        return self.browser.get(self.arrive(login, next_))


@pytest.fixture
def journey(app: Flask, real: RealProvider) -> Journey:
    return Journey(Browser(app), real)


def invite(app: Flask, email: str = "carol@example.org") -> str:
    with app.app_context():
        return people.invite(people.create(email, settings_of(app)))


def let_anyone_in(app: Flask) -> None:
    with app.app_context():
        policies.decide(TwoFactor.OPTIONAL, NewAccounts.ANYONE)


def identities(app: Flask) -> list[tuple[str, str]]:
    """(e-mail address of the account, name at the provider) of every link."""
    with app.app_context():
        query = select(User.email, Identity.subject).join(User, User.id == Identity.user_id)
        return sorted((email, subject) for email, subject in db.session.execute(query))


def reasons(app: Flask) -> list[str]:
    return [each.detail["reason"] for each in events(app, "session.refused")]


def is_in(browser: Browser) -> bool:
    return browser.get("/documents").status_code == 200


# The way in


def test_invited_person_comes_in_through_the_provider(app: Flask, journey: Journey) -> None:
    token = invite(app)
    response = journey.sign_in("carol@example.org")
    assert (response.status_code, response.location) == (302, "/documents")
    assert "carol@example.org" in journey.browser.get("/documents").text
    assert identities(app) == [("carol@example.org", "carol@example.org")]
    linked = events(app, "user.identity_linked")
    assert [(e.actor, e.owner, e.detail["issuer"]) for e in linked] == [
        ("carol@example.org", "carol@example.org", journey.provider.issuer)
    ]
    assert events(app, "session.started")[-1].detail == {"how": "provider"}
    # The account is theirs now: the invitation would let somebody else choose its password.
    assert Browser(app).get(f"/invitations/{token}").status_code == 404
    assert user_named(app, "carol@example.org").status == "active"
    assert len(events(app, "user.invitation_accepted")) == 1


def test_person_with_a_password_comes_in_either_way(
    app: Flask, journey: Journey, alice: Browser
) -> None:
    assert journey.sign_in("alice@example.org").status_code == 302
    assert is_in(journey.browser)
    assert Browser(app).sign_in("alice@example.org").status_code == 303
    assert events(app, "user.invitation_accepted") == []


def test_case_of_the_address_does_not_matter(app: Flask, journey: Journey) -> None:
    invite(app)
    assert journey.sign_in("Carol@Example.ORG").status_code == 302
    assert identities(app) == [("carol@example.org", "Carol@Example.ORG")]


def test_second_time_the_link_is_enough_whatever_the_address(app: Flask, journey: Journey) -> None:
    invite(app)
    journey.sign_in("carol@example.org")
    with app.app_context():
        user = people.by_email("carol@example.org")
        user.email = "carol.clark@example.org"
        db.session.commit()
    again = Journey(Browser(app), journey.provider)
    assert again.sign_in("carol@example.org").status_code == 302
    assert "carol.clark@example.org" in again.browser.get("/documents").text
    assert len(identities(app)) == 1
    assert len(events(app, "user.identity_linked")) == 1


def test_secret_in_the_form_and_another_signature_are_understood(make_app: Any) -> None:
    with real_provider(BACK, client_auth="client_secret_post") as other:
        app = make_app(**other.settings())
        invite(app)
        journey = Journey(Browser(app), other)
        assert journey.sign_in("carol@example.org").status_code == 302
        assert is_in(journey.browser)


def test_button_is_on_the_sign_in_page_and_keeps_where_one_was_going(
    app: Flask, journey: Journey
) -> None:
    invite(app)
    page = journey.browser.get("/login?next=/account%3Fa%3D1%26b%3D2").text
    found = re.search(r'<a [^>]*href="([^"]+)"[^>]*>Sign in with 127\.0\.0\.1<', page)
    assert found
    address = found[1].replace("&amp;", "&")
    assert address == "/login/oidc?next=/account?a%3D1%26b%3D2"
    # A page with a mistake in it has the button too.
    wrong = journey.browser.post("/login", {"email": "a@example.org", "password": "wrong"})
    assert "Sign in with" in wrong.text
    response = journey.sign_in("carol@example.org", "/account?a=1&b=2")
    assert response.location == "/account?a=1&b=2"


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "https://evil.example/", "/\\evil.example", "/%2f%0a", "/" * 9]
)
def test_way_back_never_leads_elsewhere(app: Flask, journey: Journey, elsewhere: str) -> None:
    invite(app)
    assert journey.sign_in("carol@example.org", elsewhere).location == "/documents"


def test_long_way_back_leads_home_instead(app: Flask, journey: Journey) -> None:
    invite(app)
    assert journey.sign_in("carol@example.org", "/documents?q=" + "x" * 5000).location == (
        "/documents"
    )


def test_question_to_the_provider_has_everything_and_no_secret(journey: Journey) -> None:
    address = journey.set_out()
    assert address.startswith(journey.provider.issuer + "/auth?")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert asked["response_type"] == "code"
    assert asked["client_id"] == "portal"
    assert asked["redirect_uri"] == BACK
    assert asked["scope"] == "openid email profile"
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    assert "secret" not in address
    again = parse_qs(urlsplit(journey.set_out()).query)
    assert not {again[name][0] for name in ("state", "nonce", "code_challenge")} & {
        asked[name] for name in ("state", "nonce", "code_challenge")
    }


def test_portal_without_a_provider_has_neither_button_nor_way(make_app: Any) -> None:
    browser = Browser(make_app())
    assert "Sign in with" not in browser.get("/login").text
    for path in ("/login/oidc", "/login/oidc/callback", "/login/oidc/callback?code=a&state=b"):
        assert browser.get(path).status_code == 404


def test_name_of_this_machine_leads_to_the_address_that_keeps_the_cookie(journey: Journey) -> None:
    response = journey.browser.get("/login/oidc?next=/trash", base_url="http://localhost:8000")
    assert (response.status_code, response.location) == (
        302,
        "http://127.0.0.1:8000/login/oidc?next=/trash",
    )


def test_signed_in_person_becomes_the_one_who_came_back(
    app: Flask, journey: Journey, bob: Browser
) -> None:
    invite(app)
    before = cookie_of(bob)
    assert Journey(bob, journey.provider).sign_in("carol@example.org").status_code == 302
    assert "carol@example.org" in bob.get("/documents").text
    assert not is_in(browser_with(app, before))


def test_signing_out_ends_the_session_here(app: Flask, journey: Journey) -> None:
    invite(app)
    journey.sign_in("carol@example.org")
    journey.browser.email = "carol@example.org"
    copied = browser_with(app, cookie_of(journey.browser))
    assert journey.browser.post("/logout").status_code == 303
    assert not is_in(journey.browser)
    assert not is_in(copied)


# Nobody else's way


def test_what_another_browser_began_is_refused(app: Flask, journey: Journey) -> None:
    invite(app)
    back = journey.arrive("carol@example.org")
    before = database_dump(app, "audit_events", "audit_head")
    # One that never set out, and one that set out by itself.
    stranger, other = Browser(app), Journey(Browser(app), journey.provider)
    other.set_out()
    for browser in (stranger, other.browser):
        response = browser.get(back)
        assert response.status_code == 400
        assert "cannot be continued" in response.text
        assert "begin again" in response.text
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert not is_in(browser)
    assert database_dump(app, "audit_events", "audit_head") == before
    assert reasons(app) == ["state", "state"]
    # Their tries took nothing from whoever did set out.
    assert journey.browser.get(back).status_code == 302


@pytest.mark.parametrize("state", [None, "", "made-up", "\N{SNOWMAN}", "%00"])
def test_made_up_state_is_refused(journey: Journey, state: str | None) -> None:
    journey.set_out()
    query = {"code": "made-up"} | ({} if state is None else {"state": state})
    assert journey.browser.get(f"/login/oidc/callback?{urlencode(query)}").status_code == 400


def test_coming_back_twice_is_refused(app: Flask, journey: Journey) -> None:
    invite(app)
    back = journey.arrive("carol@example.org")
    kept = cookie_of(journey.browser)
    assert journey.browser.get(back).status_code == 302
    assert journey.browser.get(back).status_code == 400
    # Also with the cookie as it was on the way: the attempt itself is used up.
    copied = browser_with(app, kept)
    assert copied.get(back).status_code == 400
    assert not is_in(copied)
    assert reasons(app) == ["state", "state"]


def test_attempt_is_used_once_by_many_at_once(app: Flask, journey: Journey) -> None:
    invite(app)
    back = journey.arrive("carol@example.org")
    kept = cookie_of(journey.browser)
    browsers = [browser_with(app, kept) for _ in range(4)]
    answers = at_once(4, lambda number: browsers[number].get(back).status_code)
    assert sorted(answers) == [302, 400, 400, 400]
    assert len(identities(app)) == 1


def test_way_back_is_open_for_ten_minutes(app: Flask, journey: Journey, time_machine: Any) -> None:
    invite(app)
    back = journey.arrive("carol@example.org")
    time_machine.move_to(utcnow() + timedelta(minutes=10, seconds=2))
    assert journey.browser.get(back).status_code == 400
    assert reasons(app) == ["state"]


def test_code_of_somebody_else_is_refused(app: Flask, journey: Journey) -> None:
    invite(app)
    stolen = parse_qs(urlsplit(journey.arrive("carol@example.org")).query)["code"][0]
    mallory = Journey(Browser(app), journey.provider)
    state = parse_qs(urlsplit(mallory.set_out()).query)["state"][0]
    query = urlencode({"code": stolen, "state": state})
    # Whoever took the code has neither the verifier nor the nonce it belongs to.
    response = mallory.browser.get(f"/login/oidc/callback?{query}")
    assert response.status_code == 401
    assert not is_in(mallory.browser)
    assert reasons(app) == ["code"]


def test_answer_of_another_provider_is_refused(app: Flask, journey: Journey) -> None:
    invite(app)
    back = journey.arrive("carol@example.org")
    assert "iss=" in back
    other = re.sub(r"iss=[^&]+", "iss=https%3A%2F%2Felsewhere.example", back)
    assert journey.browser.get(other).status_code == 401
    assert reasons(app) == ["issuer"]


def test_whoever_gives_up_over_there_is_told_how_to_go_on(app: Flask, journey: Journey) -> None:
    back = journey.provider.sign_in(journey.set_out(), "carol", give_up=True)
    response = journey.browser.get(back.removeprefix("http://127.0.0.1:8000"))
    assert response.status_code == 401
    assert "without having signed in" in response.text
    assert reasons(app) == ["access_denied"]


def test_error_somebody_made_up_is_not_repeated(app: Flask, journey: Journey) -> None:
    state = parse_qs(urlsplit(journey.set_out()).query)["state"][0]
    query = urlencode({"state": state, "error": "<b>evil</b>", "error_description": "call 555"})
    response = journey.browser.get(f"/login/oidc/callback?{query}")
    assert response.status_code == 401
    assert "evil" not in response.text
    assert "555" not in response.text
    assert reasons(app) == ["unknown error"]


# Whose account


def test_nobody_without_an_account_comes_in(app: Flask, journey: Journey) -> None:
    before = database_dump(app, "audit_events", "audit_head", "throttles")
    response = journey.sign_in("mallory@example.org")
    assert response.status_code == 401
    assert "no account for you" in response.text
    assert "mallory@example.org" in response.text
    assert "invite you" in response.text
    assert not is_in(journey.browser)
    assert database_dump(app, "audit_events", "audit_head", "throttles") == before
    refused = events(app, "session.refused")[-1].detail
    assert (refused["reason"], refused["email"]) == ("no account", "mallory@example.org")


def test_anyone_gets_an_ordinary_account_where_the_admins_say_so(
    app: Flask, journey: Journey
) -> None:
    let_anyone_in(app)
    assert journey.sign_in("dora@example.org").status_code == 302
    user = user_named(app, "dora@example.org")
    assert (user.name, user.role, user.password_hash) == ("Dora", "user", None)
    assert user.status == "active"
    assert is_in(journey.browser)
    assert len(events(app, "user.created")) == 1
    assert identities(app) == [("dora@example.org", "dora@example.org")]


def test_address_that_is_not_confirmed_opens_nothing(app: Flask, journey: Journey) -> None:
    let_anyone_in(app)
    invite(app, "unconfirmed@example.org")
    response = journey.sign_in("unconfirmed@example.org")
    assert response.status_code == 401
    assert "not confirmed" in response.text
    assert identities(app) == []
    assert not is_in(journey.browser)
    assert reasons(app) == ["address not verified"]


def test_disabled_account_stays_shut(app: Flask, journey: Journey) -> None:
    let_anyone_in(app)
    invite(app)
    journey.sign_in("carol@example.org")
    invite(app, "dave@example.org")
    with app.app_context():
        people.disable(people.by_email("carol@example.org"))
        people.disable(people.by_email("dave@example.org"))
    assert not is_in(journey.browser)
    # Whether it was linked before or not; and the answer is the one for no account.
    for login in ("carol@example.org", "dave@example.org"):
        again = Journey(Browser(app), journey.provider)
        response = again.sign_in(login)
        assert response.status_code == 401
        assert "no account for you" in response.text
        assert "disabled" not in response.text
        assert not is_in(again.browser)
    assert identities(app) == [("carol@example.org", "carol@example.org")]
    assert reasons(app) == ["disabled", "disabled"]


def test_address_given_to_somebody_else_over_there_opens_nothing(
    app: Flask, journey: Journey
) -> None:
    invite(app)
    journey.sign_in("carol@example.org")
    # Another person over there, by another name, who has the address now.
    successor = Journey(Browser(app), journey.provider)
    response = successor.sign_in("Carol@example.org")
    assert response.status_code == 401
    assert not is_in(successor.browser)
    assert identities(app) == [("carol@example.org", "carol@example.org")]
    assert reasons(app) == ["linked to somebody else"]


def test_unlinked_account_is_linked_anew_by_its_address(app: Flask, journey: Journey) -> None:
    invite(app)
    journey.sign_in("carol@example.org")
    with app.app_context():
        assert provider.unlink(people.by_email("carol@example.org")) == 1
        assert provider.unlink(people.by_email("carol@example.org")) == 0
    assert not is_in(journey.browser)
    assert events(app, "user.identity_unlinked")[0].owner == "carol@example.org"
    successor = Journey(Browser(app), journey.provider)
    assert successor.sign_in("Carol@example.org").status_code == 302
    assert identities(app) == [("carol@example.org", "Carol@example.org")]


def test_same_name_at_another_issuer_is_another_person(make_app: Any, real: RealProvider) -> None:
    app = make_app(**real.settings())
    invite(app)
    with app.app_context():
        other = people.create("other@example.org", settings_of(app))
        db.session.add(
            Identity(user_id=other.id, issuer="https://other.example", subject="carol@example.org")
        )
        db.session.commit()
    journey = Journey(Browser(app), real)
    assert journey.sign_in("carol@example.org").status_code == 302
    assert ">carol@example.org<" in journey.browser.get("/documents").text


def test_two_at_once_make_one_link(app: Flask, real: RealProvider) -> None:
    invite(app)
    journeys = [Journey(Browser(app), real) for _ in range(4)]
    backs = [each.arrive("carol@example.org") for each in journeys]
    answers = at_once(4, lambda number: journeys[number].browser.get(backs[number]).status_code)
    assert answers == [302] * 4
    assert all(is_in(each.browser) for each in journeys)
    assert len(identities(app)) == 1
    assert len(events(app, "user.identity_linked")) == 1


def test_two_at_once_make_one_new_account(app: Flask, real: RealProvider) -> None:
    let_anyone_in(app)
    journeys = [Journey(Browser(app), real) for _ in range(4)]
    backs = [each.arrive("dora@example.org") for each in journeys]
    answers = at_once(4, lambda number: journeys[number].browser.get(backs[number]).status_code)
    assert answers == [302] * 4
    assert identities(app) == [("dora@example.org", "dora@example.org")]
    assert len(events(app, "user.created")) == 1


def test_admin_cannot_take_over_an_account_without_a_password(
    app: Flask, journey: Journey, ada: Browser
) -> None:
    invite(app)
    journey.sign_in("carol@example.org")
    carol = user_named(app, "carol@example.org")
    path = f"/admin/users/{carol.public_id}"
    assert ada.post_json(path, {"action": "reset-password"}).status_code == 409
    with app.app_context():
        query = select(Invitation.id).where(Invitation.used_at.is_(None))
        assert db.session.scalars(query).all() == []


def test_no_password_opens_an_account_without_one(app: Flask, journey: Journey) -> None:
    invite(app)
    journey.sign_in("carol@example.org")
    assert Browser(app).sign_in("carol@example.org", PASSWORD).status_code == 401


# A provider that is away, and comes back


def test_provider_that_is_away_is_said_clearly_and_found_again(make_app: Any) -> None:
    provider = RealProvider(BACK)
    app = make_app(**provider.settings())
    invite(app)
    journey = Journey(Browser(app), provider)
    response = journey.browser.get("/login/oidc")
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert "does not work just now" in response.text
    assert "sign in with your password" in response.text
    assert str(provider.port) not in response.text
    assert len(reasons(app)) == 1
    try:
        provider.start()
        back = journey.arrive("carol@example.org")
        provider.stop()
        assert journey.browser.get(back).status_code == 503
        assert len(reasons(app)) == 2
        assert not is_in(journey.browser)
        # It comes back with other keys than those that are remembered.
        for _ in range(2):
            provider.start()
            assert journey.sign_in("carol@example.org").status_code == 302
            assert is_in(journey.browser)
            provider.stop()
    finally:
        provider.stop()


def test_provider_by_another_name_is_refused(make_app: Any, real: RealProvider) -> None:
    for issuer in (real.issuer + "/", real.issuer.replace("127.0.0.1", "localhost")):
        app = make_app(**{**real.settings(), "oidc_issuer": issuer})
        response = Browser(app).get("/login/oidc")
        assert response.status_code == 503
        assert "calls itself" in reasons(app)[-1]
        assert "calls itself" not in response.text


def test_wrong_secret_is_the_portals_fault_and_told_to_the_admins(
    make_app: Any, real: RealProvider
) -> None:
    app = make_app(**{**real.settings(), "oidc_client_secret": "another"})
    invite(app)
    journey = Journey(Browser(app), real)
    response = journey.sign_in("carol@example.org")
    assert response.status_code == 503
    assert "invalid_client" not in response.text
    assert "invalid_client" in reasons(app)[-1]


def test_program_gets_a_problem_without_details(make_app: Any) -> None:
    provider = RealProvider(BACK)
    browser = Browser(make_app(**provider.settings()))
    response = browser.get("/login/oidc", headers={"Accept": "application/json"})
    assert response.status_code == 503
    assert response.content_type == "application/problem+json"
    assert set(response.get_json()) == {"type", "title", "status", "detail"}
