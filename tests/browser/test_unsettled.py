"""Rows that change by themselves once a document was checked, or its picture was drawn."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, Request, expect

from browser.conftest import Open
from browser.pages import row
from faults.tracing import server_of
from live.clamd import EICAR, Clamd, own_clamd
from live.client import Bytes, Client
from live.fixtures import live_portal
from live.real_files import png
from live.running import LivePortal

__all__ = ["own_clamd"]

ALICE = "alice@example.org"
BEING_CHECKED = "Being checked"


@contextmanager
def _with_alice(database: str, **settings: str) -> Iterator[LivePortal]:
    with live_portal(database, **settings) as portal:
        portal.start("--workers", "1")
        portal.invite(portal.set_up(), ALICE, "Alice Archer")
        yield portal


@pytest.fixture
def scanned(own_database: str, own_clamd: Clamd) -> Iterator[LivePortal]:
    with _with_alice(own_database, PORTAL_CLAMD_URL=own_clamd.url) as portal:
        yield portal


@pytest.fixture
def undrawn(own_database: str) -> Iterator[LivePortal]:
    """A portal whose worker stands still."""
    with _with_alice(own_database) as portal:
        for pid in _workers(portal):
            os.kill(pid, signal.SIGSTOP)
        yield portal
        _go_on(portal)


def _workers(portal: LivePortal) -> list[int]:
    """Every process but the one that answers."""
    return [pid for pid in portal.children() if pid != server_of(portal)]


def _go_on(portal: LivePortal) -> None:
    for pid in _workers(portal):
        os.kill(pid, signal.SIGCONT)


def _asked(page: Page) -> list[str]:
    """The requests for the list as JSON, from now on."""
    asked: list[str] = []

    def note(request: Request) -> None:
        if "/documents" in request.url and request.headers.get("accept") == "application/json":
            asked.append(request.url)

    page.on("request", note)
    return asked


def _is_drawn(page: Page, selector: str) -> None:
    page.wait_for_function(
        """selector => {
            const image = document.querySelector(selector);
            return image?.src.includes("state=made") && image.complete && image.naturalWidth > 0;
        }""",
        arg=selector,
        timeout=60_000,
    )


def _fill(alice: Client, count: int) -> None:
    for number in range(count):
        alice.upload_one(f"filler {number}.txt", Bytes(b"words"))


def test_rows_change_when_the_check_has_ended(
    visit: Open, scanned: LivePortal, own_clamd: Clamd
) -> None:
    own_clamd.hang()
    alice = scanned.client(ALICE)
    alice.upload_one("clean.png", Bytes(png(64, 40)))
    alice.upload_one("bad.txt", Bytes(EICAR))
    page = visit(ALICE, at=scanned).go("/documents")
    expect(page.get_by_text(BEING_CHECKED)).to_have_count(2)
    expect(page.get_by_role("link", name="Download clean.png")).to_have_count(0)
    tick = page.get_by_role("checkbox", name="Select clean.png")
    tick.check()
    page.keyboard.press("i")
    aside = page.get_by_role("complementary", name="Details")
    expect(aside).to_contain_text(BEING_CHECKED)
    os.kill(own_clamd.pid, signal.SIGCONT)
    page.get_by_text(BEING_CHECKED).first.wait_for(state="detached", timeout=30_000)
    expect(row(page, "bad.txt")).to_contain_text("Blocked: malware found", timeout=30_000)
    expect(page.get_by_role("link", name="Download clean.png")).to_be_attached(timeout=30_000)
    expect(tick).to_be_checked()
    expect(tick).to_be_focused()
    expect(aside).to_contain_text("Nothing found")
    expect(aside.get_by_role("link", name="Download")).to_be_visible()
    expect(page.get_by_role("link", name="Download bad.txt")).to_have_count(0)
    expect(page.locator('[data-preview="pending"]')).to_have_count(0, timeout=30_000)
    page.wait_for_function("() => document.querySelector('img.thumb')?.naturalWidth > 0")


def test_pictures_come_by_themselves_in_table_grid_and_pane(
    visit: Open, undrawn: LivePortal
) -> None:
    alice = undrawn.client(ALICE)
    for number in range(3):
        alice.upload_one(f"picture {number}.png", Bytes(png(64, 40 + number)))
    table = visit(ALICE, at=undrawn).go("/documents")
    grid = visit(ALICE, at=undrawn).go("/documents?view=grid")
    table.get_by_role("button", name="Details", exact=True).click()
    table.get_by_role("checkbox", name="Select picture 0.png").focus()
    expect(table.locator(".details-picture img")).to_have_attribute(
        "src", re.compile("state=pending")
    )
    asked = _asked(table)
    _go_on(undrawn)
    _is_drawn(table, "tbody tr:last-child img.thumb")
    _is_drawn(table, ".details-picture img")
    _is_drawn(grid, ".tile:last-child img")
    # All rows together, not one by one: the list, and once more the document in the pane.
    assert len({each for each in asked if re.search(r"/documents$", each)}) <= 1
    assert len(asked) <= 12
    expect(table.locator('[data-preview="pending"]')).to_have_count(0)
    asked.clear()
    table.wait_for_timeout(4000)
    assert asked == []


def test_asking_grows_rarer_and_ends(visit: Open, undrawn: LivePortal) -> None:
    undrawn.client(ALICE).upload_one("picture.png", Bytes(png(64, 40)))
    page = visit(ALICE, at=undrawn).page
    page.clock.install()
    asked = _asked(page)
    page.goto("/documents")
    counts = []
    for _ in range(40):
        page.clock.run_for(15_000)
        page.wait_for_timeout(60)
        counts.append(len(asked))
    assert counts[-1] == 10
    assert counts[1] - counts[0] > counts[11] - counts[10]
    assert counts[20] == counts[-1]


def test_nobody_asks_for_what_nobody_sees(visit: Open, undrawn: LivePortal) -> None:
    alice = undrawn.client(ALICE)
    alice.upload_one("picture.png", Bytes(png(64, 40)))
    _fill(alice, 25)
    page = visit(ALICE, at=undrawn).page
    page.add_init_script(
        "Object.defineProperty(document, 'hidden', { get: () => window.isAway === true });"
    )
    asked = _asked(page)
    page.goto("/documents")
    page.wait_for_timeout(2500)
    assert asked == []
    page.evaluate("window.isAway = true")
    page.locator("tbody tr").last.scroll_into_view_if_needed()
    page.wait_for_timeout(2500)
    assert asked == []
    page.evaluate(
        "() => { window.isAway = false; document.dispatchEvent(new Event('visibilitychange')); }"
    )
    page.wait_for_timeout(2500)
    assert asked
    _go_on(undrawn)
    _is_drawn(page, "img.thumb")


def test_open_menu_of_a_row_stays_open(visit: Open, scanned: LivePortal, own_clamd: Clamd) -> None:
    own_clamd.hang()
    scanned.client(ALICE).upload_one("clean.txt", Bytes(b"words"))
    page = visit(ALICE, at=scanned, viewport={"width": 390, "height": 844}).go("/documents")
    page.get_by_label("More for clean.txt").click()
    asked = _asked(page)
    os.kill(own_clamd.pid, signal.SIGCONT)
    page.wait_for_timeout(6000)
    assert asked
    expect(page.get_by_role("link", name="Move", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text(BEING_CHECKED)).to_have_count(0, timeout=30_000)
