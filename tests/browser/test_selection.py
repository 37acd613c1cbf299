"""Several documents of the list at once: by pointer, by keyboard, by finger, without scripts."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from browser.chromium import PHONE
from browser.conftest import FIVE, Open
from browser.pages import tab_to
from live.running import LivePortal

ALICE = "alice@example.org"
SORTED = "/documents?sort=uploaded&order=desc"


@pytest.fixture(scope="module")
def portal(five_documents: LivePortal) -> LivePortal:
    return five_documents


@pytest.fixture
def page(visit: Open) -> Page:
    page = visit(ALICE).page
    page.goto(SORTED)
    return page


def tick(page: Page, name: str) -> Locator:
    return page.get_by_role("checkbox", name=f"Select {name}")


def selected(page: Page) -> list[str]:
    return [name for name in FIVE if tick(page, name).is_checked()]


def bar(page: Page) -> Locator:
    return page.locator("[data-selection]")


def listed(page: Page) -> list[str]:
    return page.locator("tbody .item-name").all_inner_texts()


def undo(page: Page) -> None:
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("tbody .tick")).to_have_count(len(FIVE))


# By pointer


def test_bar_says_how_many_and_how_large(page: Page) -> None:
    expect(bar(page)).to_be_hidden()
    tick(page, "two.txt").check()
    expect(bar(page)).to_contain_text("1 document, 700 bytes")
    tick(page, "three.txt").check()
    expect(bar(page)).to_contain_text("2 documents, 1.6 kB")
    expect(
        page.get_by_role("status").filter(has_text="2 documents, 1.6 kB selected")
    ).to_have_count(1)
    page.get_by_role("button", name="Clear the selection").click()
    expect(bar(page)).to_be_hidden()
    assert selected(page) == []
    expect(tick(page, "three.txt")).to_be_focused()


def test_shift_selects_a_range_that_follows_the_pointer(page: Page) -> None:
    tick(page, "four.txt").click()
    tick(page, "one.txt").click(modifiers=["Shift"])
    assert selected(page) == ["four.txt", "three.txt", "two.txt", "one.txt"]
    tick(page, "three.txt").click(modifiers=["Shift"])
    assert selected(page) == ["four.txt", "three.txt"]
    tick(page, "five.txt").click(modifiers=["Shift"])
    assert selected(page) == ["five.txt", "four.txt"]


def test_rows_are_selected_beside_their_links(page: Page) -> None:
    row = page.get_by_role("row").filter(has_text="three.txt")
    place = row.locator("td").nth(2)
    place.click()
    assert selected(page) == []
    place.click(modifiers=["Control"])
    assert selected(page) == ["three.txt"]
    page.get_by_role("row").filter(has_text="one.txt").locator("td").nth(2).click(
        modifiers=["Shift"]
    )
    assert selected(page) == ["three.txt", "two.txt", "one.txt"]
    assert page.evaluate("getSelection().toString()") == ""
    place.click(modifiers=["Control"])
    assert selected(page) == ["two.txt", "one.txt"]


def test_tick_in_the_head_selects_all(page: Page) -> None:
    every = page.get_by_role("checkbox", name="Select all on this page")
    every.check()
    assert selected(page) == FIVE
    tick(page, "two.txt").uncheck()
    assert every.evaluate("each => each.indeterminate")
    every.click()
    every.uncheck()
    assert selected(page) == []


def test_zip_holds_what_was_selected(page: Page, tmp_path: Path) -> None:
    for name in ("five.txt", "two.txt"):
        tick(page, name).check()
    with page.expect_download() as begun:
        page.get_by_role("button", name="Download as a ZIP").click()
    path = tmp_path / begun.value.suggested_filename
    begun.value.save_as(path)
    assert re.fullmatch(r"Documents \d{4}-\d\d-\d\d\.zip", path.name)
    with zipfile.ZipFile(path) as found:
        assert {name: found.read(name) for name in found.namelist()} == {
            "five.txt": b"five.txt" * 100,
            "two.txt": b"two.txt" * 100,
        }
    assert selected(page) == ["five.txt", "two.txt"]


def test_deleted_ones_come_back_with_one_click(page: Page) -> None:
    for name in ("four.txt", "two.txt"):
        tick(page, name).check()
    bar(page).get_by_role("button", name="Delete").click()
    expect(page.get_by_text("2 documents are in the trash.")).to_be_visible()
    assert listed(page) == ["five.txt", "three.txt", "one.txt"]
    assert "sort=uploaded" in page.url
    undo(page)
    expect(page.get_by_text("2 documents are back in your documents.")).to_be_visible()
    assert sorted(listed(page)) == sorted(FIVE)


def test_each_selected_document_gets_a_link(page: Page, visit: Open) -> None:
    for name in ("five.txt", "one.txt"):
        tick(page, name).check()
    bar(page).get_by_role("button", name="Share").click()
    expect(page.get_by_role("heading", name="Share 2 documents")).to_be_visible()
    page.get_by_role("button", name="Make the links").click()
    expect(page.get_by_role("heading", name="The links are ready")).to_be_visible()
    address = page.get_by_label("one.txt").input_value()
    stranger = visit().page
    stranger.goto(address)
    expect(stranger.get_by_text("one.txt")).to_be_visible()


# By keyboard


def test_list_is_worked_by_keyboard_alone(page: Page) -> None:
    page.keyboard.press("j")
    expect(tick(page, "five.txt")).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("x")
    assert selected(page) == ["four.txt"]
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Shift+ArrowDown")
    assert selected(page) == ["four.txt", "three.txt", "two.txt"]
    page.keyboard.press("Shift+ArrowUp")
    assert selected(page) == ["four.txt", "three.txt"]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert selected(page) == ["four.txt", "three.txt", "two.txt"]
    page.keyboard.press("k")
    expect(tick(page, "three.txt")).to_be_focused()
    page.keyboard.press("Control+a")
    assert selected(page) == FIVE
    page.keyboard.press("Escape")
    assert selected(page) == []
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="three.txt")).to_be_visible()


def test_delete_key_deletes_and_undo_brings_back(page: Page) -> None:
    page.keyboard.press("j")
    page.keyboard.press("Delete")
    expect(page.get_by_text("“five.txt” is in the trash.")).to_be_visible()
    undo(page)
    page.goto(SORTED)
    page.keyboard.press("Delete")
    assert listed(page) == FIVE


def test_keys_search_upload_and_explain(page: Page) -> None:
    with page.expect_file_chooser():
        page.keyboard.press("u")
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(sheet).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    assert page.evaluate("document.activeElement.matches('.tick')") is False
    page.keyboard.press("/")
    page.keyboard.type("xju?/")
    expect(page.get_by_role("searchbox").first).to_have_value("xju?/")
    page.keyboard.press("Delete")
    assert selected(page) == []
    expect(sheet).to_be_hidden()


def test_single_letters_can_be_switched_off(page: Page) -> None:
    page.get_by_role("button", name="Keyboard shortcuts").click()
    page.get_by_label("Single letters do something").uncheck()
    page.get_by_role("button", name="Close").click()
    page.reload()
    page.keyboard.press("j")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    tab_to(page, "Select five.txt")
    page.keyboard.press("x")
    assert selected(page) == []
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert selected(page) == ["four.txt"]


def test_selection_stays_when_an_upload_renews_the_list(page: Page, tmp_path: Path) -> None:
    tick(page, "two.txt").check()
    path = tmp_path / "new.txt"
    path.write_text("new")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("u")
    chooser.value.set_files(str(path))
    expect(tick(page, "new.txt")).to_be_visible()
    expect(tick(page, "two.txt")).to_be_checked()
    expect(bar(page)).to_contain_text("1 document, 700 bytes")
    tick(page, "two.txt").uncheck()
    tick(page, "new.txt").check()
    bar(page).get_by_role("button", name="Delete").click()
    expect(page.get_by_text("“new.txt” is in the trash.")).to_be_visible()


# By finger, and without scripts


def test_fingers_select_too(visit: Open) -> None:
    page = visit(ALICE, viewport=PHONE, has_touch=True, is_mobile=True).page
    page.goto(SORTED)
    box = page.locator("tbody .tick-box").first.bounding_box()
    assert box
    assert box["width"] >= 24
    assert box["height"] >= 40
    page.locator("tbody .tick-box").first.tap()
    page.locator("tbody .tick-box").nth(2).tap()
    assert selected(page) == ["five.txt", "three.txt"]
    expect(bar(page)).to_be_in_viewport()
    for name in ("Download as a ZIP", "Share", "Delete"):
        button = bar(page).get_by_role("button", name=name)
        expect(button).to_be_in_viewport()
        size = button.bounding_box()
        assert size
        assert size["height"] >= 44
    bar(page).get_by_role("button", name="All").tap()
    assert selected(page) == FIVE
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_it_works_without_scripts(visit: Open, tmp_path: Path) -> None:
    page = visit(ALICE, java_script_enabled=False).page
    page.goto(SORTED)
    tick(page, "five.txt").check()
    tick(page, "one.txt").check()
    with page.expect_download() as begun:
        page.get_by_role("button", name="Download as a ZIP").click()
    path = tmp_path / "a.zip"
    begun.value.save_as(path)
    with zipfile.ZipFile(path) as found:
        assert found.namelist() == ["five.txt", "one.txt"]
    bar(page).get_by_role("button", name="Delete").click()
    expect(page.get_by_text("2 documents are in the trash.")).to_be_visible()
    undo(page)
