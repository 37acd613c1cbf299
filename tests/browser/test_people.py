"""What people do in their browsers, from the first start on."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Download, Page, expect

from browser.chromium import PHONE, Visit
from browser.pages import choose, fill_sign_in, row, sign_out, tab_to
from live.client import Bytes
from live.fixtures import live_portal
from live.real_files import pdf, png
from live.running import PASSWORD, LivePortal

Open = Callable[..., Visit]
ALICE, BOB, ADA = "alice@example.org", "bob@example.org", "ada@example.org"
NAMES = ["日本語の契約書.pdf", "عقد الإيجار.pdf", "Договор аренды.pdf", "Müller & Söhne 100%.pdf"]


@pytest.fixture
def fresh(own_database: str) -> Iterator[LivePortal]:
    """A portal nobody has set up yet."""
    with live_portal(own_database) as portal:
        portal.start()
        yield portal


def drop(page: Page, files: dict[str, bytes]) -> None:
    """Drop files on the page as from a folder of the desktop."""
    transfer = page.evaluate_handle(
        """files => {
            const transfer = new DataTransfer();
            for (const [name, base64] of files) {
                const bytes = Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
                transfer.items.add(new File([bytes], name));
            }
            return transfer;
        }""",
        [[name, base64.b64encode(content).decode()] for name, content in files.items()],
    )
    for kind in ("dragenter", "dragover", "drop"):
        page.dispatch_event("body", kind, {"dataTransfer": transfer})


def saved(download: Download) -> tuple[str, bytes]:
    return download.suggested_filename, download.path().read_bytes()


def test_the_first_start_ends_with_an_admin(visit: Open, fresh: LivePortal) -> None:
    ada = visit(at=fresh)
    page = ada.go(fresh.setup_link())
    page.get_by_label("Your name").fill("Ada Admin")
    page.get_by_label("Your e-mail address").fill(ADA)
    page.get_by_label("Choose a password").fill("short")
    page.get_by_label("Name of the portal").fill("Archer & Partners")
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_text("at least 12 characters").first).to_be_visible()
    page.get_by_label("Choose a password").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.get_by_role("link", name="Archer & Partners")).to_be_visible()
    stranger = visit(at=fresh)
    stranger.go(fresh.setup_link())
    expect(stranger.page.get_by_text("Error 404")).to_be_visible()


def test_signing_in_brings_one_where_one_was_going(visit: Open) -> None:
    alice = visit()
    page = alice.go("/trash")
    expect(page).to_have_url(re.compile(r"/login\?next="))
    fill_sign_in(page, ALICE, "not the password at all")
    expect(page.get_by_role("alert").or_(page.locator(".wrong")).first).to_be_visible()
    fill_sign_in(page, ALICE)
    expect(page.get_by_role("heading", name="Trash", exact=True)).to_be_visible()
    sign_out(page)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    alice.go("/documents")
    assert alice.path == "/login"


def test_files_dropped_on_the_list_arrive_whole(visit: Open) -> None:
    alice = visit(ALICE)
    page = alice.go("/documents")
    files = {name: pdf(name.encode("ascii", "ignore").decode()) for name in NAMES}
    files["large.bin"] = bytes(range(256)) * 8192
    drop(page, files)
    tray = page.get_by_role("region", name="Uploads")
    expect(tray).to_be_visible()
    expect(tray.get_by_text("5 files uploaded")).to_be_visible()
    for name, content in files.items():
        expect(row(page, name)).to_be_visible()
        with page.expect_download() as download:
            row(page, name).get_by_role("link", name=f"Download {name}").click()
        _, came = saved(download.value)
        assert hashlib.sha256(came).digest() == hashlib.sha256(content).digest(), name
        # Chromium itself replaces what a file system may not like.
        assert (
            download.value.suggested_filename.replace("_", "")
            == name.replace("%", "").replace("_", "")
            or download.value.suggested_filename == name
        )


def test_the_progress_of_a_large_upload_is_shown(visit: Open, tmp_path: Path) -> None:
    alice = visit(ALICE)
    page = alice.go("/documents")
    network = alice.context.new_cdp_session(page)
    network.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 2_000_000}
    network.send("Network.emulateNetworkConditions", slow)
    (tmp_path / "film.mp4").write_bytes(bytes(5_000_000))
    choose(page, tmp_path / "film.mp4")
    tray = page.get_by_role("region", name="Uploads")
    expect(tray.get_by_text("Uploading 1 file")).to_be_visible()
    expect(tray.get_by_text(re.compile(r"of 5 MB · .*/s · .*left"))).to_be_visible()
    bar = tray.get_by_role("progressbar", name="Upload of film.mp4")
    assert 0 <= float(bar.evaluate("bar => bar.value")) <= 1
    expect(tray.get_by_text("1 file uploaded")).to_be_visible(timeout=30_000)
    expect(row(page, "film.mp4")).to_be_visible()


def test_an_upload_can_be_cancelled_and_leaves_nothing(
    visit: Open, portal: LivePortal, tmp_path: Path
) -> None:
    alice = visit(ALICE)
    page = alice.go("/documents")
    network = alice.context.new_cdp_session(page)
    network.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1_000_000}
    network.send("Network.emulateNetworkConditions", slow)
    (tmp_path / "regretted.bin").write_bytes(bytes(20_000_000))
    choose(page, tmp_path / "regretted.bin")
    page.get_by_role("button", name="Cancel regretted.bin").click()
    expect(page.get_by_role("button", name="Cancel regretted.bin")).to_have_count(0)
    alice.go("/documents")
    expect(row(page, "regretted.bin")).to_have_count(0)


def test_a_document_is_handed_to_a_stranger_by_link(visit: Open, portal: LivePortal) -> None:
    content = pdf("For the bank")
    made = portal.client(ALICE).upload_one("Für die Bank – 銀行へ.pdf", Bytes(content))
    alice = visit(ALICE)
    page = alice.go(made["url"])
    page.get_by_text("7 days").click()
    page.get_by_text("More", exact=True).click()
    page.get_by_label(re.compile("^Password")).fill("the colour of the gate")
    page.get_by_label(re.compile("^Downloads at most")).fill("1")
    page.get_by_role("button", name="Make the link").click()
    address = page.get_by_label("Address").input_value()
    assert address.startswith(f"{portal.url}/s/")

    stranger = visit(viewport=PHONE)
    theirs = stranger.go(address)
    expect(theirs.get_by_text("Alice Archer sent you a document")).to_be_visible()
    theirs.get_by_label("Password", exact=True).fill("a wrong guess")
    theirs.get_by_role("button", name="Continue").click()
    expect(theirs.locator(".wrong, [role=alert]").first).to_be_visible()
    theirs.get_by_label("Password", exact=True).fill("the colour of the gate")
    theirs.get_by_role("button", name="Continue").click()
    with theirs.expect_download() as download:
        theirs.get_by_role("button", name="Download").click()
    assert saved(download.value) == ("Für die Bank – 銀行へ.pdf", content)

    another = visit()
    another.go(address)
    expect(another.page.get_by_role("heading", name="This link has ended")).to_be_visible()
    page.get_by_role("link", name="Back to the document").click()
    # A link that is used up is no link any more; what happened through it stays to be read.
    expect(page.get_by_text("Nobody else can open this document.")).to_be_visible()
    expect(page.get_by_text("through the link").first).to_be_visible()


def test_a_link_that_was_ended_is_ended_at_once(visit: Open, portal: LivePortal) -> None:
    client = portal.client(ALICE)
    made = client.upload_one("shared.pdf", Bytes(pdf()))
    link = client.post_json(f"{made['url']}/share-links", {"expires_in_days": "1", "label": "Bob"})
    stranger = visit()
    stranger.go(link["url"])
    expect(stranger.page.get_by_role("button", name="Download")).to_be_visible()
    alice = visit(ALICE)
    alice.go("/share-links").get_by_role("button", name="End the link Bob, shared.pdf").click()
    stranger.page.get_by_role("button", name="Download").click()
    expect(stranger.page.get_by_role("heading", name="This link has ended")).to_be_visible()


def test_an_invited_person_comes_in_and_finds_what_was_left_for_them(
    visit: Open, tmp_path: Path
) -> None:
    ada = visit(ADA)
    page = ada.go("/admin/users")
    page.get_by_text("Invite somebody").click()
    page.get_by_label("E-mail address").fill("carol@example.org")
    page.get_by_label("Name", exact=True).fill("Carol Carter")
    page.get_by_role("button", name="Make the invitation").click()
    address = page.get_by_label("Address of the invitation").input_value()

    page.get_by_role("link", name="Documents of Carol Carter").click()
    (tmp_path / "statement.png").write_bytes(png())
    page.get_by_label(re.compile("^Note")).fill("Your statement for March")
    page.get_by_label("Files").set_input_files(tmp_path / "statement.png")
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(row(page, "statement.png")).to_be_visible()
    # An admin may put it there; opening it is not theirs.
    assert page.get_by_role("link", name="statement.png", exact=True).count() == 0

    carol = visit()
    theirs = carol.go(address)
    theirs.get_by_label("Choose a password").fill(PASSWORD)
    theirs.get_by_role("button", name="Open the account").click()
    expect(theirs.get_by_role("heading", name="Documents", exact=True)).to_be_visible()
    theirs.get_by_role("link", name="statement.png", exact=True).click()
    expect(theirs.get_by_text("Your statement for March").first).to_be_visible()
    expect(theirs.get_by_text("Ada Admin").first).to_be_visible()
    with theirs.expect_download() as download:
        theirs.get_by_role("link", name="Download", exact=True).click()
    assert saved(download.value) == ("statement.png", png())

    page.goto("/admin/users")
    page.get_by_role("link", name="Carol Carter", exact=True).click()
    page.get_by_text("Disable", exact=True).click()
    page.get_by_role("button", name="Disable the account").click()
    expect(page.get_by_text("Disabled", exact=True)).to_be_visible()
    carol.go("/documents")
    assert carol.path == "/login"
    fill_sign_in(theirs, "carol@example.org")
    expect(theirs.locator(".wrong, [role=alert]").first).to_be_visible()


def test_a_document_is_renamed_deleted_and_brought_back(visit: Open, portal: LivePortal) -> None:
    made = portal.client(BOB).upload_one("old name.pdf", Bytes(pdf()))
    bob = visit(BOB)
    page = bob.go(made["url"])
    page.get_by_text("Rename", exact=True).click()
    page.get_by_label("Name", exact=True).fill("new name.pdf")
    page.get_by_role("button", name="Save the name").click()
    expect(page.get_by_role("heading", name="new name.pdf")).to_be_visible()

    bob.go("/documents")
    page.get_by_role("button", name="Delete new name.pdf").click()
    expect(page.get_by_text("is in the trash")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", name="new name.pdf")).to_be_visible()

    page.get_by_role("button", name="Delete", exact=True).click()
    bob.go("/trash")
    page.get_by_role("button", name="Restore new name.pdf").click()
    expect(page.get_by_role("heading", name="new name.pdf")).to_be_visible()

    page.get_by_role("button", name="Delete", exact=True).click()
    bob.go("/trash")
    page.get_by_label("Delete new name.pdf for ever").click()
    page.get_by_role("button", name="Delete for ever").click()
    expect(page.get_by_text("The trash is empty").first).to_be_visible()
    bob.go("/documents")
    expect(row(page, "new name.pdf")).to_have_count(0)


def test_a_file_that_is_too_large_is_refused_with_the_rule(
    visit: Open, own_database: str, tmp_path: Path
) -> None:
    with live_portal(own_database, PORTAL_MAX_UPLOAD_BYTES="100000") as small:
        small.start()
        ada = visit(at=small).be(small.set_up())
        page = ada.go("/documents")
        (tmp_path / "large.bin").write_bytes(bytes(100_001))
        choose(page, tmp_path / "large.bin")
        tray = page.get_by_role("region", name="Uploads")
        expect(tray.get_by_text("1 file was not uploaded")).to_be_visible()
        expect(tray.get_by_text("too large").first).to_be_visible()
        choose(page, tmp_path / "large.bin")
        expect(tray.get_by_text("2 files were not uploaded")).to_be_visible()


# -- Without scripts -------------------------------------------------------------------------


def test_everything_needed_works_without_scripts(
    visit: Open, portal: LivePortal, tmp_path: Path
) -> None:
    plain = visit(java_script_enabled=False)
    page = plain.go("/login")
    fill_sign_in(page, BOB)
    content = pdf("Without scripts")
    (tmp_path / "ohne Skript.pdf").write_bytes(content)
    page.get_by_text("Upload", exact=True).first.click()
    page.get_by_label("Choose files").first.set_input_files(tmp_path / "ohne Skript.pdf")
    page.get_by_role("button", name="Upload", exact=True).first.click()
    expect(page.get_by_text("was uploaded")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download ohne Skript.pdf").click()
    assert saved(download.value) == ("ohne Skript.pdf", content)

    page.get_by_role("link", name="ohne Skript.pdf", exact=True).click()
    page.get_by_role("button", name="Make the link").click()
    address = page.get_by_label("Address").input_value()
    stranger = visit(java_script_enabled=False)
    theirs = stranger.go(address)
    with theirs.expect_download() as download:
        theirs.get_by_role("button", name="Download").click()
    assert saved(download.value) == ("ohne Skript.pdf", content)

    plain.go("/documents")
    page.get_by_role("button", name="Delete ohne Skript.pdf").click()
    expect(page.get_by_text("is in the trash")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    stranger.go(address)
    expect(theirs.get_by_role("heading", name="This link has ended")).to_be_visible()


# -- By keyboard alone -----------------------------------------------------------------------


def test_the_keyboard_alone_is_enough(visit: Open, tmp_path: Path) -> None:
    alice = visit()
    page = alice.go("/login")
    page.keyboard.type(ALICE)  # the first field has the focus
    tab_to(page, "Password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Documents", exact=True)).to_be_visible()

    page.wait_for_load_state()  # the heading is there before the page's scripts have run
    tab_to(page, "Upload")
    (tmp_path / "by keyboard.pdf").write_bytes(pdf())
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(tmp_path / "by keyboard.pdf")
    expect(row(page, "by keyboard.pdf")).to_be_visible()

    alice.go("/documents")
    tab_to(page, "Skip to the content")
    page.keyboard.press("Enter")
    tab_to(page, "Delete by keyboard.pdf")
    page.keyboard.press("Enter")
    expect(page.get_by_text("is in the trash")).to_be_visible()
    tab_to(page, "Undo")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="by keyboard.pdf")).to_be_visible()
