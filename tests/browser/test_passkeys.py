"""Two-factor sign-in and passkeys in a real browser, with a security key that Chromium plays."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from browser.chromium import DESKTOP, PHONE, Visit
from browser.device import AtLocalhost, Device
from browser.pages import (
    add_passkey,
    app_on_page,
    enter_code,
    recovery_codes,
    sign_in,
    sign_out,
    turn_on,
)
from live.fixtures import live_portal
from live.running import PASSWORD, LivePortal

Open = Callable[..., Visit]
ALICE = "alice@example.org"


@pytest.fixture
def fresh(own_database: str) -> Iterator[LivePortal]:
    """A portal in which nobody has a second factor yet."""
    with live_portal(own_database) as portal:
        portal.create_user(ALICE)
        portal.start()
        yield portal


def test_from_a_password_to_a_sign_in_without_one(visit: Open, fresh: LivePortal) -> None:
    alice = visit(at=AtLocalhost(fresh))
    page, device = alice.page, Device(alice)
    sign_in(page, ALICE)
    expect(page).to_have_url(re.compile("/documents$"))

    # The authenticator app
    app = app_on_page(page)
    turn_on(page, "000000")
    expect(page.get_by_text("This code is not right")).to_be_visible()
    turn_on(page, app.code())
    code, *_ = recovery_codes(page)

    # A passkey
    add_passkey(page, "Laptop")
    expect(page.get_by_text("The passkey was added.")).to_be_visible()
    expect(page.get_by_text("Laptop", exact=True)).to_be_visible()
    (made,) = device.passkeys()
    assert made["isResidentCredential"]
    assert made["rpId"] == "localhost"
    add_passkey(page, "The same once more")
    expect(page.get_by_text("has a passkey for your account already")).to_be_visible()

    # In without a password
    sign_out(page)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page).to_have_url(re.compile("/documents$"))
    assert device.passkeys()[0]["signCount"] > made["signCount"]

    # A password takes a second proof now
    sign_out(page)
    sign_in(page, ALICE)
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page).to_have_url(re.compile("/documents$"))
    sign_out(page)
    sign_in(page, ALICE)
    enter_code(page, code)
    expect(page).to_have_url(re.compile("/documents$"))
    page.goto("/account/two-factor")
    expect(page.get_by_text("9 of 10 left")).to_be_visible()

    # Out everywhere
    elsewhere = visit(at=AtLocalhost(fresh))
    elsewhere.context.add_cookies(alice.context.cookies())
    elsewhere.go("/documents")
    assert elsewhere.path == "/documents"
    page.goto("/account")
    new = "five loud rivers bend"
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("New password").fill(new)
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_text("Every other device was signed out")).to_be_visible()
    sign_out(page)
    elsewhere.go("/documents")
    assert elsewhere.path == "/login"


def test_passkey_alone_is_set_up_renamed_and_removed(visit: Open, fresh: LivePortal) -> None:
    alice = visit(at=AtLocalhost(fresh))
    page, device = alice.page, Device(alice)
    sign_in(page, ALICE)
    page.goto("/account/passkeys")
    page.get_by_label("Name (optional)").fill("Lapttop")
    page.get_by_label("Name (optional)").press("Enter")
    assert len(recovery_codes(page)) == 10
    assert len(device.passkeys()) == 1
    page.goto("/account/passkeys")
    page.get_by_label("Rename Lapttop").click()
    page.get_by_label("Name", exact=True).fill("Laptop")
    page.get_by_role("button", name="Save the name").click()
    expect(page.get_by_label("Rename Laptop")).to_be_visible()
    page.get_by_label("Remove Laptop").click()
    page.get_by_role("button", name="Remove the passkey").click()
    expect(page.get_by_text("The passkey was removed")).to_be_visible()
    sign_out(page)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_text("This passkey did not work here")).to_be_visible()


def test_device_that_does_not_know_its_owner_opens_nothing(visit: Open, fresh: LivePortal) -> None:
    alice = visit(at=AtLocalhost(fresh))
    page, device = alice.page, Device(alice)
    sign_in(page, ALICE)
    add_passkey(page, "Laptop")
    assert len(recovery_codes(page)) == 10
    sign_out(page)
    device.know_the_owner(False)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_text("No passkey was used")).to_be_visible()
    assert alice.path == "/login"
    device.know_the_owner(True)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page).to_have_url(re.compile("/documents$"))


def test_browser_without_passkeys_says_so_and_the_rest_works(
    visit: Open, fresh: LivePortal
) -> None:
    alice = visit(at=AtLocalhost(fresh))
    alice.context.add_init_script("delete globalThis.PublicKeyCredential")
    page = alice.go("/login")
    expect(page.get_by_text("This browser cannot use passkeys")).to_be_visible()
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_hidden()
    sign_in(page, ALICE)
    expect(page).to_have_url(re.compile("/documents$"))


def test_two_factor_is_turned_on_without_scripts(visit: Open, fresh: LivePortal) -> None:
    alice = visit(at=AtLocalhost(fresh), java_script_enabled=False)
    page = alice.page
    sign_in(page, ALICE)
    turn_on(page, app_on_page(page).code())
    assert len(recovery_codes(page)) == 10
    expect(page.get_by_role("button", name="Copy all")).to_be_hidden()


def test_axe_finds_nothing_where_passkeys_work(visit: Open, fresh: LivePortal) -> None:
    alice = visit(at=AtLocalhost(fresh), bypass_csp=True)
    page, _ = alice.page, Device(alice)
    page.goto("/login")
    wrong = looked_at(page)
    sign_in(page, ALICE)
    add_passkey(page, "Laptop")
    page.locator("#recovery-codes").wait_for()
    for path in ("/account/passkeys", "/account/prove"):
        page.goto(path)
        page.locator("[data-passkey]:visible").first.wait_for()
        wrong += looked_at(page)
    assert wrong == []


def looked_at(page: Page) -> list[str]:
    """What axe finds, wide and narrow, and whether anything stands out of the window."""
    page.evaluate(AXE_SCRIPT)
    wrong = []
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        answer = page.evaluate("axe.run({resultTypes: ['violations']})")
        wrong += [f"{page.url}: {each['id']}" for each in answer["violations"]]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wrong.append(f"{page.url} is wider than the window")
    return wrong
