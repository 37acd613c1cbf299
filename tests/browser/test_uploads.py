"""Uploading in the browser: whatever happens on the way, what arrives is what was chosen."""

from __future__ import annotations

import hashlib
import json
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Locator, Page, Request, Route, expect

from browser.chromium import Visit
from browser.pages import choose, fill_sign_in, row, sign_out, tab_to
from live.client import Bytes
from live.fixtures import live_portal
from live.real_files import pdf
from live.running import LivePortal

#: Bytes; while a tab is closing, the rest of the present part may still go out.
SEVERAL_PARTS = 40_000_000
Open = Callable[..., Visit]
ALICE, BOB, ADA = "alice@example.org", "bob@example.org", "ada@example.org"
#: What the console says while the network or the server is away.
AWAY = re.compile(r"net::ERR_|status of 50[34]")


def made(path: Path, size: int) -> Path:
    """A file of `size` bytes, the same each time for the same name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(random.Random(path.name).randbytes(size))
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Kept:
    """What somebody has, as one look at all of it shows."""

    def __init__(self, portal: LivePortal, email: str) -> None:
        client = portal.client(email)
        self.hashes: dict[str, list[str]] = {}
        pages = ["/documents"]
        while pages:
            page = client.get(pages.pop(), accept="application/json").json()
            for each in page["documents"]:
                self.hashes.setdefault(each["name"], []).insert(0, each["sha256"])
            pages += [each["url"] for each in page["folders"]]
            pages += [page["next"]] if page["next"] else []

    def __getitem__(self, name: str) -> list[str]:
        """The hashes of the documents called `name`, oldest first."""
        return self.hashes.get(name, [])


def all_came(portal: LivePortal, email: str, files: Iterable[Path]) -> None:
    """Each file is there once, whole."""
    there = Kept(portal, email)
    assert {file.name: there[file.name] for file in files} == {
        file.name: [sha256(file)] for file in files
    }


def nothing_is_left(portal: LivePortal, before: list[Path]) -> None:
    """No more of unfinished uploads lies in storage than `before`, once the server saw the end."""
    until = time.monotonic() + 15
    while set(portal.incoming()) - set(before) and time.monotonic() < until:
        time.sleep(0.05)
    assert set(portal.incoming()) <= set(before)


def tray(page: Page) -> Locator:
    return page.get_by_role("region", name="Uploads")


def line(page: Page, name: str) -> Locator:
    return tray(page).get_by_role("listitem").filter(has_text=name)


def is_over(page: Page, words: str = "1 file uploaded", timeout: float = 30_000) -> None:
    expect(tray(page).get_by_text(words, exact=True)).to_be_visible(timeout=timeout)


class Network:
    """The network of a page, as fast or slow as the test wants it."""

    def __init__(self, visit: Visit, page: Page) -> None:
        self._session = visit.context.new_cdp_session(page)
        self._session.send("Network.enable")

    def slow(self, bytes_per_second: int) -> Network:
        self._set(bytes_per_second)
        return self

    def fast(self) -> None:
        self._set(-1)

    def away(self) -> None:
        self._set(-1, offline=True)

    def _set(self, per_second: int, *, offline: bool = False) -> None:
        speed = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": per_second}
        conditions = {"offline": offline, **speed}
        self._session.send("Network.emulateNetworkConditions", conditions)


def wait_for_bytes(page: Page, name: str, share: float) -> None:
    """Wait until so much of a file is on its way."""
    bar = line(page, name).get_by_role("progressbar")
    expect(bar).to_be_visible()
    page.wait_for_function(
        "([bar, share]) => bar.value >= share", arg=[bar.element_handle(), share]
    )


@dataclass
class Requests:
    """What a page asked of the uploads' addresses."""

    seen: list[Request] = field(default_factory=list)

    def of(self, method: str) -> list[Request]:
        return [each for each in self.seen if each.method == method]

    @property
    def offsets(self) -> list[int]:
        """Where each piece began."""
        return [int(each.headers["upload-offset"]) for each in self.of("PATCH")]


@contextmanager
def listening(page: Page) -> Iterator[Requests]:
    requests = Requests()

    def note(request: Request) -> None:
        if "/api/v1/uploads" in request.url:
            requests.seen.append(request)

    page.on("request", note)
    yield requests
    page.remove_listener("request", note)


def drag(visit: Visit, page: Page, *paths: Path) -> None:
    """Drop files and folders as from the desktop."""
    session = visit.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 400, "y": 400, "data": data})
        if kind == "dragOver":
            expect(page.get_by_text("Let go anywhere on this page.")).to_be_visible()


# -- Ways in ---------------------------------------------------------------------------------


def test_a_dropped_folder_keeps_its_structure(
    visit: Open, portal: LivePortal, tmp_path: Path
) -> None:
    alice = visit(ALICE)
    page = alice.go("/documents")
    named = {
        "Taxes/2026/return.pdf": "Taxes/2026",
        "Taxes/2026/Belege – März/receipt.pdf": "Taxes/2026/Belege – März",
        "Taxes/notes.txt": "Taxes",
        "letter.pdf": "",
    }
    files = {made(tmp_path / name, 3000 + len(name)): path for name, path in named.items()}
    made(tmp_path / "Taxes" / ".DS_Store", 100)
    drag(alice, page, tmp_path / "Taxes", tmp_path / "letter.pdf")
    is_over(page, "4 files uploaded")
    expect(row(page, "letter.pdf")).to_be_visible()
    for file, path in files.items():
        alice.go("/documents")
        for folder in filter(None, path.split("/")):
            page.get_by_role("link", name=folder, exact=True).click()
        expect(row(page, file.name)).to_be_visible()
    all_came(portal, ALICE, files)


def test_a_folder_is_chosen_by_button(visit: Open, portal: LivePortal, tmp_path: Path) -> None:
    page = visit(ALICE).go("/documents")
    file = made(tmp_path / "Flat" / "Keys" / "cellar.txt", 5000)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload a folder").click()
    chooser.value.set_files(tmp_path / "Flat")
    is_over(page)
    for folder in ("Flat", "Keys"):
        page.get_by_role("link", name=folder, exact=True).click()
    expect(row(page, "cellar.txt")).to_be_visible()
    all_came(portal, ALICE, [file])


def test_a_picture_is_pasted(visit: Open, portal: LivePortal) -> None:
    page = visit(ALICE).go("/documents")
    paste = """where => {
        const data = new DataTransfer();
        data.items.add(new File(["a picture"], "image.png", { type: "image/png" }));
        const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
        document.querySelector(where).dispatchEvent(event);
    }"""
    page.evaluate(paste, "input[type=search]")  # what is pasted into a field is meant for it
    expect(tray(page)).to_have_count(0)
    page.evaluate(paste, "main")
    is_over(page)
    expect(page.get_by_role("link", name=re.compile(r"^Pasted \d{4}-.*\.png$"))).to_be_visible()


def test_an_admin_uploads_a_folder_for_somebody_with_a_note(
    visit: Open, portal: LivePortal, tmp_path: Path
) -> None:
    ada = visit(ADA)
    page = ada.go("/admin/users")
    page.get_by_role("link", name="Bob Baker", exact=True).click()
    page.get_by_role("link", name=re.compile("ocuments")).last.click()
    file = made(tmp_path / "For Bob" / "statement.pdf", 4000)
    page.get_by_label(re.compile("^Note")).fill("Your statement, as promised")
    expect(page.get_by_role("button", name="Upload a folder")).to_be_visible()  # scripts are there
    drag(ada, page, tmp_path / "For Bob")
    is_over(page)
    expect(row(page, "statement.pdf")).to_be_visible()
    all_came(portal, BOB, [file])
    assert not Kept(portal, ADA)["statement.pdf"]
    theirs = visit(BOB).go("/documents")
    theirs.get_by_role("link", name="For Bob", exact=True).click()
    theirs.get_by_role("link", name="statement.pdf", exact=True).click()
    expect(theirs.get_by_text("Your statement, as promised").first).to_be_visible()


# -- On the way ------------------------------------------------------------------------------


def test_a_large_file_goes_in_parts(visit: Open, portal: LivePortal, tmp_path: Path) -> None:
    page = visit(ALICE).go("/documents")
    file = made(tmp_path / "parts.bin", 70_000_000)
    with listening(page) as requests:
        choose(page, file)
        is_over(page)
    assert requests.offsets == [0, 32 * 1024**2, 64 * 1024**2]
    all_came(portal, ALICE, [file])


def test_progress_is_shown_and_pausing_goes_on_where_it_stopped(
    visit: Open, portal: LivePortal, tmp_path: Path
) -> None:
    alice = visit(ALICE)
    page = alice.go("/documents")
    network = Network(alice, page).slow(4_000_000)
    file, small = made(tmp_path / "film.mp4", 16_000_000), made(tmp_path / "small.txt", 100_000)
    with listening(page) as requests:
        choose(page, file, small)
        expect(tray(page).get_by_text(re.compile(r"of 16 MB · .*B/s · .*left"))).to_be_visible()
        expect(line(page, "film.mp4").get_by_text(re.compile("of 16 MB.*left"))).to_be_visible()
        expect(line(page, "small.txt").get_by_text("Uploaded · 100 kB")).to_be_visible()
        wait_for_bytes(page, "film.mp4", 0.3)
        page.get_by_role("button", name="Pause film.mp4").click()
        expect(tray(page).get_by_text("1 file paused")).to_be_visible()
        expect(
            line(page, "film.mp4").get_by_text(re.compile("^Paused · .* of 16 MB$"))
        ).to_be_visible()
        before = len(requests.seen)
        page.wait_for_timeout(300)
        assert len(requests.seen) == before
        network.fast()
        page.get_by_role("button", name="Resume film.mp4").click()
        is_over(page, "2 files uploaded")
    first, *others = requests.offsets
    assert first == 0
    assert others
    assert all(offset > 500_000 for offset in others)
    all_came(portal, ALICE, [file, small])


def test_all_are_paused_and_resumed_together(
    visit: Open, portal: LivePortal, tmp_path: Path
) -> None:
    alice = visit(ALICE)
    page = alice.go("/documents")
    network = Network(alice, page).slow(1_000_000)
    files = [made(tmp_path / f"together {number}.bin", 900_000) for number in range(7)]
    choose(page, *files)
    page.get_by_role("button", name="Pause all").click()
    expect(tray(page).get_by_text("7 files paused")).to_be_visible()
    network.fast()
    page.get_by_role("button", name="Resume all").click()
    is_over(page, "7 files uploaded")
    all_came(portal, ALICE, files)


def test_what_is_cancelled_leaves_nothing(visit: Open, portal: LivePortal, tmp_path: Path) -> None:
    alice = visit(ALICE)
    before = portal.incoming()
    page = alice.go("/documents")
    Network(alice, page).slow(2_000_000)
    choose(
        page, made(tmp_path / "regretted.bin", 20_000_000), made(tmp_path / "too.bin", 2_000_000)
    )
    wait_for_bytes(page, "regretted.bin", 0.05)
    with page.expect_response(lambda answer: answer.request.method == "DELETE") as given_up:
        page.get_by_role("button", name="Cancel all").click()
    assert given_up.value.status == 204
    expect(tray(page)).to_be_hidden()
    alice.go("/documents")
    expect(row(page, "regretted.bin")).to_have_count(0)
    there = Kept(portal, ALICE)
    assert not there["regretted.bin"] + there["too.bin"]
    nothing_is_left(portal, before)


def test_leaving_the_page_warns_while_something_is_on_its_way(visit: Open, tmp_path: Path) -> None:
    alice = visit(ALICE)
    page = alice.go("/documents")
    Network(alice, page).slow(500_000)
    choose(page, made(tmp_path / "leaving.bin", 9_000_000))
    expect(line(page, "leaving.bin").get_by_role("progressbar")).to_be_visible()
    with page.expect_event("dialog") as warned:
        page.evaluate("setTimeout(() => location.assign('/trash'))")
    assert warned.value.type == "beforeunload"
    warned.value.dismiss()
    assert alice.path == "/documents"
    page.get_by_role("button", name="Cancel leaving.bin").click()
    alice.go("/trash")


# -- When things break -----------------------------------------------------------------------


def test_it_goes_on_by_itself_after_the_connection_was_away(
    visit: Open, portal: LivePortal, tmp_path: Path
) -> None:
    alice = visit(ALICE)
    alice.expected = AWAY
    page = alice.go("/documents")
    network = Network(alice, page).slow(8_000_000)
    files = [made(tmp_path / "train.bin", 40_000_000)]
    files += [made(tmp_path / f"ticket {number}.pdf", 50_000) for number in range(20)]
    choose(page, *files)
    wait_for_bytes(page, "train.bin", 0.1)
    network.away()
    expect(tray(page).get_by_text("Waiting for the connection.")).to_be_visible()
    page.wait_for_timeout(1500)
    with listening(page) as requests:
        network.fast()
        is_over(page, "21 files uploaded")
    assert requests.offsets
    assert min(requests.offsets) > 0
    all_came(portal, ALICE, files)


def test_it_goes_on_by_itself_after_the_server_was_killed(
    visit: Open, portal: LivePortal, tmp_path: Path
) -> None:
    alice = visit(ALICE)
    alice.expected = AWAY
    page = alice.go("/documents")
    Network(alice, page).slow(5_000_000)
    files = [made(tmp_path / "crash.bin", 20_000_000)]
    files += [made(tmp_path / f"crumb {number}.txt", 40_000) for number in range(30)]
    choose(page, *files)
    wait_for_bytes(page, "crash.bin", 0.3)
    portal.kill()
    expect(tray(page).get_by_text("Waiting for the connection.")).to_be_visible()
    portal.start()
    with listening(page) as requests:
        is_over(page, "31 files uploaded")
    assert requests.offsets
    assert min(requests.offsets) > 0
    all_came(portal, ALICE, files)


def test_an_answer_that_was_lost_does_not_make_a_file_its_own_twin(
    visit: Open, portal: LivePortal
) -> None:
    alice = visit(ALICE)
    alice.expected = AWAY
    page = alice.go("/documents")
    lost = []

    def lose_first(route: Route) -> None:
        route.fetch()
        lost.append(route.request.method)
        route.abort("connectionreset")

    page.route("**/api/v1/uploads", lose_first, times=1)
    page.evaluate(MANY, [1, 60])
    is_over(page)
    assert lost == ["POST"]
    content = b"many 0\n" * 60
    assert Kept(portal, ALICE)["many 0.txt"] == [hashlib.sha256(content).hexdigest()]


def test_what_the_server_has_forgotten_is_forgotten_here_too(
    visit: Open, portal: LivePortal, tmp_path: Path
) -> None:
    alice = visit(ALICE)
    page = alice.go("/documents")
    Network(alice, page).slow(8_000_000)
    file = made(tmp_path / "forgotten.bin", SEVERAL_PARTS)
    choose(page, file)
    wait_for_bytes(page, file.name, 0.05)
    page.close()
    again = alice.context.new_page()
    again.goto("/documents")
    kept = again.evaluate("Object.entries(localStorage)")
    assert len(kept) == 1
    address = json.loads(kept[0][1])["address"]
    client = portal.client(ALICE)
    gone = client.request(
        "DELETE", address, headers={"Tus-Resumable": "1.0.0", "X-CSRFToken": client.token()}
    )
    assert gone.status == 204
    with listening(again) as requests:
        choose(again, file)
        is_over(again)
    first, second, *others = [request.method for request in requests.seen]
    assert (first, second, set(others)) == ("HEAD", "POST", {"PATCH"})
    all_came(portal, ALICE, [file])
    four_days_ago = "JSON.stringify({ address: '/api/v1/uploads/x', at: Date.now() - 4 * 864e5 })"
    again.evaluate(f"localStorage.setItem('portal-upload-0123', {four_days_ago})")
    again.reload()
    assert again.evaluate("localStorage.length") == 0


def test_choosing_a_file_again_after_the_tab_was_closed_sends_only_the_rest(
    visit: Open, portal: LivePortal, tmp_path: Path
) -> None:
    alice = visit(ALICE)
    page = alice.go("/documents")
    Network(alice, page).slow(8_000_000)
    file = made(tmp_path / "long.mp4", SEVERAL_PARTS)
    choose(page, file)
    wait_for_bytes(page, "long.mp4", 0.2)
    page.close()
    again = alice.context.new_page()
    again.goto("/documents")
    with listening(again) as requests:
        drag(alice, again, file)
        is_over(again)
    first, *others = [request.method for request in requests.seen]
    assert (first, set(others)) == ("HEAD", {"PATCH"})
    assert requests.offsets[0] > 1_000_000
    all_came(portal, ALICE, [file])
    assert again.evaluate("Object.keys(localStorage).length") == 0


def test_who_signs_in_next_at_the_same_browser_does_not_go_on_with_it(
    visit: Open, portal: LivePortal, tmp_path: Path
) -> None:
    alice = visit(ALICE)
    page = alice.go("/documents")
    Network(alice, page).slow(8_000_000)
    file = made(tmp_path / "private letter.bin", SEVERAL_PARTS)
    choose(page, file)
    wait_for_bytes(page, "private letter.bin", 0.05)
    page.close()
    theirs = alice.context.new_page()
    theirs.goto("/documents")
    sign_out(theirs)
    fill_sign_in(theirs, BOB)
    expect(theirs.get_by_role("heading", name="Documents", exact=True)).to_be_visible()
    remembered = theirs.evaluate("JSON.stringify(localStorage)")
    assert "private" not in remembered
    assert "/api/v1/uploads/" in remembered
    with listening(theirs) as requests:
        choose(theirs, file)
        is_over(theirs)
    first, *others = [request.method for request in requests.seen]
    assert (first, set(others)) == ("POST", {"PATCH"})
    all_came(portal, BOB, [file])
    assert not Kept(portal, ALICE)[file.name]


def test_signed_out_in_the_middle_it_waits_until_one_is_in_again(
    visit: Open, portal: LivePortal, tmp_path: Path
) -> None:
    alice = visit(ALICE)
    page = alice.go("/documents")
    network = Network(alice, page).slow(2_000_000)
    files = [made(tmp_path / f"meeting {number}.bin", 500_000) for number in range(40)]
    choose(page, *files)
    expect(tray(page).get_by_text("Uploaded · 500 kB").first).to_be_visible()
    other = alice.context.new_page()
    other.goto("/trash")
    sign_out(other)
    expect(tray(page).get_by_text("You are signed out.")).to_be_visible()
    # Somebody else's directory is no place for what is still to come.
    fill_sign_in(other, BOB)
    expect(other.get_by_role("heading", name="Documents", exact=True)).to_be_visible()
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(tray(page).get_by_text("Somebody else is signed in here now.")).to_be_visible()
    sign_out(other)
    fill_sign_in(other, ALICE)
    expect(other.get_by_role("heading", name="Documents", exact=True)).to_be_visible()
    network.fast()
    page.evaluate("dispatchEvent(new Event('focus'))")
    is_over(page, "40 files uploaded")
    all_came(portal, ALICE, files)
    there = Kept(portal, BOB)
    assert not [file for file in files if there[file.name]]


def test_a_file_that_is_gone_meanwhile_is_named_and_given_up(
    visit: Open, portal: LivePortal, tmp_path: Path
) -> None:
    alice = visit(ALICE)
    alice.expected = re.compile("net::ERR_")
    before = portal.incoming()
    page = alice.go("/documents")
    Network(alice, page).slow(4_000_000)
    file = made(tmp_path / "draft.bin", 12_000_000)
    choose(page, file)
    wait_for_bytes(page, "draft.bin", 0.2)
    page.get_by_role("button", name="Pause draft.bin").click()
    file.unlink()
    page.get_by_role("button", name="Resume draft.bin").click()
    expect(line(page, "draft.bin").get_by_text("It cannot be read any more.")).to_be_visible()
    nothing_is_left(portal, before)
    page.get_by_role("button", name="Remove draft.bin").click()
    expect(tray(page)).to_be_hidden()


def test_what_is_refused_stays_with_its_rule_until_it_is_dismissed(
    visit: Open, own_database: str, tmp_path: Path
) -> None:
    rules = {"PORTAL_BLOCKED_EXTENSIONS": "exe", "PORTAL_DEFAULT_QUOTA_BYTES": "200000"}
    with live_portal(own_database, PORTAL_MAX_UPLOAD_BYTES="150000", **rules) as strict:
        strict.start()
        ada = visit(at=strict).be(strict.set_up())
        page = ada.go("/documents")
        files = {"game.exe": 1000, "large.bin": 150_001, "first.bin": 140_000, "fine.txt": 1000}
        choose(page, *[made(tmp_path / name, size) for name, size in files.items()])
        is_over(page, "2 uploaded, 2 not")
        choose(page, made(tmp_path / "second.bin", 140_000))
        is_over(page, "3 files were not uploaded")
        for name, rule in {
            "game.exe": "Files ending in .exe are not taken here.",
            "large.bin": "too large",
            "second.bin": re.compile("room for"),
        }.items():
            expect(line(page, name).get_by_text(rule)).to_be_visible()
        # Room can be made; the rules about a file stay.
        expect(page.get_by_role("button", name="Try second.bin again")).to_be_visible()
        expect(page.get_by_role("button", name="Try game.exe again")).to_have_count(0)
        expect(line(page, "fine.txt")).to_have_count(0)
        page.get_by_role("button", name="Remove game.exe").click()
        expect(line(page, "game.exe")).to_have_count(0)
        page.get_by_role("button", name="Close the list of uploads").click()
        expect(tray(page)).to_be_hidden()


# -- Many ------------------------------------------------------------------------------------

MANY = """([count, lines]) => {
    const tasks = window.longTasks = [];
    new PerformanceObserver((list) => {
        for (const each of list.getEntries()) tasks.push(Math.round(each.duration));
    }).observe({ type: "longtask" });
    const data = new DataTransfer();
    for (let number = 0; number < count; number += 1) {
        data.items.add(new File([`many ${number}\\n`.repeat(lines)], `many ${number}.txt`));
    }
    const options = { dataTransfer: data, bubbles: true, cancelable: true };
    document.body.dispatchEvent(new DragEvent("drop", options));
}"""


def test_a_thousand_files_all_arrive(visit: Open, portal: LivePortal) -> None:
    page = visit(BOB).go("/documents")
    page.evaluate(MANY, [1000, 50])
    expect(tray(page).get_by_text(re.compile("Uploading [1-9]"))).to_be_visible()
    # The list can be scrolled to its end while they go.
    files = tray(page).get_by_role("list")
    assert files.locator("li").count() == 1000
    last = line(page, "many 999.txt")
    last.scroll_into_view_if_needed()
    expect(last.get_by_text(re.compile("Waiting|Uploaded|Finishing|bytes"))).to_be_visible()
    # Lines nobody has looked at are not filled.
    assert files.locator("li progress").count() < 300
    is_over(page, "1,000 files uploaded", timeout=120_000)
    # Told, not judged: how long anything takes here depends on who else uses the machine.
    print("longest task in ms:", max(page.evaluate("longTasks"), default=0))
    there = Kept(portal, BOB)
    for number in range(1000):
        content = f"many {number}\n".encode() * 50
        assert there[f"many {number}.txt"] == [hashlib.sha256(content).hexdigest()]


def test_a_thousand_files_are_cancelled_at_once(visit: Open, portal: LivePortal) -> None:
    alice = visit(ALICE)
    before = portal.incoming()
    page = alice.go("/documents")
    Network(alice, page).slow(20_000)
    page.evaluate(MANY, [1000, 20_000])
    with listening(page) as requests:
        page.get_by_role("button", name="Cancel all").click()
        expect(tray(page)).to_be_hidden(timeout=1000)
        page.wait_for_timeout(300)
        assert not requests.of("POST")
    nothing_is_left(portal, before)


# -- The same name again ---------------------------------------------------------------------


def question(page: Page) -> Locator:
    return page.get_by_role("dialog", name="This name is already there")


def test_a_name_that_is_there_is_asked_about(
    visit: Open, portal: LivePortal, tmp_path: Path
) -> None:
    client = portal.client(ALICE)
    for name in ("new.pdf", "both.pdf", "skip.pdf"):
        client.upload_one(name, Bytes(pdf("the older one")))
    older = [hashlib.sha256(pdf("the older one")).hexdigest()]
    page = visit(ALICE).go("/documents")
    files = {name: made(tmp_path / name, 3000) for name in ("new.pdf", "both.pdf", "skip.pdf")}
    answers = {"new.pdf": "New version", "both.pdf": "Keep both", "skip.pdf": "Skip"}
    free = made(tmp_path / "free.pdf", 3000)
    choose(page, *files.values(), free)
    for _ in files:
        expect(question(page)).to_be_visible()
        # The others go on while somebody thinks.
        expect(line(page, "free.pdf").get_by_text("Uploaded")).to_be_visible()
        name = question(page).locator("bdi").inner_text()
        question(page).get_by_role("button", name=answers.pop(name)).click()
    is_over(page, "3 uploaded, 1 skipped")
    there = Kept(portal, ALICE)
    assert there["new.pdf"] == [sha256(files["new.pdf"])]
    assert there["both.pdf"] == [*older, sha256(files["both.pdf"])]
    assert there["skip.pdf"] == older
    assert there["free.pdf"] == [sha256(free)]


def test_an_answer_holds_for_the_rest_of_its_batch_and_no_longer(
    visit: Open, portal: LivePortal, tmp_path: Path
) -> None:
    client = portal.client(ALICE)
    names = [f"minutes {number}.pdf" for number in range(4)]
    for name in names:
        client.upload_one(name, Bytes(pdf("the older one")))
    page = visit(ALICE).go("/documents")
    files = [made(tmp_path / name, 3000) for name in names]
    choose(page, *files)
    question(page).get_by_label("Do the same for the other 3 files").check()
    question(page).get_by_role("button", name="New version").click()
    is_over(page, "4 files uploaded")
    expect(question(page)).to_be_hidden()
    all_came(portal, ALICE, files)
    choose(page, files[0])
    question(page).get_by_role("button", name="Skip").click()
    is_over(page, "1 file skipped")


def test_two_files_of_one_name_in_one_batch_are_both_kept_in_mind(
    visit: Open, portal: LivePortal, tmp_path: Path
) -> None:
    client = portal.client(ALICE)
    client.upload_one("other.txt", Bytes(b"the older one"))
    page = visit(ALICE).go("/documents")
    one, other = made(tmp_path / "a" / "twin.txt", 2000), made(tmp_path / "b" / "twin.txt", 2001)
    drag_in = [made(tmp_path / "other.txt", 2002), one, other]
    choose(page, *drag_in)
    question(page).get_by_label(re.compile("Do the same")).check()
    question(page).get_by_role("button", name="New version").click()
    # That was about what was there before. One's own file just uploaded is another question.
    expect(question(page).get_by_text("You have just uploaded another file")).to_be_visible()
    question(page).get_by_role("button", name="Keep both").click()
    is_over(page, "3 files uploaded")
    there = Kept(portal, ALICE)
    assert set(there["twin.txt"]) == {sha256(one), sha256(other)}
    assert there["other.txt"] == [sha256(drag_in[0])]


def test_the_question_is_answered_by_keyboard_or_put_off(
    visit: Open, portal: LivePortal, tmp_path: Path
) -> None:
    portal.client(ADA).upload_one("keys.txt", Bytes(b"the older one"))
    page = visit(ADA).go("/documents")
    file = made(tmp_path / "keys.txt", 2000)
    choose(page, file)
    expect(question(page)).to_be_visible()
    page.keyboard.press("Enter")  # meant for something else: nothing is decided by it
    page.keyboard.press("Escape")
    expect(question(page)).to_be_hidden()
    expect(tray(page).get_by_text("1 file needs a decision")).to_be_visible()
    tab_to(page, "Decide")
    page.keyboard.press("Enter")
    expect(question(page)).to_be_visible()
    tab_to(page, "Keep bothBoth stand in the list, under the same name.")
    page.keyboard.press("Enter")
    is_over(page)
    assert sha256(file) in Kept(portal, ADA)["keys.txt"]


def test_the_keyboard_alone_pauses_resumes_and_cancels(visit: Open, tmp_path: Path) -> None:
    ada = visit(ADA)
    page = ada.go("/documents")
    Network(ada, page).slow(500_000)
    choose(page, made(tmp_path / "by key.bin", 9_000_000))
    expect(line(page, "by key.bin").get_by_role("progressbar")).to_be_visible()
    tab_to(page, "Pause by key.bin")
    page.keyboard.press("Enter")
    expect(tray(page).get_by_text("1 file paused")).to_be_visible()
    page.keyboard.press("Enter")  # the focus is on what undoes it
    expect(tray(page).get_by_text("Uploading 1 file")).to_be_visible()
    tab_to(page, "Cancel by key.bin")
    page.keyboard.press("Enter")
    expect(tray(page)).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "content"
