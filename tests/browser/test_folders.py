"""Folders in the browser: made, moved with the mouse and with the keyboard, and taken back."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from browser.chromium import Visit
from browser.pages import row, tab_to
from live.client import Bytes
from live.running import LivePortal

Open = Callable[..., Visit]
ALICE = "alice@example.org"


def make(page: Page, name: str) -> None:
    page.locator("summary", has_text="New folder").click()
    page.get_by_label("Name of the folder").fill(name)
    page.get_by_role("button", name="Make the folder").click()
    expect(folder(page, name)).to_be_visible()


def folder(page: Page, name: str) -> Locator:
    return page.locator("tr[data-into]").filter(has=page.get_by_role("link", name=name, exact=True))


def test_rows_are_dragged_into_folders_and_out_by_the_way_and_taken_back(
    visit: Open, portal: LivePortal
) -> None:
    portal.client(ALICE).upload_one("dragged.txt", Bytes(b"some words"))
    page = visit(ALICE).go("/documents")
    make(page, "Taxes")
    make(page, "Archive")
    row(page, "dragged.txt").drag_to(folder(page, "Taxes"))
    expect(page.get_by_text("“dragged.txt” was moved to “Taxes”.").first).to_be_visible()
    expect(row(page, "dragged.txt")).to_have_count(0)
    expect(page.locator("[data-upload-folder]").first).not_to_have_attribute("hidden", "")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("“dragged.txt” is back where it was.").first).to_be_visible()
    row(page, "dragged.txt").drag_to(folder(page, "Taxes"))
    expect(row(page, "dragged.txt")).to_have_count(0)

    folder(page, "Taxes").drag_to(folder(page, "Archive"))
    expect(folder(page, "Taxes")).to_have_count(0)
    folder(page, "Archive").get_by_role("link", name="Archive", exact=True).click()
    folder(page, "Taxes").get_by_role("link", name="Taxes", exact=True).click()
    way = page.get_by_role("navigation", name="Where this lies")
    row(page, "dragged.txt").drag_to(way.get_by_role("link", name="Documents"))
    expect(page.get_by_text("This folder is empty")).to_be_visible()
    way.get_by_role("link", name="Documents").click()
    expect(row(page, "dragged.txt")).to_be_visible()


def test_a_move_that_is_refused_says_why_and_leaves_everything(
    visit: Open, portal: LivePortal
) -> None:
    client = portal.client(ALICE)
    outer = client.post_json("/folders", {"name": "Letters"})
    client.post_json("/folders", {"name": "notes", "parent": outer["id"]})
    client.post_json("/folders", {"name": "NOTES"})
    alice = visit(ALICE)
    page = alice.go("/documents")
    folder(page, "NOTES").drag_to(folder(page, "Letters"))
    expect(page.get_by_text("There is a folder called “notes” here already.").first).to_be_visible()
    expect(folder(page, "NOTES")).to_be_visible()
    alice.complaints[:] = [each for each in alice.complaints if "409" not in each]


def test_moving_takes_no_mouse(visit: Open, portal: LivePortal) -> None:
    client = portal.client(ALICE)
    client.upload_one("by keyboard.txt", Bytes(b"some words"))
    outer = client.post_json("/folders", {"name": "Keys"})
    client.post_json("/folders", {"name": "Spare", "parent": outer["id"]})
    page = visit(ALICE).go("/documents")
    tab_to(page, "Move by keyboard.txt")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Move “by keyboard.txt”")).to_be_visible()
    for step in ("Keys", "Spare", "Move to “Spare”"):
        tab_to(page, step)
        with page.expect_navigation():
            page.keyboard.press("Enter")
    expect(page.get_by_text("“by keyboard.txt” was moved to “Spare”.")).to_be_visible()
    tab_to(page, "Undo")
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile("was moved to the top"))).to_be_visible()
    expect(row(page, "Spare")).to_have_count(0)


def test_moving_takes_no_script(visit: Open, portal: LivePortal) -> None:
    client = portal.client(ALICE)
    plain = client.upload_one("plain.txt", Bytes(b"some words"))
    paper = client.post_json("/folders", {"name": "Paper"})
    client.post_json("/folders", {"name": "Inner", "parent": paper["id"]})
    page = visit(ALICE, java_script_enabled=False).go(f"{plain['url']}/move")
    for step in ("Paper", "Inner", "Documents", "Paper"):
        page.locator(".panel").get_by_role("link", name=step, exact=True).click()
        assert "csrf" not in page.url
    page.go_back()
    expect(page.get_by_text("It lies here now.")).to_be_visible()
    page.go_forward()
    page.get_by_role("button", name="Move to “Paper”").click()
    expect(page.get_by_text("“plain.txt” was moved to “Paper”.")).to_be_visible()


def test_moving_is_sent_once_however_often_it_is_clicked(visit: Open, portal: LivePortal) -> None:
    client = portal.client(ALICE)
    clicked = client.upload_one("clicked.txt", Bytes(b"some words"))
    client.post_json("/folders", {"name": "Once"})
    page = visit(ALICE).go(f"{clicked['url']}/move")
    page.get_by_role("link", name="Once", exact=True).click()
    sent = page.get_by_role("button", name="Move to “Once”").evaluate(
        """button => {
            let sent = 0;
            addEventListener("submit", (event) => {
                if (!event.defaultPrevented) sent += 1;
                event.preventDefault();
            });
            for (let time = 0; time < 3; time += 1) button.click();
            return sent;
        }"""
    )
    assert sent == 1


def test_what_is_dropped_in_a_folder_goes_there(visit: Open, portal: LivePortal) -> None:
    client = portal.client(ALICE)
    made = client.post_json("/folders", {"name": "Inbox"})
    page = visit(ALICE).go(made["url"])
    with page.expect_file_chooser() as chooser:
        page.get_by_text("Upload", exact=True).first.click()
    chooser.value.set_files([{"name": "in.txt", "mimeType": "text/plain", "buffer": b"words"}])
    expect(row(page, "in.txt")).to_be_visible()
    listed = client.get(made["url"], accept="application/json").json()
    assert [each["name"] for each in listed["documents"]] == ["in.txt"]


def test_folders_and_documents_are_moved_together_and_taken_back(
    visit: Open, portal: LivePortal
) -> None:
    client = portal.client(ALICE)
    for name in ("Together", "Spring", "Summer"):
        client.post_json("/folders", {"name": name})
    client.upload_one("beside.txt", Bytes(b"some words"))
    page = visit(ALICE).go("/documents")
    for name in ("Spring", "Summer", "beside.txt"):
        page.get_by_role("checkbox", name=name).check()
    page.locator("[data-selection]").get_by_role("button", name="Move").click()
    expect(page.get_by_role("heading", name="Move “3 things”")).to_be_visible()
    expect(page.get_by_role("link", name="Spring")).to_have_count(0)  # into itself it cannot go
    page.get_by_role("link", name="Together").click()
    page.get_by_role("button", name="Move to “Together”").click()
    expect(page.get_by_text("3 things are in “Together” now.")).to_be_visible()
    for gone in (folder(page, "Spring"), folder(page, "Summer"), row(page, "beside.txt")):
        expect(gone).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("3 things are at the top now.")).to_be_visible()
    for back in (folder(page, "Spring"), folder(page, "Summer"), row(page, "beside.txt")):
        expect(back).to_be_visible()
