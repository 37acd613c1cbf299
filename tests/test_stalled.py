"""Connections on which nothing moves are cut, and no others."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.stalled import LEAST_BYTES, PATIENCE_SECONDS, Watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel is asked, on Linux")

LATER = 1000.0 + PATIENCE_SECONDS


class Pair:
    """A server's end of a connection, which is watched, and its client."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.client = socket.create_connection(self.listener.getsockname(), timeout=5)
        self.server, _ = self.listener.accept()
        self.server.settimeout(5)
        self.watch = Watch(self.listener.getsockname()[1])

    def from_client(self, count: int) -> None:
        self.client.sendall(bytes(count))
        left = count
        while left:
            left -= len(self.server.recv(left))

    def is_cut(self) -> bool:
        self.client.setblocking(False)
        try:
            return self.client.recv(1) == b""
        except BlockingIOError:
            return False
        finally:
            self.client.settimeout(5)

    def close(self) -> None:
        for each in (self.client, self.server, self.listener):
            each.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


def test_a_connection_that_does_not_move_is_cut_when_patience_ends(pair: Pair) -> None:
    assert pair.watch.look(1000) == 0
    assert pair.watch.look(LATER - 1) == 0
    assert not pair.is_cut()
    assert pair.watch.look(LATER) == 1
    assert pair.is_cut()
    assert pair.server.recv(1) == b"", "who waits for the rest of a body goes on waiting"


def test_a_reader_who_stopped_reading_is_cut(pair: Pair) -> None:
    pair.server.setblocking(False)
    try:
        while True:
            pair.server.send(bytes(65536))
    except BlockingIOError:
        pass
    pair.watch.look(1000)
    assert pair.watch.look(LATER) == 1


def test_a_trickle_is_not_enough(pair: Pair) -> None:
    pair.watch.look(1000)
    pair.from_client(LEAST_BYTES - 1)
    assert pair.watch.look(LATER) == 1


def test_a_slow_one_that_moves_is_left_alone(pair: Pair) -> None:
    pair.watch.look(1000)
    for round_ in range(1, 5):
        pair.from_client(LEAST_BYTES)
        assert pair.watch.look(1000 + round_ * PATIENCE_SECONDS) == 0
    assert not pair.is_cut()


def test_what_is_sent_counts_as_well(pair: Pair) -> None:
    pair.watch.look(1000)
    pair.server.sendall(bytes(LEAST_BYTES))
    pair.client.recv(LEAST_BYTES, socket.MSG_WAITALL)
    assert pair.watch.look(LATER) == 0


def test_connections_on_other_ports_are_left_alone(pair: Pair) -> None:
    stranger = Pair()
    stranger.watch.look(1000)
    assert stranger.watch.look(LATER) == 1
    assert not pair.is_cut()
    stranger.close()


def test_looking_leaves_no_handle_open_and_forgets_what_is_gone(pair: Pair) -> None:
    pair.watch.look(1000)
    before = sorted(os.listdir("/proc/self/fd"))
    pair.watch.look(1001)
    assert sorted(os.listdir("/proc/self/fd")) == before
    pair.close()
    pair.watch.look(1002)
    assert pair.watch.look(LATER + 10) == 0


def test_locks_on_files_stay_while_connections_are_looked_at(pair: Pair, tmp_path: Path) -> None:
    """SQLite's locks are fcntl's: closing any handle on the file drops them all."""
    path = tmp_path / "portal.db"
    other = (
        "import fcntl, sys\n"
        "try: fcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "except OSError: sys.exit(7)\n"
    )
    with path.open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        pair.watch.look(1000)
        assert subprocess.run([sys.executable, "-c", other, str(path)]).returncode == 7
