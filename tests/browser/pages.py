"""What people do on the pages of the portal, for every story in which they do it."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from live.running import PASSWORD
from two_factor import App


def fill_sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    page.goto("/login")
    fill_sign_in(page, email, password)


def enter_code(page: Page, code: str) -> None:
    """The second step of signing in."""
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page: Page) -> None:
    page.get_by_label("Your account, ").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/login$"))


def is_in(page: Page) -> None:
    """Wait for the list of documents, where signing in leads."""
    expect(page).to_have_url(re.compile("/documents$"))
    expect(page.get_by_role("heading", name="Documents", exact=True)).to_be_visible()


def app_on_page(page: Page) -> App:
    """The authenticator app for the key that the page shows."""
    page.goto("/account/two-factor")
    return App(page.get_by_label("Key", exact=True).input_value())


def turn_on(page: Page, code: str) -> None:
    page.get_by_label("Code from the app").fill(code)
    page.get_by_role("button", name="Turn on").click()


def recovery_codes(page: Page) -> list[str]:
    """The ten codes, once the page shows them."""
    codes = page.locator("#recovery-codes li")
    expect(codes).to_have_count(10)
    return codes.all_inner_texts()


def add_passkey(page: Page, name: str) -> None:
    page.goto("/account/passkeys")
    page.get_by_label("Name (optional)").fill(name)
    page.get_by_role("button", name="Add a passkey").click()


def strength(page: Page) -> Locator:
    """What is said of the password being chosen."""
    return page.locator(".strength-words")


def choose(page: Page, *paths: Path) -> None:
    """Choose files through the button."""
    with page.expect_file_chooser() as chooser:
        page.get_by_text("Upload", exact=True).first.click()
    chooser.value.set_files([str(path) for path in paths])


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has_text=name)


def tab_to(page: Page, what: str) -> None:
    """Press Tab until the focus is on what a screen reader calls `what`."""
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            """() => {
                const at = document.activeElement;
                const label = at.labels?.[0]?.textContent;
                return (at.getAttribute("aria-label") || label || at.textContent || "").trim();
            }"""
        )
        if focused == what:
            return
    raise AssertionError(f"the keyboard does not reach {what}")
