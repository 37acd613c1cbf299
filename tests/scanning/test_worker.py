"""The worker of a running portal scans within a second, and goes on after every trouble."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jobs.test_worker import until, worker_of
from live.clamd import EICAR, Clamd
from live.client import Client
from live.fixtures import live_portal
from live.running import LivePortal

ALICE = "alice@example.org"


@contextmanager
def scanned_portal(database: str, clamd: Clamd) -> Iterator[tuple[LivePortal, Client]]:
    with live_portal(database, PORTAL_CLAMD_URL=clamd.url) as portal:
        portal.create_user(ALICE)
        portal.start()
        yield portal, portal.client(ALICE)


def upload(client: Client, name: str, content: bytes) -> str:
    """Upload a file; answers the address of its bytes."""
    url: str = client.upload_one(name, content)["download_url"]
    return url


def state_of(client: Client, download_url: str) -> str:
    found = client.get(download_url.removesuffix("/download"), accept="application/json")
    state: str = found.json()["scan"]
    return state


def becomes(client: Client, download_url: str, state: str) -> bool:
    return until(lambda: state_of(client, download_url) == state)


def test_upload_is_scanned_within_about_a_second(own_database: str, clamd: Clamd) -> None:
    with scanned_portal(own_database, clamd) as (portal, alice):
        took = []
        for number in range(5):
            url = upload(alice, f"{number}.txt", b"clean")
            began = time.monotonic()
            assert becomes(alice, url, "clean")
            took.append(time.monotonic() - began)
            assert alice.get(url).status == 200
        assert sorted(took)[2] < 1.5, took
        bad = upload(alice, "bad.com", EICAR)
        assert becomes(alice, bad, "infected")
        assert alice.get(bad).status == 403
        assert until(lambda: list(portal.instance.glob("outbox/*-malware-*.eml")))
        assert portal.stop() == 0
        assert "Traceback" not in portal.last_words()


def test_queue_is_emptied_when_the_scanner_comes_back(own_database: str, own_clamd: Clamd) -> None:
    with scanned_portal(own_database, own_clamd) as (portal, alice):
        own_clamd.kill(signal.SIGTERM)
        urls = [upload(alice, f"{number}.txt", b"clean") for number in range(30)]
        time.sleep(2)
        assert {state_of(alice, url) for url in urls} == {"waiting"}
        assert alice.get(urls[0]).status == 409
        own_clamd.start()
        assert until(lambda: all(state_of(alice, url) == "clean" for url in urls), 30)
        assert "documents wait for the scanner" in portal.last_words()


def test_killed_worker_and_killed_scanner_lose_no_document(
    own_database: str, own_clamd: Clamd
) -> None:
    with scanned_portal(own_database, own_clamd) as (portal, alice):
        own_clamd.hang()
        urls = [upload(alice, f"{number}.txt", b"clean") for number in range(3)]
        assert until(lambda: worker_of(portal))
        os.kill(worker_of(portal), signal.SIGKILL)
        own_clamd.kill()
        own_clamd.start()
        assert until(lambda: all(state_of(alice, url) == "clean" for url in urls), 90)


def test_stored_before_the_setting_was_made(own_database: str, clamd: Clamd) -> None:
    with live_portal(own_database) as portal:
        portal.create_user(ALICE)
        portal.start()
        alice = portal.client(ALICE)
        urls = [upload(alice, f"{number}.txt", b"clean") for number in range(60)]
        bad = upload(alice, "bad.com", EICAR)
        assert alice.get(bad).status == 200
        portal.stop()
        portal.settings["PORTAL_CLAMD_URL"] = clamd.url
        portal.start()
        alice = portal.client(ALICE)
        assert until(lambda: all(state_of(alice, url) == "clean" for url in urls), 30)
        assert becomes(alice, bad, "infected")
        assert alice.get(bad).status == 403


@pytest.mark.parametrize("url", ["clamd", "tcp://localhost"])
def test_malformed_setting_stops_the_start_with_one_line(url: str) -> None:
    with live_portal(PORTAL_CLAMD_URL=url) as portal:
        done = portal.manage("run", check=False)
        assert done.returncode != 0
        lines = (done.stdout + done.stderr).strip().splitlines()
        assert len(lines) == 1
        assert "PORTAL_CLAMD_URL" in lines[0]
