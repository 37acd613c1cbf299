"""Stops are graceful, and processes that die come back."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from live.client import Bytes, pieces_of
from live.fixtures import live_portal
from live.running import LivePortal
from soon import soon


class Slow:
    """Content whose second half waits until it may go on."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.is_half_sent = threading.Event()
        self.may_go_on = threading.Event()

    @property
    def size(self) -> int:
        return len(self.data)

    def pieces(self) -> Iterator[bytes]:
        half = len(self.data) // 2
        yield self.data[:half]
        self.is_half_sent.set()
        assert self.may_go_on.wait(20)
        yield self.data[half:]


@pytest.fixture
def mortal(own_database: str) -> Iterator[LivePortal]:
    """A portal of this test's own, which may be stopped."""
    with live_portal(own_database) as portal:
        portal.start()
        portal.invite(portal.set_up(), "alice@example.org", "Alice Archer")
        yield portal


def test_an_upload_in_flight_finishes_before_the_portal_stops(mortal: LivePortal) -> None:
    alice = mortal.client("alice@example.org")
    content = Slow(random.Random(1).randbytes(2_000_000))
    answers: list[int] = []
    sender = threading.Thread(
        target=lambda: answers.append(alice.upload([("slow.bin", content)]).status)
    )
    sender.start()
    assert content.is_half_sent.wait(20)
    mortal.terminate()
    time.sleep(1)
    content.may_go_on.set()
    sender.join(30)
    assert answers == [201]
    assert mortal.wait() == 0
    mortal.start()
    alice.close()
    [address] = alice.listed()
    _, size, digest = alice.download(f"{address}/download")
    assert (size, digest) == (content.size, hashlib.sha256(content.data).hexdigest())


def test_a_download_in_flight_finishes_before_the_portal_stops(mortal: LivePortal) -> None:
    alice = mortal.client("alice@example.org")
    made = alice.upload_one("long.bin", Bytes(random.Random(2).randbytes(60_000_000)))
    response = alice.open("GET", made["download_url"])
    digest = hashlib.sha256(response.read(100_000))
    mortal.terminate()
    time.sleep(1)
    for piece in pieces_of(response):
        digest.update(piece)
    response.close()
    alice.close()
    assert digest.hexdigest() == made["sha256"]
    assert mortal.wait() == 0


def test_a_stopped_portal_leaves_no_process_and_its_port_free(mortal: LivePortal) -> None:
    assert mortal.stop() == 0
    assert mortal.pids() == []
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", mortal.port))


def test_kill_9_of_the_first_process_takes_the_others_along(mortal: LivePortal) -> None:
    others = list(mortal.children())
    assert others
    os.kill(mortal.pid, signal.SIGKILL)
    mortal.wait(10)
    assert soon(lambda: not mortal.pids()), mortal.children()


def test_processes_that_die_come_back(mortal: LivePortal) -> None:
    alice = mortal.client("alice@example.org")
    made = alice.upload_one("deed.txt", Bytes(b"the deed"))
    first = set(mortal.children())
    assert len(first) >= 2
    killed_at = time.time()
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    alice.close()
    # One for the background at least: the count is what it was.
    assert soon(lambda: len(set(mortal.children()) - first) == len(first)), mortal.last_words()
    assert soon(mortal.is_ready), mortal.last_words()
    beat = mortal.instance / "worker.alive"
    assert soon(lambda: beat.exists() and beat.stat().st_mtime > killed_at), mortal.last_words()
    assert alice.download(made["download_url"])[2] == made["sha256"]
