"""The details pane beside the list: what it shows, when it asks, and how it is left."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from browser.chromium import PHONE
from browser.conftest import Open
from browser.pages import row
from live.client import Bytes
from live.real_files import png
from live.running import LivePortal

ALICE = "alice@example.org"
SORTED = "/documents?sort=uploaded&order=desc"


@pytest.fixture(scope="module")
def portal(five_documents: LivePortal) -> LivePortal:
    alice = five_documents.client(ALICE)
    shared = alice.upload_one("Passport.png", Bytes(png(64, 40)))["url"]
    alice.upload([("again.png", Bytes(png(80, 40)))], f"{shared}/versions")
    alice.post_json(f"{shared}/share-links", {"expires_in_days": "7"})
    alice.post_json("/folders", {"name": "Taxes"})
    return five_documents


@pytest.fixture
def page(visit: Open) -> Page:
    made = visit(ALICE)
    made.expected = re.compile(r"net::ERR_(INTERNET_DISCONNECTED|FAILED)")
    page = made.page
    page.goto(SORTED)
    return page


def pane(page: Page) -> Locator:
    return page.get_by_role("complementary", name="Details")


def opener(page: Page) -> Locator:
    return page.get_by_role("button", name="Details", exact=True)


def fact(page: Page, term: str) -> Locator:
    return pane(page).locator("dl > div", has=page.get_by_text(term, exact=True)).locator("dd")


def click_into(page: Page, name: str) -> None:
    row(page, name).locator("td").nth(2).click()


def test_what_is_known_of_a_row_is_shown_beside_the_list(page: Page) -> None:
    opener(page).click()
    expect(opener(page)).to_have_attribute("aria-expanded", "true")
    expect(pane(page)).to_contain_text("Click into a row")
    click_into(page, "Passport.png")
    expect(pane(page).get_by_text("Passport.png")).to_be_visible()
    expect(fact(page, "Kind")).to_have_text("Image")
    expect(fact(page, "Added by")).to_have_text("Alice Archer")
    expect(fact(page, "Versions")).to_have_text("2 versions")
    expect(fact(page, "Shared by")).to_have_text("1 live link")
    expect(fact(page, "Verified")).to_have_text(re.compile(r"Not yet|\d\d:\d\d"))
    expect(fact(page, "SHA-256")).to_have_text(re.compile("^[0-9a-f]{8}…[0-9a-f]{8}$"))
    expect(pane(page).locator("img")).to_have_attribute("src", re.compile("size=large"))
    click_into(page, "one.txt")
    expect(fact(page, "Size")).to_have_text("700 bytes")
    expect(fact(page, "Shared by")).to_have_text("No link")
    page.get_by_role("row", name="Taxes").locator("td").nth(2).click()
    expect(fact(page, "Holds")).to_have_text("0 documents")


def test_its_actions_lead_where_they_say(page: Page) -> None:
    opener(page).click()
    click_into(page, "two.txt")
    with page.expect_download() as begun:
        pane(page).get_by_role("link", name="Download").click()
    assert begun.value.suggested_filename == "two.txt"
    pane(page).get_by_role("link", name="Move").click()
    expect(page.get_by_role("heading", name="Move “two.txt”")).to_be_visible()
    page.go_back()
    click_into(page, "two.txt")
    pane(page).get_by_role("link", name="Share").click()
    expect(page).to_have_url(re.compile("#share$"))


def test_several_are_counted_together(page: Page) -> None:
    opener(page).click()
    for name in ("one.txt", "two.txt"):
        page.get_by_role("checkbox", name=f"Select {name}").check()
    expect(pane(page)).to_contain_text("2 documents")
    expect(fact(page, "Size together")).to_have_text("1.4 kB")
    page.get_by_role("checkbox", name="Select the folder Taxes").check()
    expect(pane(page)).to_contain_text("2 documents and 1 folder")
    page.get_by_role("checkbox", name="Select the folder Taxes").uncheck()
    page.get_by_role("checkbox", name="Select one.txt").uncheck()
    page.get_by_role("checkbox", name="Select two.txt").focus()
    expect(pane(page).locator(".details-name")).to_have_text("two.txt")


def test_it_is_worked_by_keyboard_and_takes_nobodys_focus(page: Page) -> None:
    page.keyboard.press("j")
    page.keyboard.press("j")
    here = page.get_by_role("checkbox", name="Select Passport.png")
    expect(here).to_be_focused()
    page.keyboard.press("i")
    expect(fact(page, "Kind")).to_have_text("Image")
    expect(here).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(pane(page).locator(".details-name")).to_have_text("five.txt")
    page.keyboard.press("x")
    page.keyboard.press("Escape")  # first what is selected, then the pane
    expect(pane(page)).to_be_visible()
    page.keyboard.press("Shift+I")
    expect(pane(page).get_by_role("heading", name="Details")).to_be_focused()
    page.keyboard.press("Tab")
    expect(pane(page).get_by_role("button", name="Close the details")).to_be_focused()
    page.keyboard.press("Escape")
    expect(pane(page)).to_have_count(0)
    expect(page.get_by_role("checkbox", name="Select five.txt")).to_be_focused()
    page.keyboard.press("i")
    expect(pane(page)).to_be_visible()
    page.keyboard.press("i")
    expect(pane(page)).to_have_count(0)


def test_shortcuts_name_its_key(page: Page) -> None:
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Show or hide the details")


def test_it_stays_open_on_the_next_page_and_closed_after_that(page: Page) -> None:
    opener(page).click()
    page.goto("/documents?view=grid")
    expect(pane(page)).to_contain_text("Click into a row")
    page.get_by_role("link", name="one.txt").focus()
    expect(fact(page, "Added by")).to_have_text("Alice Archer")
    pane(page).get_by_role("button", name="Close the details").click()
    expect(opener(page)).to_be_focused()
    page.reload()
    expect(opener(page)).to_have_attribute("aria-expanded", "false")
    expect(pane(page)).to_have_count(0)


def test_who_passes_rows_quickly_asks_only_for_the_last(page: Page) -> None:
    asked: list[str] = []

    def count(route: Route) -> None:
        asked.append(route.request.url)
        route.continue_()

    opener(page).click()
    page.route(re.compile("/documents/[0-9a-f-]{36}$"), count)
    page.get_by_role("checkbox", name="Select Passport.png").focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    expect(pane(page).locator(".details-name")).to_have_text("three.txt")
    expect(fact(page, "Added by")).to_be_visible()
    url = page.get_by_role("link", name="three.txt", exact=True).get_attribute("href")
    assert [each.removeprefix(page.url.partition("/documents")[0]) for each in asked] == [url]


def test_an_answer_that_comes_late_is_not_put_under_another_name(page: Page) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    opener(page).click()
    url = page.get_by_role("link", name="Passport.png", exact=True).get_attribute("href")
    page.route(f"**{url}", hold)
    click_into(page, "Passport.png")
    page.wait_for_timeout(400)
    assert held
    click_into(page, "one.txt")
    expect(fact(page, "Size")).to_have_text("700 bytes")
    expect(fact(page, "Versions")).to_have_text("1 version")
    held[0].abort()
    page.wait_for_timeout(200)
    expect(pane(page)).not_to_contain_text("could not be reached")


def test_what_goes_wrong_is_said_calmly(visit: Open, portal: LivePortal) -> None:
    alice = portal.client(ALICE)
    url = alice.upload_one("short-lived.txt", Bytes(b"words"))["url"]
    made = visit(ALICE)
    made.expected = re.compile(r"net::ERR_INTERNET_DISCONNECTED")
    page = made.go(SORTED)
    opener(page).click()
    alice.post_json(f"{url}/delete")
    click_into(page, "short-lived.txt")
    expect(pane(page)).to_contain_text("It is not here any more")
    expect(pane(page).get_by_role("link", name="Download")).to_have_count(0)
    page.context.set_offline(True)
    click_into(page, "two.txt")
    expect(pane(page)).to_contain_text("could not be reached")
    page.context.set_offline(False)
    pane(page).get_by_role("button", name="Try again").click()
    expect(fact(page, "Added by")).to_have_text("Alice Archer")
    expect(pane(page)).not_to_contain_text("could not be reached")
    made.complaints[:] = [each for each in made.complaints if not each.startswith("404")]


@pytest.mark.parametrize("width", [1100, 1279, 1280, 1440, 1759, 1760, 1920])
def test_rows_keep_their_height_beside_it(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    before = page.locator("tbody tr").first.evaluate("row => row.offsetHeight")
    opener(page).click()
    heights = page.locator("tbody tr").evaluate_all("rows => rows.map(row => row.offsetHeight)")
    assert set(heights) == {before}
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    name = page.get_by_role("link", name="Passport.png", exact=True)
    assert name.evaluate("each => each.scrollWidth <= each.clientWidth")


def test_narrow_windows_have_none(page: Page, visit: Open) -> None:
    opener(page).click()
    expect(pane(page)).to_be_visible()
    page.set_viewport_size({"width": 1024, "height": 800})
    expect(pane(page)).to_have_count(0)
    expect(opener(page)).to_have_count(0)
    page.keyboard.press("i")
    expect(pane(page)).to_have_count(0)
    phone = visit(ALICE, viewport=PHONE, has_touch=True, is_mobile=True).page
    phone.goto(SORTED)
    phone.get_by_role("button", name="More for this list").tap()
    expect(opener(phone)).to_have_count(0)
