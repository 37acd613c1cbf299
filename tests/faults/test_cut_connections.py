"""Connections that end at any byte of an upload leave nothing behind."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from faults.oracle import Witness
from faults.pieces import PIECE, Sending
from live.client import Bytes, Client, Form
from live.fixtures import IS_FULL
from live.running import LivePortal

CUTS = 1000 if IS_FULL else 30
SIZE = 300_000


def _request(client: Client, content: bytes) -> bytes:
    """A whole upload as it goes over the wire."""
    form = Form([("file", "cut.bin", Bytes(content))])
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    head = (
        "POST /documents HTTP/1.1\r\n"
        f"Host: {client.url.removeprefix('http://')}\r\n"
        "Accept: application/json\r\n"
        f"Cookie: {cookies}\r\n"
        f"X-CSRFToken: {client.token()}\r\n"
        f"Content-Type: {form.content_type}\r\n"
        f"Content-Length: {form.size}\r\n\r\n"
    ).encode()
    return head + b"".join(form.pieces())


def _piece(client: Client, sending: Sending) -> bytes:
    """All that is missing of an upload as it goes over the wire."""
    rest = sending.data[sending.told :]
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    head = (
        f"PATCH {sending.address} HTTP/1.1\r\n"
        f"Host: {client.url.removeprefix('http://')}\r\n"
        "Tus-Resumable: 1.0.0\r\n"
        f"Upload-Offset: {sending.told}\r\n"
        f"Cookie: {cookies}\r\n"
        f"X-CSRFToken: {client.token()}\r\n"
        f"Content-Type: {PIECE}\r\n"
        f"Content-Length: {len(rest)}\r\n\r\n"
    ).encode()
    return head + rest


def _send_cut(portal: LivePortal, request: bytes, how: str) -> bytes:
    """Send part of a request and end the connection; answers what came back, if anything."""
    with socket.create_connection(("127.0.0.1", portal.port), timeout=20) as connection:
        try:
            connection.sendall(request)
            if how == "RST":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return b""
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(65_536)
        except ConnectionError:
            return b""


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_a_cut_upload_leaves_nothing(portal: LivePortal, how: str) -> None:
    alice = portal.client("alice@example.org")
    chance = random.Random(how)
    request = _request(alice, chance.randbytes(SIZE))
    before = alice.listed()
    head = request.index(b"\r\n\r\n") + 4
    places = [
        *(chance.randrange(1, head) for _ in range(CUTS // 5)),
        *(chance.randrange(head, len(request)) for _ in range(CUTS)),
        head,
        len(request) - 1,
        len(request) - 2,
        len(request) - 3,
    ]
    for place in places:
        answer = _send_cut(portal, request[:place], how)
        assert b" 201 " not in answer.partition(b"\r\n")[0], f"{place} of {len(request)} was enough"
    # The server may still be reading what came before a reset: quiet means quiet for a while.
    assert _soon(lambda: _stays(lambda: len(_files(portal)) == len(before))), _files(portal)
    assert alice.listed() == before
    assert portal.is_ready()
    kept = alice.upload_one("whole.bin", Bytes(b"whole"))
    assert alice.download(kept["download_url"])[2] == kept["sha256"]


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_a_cut_piece_keeps_what_came_and_the_upload_is_gone_on_with(
    portal: LivePortal, how: str
) -> None:
    alice = portal.client("alice@example.org")
    chance = random.Random(f"pieces {how}")
    sending = Sending(Witness(portal), f"pieces-{how}.bin", chance.randbytes(SIZE), client=alice)
    sending.begin()
    most = 0
    for _ in range(CUTS):
        sending.ask()
        assert sending.told <= most, "more is there than was sent"
        request = _piece(alice, sending)
        head = request.index(b"\r\n\r\n") + 4
        # Mostly a little of the content comes, so that there is something left for the next ones.
        place = min(head + chance.randrange(-50, 2 * SIZE // CUTS), len(request) - 1)
        answer = _send_cut(portal, request[:place], how)
        assert b" 204 " not in answer.partition(b"\r\n")[0], f"{place} of {len(request)} was enough"
        most = max(most, sending.told + place - head)
    assert 0 < sending.told < SIZE
    assert _soon(lambda: sending.finish(SIZE // 3) or sending.sent.status == 201)
    assert not sending.witness.found.broken
    [address] = [place for place, name in alice.listed().items() if name == sending.sent.name]
    assert alice.download(f"{address}/download")[2] == sending.sent.sha256


def test_a_cut_download_holds_nothing_up(portal: LivePortal) -> None:
    alice = portal.client("alice@example.org")
    made = alice.upload_one("long.bin", Bytes(random.Random(1).randbytes(20_000_000)))
    for _ in range(CUTS):
        reader = Client(portal.url)
        reader.cookies = alice.cookies
        response = reader.open("GET", made["download_url"])
        response.read(100_000)
        reader.close()
        response.close()
    assert alice.download(made["download_url"])[2] == made["sha256"]


def _files(portal: LivePortal) -> list[Path]:
    """Every file of a document, those on their way in too, but for pictures of them."""
    address = portal.settings.get("PORTAL_DATABASE_URL")
    engine = create_engine(address or f"sqlite:///{portal.instance / 'portal.db'}")
    with engine.connect() as connection:
        pictures = set(connection.execute(text("SELECT blob FROM previews")).scalars())
    engine.dispose()
    found = [path for path in portal.files.rglob("*") if path.is_file()]
    return [path for path in found if f"{path.parent.name}/{path.name}" not in pictures]


def _stays(is_true: Callable[[], bool]) -> bool:
    for _ in range(20):
        if not is_true():
            return False
        time.sleep(0.1)
    return True


def _soon(is_true: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_true():
            return True
        time.sleep(0.1)
    return False
