"""The head of the list and the menus of its rows where there is little room."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, expect

from browser.chromium import PHONE, Visit
from browser.conftest import Open
from browser.pages import row
from browser.test_accessibility import EVERYTHING, _violations
from live.client import Bytes
from live.running import LivePortal

ALICE = "alice@example.org"


@pytest.fixture(scope="module")
def portal(five_documents: LivePortal) -> LivePortal:
    five_documents.client(ALICE).post_json("/folders", {"name": "Taxes"})
    return five_documents


def _more(page: Page) -> None:
    page.get_by_role("button", name="More for this list").click()


def test_phone_has_one_primary_button_and_one_menu(visit: Open) -> None:
    page = visit(ALICE, viewport=PHONE).go("/documents")
    shown = page.locator(".page-head :is(.btn, summary):visible")
    assert [each.strip() for each in shown.all_inner_texts()] == ["", "Upload"]
    first = page.locator("tbody tr").first.bounding_box()
    assert first
    assert first["y"] < 320
    _more(page)
    expect(page.get_by_role("link", name="Grid")).to_be_in_viewport()
    page.locator("summary", has_text="New folder").click()
    page.get_by_label("Name of the folder").fill("From the phone")
    page.get_by_role("button", name="Make the folder").click()
    expect(page.get_by_role("link", name="From the phone")).to_be_visible()


def test_menu_is_worked_by_keyboard_and_left_with_escape(visit: Open) -> None:
    page = visit(ALICE, viewport=PHONE).go("/documents")
    opener = page.get_by_role("button", name="More for this list")
    opener.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("summary", has_text="New folder")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Grid")).to_have_count(0)
    expect(opener).to_be_focused()


def test_nothing_of_it_needs_a_script(visit: Open) -> None:
    page = visit(ALICE, viewport=PHONE, java_script_enabled=False).go("/documents")
    _more(page)
    page.get_by_role("link", name="Grid").click()
    expect(page).to_have_url(re.compile("view=grid"))
    page.goto("/documents")
    _more(page)
    page.locator("summary", has_text="New folder").click()
    page.get_by_label("Name of the folder").fill("Without a script")
    page.get_by_role("button", name="Make the folder").click()
    expect(page.get_by_role("link", name="Without a script")).to_be_visible()
    page.get_by_label("More for two.txt").click()
    page.get_by_role("link", name="Move", exact=True).click()
    expect(page.get_by_role("heading", name="Move “two.txt”")).to_be_visible()


@pytest.mark.parametrize("width", [390, 768, 1024, 1099])
def test_documents_are_moved_shared_and_deleted_from_the_menu_of_their_row(
    visit: Open, portal: LivePortal, width: int
) -> None:
    name = f"at {width}.txt"
    portal.client(ALICE).upload_one(name, Bytes(b"words"))
    page = visit(ALICE, viewport={"width": width, "height": 844}).go("/documents")
    page.get_by_label(f"More for {name}").click()
    page.get_by_role("link", name="Share", exact=True).click()
    expect(page).to_have_url(re.compile("#share$"))
    page.go_back()
    page.get_by_label(f"More for {name}").click()
    page.get_by_role("link", name="Move", exact=True).click()
    expect(page.get_by_role("heading", name=f"Move “{name}”")).to_be_visible()
    page.go_back()
    page.get_by_label(f"More for {name}").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text(f"“{name}” is in the trash.")).to_be_visible()


def test_wide_rows_have_their_buttons_side_by_side(visit: Open) -> None:
    page = visit(ALICE).go("/documents")
    row(page, "two.txt").hover()
    expect(page.get_by_label("More for two.txt")).to_be_hidden()
    for name in ("Share", "Download", "Move"):
        expect(page.get_by_role("link", name=f"{name} two.txt")).to_be_visible()
    expect(page.get_by_role("button", name="Delete two.txt")).to_be_visible()


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1440, "height": 900}])
def test_tiles_have_a_menu_too(visit: Open, viewport: dict[str, int]) -> None:
    page = visit(ALICE, viewport=viewport).go("/documents?view=grid")
    page.get_by_label("More for three.txt").click()
    page.get_by_role("link", name="Move", exact=True).click()
    expect(page.get_by_role("heading", name="Move “three.txt”")).to_be_visible()


def test_last_menu_of_the_list_can_be_seen_whole(visit: Open) -> None:
    page = visit(ALICE, viewport=PHONE).go("/documents")
    page.locator("tbody tr").last.get_by_label("More for").click()
    last = page.locator(".row-menu[open] .menu-item").last
    last.scroll_into_view_if_needed()
    box, bar = last.bounding_box(), page.locator(".footbar").bounding_box()
    assert box
    assert bar
    assert box["y"] + box["height"] <= bar["y"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_sheet_and_the_menu(
    chromium: Browser, portal: LivePortal, scheme: str
) -> None:
    visit = Visit(chromium, portal, bypass_csp=True, viewport=PHONE).be(portal.client(ALICE))
    page = visit.page
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page.goto("/documents")
    page.evaluate(AXE_SCRIPT)
    _more(page)
    page.locator("summary", has_text="New folder").click()
    wrong = _violations(page, EVERYTHING)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.get_by_label("More for two.txt").click()
    wrong += _violations(page, EVERYTHING)
    page.set_viewport_size({"width": 768, "height": 844})
    wrong += _violations(page, EVERYTHING)
    visit.close()
    assert wrong == []
