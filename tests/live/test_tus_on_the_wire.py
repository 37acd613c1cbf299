"""The tus protocol over real connections: cut, silent, racing, and asked about meanwhile."""

from __future__ import annotations

import base64
import hashlib
import random
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from live.client import Client
from live.interruptions import ALICE, make_token
from live.running import LivePortal

MIB = 1024 * 1024


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def offset(self) -> int:
        return int(self.headers["upload-offset"])


class Wire:
    """One connection of Alice's program, written to byte by byte."""

    def __init__(self, portal: LivePortal, token: str) -> None:
        self._token = token
        self._host = f"127.0.0.1:{portal.port}"
        self.socket = socket.create_connection(("127.0.0.1", portal.port), timeout=20)
        self._left = b""

    def head(self, method: str, path: str, **headers: object) -> None:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}", "Tus-Resumable: 1.0.0"]
        lines.append(f"Authorization: Bearer {self._token}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def patch(self, path: str, offset: int, **headers: object) -> None:
        self.head(
            "PATCH",
            path,
            Upload_Offset=offset,
            Content_Type="application/offset+octet-stream",
            **headers,
        )

    def chunk(self, content: bytes) -> None:
        self.socket.sendall(b"%x\r\n%s\r\n" % (len(content), content))

    def answer(self, *, to_head: bool = False) -> Answer:
        while b"\r\n\r\n" not in self._left:
            piece = self.socket.recv(65_536)
            if not piece:
                raise ConnectionError("closed")
            self._left += piece
        head, _, rest = self._left.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines)}
        status = int(first.split()[1])
        length = 0 if to_head or status < 200 else int(headers.get("content-length", 0))
        while len(rest) < length:
            rest += self.socket.recv(65_536)
        self._left = rest[length:]
        return Answer(status, headers, rest[:length])

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


@dataclass
class Program:
    """Opens connections for Alice, and knows what became of her uploads."""

    portal: LivePortal
    alice: Client
    token: str
    wires: list[Wire] = field(default_factory=list)

    def wire(self) -> Wire:
        self.wires.append(Wire(self.portal, self.token))
        return self.wires[-1]

    def begin(self, name: str, length: int) -> str:
        wire = self.wire()
        encoded = base64.b64encode(name.encode()).decode()
        wire.head(
            "POST",
            "/api/v1/uploads",
            Upload_Length=length,
            Upload_Metadata=f"filename {encoded}",
            Content_Length=0,
        )
        answer = wire.answer()
        assert answer.status == 201, answer
        return answer.headers["location"]

    def offset(self, path: str) -> int:
        wire = self.wire()
        wire.head("HEAD", path)
        return wire.answer(to_head=True).offset

    def go_on(self, path: str, content: bytes) -> Answer:
        """Ask how much has come and send the rest, as often as somebody is in the way."""
        for _ in range(20):
            offset = self.offset(path)
            wire = self.wire()
            wire.patch(path, offset, Content_Length=len(content) - offset)
            wire.socket.sendall(content[offset:])
            answer = wire.answer()
            if answer.status != 409:
                return answer
        raise AssertionError("somebody else is always quicker")

    def assert_stored(self, answer: Answer, content: bytes) -> None:
        assert (answer.status, answer.offset) == (204, len(content))
        path = f"{answer.headers['content-location']}/download"
        assert self.alice.download(path)[1:] == (len(content), hashlib.sha256(content).hexdigest())
        assert self.portal.incoming() == []


@pytest.fixture(scope="module")
def alice(portal: LivePortal) -> Client:
    return portal.client(ALICE)


@pytest.fixture(scope="module")
def token(alice: Client) -> str:
    return make_token(alice)


@pytest.fixture
def program(portal: LivePortal, alice: Client, token: str) -> Iterator[Program]:
    program = Program(portal, alice, token)
    yield program
    for wire in program.wires:
        wire.socket.close()


def content(name: str, size: int) -> bytes:
    return random.Random(name).randbytes(size)


def soon(is_true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 15
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("size", [300_000, 5 * MIB])
def test_cut_piece_of_no_declared_length_is_kept(program: Program, how: str, size: int) -> None:
    whole = content(how, size)
    path = program.begin("chunked.bin", size)
    wire = program.wire()
    wire.patch(path, 0, Transfer_Encoding="chunked")
    for start in range(0, size // 2, 10_000):
        wire.chunk(whole[start : start + 10_000])
    half = start + 10_000
    wire.socket.sendall(b"2710\r\n" + whole[half : half + 5_000])
    # Only what the server has taken from the connection outlives a reset.
    assert soon(lambda: how == "FIN" or program.offset(path) > 0 or size < MIB)
    if how == "RST":
        wire.reset()
    else:
        wire.socket.close()
    assert soon(lambda: program.offset(path) > 0)
    program.assert_stored(program.go_on(path, whole), whole)


def test_piece_may_come_in_chunks(program: Program) -> None:
    whole = content("chunks", 400_000)
    path = program.begin("chunks.bin", len(whole))
    wire = program.wire()
    wire.patch(path, 0, Transfer_Encoding="chunked")
    for start in range(0, len(whole), 70_001):
        wire.chunk(whole[start : start + 70_001])
    wire.chunk(b"")
    program.assert_stored(wire.answer(), whole)


def test_of_many_who_send_the_same_at_once_one_is_taken(program: Program) -> None:
    whole = content("many", 3 * MIB)
    path = program.begin("many.bin", len(whole))

    def send(_number: int) -> Answer:
        wire = program.wire()
        wire.patch(path, 0, Content_Length=len(whole))
        wire.socket.sendall(whole)
        return wire.answer()

    with ThreadPoolExecutor(6) as threads:
        answers = sorted(threads.map(send, range(6)), key=lambda answer: answer.status)
    assert [answer.status for answer in answers] == [204, 409, 409, 409, 409, 409]
    program.assert_stored(answers[0], whole)


def test_offset_told_of_a_piece_on_its_way_is_on_the_disk(program: Program) -> None:
    whole = content("growing", 12 * MIB)
    path = program.begin("growing.bin", len(whole))
    wire = program.wire()
    wire.patch(path, 0, Content_Length=len(whole))
    offsets = [0]
    for start in range(0, 9 * MIB, 3 * MIB):
        wire.socket.sendall(whole[start : start + 3 * MIB])
        assert soon(lambda: program.offset(path) > offsets[-1] + MIB)
        offsets.append(program.offset(path))
        [file] = program.portal.incoming()
        assert file.read_bytes()[: offsets[-1]] == whole[: offsets[-1]]
    wire.socket.sendall(whole[9 * MIB :])
    program.assert_stored(wire.answer(), whole)


def test_who_waits_to_be_asked_for_the_body_is_asked_or_refused(program: Program) -> None:
    whole = content("expect", 200_000)
    path = program.begin("expect.bin", len(whole))
    refused = program.wire()
    refused.patch(path, 7, Content_Length=len(whole), Expect="100-continue")
    assert refused.answer().status == 409
    wire = program.wire()
    wire.patch(path, 0, Content_Length=len(whole), Expect="100-continue")
    assert wire.answer().status == 100
    wire.socket.sendall(whole)
    program.assert_stored(wire.answer(), whole)


def test_who_is_refused_early_is_told_to_end_the_connection(program: Program) -> None:
    """A client that stops sending then would wait for a server that waits for the rest."""
    path = program.begin("early.bin", MIB)
    wire = program.wire()
    wire.patch(path, 7, Content_Length=MIB)
    wire.socket.sendall(bytes(100_000))
    answer = wire.answer()
    assert (answer.status, answer.headers["connection"]) == (409, "close")
    # One that goes on sending gets to the end of it, and the connection ends there.
    wire.socket.sendall(bytes(MIB - 100_000))
    assert wire.socket.recv(1) == b""
    last = program.wire()
    last.head("DELETE", path)
    assert last.answer().status == 204


@pytest.mark.parametrize("checksum", [False, True], ids=["plain", "checked"])
def test_another_connection_goes_on_where_the_first_fell_silent(
    program: Program, checksum: bool
) -> None:
    """The phone that changed its network: the old connection is open, and nothing comes."""
    whole = content("phone", 7 * MIB + 4711)
    path = program.begin("phone.bin", len(whole))
    old = program.wire()
    digest = base64.b64encode(hashlib.sha256(whole).digest()).decode()
    headers = {"Upload_Checksum": f"sha256 {digest}"} if checksum else {}
    old.patch(path, 0, Content_Length=len(whole), **headers)
    old.socket.sendall(whole[: 5 * MIB + 99])
    if checksum:
        assert soon(lambda: any(f.stat().st_size > 3 * MIB for f in program.portal.incoming()))
        assert program.offset(path) == 0
    else:
        assert soon(lambda: program.offset(path) > 3 * MIB)
    done = program.go_on(path, whole)
    program.assert_stored(done, whole)
    # What the old one says now comes too late, and is written nowhere.
    old.socket.sendall(bytes(len(whole) - 5 * MIB - 99))
    late = old.answer()
    assert late.status == 409
    assert re.search(rb'"reason": "offset"', late.body)
    program.assert_stored(done, whole)
