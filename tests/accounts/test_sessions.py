"""The page of one's devices, and the mails about new ones."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from accounts.listening import Told, told
from audit.locking import locked_log
from conftest import PASSWORD, Browser, Cast, user_named
from portal import browsers
from portal.accounts import known_devices, people
from portal.database import transaction
from portal.documents import housekeeping
from portal.extensions import db
from portal.mail.notices import Notice
from portal.models import KnownDevice, Session, utcnow
from stage import (
    COOKIE,
    HOST,
    NOTHING,
    at_once,
    browser_with,
    cookie_of,
    database_dump,
    events,
    settings_of,
    twins,
)
from two_factor import forget_proof

__all__ = ["told"]

ALICE = "alice@example.org"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1"
)


def another(app: Flask, user_agent: str = FIREFOX, address: str = "192.0.2.7") -> Browser:
    """Alice signed in on one more device."""
    browser = Browser(app)
    browser.client.environ_base |= {"HTTP_USER_AGENT": user_agent, "REMOTE_ADDR": address}
    assert browser.sign_in(ALICE).status_code == 303
    return browser


def ids(app: Flask) -> list[str]:
    """The public ids of all sessions, oldest first."""
    with app.app_context():
        return [str(i) for i in db.session.scalars(select(Session.public_id).order_by(Session.id))]


def device_cookie(browser: Browser) -> str:
    cookie = browser.client.get_cookie("portal_device", domain=HOST)
    assert cookie is not None
    return cookie.value


def sign_in_again(browser: Browser, password: str = PASSWORD, email: str = ALICE) -> None:
    """Sign out, as far as one is in, and in again in the same browser."""
    browser.client.delete_cookie(COOKIE, domain=HOST)
    browser.email = ""
    assert browser.sign_in(email, password).status_code == 303


# The page


def test_page_shows_every_device_in_plain_words(app: Flask, alice: Browser) -> None:
    another(app)
    another(app, PHONE, "2001:db8::5")
    page = alice.get("/account/sessions").text
    for words in ("Firefox on Linux", "192.0.2.7", "Safari on iPhone", "2001:db8::5"):
        assert words in page
    assert "Unknown browser" in page  # Alice's own, made of Python
    assert page.count("This device") == 1
    assert page.count("Last used") == 2
    assert page.index("This device") < page.index("Safari on iPhone") < page.index("Firefox")


def test_browsers_name_is_text_and_nothing_else(app: Flask, alice: Browser) -> None:
    another(app, "<script>alert(1)</script> Firefox/1", "192.0.2.7")
    page = alice.get("/account/sessions").text
    assert "<script>alert" not in page
    assert "Firefox" in page


def test_others_devices_are_not_shown(alice: Browser, app: Flask, bob: Browser) -> None:
    another(app)
    assert "192.0.2.7" not in bob.get("/account/sessions").text
    assert "Sign out all others" not in bob.get("/account/sessions").text


def test_device_that_is_out_already_is_not_shown(app: Flask, alice: Browser) -> None:
    another(app)
    kept = another(app, PHONE)
    assert kept.email
    now = utcnow()
    with app.app_context(), transaction() as session:
        session.execute(
            update(Session)
            .where(Session.user_agent == FIREFOX)
            .values(last_seen_at=now - timedelta(minutes=61))
        )
    page = alice.get("/account/sessions").text
    assert "Firefox" not in page
    assert "Safari on iPhone" in page
    for values in ({"expires_at": now}, {"expires_at": now + timedelta(days=1)}):
        with app.app_context(), transaction() as session:
            session.execute(update(Session).where(Session.user_agent == PHONE).values(values))
        shown = "Safari on iPhone" in alice.get("/account/sessions").text
        assert shown == (values["expires_at"] > now)


def test_remembered_device_is_shown_though_it_is_idle(app: Flask, alice: Browser) -> None:
    browser = Browser(app)
    browser.client.environ_base["HTTP_USER_AGENT"] = PHONE
    browser.sign_in(ALICE, remember="y")
    with app.app_context(), transaction() as session:
        session.execute(
            update(Session)
            .where(Session.user_agent == PHONE)
            .values(last_seen_at=utcnow() - timedelta(days=3))
        )
    assert "Safari on iPhone" in alice.get("/account/sessions").text


def test_one_can_read_while_nothing_can_be_written(app: Flask, alice: Browser) -> None:
    with app.app_context(), transaction() as session:
        session.execute(update(Session).values(last_seen_at=utcnow() - timedelta(minutes=2)))
    with app.app_context(), locked_log():
        assert alice.get("/documents").status_code == 200


def test_visitor_is_sent_to_sign_in(visitor: Browser) -> None:
    response = visitor.get("/account/sessions")
    assert (response.status_code, response.location) == (302, "/login?next=%2Faccount%2Fsessions")
    assert visitor.post("/account/sessions", {"action": "end-others"}).status_code == 302


# Signing devices out


def test_ended_device_is_out_at_once_and_the_others_stay(app: Flask, alice: Browser) -> None:
    lost, kept = another(app), another(app, PHONE)
    copied = browser_with(app, cookie_of(lost))
    response = alice.post("/account/sessions", {"action": "end", "id": ids(app)[1]})
    assert (response.status_code, response.location) == (303, "/account/sessions")
    for browser in (lost, copied):
        assert browser.get("/documents").status_code == 302
    for browser in (alice, kept):
        assert browser.get("/documents").status_code == 200
    assert "Firefox on Linux" not in alice.get("/account/sessions").text
    (event,) = events(app, "session.ended_elsewhere")
    assert (event.actor, event.owner) == (ALICE, ALICE)
    assert event.detail == {"browser": "Firefox on Linux", "address": "192.0.2.7"}


def test_all_others_are_out_at_once(app: Flask, alice: Browser, bob: Browser) -> None:
    others = [another(app), another(app, PHONE)]
    copied = [browser_with(app, cookie_of(each)) for each in others]
    response = alice.post("/account/sessions", {"action": "end-others"})
    assert (response.status_code, response.location) == (303, "/account/sessions")
    for browser in (*others, *copied):
        assert browser.get("/documents").status_code == 302
    for browser in (alice, bob):
        assert browser.get("/documents").status_code == 200
    (event,) = events(app, "user.sessions_ended")
    assert (event.actor, event.owner) == (ALICE, ALICE)
    assert event.detail == {"ended": 2, "others": True}


def test_ending_the_present_device_signs_it_out(app: Flask, alice: Browser) -> None:
    copied = browser_with(app, cookie_of(alice))
    response = alice.post("/account/sessions", {"action": "end", "id": ids(app)[0]})
    assert (response.status_code, response.location) == (303, "/login")
    for browser in (alice, copied):
        assert browser.get("/documents").status_code == 302


def test_program_gets_json(app: Flask, alice: Browser) -> None:
    another(app)
    response = alice.post_json("/account/sessions", {"action": "end", "id": ids(app)[1]})
    assert (response.status_code, response.get_json()) == (201, {"ended": 1})
    for _ in range(2):
        another(app)
    response = alice.post_json("/account/sessions", {"action": "end-others"})
    assert (response.status_code, response.get_json()) == (201, {"ended": 2})


@pytest.mark.parametrize("wrong", [NOTHING, "", "1", "x" * 4000, "\0", "bobs"])
def test_what_is_not_mine_is_not_there(
    app: Flask, alice: Browser, bob: Browser, wrong: str
) -> None:
    before = database_dump(app)
    if wrong == "bobs":
        wrong = ids(app)[1]
    response = alice.post("/account/sessions", {"action": "end", "id": wrong})
    assert response.status_code == 404
    missing = alice.post("/account/sessions", {"action": "end", "id": NOTHING})
    assert response.data == missing.data
    assert bob.get("/documents").status_code == 200
    assert database_dump(app) == before


@pytest.mark.parametrize("action", ["", "END", "explode"])
def test_unknown_act_changes_nothing(app: Flask, alice: Browser, action: str) -> None:
    before = database_dump(app)
    assert alice.post("/account/sessions", {"action": action}).status_code == 400
    assert database_dump(app) == before


def test_form_without_token_changes_nothing(app: Flask, alice: Browser) -> None:
    other = another(app)
    response = alice.client.post("/account/sessions", data={"action": "end-others"})
    assert response.status_code == 400
    assert other.get("/documents").status_code == 200


def test_one_device_ended_twice_at_once_is_ended_once(app: Flask, alice: Browser) -> None:
    another(app)
    mine, gone = twins(alice, 4), ids(app)[1]
    for each in mine:
        each.token()
    form = {"action": "end", "id": gone}
    answers = at_once(4, lambda n: mine[n].post("/account/sessions", form).status_code)
    assert sorted(answers) == [303, 404, 404, 404]
    assert len(events(app, "session.ended_elsewhere")) == 1


# Known devices


def test_new_browser_is_told_with_browser_address_and_time(
    app: Flask, alice: Browser, told: Told
) -> None:
    another(app)
    ((email, facts),) = told.of(Notice.NEW_DEVICE)
    assert email == ALICE
    assert (facts["browser"], facts["address"]) == ("Firefox on Linux", "192.0.2.7")
    assert utcnow() - facts["at"] < timedelta(minutes=1)


def test_known_browser_is_not_told_again(app: Flask, alice: Browser, told: Told) -> None:
    for _ in range(3):
        sign_in_again(alice)
    assert told.of(Notice.NEW_DEVICE) == []


def test_refused_sign_in_is_not_told(app: Flask, alice: Browser, told: Told) -> None:
    browser = Browser(app)
    assert browser.sign_in(ALICE, "wrong wrong wrong").status_code == 401
    assert told.all == []
    assert browser.client.get_cookie("portal_device", domain=HOST) is None


def test_the_very_first_sign_in_is_not_told(app: Flask, ada: Browser, told: Told) -> None:
    made = ada.post_json("/admin/users", {"email": "carol@example.org", "role": "user"}).json
    path = made["invitation_url"].removeprefix("http://127.0.0.1:8000")
    carol = Browser(app)
    assert carol.post(path, {"name": "Carol", "password": PASSWORD}).status_code == 303
    assert told.of(Notice.NEW_DEVICE) == []
    assert device_cookie(carol)
    assert Browser(app).sign_in("carol@example.org").status_code == 303
    assert [email for email, _ in told.of(Notice.NEW_DEVICE)] == ["carol@example.org"]


def test_people_who_share_a_browser_are_known_one_by_one(
    app: Flask, alice: Browser, bob: Browser, told: Told
) -> None:
    token = device_cookie(alice)
    for email in ("bob@example.org", ALICE, "bob@example.org"):
        sign_in_again(alice, email=email)
        assert device_cookie(alice) == token
        assert [email for email, _ in told.of(Notice.NEW_DEVICE)] == ["bob@example.org"]


def test_signing_devices_out_leaves_those_of_others_known(
    app: Flask, alice: Browser, bob: Browser
) -> None:
    cookie = bob.client.get_cookie("portal_device", domain="127.0.0.1")
    assert cookie
    alice.post("/account/sessions", {"action": "end-others"})
    with app.app_context():
        assert known_devices.is_known(user_named(app, bob.email).id, cookie.value)


def test_device_cookie_that_is_none_of_ours_is_replaced(app: Flask, alice: Browser) -> None:
    browser = Browser(app)
    browser.client.set_cookie("portal_device", "guessable", domain="127.0.0.1")
    browser.sign_in(alice.email)
    cookie = browser.client.get_cookie("portal_device", domain="127.0.0.1")
    assert cookie
    assert len(cookie.value) == 43


def test_device_cookie_is_closed_and_lasts_a_year(app: Flask, alice: Browser) -> None:
    response = Browser(app).sign_in(ALICE)
    (cookie,) = [c for c in response.headers.getlist("Set-Cookie") if "device" in c]
    attributes = set(cookie.split("; "))
    assert {"HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=31536000"} <= attributes
    assert "Domain" not in cookie


def test_device_cookie_of_an_encrypted_portal(make_app: Any) -> None:
    app = make_app(base_url="https://documents.example.org")
    Cast(app).person(ALICE, "Alice")
    browser = Browser(app)
    response = browser.sign_in(ALICE)
    (cookie,) = [c for c in response.headers.getlist("Set-Cookie") if "device" in c]
    assert cookie.startswith("__Host-portal_device=")
    assert {"Secure", "Path=/"} <= set(cookie.split("; "))


def test_only_signing_in_sets_the_device_cookie(alice: Browser, visitor: Browser) -> None:
    for response in (alice.get("/documents"), alice.get("/account"), visitor.get("/login")):
        assert not [c for c in response.headers.getlist("Set-Cookie") if "device" in c]


def test_device_cookie_opens_nothing_and_is_in_no_table(app: Flask, alice: Browser) -> None:
    token = device_cookie(alice)
    thief = Browser(app)
    thief.client.set_cookie("portal_device", token, domain=HOST)
    assert thief.get("/documents").status_code == 302
    assert token not in repr(database_dump(app))
    assert token.encode() not in repr(database_dump(app)).encode()


@pytest.mark.parametrize("planted", ["", "x", "a" * 44, "é" * 43, "a" * 42 + "/", '"' * 43])
def test_what_is_no_token_of_ours_is_replaced(app: Flask, alice: Browser, planted: str) -> None:
    browser = Browser(app)
    browser.client.set_cookie("portal_device", planted, domain=HOST)
    assert browser.sign_in(ALICE).status_code == 303
    assert re.fullmatch(r"[\w-]{43}", device_cookie(browser), re.ASCII)


@pytest.mark.parametrize("how", ["end", "end-others", "password", "admin"])
def test_after_signing_devices_out_each_is_new_again(
    app: Flask, alice: Browser, told: Told, how: str
) -> None:
    """An intruder who has become known does not stay so."""
    other = another(app)
    password = PASSWORD
    if how == "password":
        password = "five loud rivers bend"
        data = {"current_password": PASSWORD, "new_password": password}
        assert alice.post("/account/password", data).status_code == 303
    elif how == "admin":
        with app.app_context():
            people.end_sessions(people.by_email(ALICE))
    else:
        alice.post("/account/sessions", {"action": how, "id": ids(app)[1]})
    told.all.clear()
    sign_in_again(other, password)
    assert len(told.of(Notice.NEW_DEVICE)) == 1
    sign_in_again(alice, password)
    # The browser in which it was done stays known; a command knows no browser.
    assert len(told.of(Notice.NEW_DEVICE)) == (2 if how == "admin" else 1)


def test_browser_not_used_for_a_year_is_new_and_forgotten(
    app: Flask, alice: Browser, told: Told
) -> None:
    def let_a_year_pass() -> None:
        a_year_ago = utcnow() - timedelta(days=365, minutes=1)
        with app.app_context(), transaction() as session:
            session.execute(update(KnownDevice).values(last_seen_at=a_year_ago))

    let_a_year_pass()
    sign_in_again(alice)
    assert len(told.of(Notice.NEW_DEVICE)) == 1
    let_a_year_pass()
    with app.app_context():
        housekeeping.purge(settings_of(app))
        assert db.session.scalars(select(KnownDevice)).all() == []


# Passwords


def test_new_password_is_told(app: Flask, alice: Browser, told: Told) -> None:
    data = {"current_password": PASSWORD, "new_password": "five loud rivers bend"}
    assert alice.post("/account/password", {**data, "new_password": "short"}).status_code == 422
    assert told.all == []
    assert alice.post("/account/password", data).status_code == 303
    ((email, facts),) = told.of(Notice.PASSWORD_CHANGED)
    assert (email, facts["address"]) == (ALICE, "127.0.0.1")


def test_password_set_by_whoever_runs_the_portal_is_told(
    app: Flask, alice: Browser, told: Told
) -> None:
    with app.app_context():
        user = people.by_email(ALICE)
        people.set_password(user, "nine warm stones rest", settings_of(app))
    assert [email for email, _ in told.of(Notice.PASSWORD_CHANGED)] == [ALICE]


# What browsers call themselves


WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
WORDS = [
    (FIREFOX, "Firefox on Linux"),
    (PHONE, "Safari on iPhone"),
    (
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/143.0.0.0 Safari/537.36",
        "Chrome on Windows",
    ),
    (
        (
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/143.0.0.0 Safari/537.36 "
            "Edg/143.0.0.0"
        ),
        "Edge on Windows",
    ),
    (
        (
            f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Chrome/143.0.0.0 "
            "Safari/537.36 OPR/125.0.0.0"
        ),
        "Opera on macOS",
    ),
    (
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like "
            "Gecko) Version/19.1 Safari/605.1.15"
        ),
        "Safari on macOS",
    ),
    (
        f"Mozilla/5.0 (Linux; Android 10; K) {WEBKIT} Chrome/143.0.0.0 Mobile Safari/537.36",
        "Chrome on Android",
    ),
    (
        (
            f"Mozilla/5.0 (Linux; Android 15; SM-S936B) {WEBKIT} SamsungBrowser/29.0 "
            "Chrome/136.0.0.0 Mobile Safari/537.36"
        ),
        "Samsung Internet on Android",
    ),
    (
        (
            "Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
            "Gecko) CriOS/143.0 Mobile/15E148 Safari/604.1"
        ),
        "Chrome on iPad",
    ),
    (
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
            "(KHTML, like Gecko) FxiOS/145.0 Mobile/15E148 Safari/605.1.15"
        ),
        "Firefox on iPhone",
    ),
    (
        f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/143.0.0.0 Safari/537.36",
        "Chrome on ChromeOS",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0) like Gecko",
        "Internet Explorer on Windows",
    ),
    ("curl/8.14.1", "Unknown browser"),
    ("SomethingNew/1.0 (Linux)", "Unknown browser on Linux"),
    ("", "Unknown browser"),
]


@pytest.mark.parametrize(("user_agent", "words"), WORDS)
def test_browser_and_system_are_said_in_words(user_agent: str, words: str) -> None:
    assert browsers.in_words(user_agent) == words


def test_pages_of_the_account_lead_to_each_other(alice: Browser) -> None:
    for path in ("/account", "/account/sessions", "/account/activity", "/account/data"):
        page = alice.get(path).text
        for other in ("/account", "/account/sessions", "/account/activity", "/account/data"):
            assert f'href="{other}"' in page, (path, other)
        assert page.count('aria-current="page"') == 1


def test_last_seen_of_the_account_is_noted_at_sign_in(app: Flask, alice: Browser) -> None:
    assert user_named(app, ALICE).last_seen_at is not None


def test_without_a_fresh_proof_no_device_is_signed_out(app: Flask, alice: Browser) -> None:
    other = another(app)
    forget_proof(app, ALICE)
    thief = browser_with(app, cookie_of(alice), ALICE)
    for fields in ({"action": "end-others"}, {"action": "end", "id": ids(app)[1]}):
        response = thief.post("/account/sessions", fields)
        there = "/account/prove?next=%2Faccount%2Fsessions"
        assert (response.status_code, response.location) == (303, there)
        assert thief.post_json("/account/sessions", fields).status_code == 403
    assert alice.get("/documents").status_code == other.get("/documents").status_code == 200
