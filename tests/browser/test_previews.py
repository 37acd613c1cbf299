"""Previews in a browser: pictures that appear by themselves, pages that turn, and tiles."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Browser, Page, expect

from browser.chromium import Visit
from browser.conftest import Open
from browser.places import Place
from browser.test_accessibility import _look
from live.client import Bytes, Client
from live.real_files import pdf, png
from live.running import LivePortal

ALICE = "alice@example.org"


@pytest.fixture(scope="module")
def documents(portal: LivePortal) -> dict[str, str]:
    """Alice's documents by their kind, drawn."""
    alice = portal.client(ALICE)
    urls = {
        key: alice.upload_one(name, Bytes(data))["url"]
        for key, (name, data) in {
            "pdf": ("Deed of the house.pdf", pdf("The deed of the house", 3)),
            "image": ("Front door.png", png(640, 400)),
            "text": ("notes.py", b"def call():\n    return 'the <b>notary</b>'\n" * 30),
            "broken": ("Broken.pdf", b"%PDF-1.7\nnothing\n%%EOF\n"),
        }.items()
    }
    for url in urls.values():
        _await(alice, url)
    return urls


def _await(alice: Client, url: str) -> str:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        state: str = alice.get(f"{url}/preview", accept="application/json").json()["state"]
        if state != "pending":
            return state
        time.sleep(0.3)
    raise AssertionError("it is not drawn")


def _is_drawn(page: Page, selector: str) -> None:
    """The picture is there, whole, and is no icon."""
    image = page.locator(selector).first
    image.scroll_into_view_if_needed()
    page.wait_for_function(
        "image => image.complete && image.naturalWidth > 0", arg=image.element_handle()
    )


def test_picture_appears_by_itself(visit: Open, portal: LivePortal) -> None:
    made = visit(ALICE)
    url = portal.client(ALICE).upload_one("Late.pdf", Bytes(pdf("Late", 2)))["url"]
    made.page.goto(url)
    _is_drawn(made.page, ".preview-sheet img")
    expect(made.page.get_by_text("Page 1 of 2")).to_be_visible()
    expect(made.page.locator("[data-preview]")).to_have_attribute("data-preview", "made")


def test_pages_turn_by_link_and_by_arrow_key(visit: Open, documents: dict[str, str]) -> None:
    page = visit(ALICE).page
    page.goto(documents["pdf"])
    page.get_by_role("link", name="Open the preview, page 1 of 3").click()
    expect(page.get_by_role("img", name="Page 1 of Deed of the house.pdf")).to_be_visible()
    page.get_by_role("link", name="Next").first.click()
    expect(page.get_by_role("img", name="Page 2 of")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("img", name="Page 3 of")).to_be_visible()
    _is_drawn(page, ".preview-sheet img")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("img", name="Page 2 of")).to_be_visible()
    page.locator("#search-top").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(300)
    expect(page.get_by_role("img", name="Page 2 of")).to_be_visible()


def test_without_scripts_the_picture_is_there_after_a_reload(
    visit: Open, documents: dict[str, str]
) -> None:
    page = visit(ALICE, java_script_enabled=False).page
    page.goto(f"{documents['pdf']}/preview?page=2")
    expect(page.get_by_role("img", name="Page 2 of")).to_be_visible()
    page.get_by_role("link", name="Next").first.click()
    expect(page.get_by_role("img", name="Page 3 of")).to_be_visible()


def test_text_has_numbered_lines(visit: Open, documents: dict[str, str]) -> None:
    page = visit(ALICE).page
    page.goto(f"{documents['text']}/preview")
    expect(page.locator("ol.source > li")).to_have_count(60)
    expect(page.locator("ol.source > li").nth(1)).to_have_text("    return 'the <b>notary</b>'")


def test_list_shows_pictures_and_becomes_a_grid(visit: Open, documents: dict[str, str]) -> None:
    page = visit(ALICE).page
    page.goto("/documents")
    _is_drawn(page, "img.thumb")
    page.get_by_role("link", name="Grid").click()
    page.wait_for_url("**/documents?*view=grid*")
    _is_drawn(page, ".tile img")
    page.get_by_role("group", name="Sort by").get_by_role("link", name="Name").click()
    page.wait_for_url("**view=grid*")
    expect(page.locator(".tile").first).to_contain_text("Broken.pdf")
    page.get_by_role("link", name="Table").click()
    expect(page.locator("table.list")).to_be_visible()


def test_axe_finds_nothing(
    chromium: Browser, portal: LivePortal, documents: dict[str, str]
) -> None:
    visit = Visit(chromium, portal, bypass_csp=True).be(portal.client(ALICE))
    paths = {
        "grid": "/documents?view=grid",
        "list": "/documents",
        "document": documents["pdf"],
        "image": documents["image"],
        "broken": documents["broken"],
        "page": f"{documents['pdf']}/preview?page=2",
        "text": f"{documents['text']}/preview",
        "none": f"{documents['broken']}/preview",
    }
    wrong = {name: _look(visit, Place(name, ALICE, path)) for name, path in paths.items()}
    visit.close()
    assert {name: found for name, found in wrong.items() if found} == {}
