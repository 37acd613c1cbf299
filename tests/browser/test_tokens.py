"""A token, made and ended by a person in a browser, and used by a program in between."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from browser.chromium import PHONE, Visit
from live.running import LivePortal

Open = Callable[..., Visit]


def test_token_is_made_copied_used_and_ended(portal: LivePortal, visit: Open) -> None:
    portal.create_user("tina@example.org")
    tina = visit("tina@example.org", viewport=PHONE)
    tina.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = tina.go("/account")
    page.get_by_role("navigation", name="Account").get_by_role("link", name="Tokens").click()
    page.locator("summary", has_text="Make a token").click()
    page.get_by_label("Name", exact=True).fill("Backup at home")
    page.get_by_label("A script or program").check()
    expect(page.get_by_label("See and download documents")).to_be_checked()
    page.get_by_role("button", name="Make it").click()

    shown = page.get_by_label("Token", exact=True)
    token = shown.input_value()
    assert token.startswith("dp_")
    page.get_by_role("button", name="Copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == token

    bearer = f"Bearer {token}"
    assert portal.visitor().get("/documents", authorization=bearer).status == 200
    page.reload()
    expect(shown).to_have_count(0)
    expect(page.get_by_text("· used")).to_be_visible()

    page.get_by_role("button", name="End Backup at home").click()
    expect(page.get_by_text("stopped working.")).to_be_visible()
    assert portal.visitor().get("/documents", authorization=bearer).status == 401
