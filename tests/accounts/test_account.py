"""One's own account: name, language, time zone, password."""

from __future__ import annotations

import re
import time
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from conftest import PASSWORD, Browser, Cast, user_named
from portal.accounts import people, sessions, sign_in
from portal.database import transaction
from portal.errors import Invalid
from portal.models import Role
from stage import at_once, browser_with, cookie_of, database_dump, events, settings_of

NEW = "five loud rivers bend"


def change(browser: Browser, current: str = PASSWORD, new: str = NEW) -> int:
    data = {"current_password": current, "new_password": new}
    return browser.post("/account/password", data).status_code


def test_page_shows_who_one_is(alice: Browser) -> None:
    page = alice.get("/account").text
    assert "alice@example.org" in page
    assert 'value="Alice Archer"' in page


def test_name_language_and_zone_are_saved(app: Flask, alice: Browser) -> None:
    data = {"name": "  Alice   Baker ", "timezone": "Europe/Berlin", "language": "en"}
    response = alice.post("/account", data)
    assert (response.status_code, response.location) == (303, "/account")
    user = user_named(app, "alice@example.org")
    assert (user.name, user.timezone, user.language) == ("Alice Baker", "Europe/Berlin", "en")
    assert '<option selected value="en">English</option>' in alice.get("/account").text
    (event,) = events(app, "user.changed")
    assert (event.actor, event.owner) == ("alice@example.org", "alice@example.org")
    assert event.detail["changed"] == {
        "name": ["Alice Archer", "Alice Baker"],
        "timezone": ["", "Europe/Berlin"],
        "language": ["", "en"],
    }


def test_saving_what_is_there_already_is_no_event(app: Flask, alice: Browser) -> None:
    assert alice.post("/account", {"name": "Alice Archer", "timezone": ""}).status_code == 303
    assert events(app, "user.changed") == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", " "),
        ("name", "x" * 201),
        ("timezone", "Middle/Earth"),
        ("language", "tlh"),
    ],
)
def test_field_that_breaks_a_rule_changes_nothing(
    app: Flask, alice: Browser, field: str, value: str
) -> None:
    before = database_dump(app)
    response = alice.post("/account", {"name": "Alice", "timezone": "UTC", field: value})
    assert response.status_code == 422
    assert f'id="{field}-wrong"' in response.text
    assert database_dump(app) == before


def test_language_the_portal_does_not_speak_is_refused_by_the_service_too(
    app: Flask, alice: Browser
) -> None:
    with app.app_context():
        user_id = people.by_email("alice@example.org").id
        with pytest.raises(Invalid) as caught:
            people.save_own(user_id, name="Alice", timezone="", language="tlh")
    assert "language" in caught.value.errors


def test_dates_follow_the_chosen_zone(alice: Browser, deed: dict[str, Any]) -> None:
    alice.post("/account", {"name": "Alice", "timezone": "Asia/Tokyo", "language": "en"})
    assert "JST" in alice.get("/account/activity").text
    assert "JST" in alice.get("/account/sessions").text


def test_nobody_makes_themselves_an_admin(app: Flask, alice: Browser) -> None:
    data = {"name": "Alice", "timezone": "", "role": "admin", "quota_bytes": "0", "email": "x@y.z"}
    alice.post("/account", data)
    user = user_named(app, "alice@example.org")
    assert (user.role, user.quota_bytes) == (Role.USER, None)


def test_new_password_works_and_the_old_one_does_not(app: Flask, alice: Browser) -> None:
    assert change(alice) == 303
    assert Browser(app).sign_in("alice@example.org", PASSWORD).status_code == 401
    assert Browser(app).sign_in("alice@example.org", NEW).status_code == 303
    assert [each.actor for each in events(app, "user.password_changed")] == ["alice@example.org"]


def test_changing_the_password_ends_every_other_session(app: Flask, alice: Browser) -> None:
    others = [Browser(app) for _ in range(2)]
    for other in others:
        other.sign_in("alice@example.org", remember="y")
    copied = browser_with(app, cookie_of(others[0]))
    assert change(alice) == 303
    for browser in (*others, copied):
        assert browser.get("/documents").status_code == 302
    assert alice.get("/documents").status_code == 200


def test_changing_the_password_leaves_other_people_signed_in(alice: Browser, bob: Browser) -> None:
    assert change(alice) == 303
    assert bob.get("/documents").status_code == 200


@pytest.mark.parametrize(
    ("current", "new", "field"),
    [
        ("wrong wrong wrong", NEW, "current_password"),
        ("", NEW, "current_password"),
        (PASSWORD, "short", "new_password"),
        (PASSWORD, "alice@example.org", "new_password"),
        (PASSWORD, "", "new_password"),
    ],
)
def test_password_that_breaks_a_rule_changes_nothing(
    app: Flask, alice: Browser, current: str, new: str, field: str
) -> None:
    before = database_dump(app, "throttles")
    data = {"current_password": current, "new_password": new}
    response = alice.post("/account/password", data)
    assert response.status_code == 422
    assert f'id="{field}-wrong"' in response.text
    assert database_dump(app, "throttles") == before


def test_guessing_at_the_current_password_is_throttled(app: Flask, alice: Browser) -> None:
    assert [change(alice, "wrong wrong wrong") for _ in range(10)] == [422] * 10
    response = alice.post("/account/password", {"current_password": PASSWORD, "new_password": NEW})
    assert response.status_code == 429
    assert response.headers["Retry-After"]
    # Whoever sits at an unlocked screen does not shut its owner out of signing in.
    assert Browser(app).sign_in("alice@example.org").status_code == 303


def test_strangers_guesses_keep_nobody_from_changing_their_password(
    app: Flask, alice: Browser
) -> None:
    for _ in range(11):
        Browser(app).sign_in("alice@example.org", "wrong wrong wrong")
    assert change(alice) == 303


def test_choosing_a_weak_password_is_no_guess_at_the_current_one(alice: Browser) -> None:
    assert [change(alice, new="password1234") for _ in range(12)] == [422] * 12
    assert change(alice) == 303


def test_right_password_forgets_the_wrong_ones(app: Flask, alice: Browser) -> None:
    for _ in range(9):
        change(alice, "wrong wrong wrong")
    assert change(alice) == 303
    assert change(alice, "wrong wrong wrong") == 422
    assert change(alice, NEW, PASSWORD) == 303


@pytest.mark.parametrize(
    "password",
    [
        "  spaces around these words ",
        "Übergänge im Frühling – 春の橋",
        "tab\tand\0nul between words",
        "three quiet herons wade " * 42 + "and one more tab",
    ],
)
def test_any_password_that_was_set_signs_in_exactly_as_it_is(
    app: Flask, alice: Browser, password: str
) -> None:
    assert change(alice, new=password) == 303
    assert Browser(app).sign_in("alice@example.org", password).status_code == 303
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        typed = unicodedata.normalize(form, password)  # type: ignore[arg-type]
        assert Browser(app).sign_in("alice@example.org", typed).status_code == 303
    for other in (password[:-1], password + " ", password.swapcase(), password.strip() + "x"):
        assert Browser(app).sign_in("alice@example.org", other).status_code == 401


def test_no_password_field_cuts_what_is_pasted(alice: Browser, visitor: Browser) -> None:
    for page in (alice.get("/account").text, visitor.get("/login").text):
        fields = re.findall(r'<input[^>]*type="password"[^>]*>', page)
        assert fields
        for field in fields:
            assert " maxlength=" not in field
            assert 'spellcheck="false"' in field
            assert 'autocapitalize="none"' in field


def test_fields_say_to_password_managers_what_they_are(alice: Browser, visitor: Browser) -> None:
    def kinds(page: str) -> list[str]:
        found = re.findall(r'<input[^>]*autocomplete="([a-z-]+)"[^>]*>', page)
        return [kind for kind in found if kind != "name"]

    assert kinds(visitor.get("/login").text) == ["username", "current-password"]
    assert kinds(alice.get("/account").text) == [
        *("email", "current-password"),
        *("username", "current-password", "new-password"),
    ]


def test_password_of_an_account_without_one_cannot_be_changed(app: Flask, cast: Cast) -> None:
    """The service itself checks; nobody invited has a session."""
    alice = cast.person("alice@example.org", "Alice")
    with app.app_context():
        user = people.by_email("alice@example.org")
        user.password_hash = None
        people.db.session.commit()
    assert change(alice, "None") == 422


def test_new_password_is_hashed_with_the_present_work_factor(app: Flask, alice: Browser) -> None:
    assert settings_of(app) == replace(settings_of(app), bcrypt_rounds=4)
    change(alice)
    stored = user_named(app, "alice@example.org").password_hash
    assert stored
    assert stored.startswith("$2b$04$")
    assert NEW not in repr(database_dump(app))


def test_password_changed_meanwhile_is_not_changed_back(app: Flask) -> None:
    """Whoever knew the old one does not win against a reset that came while it was checked."""
    slow = replace(settings_of(app), bcrypt_rounds=12)
    with app.app_context():
        alice = people.create("alice@example.org", slow, password=PASSWORD)
        with transaction():
            token = sessions.start(alice, slow, remember=False)

    def act(number: int) -> None:
        with app.app_context():
            if number == 0:
                person = sessions.load(token, slow)
                assert person
                with pytest.raises(Invalid) as caught:
                    sign_in.change_password(person, PASSWORD, NEW, slow)
                assert "current_password" in caught.value.errors
            else:
                time.sleep(0.1)
                user = people.by_email("alice@example.org")
                people.set_password(user, "nine warm stones rest", settings_of(app))

    at_once(2, act)
    assert Browser(app).sign_in("alice@example.org", "nine warm stones rest").status_code == 303
