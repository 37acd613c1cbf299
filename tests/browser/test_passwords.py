"""Choosing a password in a real browser: its strength while one types, pasted, shown, filled."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from browser.chromium import PHONE, Visit
from browser.pages import strength
from live.fixtures import live_portal
from live.running import PASSWORD, LivePortal

Open = Callable[..., Visit]
ALICE, ADA = "alice@example.org", "ada@example.org"
NEW = "five loud rivers bend"


@pytest.fixture
def fresh(own_database: str) -> Iterator[LivePortal]:
    """A portal nobody has set up yet."""
    with live_portal(own_database) as portal:
        portal.start()
        yield portal


@pytest.fixture
def invitation(portal: LivePortal) -> str:
    ada = portal.client(ADA)
    email = f"guest-{uuid.uuid4().hex[:12]}@example.org"
    made = ada.post_json("/admin/users", {"email": email, "name": "Grace Green", "role": "user"})
    address: str = made["invitation_url"]
    return address


def paste(page: Page, field: Locator, text: str) -> None:
    """As from the clipboard: one event with the whole text."""
    field.focus()
    page.keyboard.insert_text(text)


def test_invited_person_sees_how_strong_it_is_while_typing(visit: Open, invitation: str) -> None:
    page = visit(viewport=PHONE).go(invitation)
    field = page.get_by_label("Choose a password")
    expect(strength(page)).to_be_hidden()
    field.press_sequentially("heron", delay=30)
    expect(strength(page)).to_have_text("Use at least 12 characters.")
    expect(strength(page)).to_have_attribute("role", "status")
    field.fill("Grace Green 2026")
    expect(strength(page)).to_contain_text("your own name")
    field.fill("password1234")
    expect(strength(page)).to_contain_text("most common")
    expect(page.locator(".strength-bar .is-on")).to_have_count(1)
    field.fill(PASSWORD)
    expect(strength(page)).to_have_text("Strength: strong.")
    expect(page.locator(".strength-bar .is-on")).to_have_count(4)
    field.fill("")
    expect(strength(page)).to_be_hidden()
    field.fill(PASSWORD)
    page.get_by_role("button", name="Open the account").click()
    expect(page.get_by_role("heading", name="Documents", exact=True)).to_be_visible()


def test_first_admin_is_judged_by_what_the_form_says(visit: Open, fresh: LivePortal) -> None:
    page = visit(at=fresh).go(fresh.setup_link())
    page.get_by_label("Your name").fill("Ada Admin")
    page.get_by_label("Your e-mail address").fill("ada.lovelace@example.org")
    page.get_by_label("Name of the portal").fill("Harbour Archive")
    field = page.get_by_label("Choose a password")
    for own in ("ada.lovelace99", "Harbour Archive 1"):
        field.fill(own)
        expect(strength(page)).to_contain_text("your own name")
    field.fill(PASSWORD)
    expect(strength(page)).to_have_text("Strength: strong.")


def test_signed_in_person_changes_it_by_keyboard_alone(visit: Open, portal: LivePortal) -> None:
    portal.create_user("kim@example.org", "Kim Keys")
    kim = visit("kim@example.org")
    page = kim.go("/account")
    page.get_by_label("Current password").focus()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Tab")
    # Another form on this page asks for a password too.
    reveal = page.get_by_role("button", name="Show password").nth(1)
    expect(reveal).to_be_focused()
    page.keyboard.press("Space")
    expect(reveal).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_label("Current password")).to_have_attribute("type", "text")
    page.keyboard.press("Space")
    expect(page.get_by_label("Current password")).to_have_attribute("type", "password")
    page.keyboard.press("Tab")
    expect(page.get_by_label("New password")).to_be_focused()
    page.keyboard.type(NEW)
    expect(strength(page)).to_have_text("Strength: strong.")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Your password was changed.")).to_be_visible()
    portal.visitor().sign_in("kim@example.org", NEW)


def test_pasted_password_arrives_whole(visit: Open, portal: LivePortal) -> None:
    portal.create_user("lee@example.org", "Lee Long")
    long = "".join(f"{number} quiet herons wade, " for number in range(60))[:1024]
    page = visit("lee@example.org").go("/account")
    paste(page, page.get_by_label("Current password"), PASSWORD)
    paste(page, page.get_by_label("New password"), long)
    expect(strength(page)).to_have_text("Strength: strong.")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_text("Your password was changed.")).to_be_visible()
    again = visit().go("/login")
    again.get_by_label("E-mail address").fill("lee@example.org")
    paste(again, again.get_by_label("Password", exact=True), long)
    again.get_by_role("button", name="Sign in").click()
    expect(again.get_by_role("heading", name="Documents", exact=True)).to_be_visible()


def test_form_names_its_account_to_password_managers(visit: Open, invitation: str) -> None:
    page = visit().go(invitation)
    assert page.locator("[autocomplete=username]").input_value().startswith("guest")
    assert page.locator("[autocomplete=new-password]").count() == 1
    page = visit(ALICE).go("/account")
    form = page.locator("form").filter(has=page.get_by_label("New password"))
    kinds = form.locator("input[autocomplete]")
    found = [each.get_attribute("autocomplete") for each in kinds.all()]
    assert found == ["username", "current-password", "new-password"]


def test_without_scripts_nothing_is_shown_and_the_rule_still_holds(
    visit: Open, invitation: str
) -> None:
    page = visit(java_script_enabled=False).go(invitation)
    assert page.locator(".strength").count() == 0
    expect(page.get_by_role("button", name="Show password")).to_have_count(0)
    page.get_by_label("Choose a password").fill("password1234")
    page.get_by_role("button", name="Open the account").click()
    expect(page.locator(".wrong")).to_contain_text("most common")
    page.get_by_label("Choose a password").fill(PASSWORD)
    page.get_by_role("button", name="Open the account").click()
    expect(page.get_by_role("heading", name="Documents", exact=True)).to_be_visible()


def test_who_types_fast_asks_seldom_and_the_last_answer_stays(visit: Open) -> None:
    page = visit(ALICE).go("/account")
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if r.url.endswith("/strength") else None)
    page.get_by_label("New password").press_sequentially(NEW, delay=20)
    expect(strength(page)).to_have_text("Strength: strong.")
    assert 1 <= len(asked) <= 4
    page.get_by_label("New password").press("Backspace")
    expect(strength(page)).to_have_text(re.compile("^Strength: "))


def test_portal_that_cannot_be_asked_keeps_nobody_from_choosing(visit: Open) -> None:
    page = visit(ALICE).go("/account")
    page.route("**/account/password/strength", lambda route: route.fulfill(body="an error page"))
    page.get_by_label("New password").fill(NEW)
    page.wait_for_timeout(800)
    expect(strength(page)).to_be_hidden()
