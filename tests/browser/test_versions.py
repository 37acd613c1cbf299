"""A new version on the page of its document: sent like any upload, shown with nothing lost."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from browser.conftest import Open
from browser.pages import choose
from browser.test_uploads import (
    ALICE,
    AWAY,
    SEVERAL_PARTS,
    Kept,
    Network,
    all_came,
    drag,
    is_over,
    line,
    listening,
    made,
    nothing_is_left,
    sha256,
    tray,
    wait_for_bytes,
)
from live.client import Bytes, Client
from live.real_files import png
from live.running import LivePortal

FIRST = b"the first words\n"
#: The document is taken away while the page sends to it, and maybe still waits for its picture.
GONE = re.compile("status of 4|404: .*/thumbnail")


@pytest.fixture
def client(portal: LivePortal) -> Client:
    return portal.client(ALICE)


@pytest.fixture
def deed(client: Client) -> str:
    """The address of a document with one version."""
    address: str = client.upload_one("deed.txt", Bytes(FIRST))["url"]
    return address


def send(page: Page, file: Path) -> None:
    """Choose the file in the form and press its button."""
    page.locator("summary", has_text="Upload a new version").click()
    page.get_by_label("Choose the file").set_input_files(file)
    page.locator("#versions").get_by_role("button", name="Upload", exact=True).click()


def has_versions(client: Client, deed: str, *hashes: str) -> None:
    """The document has exactly those, the newest first, and its bytes are the newest."""
    document = client.get(deed, accept="application/json").json()
    assert [version["sha256"] for version in document["versions"]] == list(hashes)
    assert client.download(f"{deed}/download")[2] == hashes[0]


OLD = hashlib.sha256(FIRST).hexdigest()


def shows_version(page: Page, number: int) -> None:
    newest = page.locator("#versions li").first
    expect(newest).to_contain_text(f"Version {number}")
    expect(newest).to_contain_text("Newest")


def test_chosen_file_becomes_the_new_version_and_nothing_typed_is_lost(
    visit: Open, client: Client, deed: str, tmp_path: Path
) -> None:
    page = visit(ALICE).go(deed)
    page.get_by_text("More", exact=True).click()
    label = page.get_by_label(re.compile("^Label"))
    label.fill("For the bank")
    page.locator("summary", has_text="Rename").click()
    name = page.locator(".actions-page").get_by_label("Name")
    name.fill("house of")
    page.evaluate("window.stayed = true")
    file = made(tmp_path / "scan 7.txt", 200_000)
    # Closing the menu keeps what was typed in it.
    send(page, file)
    is_over(page)
    shows_version(page, 2)
    expect(line(page, "scan 7.txt").get_by_text("Uploaded · 200 kB")).to_be_visible()
    expect(page.get_by_role("heading", name="deed.txt", exact=True)).to_be_visible()
    facts = page.get_by_role("region", name="Facts")
    expect(facts).to_contain_text("200 kB")
    expect(facts.locator("[data-copy]")).to_have_attribute("data-copy", sha256(file))
    expect(facts.get_by_role("button", name="Copy the whole SHA-256")).to_be_visible()
    expect(page.locator(".timeline li").first).to_contain_text(re.compile("version", re.IGNORECASE))
    expect(page.locator(".document-head")).to_contain_text("200 kB")
    expect(label).to_have_value("For the bank")
    expect(name).to_have_value("house of")
    assert page.evaluate("window.stayed")
    has_versions(client, deed, sha256(file), OLD)
    # What was put in its place works like what was there.
    page.get_by_role("button", name="Restore version 1").click()
    shows_version(page, 3)


def test_a_second_one_can_be_sent_right_after_and_comes_after_it(
    visit: Open, client: Client, deed: str, tmp_path: Path
) -> None:
    alice = visit(ALICE)
    page = alice.go(deed)
    network = Network(alice, page).slow(2_000_000)
    large, small = made(tmp_path / "second.bin", 3_000_000), made(tmp_path / "third.bin", 1000)
    drag(alice, page, large)
    wait_for_bytes(page, large.name, 0.1)
    client.post_json(f"{deed}/share-links", {"expires_in_days": "7", "label": "For the bank"})
    drag(alice, page, small)
    expect(line(page, small.name).get_by_text(re.compile("^Waiting"))).to_be_visible()
    network.fast()
    is_over(page, "2 files uploaded")
    shows_version(page, 3)
    expect(page.locator("#share")).to_contain_text("For the bank")  # what nobody is at is renewed
    has_versions(client, deed, sha256(small), sha256(large), OLD)


def test_dropped_file_goes_on_by_itself_after_the_server_was_killed(
    visit: Open, portal: LivePortal, client: Client, deed: str, tmp_path: Path
) -> None:
    alice = visit(ALICE)
    alice.expected = AWAY
    page = alice.go(deed)
    network = Network(alice, page).slow(5_000_000)
    file = made(tmp_path / "film.bin", 16_000_000)
    drag(alice, page, file)
    expect(line(page, "film.bin").get_by_text(re.compile("of 16 MB"))).to_be_visible()
    wait_for_bytes(page, "film.bin", 0.3)
    portal.kill()
    expect(tray(page).get_by_text("Waiting for the connection.")).to_be_visible()
    portal.start()
    with listening(page) as requests:
        network.fast()
        is_over(page)
    assert requests.offsets
    assert min(requests.offsets) > 500_000
    shows_version(page, 2)
    has_versions(client, deed, sha256(file), OLD)


def test_overlay_says_what_becomes_of_a_file(visit: Open, deed: str, tmp_path: Path) -> None:
    alice = visit(ALICE)
    page = alice.go(deed)
    data = {"items": [], "files": [str(made(tmp_path / "a.txt", 10))], "dragOperationsMask": 1}
    session = alice.context.new_cdp_session(page)
    event = {"type": "dragEnter", "x": 400, "y": 400, "data": data}
    session.send("Input.dispatchDragEvent", event)
    session.send("Input.dispatchDragEvent", {**event, "type": "dragOver"})
    words = "Drop a file: it becomes the new version of “deed.txt”"
    expect(page.get_by_text(words, exact=True)).to_be_visible()


def test_several_files_and_folders_are_refused_with_the_rule(
    visit: Open, portal: LivePortal, client: Client, deed: str, tmp_path: Path
) -> None:
    alice = visit(ALICE)
    before = portal.incoming()
    page = alice.go(deed)
    files = [made(tmp_path / f"page {number}.txt", 100) for number in range(2)]
    made(tmp_path / "Scans" / "inner.txt", 100)
    with listening(page) as requests:
        drag(alice, page, *files)
        is_over(page, "2 files were not uploaded")
        for file in files:
            expect(line(page, file.name)).to_contain_text("One file becomes one version")
        drag(alice, page, tmp_path / "Scans")
        expect(line(page, "Scans")).to_contain_text("A folder cannot become a version")
        expect(line(page, "inner.txt")).to_have_count(0)
        drag(alice, page, files[0], tmp_path / "Scans")
        is_over(page, "5 files were not uploaded")
    assert requests.seen == []
    nothing_is_left(portal, before)
    drag(alice, page, files[0])
    shows_version(page, 2)
    has_versions(client, deed, sha256(files[0]), OLD)


def test_pasted_picture_becomes_the_version_and_its_preview_appears(
    visit: Open, client: Client
) -> None:
    photo = client.upload_one("Front door.png", Bytes(png(64, 40)))["url"]
    page = visit(ALICE).go(photo)
    picture = page.locator(".preview-sheet img")
    expect(picture).to_have_attribute("width", "64", timeout=60_000)
    before = page.evaluate("document.querySelector('.preview-sheet img').src")
    page.evaluate(
        """bytes => {
            const data = new DataTransfer();
            const file = new File([new Uint8Array(bytes)], "image.png", { type: "image/png" });
            data.items.add(file);
            const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
            document.querySelector("main").dispatchEvent(event);
        }""",
        list(png(40, 64)),
    )
    is_over(page)
    shows_version(page, 2)
    expect(picture).to_have_attribute("width", "40", timeout=60_000)
    page.wait_for_function(
        "image => image.complete && image.naturalWidth === 40", arg=picture.element_handle()
    )
    assert page.evaluate("document.querySelector('.preview-sheet img').src") != before


def test_choosing_it_again_after_the_tab_was_closed_sends_only_the_rest(
    visit: Open, portal: LivePortal, client: Client, deed: str, tmp_path: Path
) -> None:
    alice = visit(ALICE)
    page = alice.go(deed)
    Network(alice, page).slow(8_000_000)
    file = made(tmp_path / "long deed.bin", SEVERAL_PARTS)
    drag(alice, page, file)
    wait_for_bytes(page, file.name, 0.2)
    page.close()
    other = alice.context.new_page()
    other.goto("/documents")
    # The same file elsewhere is another upload.
    with listening(other) as requests:
        choose(other, file)
        is_over(other)
    assert requests.offsets[0] == 0
    all_came(portal, ALICE, [file])
    again = alice.context.new_page()
    again.goto(deed)
    with listening(again) as requests:
        drag(alice, again, file)
        is_over(again)
    first, *others = [request.method for request in requests.seen]
    assert (first, set(others)) == ("HEAD", {"PATCH"})
    assert requests.offsets[0] > 1_000_000
    shows_version(again, 2)
    has_versions(client, deed, sha256(file), OLD)
    assert Kept(portal, ALICE)[file.name] == [sha256(file)]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_an_answer_that_was_lost_makes_no_second_version(
    visit: Open, client: Client, deed: str, tmp_path: Path, method: str
) -> None:
    alice = visit(ALICE)
    alice.expected = AWAY
    page = alice.go(deed)
    lost = []

    def lose_first(route: Route) -> None:
        if lost or route.request.method != method:
            return route.fallback()
        route.fetch()
        lost.append(route.request.method)
        return route.abort("connectionreset")

    page.route(re.compile("/api/v1/uploads"), lose_first)
    file = made(tmp_path / "once.txt", 5000)
    drag(alice, page, file)
    is_over(page)
    assert lost == [method]
    has_versions(client, deed, sha256(file), OLD)


def test_document_in_the_trash_keeps_it_waiting_until_it_is_restored(
    visit: Open, client: Client, deed: str, tmp_path: Path
) -> None:
    alice = visit(ALICE)
    alice.expected = GONE
    page = alice.go(deed)
    network = Network(alice, page).slow(2_000_000)
    file = made(tmp_path / "waits.bin", 3_000_000)
    drag(alice, page, file)
    wait_for_bytes(page, file.name, 0.1)
    assert client.post(f"{deed}/delete").status == 303
    network.fast()
    expect(line(page, file.name)).to_contain_text("is in the trash now. Restore the document")
    assert client.post(f"{deed}/restore").status == 303
    with listening(page) as requests:
        page.get_by_role("button", name=f"Try {file.name} again").click()
        is_over(page)
    assert not any(requests.offsets) or min(requests.offsets) == file.stat().st_size
    shows_version(page, 2)
    has_versions(client, deed, sha256(file), OLD)


def test_document_that_is_gone_is_told_and_not_tried_again_for_ever(
    visit: Open, client: Client, deed: str, tmp_path: Path
) -> None:
    alice = visit(ALICE)
    alice.expected = GONE
    page = alice.go(deed)
    client.post(f"{deed}/delete")
    file = made(tmp_path / "late.txt", 3000)
    drag(alice, page, file)
    expect(line(page, file.name)).to_contain_text("The document is not there any more.")
    network = Network(alice, page).slow(2_000_000)
    client.post(f"{deed}/restore")
    large = made(tmp_path / "later.bin", 3_000_000)
    drag(alice, page, large)
    wait_for_bytes(page, large.name, 0.1)
    client.post(f"{deed}/delete")
    client.post(f"/trash{deed.removeprefix('/documents')}/purge")
    network.fast()
    expect(line(page, large.name)).to_contain_text("was deleted. It was not stored.")
    expect(page.get_by_role("button", name=f"Try {large.name} again")).to_be_hidden()
