"""One's devices and one's data, in two browsers."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from urllib.parse import urljoin

from playwright.sync_api import Page, expect

from browser.chromium import PHONE, Visit
from browser.pages import is_in, sign_in
from live.client import Bytes
from live.real_files import pdf
from live.running import PASSWORD, LivePortal

Open = Callable[..., Visit]
ALICE = "alice@example.org"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1"
)


def come_in(visit: Visit) -> Page:
    sign_in(visit.page, ALICE)
    is_in(visit.page)
    return visit.page


def test_the_row_of_places_shows_where_one_is(visit: Open) -> None:
    page = come_in(visit(viewport=PHONE))
    for path in ("/account", "/account/sessions", "/account/data", "/account/tokens"):
        page.goto(path)
        here = page.locator(".tabs [aria-current]")
        expect(here).to_be_in_viewport(ratio=0.95)
    page.set_viewport_size({"width": 320, "height": 640})  # turned, or the window made smaller
    expect(page.locator(".tabs [aria-current]")).to_be_in_viewport(ratio=0.95)


def test_fingers_have_room(visit: Open) -> None:
    page = come_in(visit(viewport=PHONE, has_touch=True, is_mobile=True))
    page.goto("/account/tokens")
    page.locator("summary", has_text="Make a token").click()
    for choice in page.locator("label.check").all():
        box = choice.bounding_box()
        assert box is not None
        assert box["height"] >= 44


def test_a_lost_phone_is_signed_out_from_the_desk(visit: Open) -> None:
    desk, phone = visit(), visit(viewport=PHONE, user_agent=IPHONE)
    page, lost = come_in(desk), come_in(phone)
    page.get_by_label("Your account").click()
    page.get_by_role("link", name="Your account").click()
    page.get_by_role("link", name="Devices").click()
    expect(page.get_by_role("heading", name="Devices")).to_be_visible()
    here = page.get_by_role("listitem").filter(has_text="This device")
    expect(here).to_contain_text("Chrome on Linux")
    expect(here.get_by_role("button")).to_have_count(0)
    page.get_by_role("button", name="Sign out Safari on iPhone").first.click()
    expect(page.get_by_text("That device was signed out.")).to_be_visible()
    expect(page.get_by_text("Safari on iPhone")).to_have_count(0)
    lost.reload()
    assert phone.path == "/login"
    desk.go("/documents")
    assert desk.path == "/documents"


def test_all_other_devices_are_signed_out_from_a_phone(visit: Open) -> None:
    desk, phone = visit(), visit(viewport=PHONE, user_agent=IPHONE)
    come_in(desk)
    page = come_in(phone)
    phone.go("/account/sessions")
    page.get_by_text("Sign out all others").first.click()
    page.get_by_role("button", name="Sign out all others").click()
    expect(page.get_by_text("You are signed in nowhere else.")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="Signed in")).to_have_count(1)
    desk.go("/documents")
    assert desk.path == "/login"


def test_everything_is_downloaded_and_its_checksums_fit(visit: Open, portal: LivePortal) -> None:
    client = portal.client(ALICE)
    names = ["日本語の契約書.pdf", "عقد الإيجار.pdf", "Twice.pdf", "Twice.pdf", "Large.bin"]
    contents = [pdf(f"number {n}") + bytes([n]) * (n * 700_000) for n in range(len(names))]
    for name, content in zip(names, contents, strict=True):
        client.upload_one(name, Bytes(content))
    gone = client.upload_one("Gone.txt", Bytes(b"gone"))
    client.post_json(f"{gone['url']}/delete")

    alice = visit()
    page = come_in(alice)
    alice.go("/account/data")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download everything").click()
    assert download.value.suggested_filename.endswith(".zip")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        lines = archive.read("SHA256SUMS").decode().splitlines()
        sums = {path: sha256 for sha256, _, path in (line.partition("  ") for line in lines)}
        assert set(sums) == set(archive.namelist()) - {"SHA256SUMS"}
        for path, sha256 in sums.items():
            assert hashlib.sha256(archive.read(path)).hexdigest() == sha256, path
        found = {hashlib.sha256(archive.read(path)).digest() for path in archive.namelist()}
        assert {hashlib.sha256(content).digest() for content in contents} <= found
        assert "Trash/Gone.txt" in sums
        assert {"Documents/Twice.pdf", "Documents/Twice (2).pdf"} <= set(sums)
        folder = portal.folder / "taken away"
        archive.extractall(folder)
    reader = visit().context.browser
    assert reader
    with_file = reader.new_context()
    opened = with_file.new_page()
    opened.goto((folder / "index.html").as_uri())
    expect(opened.get_by_role("heading", name="Everything of")).to_be_visible()
    links = opened.locator("td a").evaluate_all("all => all.map(each => each.href)")
    assert len(links) == 6
    for link in links:
        assert urljoin(opened.url, link) == link
    with_file.close()


def test_activity_is_told_in_plain_words(visit: Open, portal: LivePortal) -> None:
    portal.client(ALICE).upload_one("Plan of the garden.pdf", Bytes(pdf()))
    alice = visit()
    page = come_in(alice)
    alice.go("/account/activity")
    expect(page.get_by_text("Uploaded “Plan of the garden.pdf”")).to_be_visible()
    expect(page.get_by_text("Signed in").first).to_be_visible()


def test_wish_to_be_deleted_is_taken_back(visit: Open) -> None:
    alice = visit()
    page = come_in(alice)
    alice.go("/account/data")
    page.get_by_role("link", name="Ask for deletion").click()
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Ask for my account to be deleted").click()
    expect(page.get_by_role("heading", name="You asked for your account")).to_be_visible()
    page.get_by_role("button", name="Keep my account").click()
    expect(page.get_by_text("Your account stays.")).to_be_visible()
