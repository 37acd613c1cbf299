"""The client of clamd: what it calls clean is clean, and everything else is not."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from zipfile import ZIP_STORED

import pytest

from live.clamd import EICAR, MIB, THREAT, Clamd, pdf, running_clamd, zipped
from portal.config import Scanner
from portal.scanning import clamd as client
from portal.scanning.clamd import Clean, Infected, NotScanned, ScannerAway
from scanning.peer import heard, peer, says

NOISE = random.Random(7)


def pieces(content: bytes, size: int = 8192) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@pytest.fixture(params=["unix", "tcp"])
def server(request: pytest.FixtureRequest, clamd: Clamd) -> Scanner:
    return clamd.server if request.param == "unix" else clamd.by_network


INFECTED = {
    "raw": EICAR,
    "in the middle": NOISE.randbytes(50_000) + EICAR + NOISE.randbytes(50_000),
    "zipped": zipped(EICAR),
    "zipped twice": zipped(zipped(EICAR, "inner.zip")),
    "in a PDF": pdf(EICAR),
    "at the end of a large one": NOISE.randbytes(4 * MIB) + EICAR,
}
CLEAN = {
    "empty": b"",
    "a byte": b"x",
    "text": "Grüße, 日本\n".encode() * 1000,
    "PDF": pdf(b"BT (The deed of the house) Tj ET"),
    "ZIP": zipped(b"nothing bad" * 1000),
    "noise": NOISE.randbytes(3 * MIB),
    "half of it": EICAR[:40],
}


@pytest.mark.parametrize("content", INFECTED.values(), ids=INFECTED.keys())
def test_malware_is_found_by_its_name(server: Scanner, content: bytes) -> None:
    assert client.scan(server, pieces(content)) == Infected(THREAT)


@pytest.mark.parametrize("content", CLEAN.values(), ids=CLEAN.keys())
def test_clean_files_are_clean(server: Scanner, content: bytes) -> None:
    assert client.scan(server, pieces(content)) == Clean()


def test_what_stands_across_pieces_is_found(server: Scanner) -> None:
    assert client.scan(server, pieces(EICAR, 7)) == Infected(THREAT)


def test_empty_piece_does_not_end_the_stream(server: Scanner) -> None:
    assert client.scan(server, [b"first", b"", EICAR]) == Infected(THREAT)


def test_scanner_says_that_it_is_there_and_what_it_is(server: Scanner) -> None:
    client.ping(server)
    assert client.version(server).startswith("ClamAV ")


def test_small_files_cost_milliseconds(server: Scanner) -> None:
    began = time.monotonic()
    for _ in range(50):
        client.scan(server, [b"small"])
    assert time.monotonic() - began < 5


# What it does not look into


@pytest.mark.parametrize("size", [8 * MIB + 1, 9 * MIB, 20 * MIB])
def test_file_larger_than_the_scanner_takes_is_not_scanned(server: Scanner, size: int) -> None:
    for content in (bytes(size), EICAR + bytes(size - len(EICAR))):
        with pytest.raises(NotScanned):
            client.scan(server, pieces(content, 256 * 1024))


def test_reason_names_the_limit(clamd: Clamd) -> None:
    with pytest.raises(NotScanned, match="size limit exceeded"):
        client.scan(clamd.server, pieces(bytes(8 * MIB + 1), MIB))


def test_file_in_which_it_did_not_look_is_not_scanned() -> None:
    with running_clamd(MaxFileSize="1M") as small:
        assert client.tells_limits(small.server)
        with pytest.raises(NotScanned, match="Limits"):
            client.scan(small.server, pieces(EICAR + bytes(2 * MIB)))
        with pytest.raises(NotScanned, match="Limits"):
            client.scan(small.server, pieces(zipped(bytes(2 * MIB), method=ZIP_STORED)))


def test_ok_for_a_large_file_counts_only_from_a_scanner_that_says_its_limits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = EICAR + bytes(2 * MIB)
    monkeypatch.setattr(client, "USUAL_BYTES", MIB)
    with running_clamd(MaxFileSize="1M", AlertExceedsMax="no") as silent:
        assert not client.tells_limits(silent.server)
        with pytest.raises(NotScanned, match="AlertExceedsMax"):
            client.scan(silent.server, pieces(content))
    with running_clamd() as honest:
        assert client.scan(honest.server, pieces(bytes(2 * MIB))) == Clean()
        monkeypatch.setattr(client, "LARGEST_BYTES", 2 * MIB - 1)
        with pytest.raises(NotScanned, match="larger"):
            client.scan(honest.server, pieces(bytes(2 * MIB)))


# A scanner in trouble


def test_scanner_that_is_stopped_is_away_and_comes_back(own_clamd: Clamd) -> None:
    own_clamd.kill(signal.SIGTERM)
    for server in (own_clamd.server, own_clamd.by_network):
        for ask in (client.ping, client.version, lambda at: client.scan(at, [b"x"])):
            with pytest.raises(ScannerAway):
                ask(server)
    own_clamd.start()
    for server in (own_clamd.server, own_clamd.by_network):
        assert client.scan(server, [b"x"]) == Clean()


def test_scanner_killed_in_the_middle_has_not_scanned(own_clamd: Clamd) -> None:
    for server in (own_clamd.server, own_clamd.by_network):

        def cut() -> Iterator[bytes]:
            yield b"first"
            own_clamd.kill()
            yield from [b"second"] * 100

        with pytest.raises(NotScanned):
            client.scan(server, cut())
        own_clamd.start()


def test_scanner_that_hangs_has_not_scanned(
    own_clamd: Clamd, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VERDICT_SECONDS", "ANSWER_SECONDS", "SEND_SECONDS"):
        monkeypatch.setattr(client, name, 0.5)
    own_clamd.hang()
    for server in (own_clamd.server, own_clamd.by_network):
        with pytest.raises(ScannerAway):
            client.ping(server)
        with pytest.raises(NotScanned):
            client.scan(server, [b"x"])
        with pytest.raises(NotScanned):  # what is not taken is not waited for either
            client.scan(server, [bytes(MIB)] * 8)


def test_nobody_listens() -> None:
    with pytest.raises(ScannerAway):
        client.scan(Scanner(path="/nowhere/clamd.sock"), [b"x"])


# A peer that lies


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0",
        b"OK\0",
        b"stream: OK",  # cut off
        b"stream: OK\n",
        b"stream: OK \0",
        b"stream: ok\0",
        b" stream: OK\0",
        b"stream: OK\0stream: Bad FOUND\0",
        b"stream: NOT OK\0",
        b"stream: OKAY\0",
        b"1: stream: OK\0",
        b"stream:  FOUND\0",
        b"stream: Bad FOUND and more\0",
        b"stream: Heuristics.Limits.Exceeded.MaxScanSize FOUND\0",
        b"INSTREAM size limit exceeded. ERROR\0",
        b"stream: Can't allocate memory ERROR\0",
        b"COMMAND READ TIMED OUT\0",
        b"UNKNOWN COMMAND\0",
        b"HTTP/1.1 200 OK\r\n\r\nstream: OK\0",
        b"\xff\xfe\xfd\0",
        b"stream: OK\0" * 1000,
        b"x" * 100_000,
    ],
)
def test_answer_that_is_not_plainly_ok_is_not_clean(answer: bytes) -> None:
    with peer(says(answer)) as liar, pytest.raises(NotScanned):
        client.scan(liar, [b"x"])


def test_peers_answers_are_otherwise_understood() -> None:
    with peer(says(b"stream: OK\0")) as honest:
        assert client.scan(honest, [b"x"]) == Clean()
    with peer(says("stream: Böse Datei FOUND\0".encode())) as honest:
        assert client.scan(honest, [b"x"]) == Infected("Böse Datei")


def test_answer_to_a_part_is_no_answer() -> None:
    """It cannot know what it has not seen."""
    spoke = threading.Event()

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"stream: OK\0")
        spoke.set()
        heard(connection)

    def waiting() -> Iterator[bytes]:
        yield b"first"
        assert spoke.wait(5)
        time.sleep(0.1)
        yield b"second"

    with peer(talk) as hasty, pytest.raises(NotScanned, match="before the end"):
        client.scan(hasty, waiting())


@pytest.mark.parametrize("answer", [b"", b"PONG", b"PONG\n", b"pong\0", b"HTTP/1.1 400\r\n\0"])
def test_peer_that_does_not_answer_a_ping_is_away(answer: bytes) -> None:
    with peer(says(answer)) as stranger:
        with pytest.raises(ScannerAway):
            client.ping(stranger)
        with pytest.raises(ScannerAway):
            client.version(stranger)


def test_answer_that_trickles_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "VERDICT_SECONDS", 1)

    def talk(connection: socket.socket) -> None:
        heard(connection)
        for _ in range(100):
            connection.sendall(b"s")
            time.sleep(0.1)

    with peer(talk) as slow:
        began = time.monotonic()
        with pytest.raises(NotScanned, match="did not answer"):
            client.scan(slow, [b"x"])
        assert time.monotonic() - began < 5


def test_answer_without_end_is_not_listened_to() -> None:
    def talk(connection: socket.socket) -> None:
        heard(connection)
        while True:
            connection.sendall(b"stream: OK " * 1000)

    with peer(talk) as endless, pytest.raises(NotScanned, match="no end"):
        client.scan(endless, [b"x"])


def test_whoever_waits_is_asked_whether_to_go_on() -> None:
    """Between the pieces, and while the scanner thinks."""

    class Enough(Exception):
        pass

    beats: list[Any] = []

    def beat() -> None:
        beats.append(time.monotonic())
        if len(beats) == 4:
            raise Enough

    def talk(connection: socket.socket) -> None:
        heard(connection)
        time.sleep(3)

    with peer(talk) as slow, pytest.raises(Enough):
        client.scan(slow, [b"1", b"2"], beat)
    assert len(beats) == 4


def test_no_file_of_ours_is_what_scanners_look_for() -> None:
    from test_house_rules import ROOT

    for folder in ("portal", "tests", "docs", "templates", "benchmarks", "migrations"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix != ".pyc" and path.stat().st_size < MIB:
                assert EICAR not in path.read_bytes(), path
    assert os.path.exists(ROOT / "README.md")
