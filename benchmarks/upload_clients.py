"""The load clients that upload; like the others, each in a process of its own."""

from __future__ import annotations

import io
import os
import selectors
import socket
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from clients import CHUNK, Answered, Burst, ClientError
from wire import Reply, Tus, Upload


@dataclass(frozen=True)
class Crowd:
    """Many uploads side by side: how long all took, and the good answers by number."""

    seconds: float
    #: How many at most had given the server a quarter of their bytes and no answer yet.
    at_once: int
    answers: dict[int, Answered]


def upload(
    form: Upload, source: Path, size: int, patience: float, *, as_it_is: bool = False
) -> Answered:
    """Send one file as browsers do, by reading and sending, and wait for the answer.

    Not by sendfile: that makes it dearer for servers that read in small pieces. Its first bytes
    are made new, so that nobody can recognise the file, unless it goes `as_it_is`.
    """
    with source.open("rb", buffering=0) as file:
        started = time.perf_counter()
        with socket.create_connection(("127.0.0.1", form.target.port), timeout=patience) as sock:
            reply = _exchange(sock, form, file, 0, size, as_it_is=as_it_is)
        seconds = time.perf_counter() - started
    return Answered(seconds, reply.body, reply.headers)


def upload_by_tus(tus: Tus, source: Path, size: int, part: int, patience: float) -> Answered:
    """Announce one file and send it in parts of that size, each once the one before is answered.

    All over one connection, which a server that closes it in between fails.
    """
    with source.open("rb", buffering=0) as file:
        started = time.perf_counter()
        with socket.create_connection(("127.0.0.1", tus.target.port), timeout=patience) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reply = _exchange(sock, tus.creation(size), file, 0, 0)
            location = reply.headers.get("location", "")
            for offset in range(0, size, part):
                if not reply.keep_alive:
                    raise ClientError(f"connection closed before the part at {offset}")
                piece = tus.piece(location, offset)
                reply = _exchange(sock, piece, file, offset, min(part, size - offset))
        seconds = time.perf_counter() - started
    return Answered(seconds, reply.body, reply.headers)


def _exchange(
    sock: socket.socket,
    form: Upload,
    file: io.FileIO,
    offset: int,
    length: int,
    *,
    as_it_is: bool = False,
) -> Reply:
    """Send one request with that part of the file, and wait for an answer of the right kind."""
    buffer = memoryview(bytearray(CHUNK))
    sock.sendall(form.opening(length))
    sent = 0
    if offset == 0 and length and not as_it_is:
        sent = sock.send(os.urandom(min(16, length)))
    file.seek(offset + sent)
    while sent < length:
        count = file.readinto(buffer[: length - sent])
        if not count:
            raise ClientError(f"the source ends before {offset + length} bytes")
        sock.sendall(buffer[:count])
        sent += count
    if form.after:
        sock.sendall(form.after)
    reply = Reply()
    while not reply.complete:
        data = sock.recv(65536)
        if not reply.feed(data) and not data:
            raise ClientError("closed before an answer")
    if reply.status not in form.accepted:
        raise ClientError(f"upload answered {reply.status}: {reply.body[:200]!r}")
    return reply


class _Uploader:
    """One client that posts file after file over a kept connection."""

    def __init__(self, port: int, patience: float) -> None:
        self._port = port
        self._patience = patience
        self._unsent = memoryview(b"")
        self._reply = Reply()
        self._reusable = False
        self.sock = socket.socket()
        self.number = 0
        self.started = 0.0

    @property
    def status(self) -> int:
        """The status of a whole answer, or 0."""
        return self._reply.status if self._reply.complete else 0

    @property
    def waits_for(self) -> int:
        """What a selector should look for."""
        writing = selectors.EVENT_WRITE if self._unsent else 0
        return selectors.EVENT_READ | writing

    @property
    def answered(self) -> Answered:
        """The whole answer, as of now."""
        seconds = time.perf_counter() - self.started
        return Answered(seconds, self._reply.body, self._reply.headers)

    def begin(self, number: int, request: bytes) -> None:
        """Start the next request, over a new connection when the last one was closed."""
        self.number = number
        self.started = time.perf_counter()
        if not self._reusable:
            self.sock.close()
            self.sock = socket.create_connection(("127.0.0.1", self._port), self._patience)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock.setblocking(False)
        self._unsent = memoryview(request)
        self._reply = Reply()

    def advance(self) -> bool:
        """Send and receive what is possible now; say whether the exchange is over."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
            data = self.sock.recv(65536)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        over = self._reply.feed(data) or not data
        self._reusable = bool(data) and self._reply.keep_alive
        return over


def upload_many(forms: list[Upload], size: int, clients: int, patience: float) -> Burst:
    """Post one file with each form, from several clients at once."""
    payload = os.urandom(size - 8)
    waiting = deque(
        (number, form.opening(size) + number.to_bytes(8, "big") + payload + form.after)
        for number, form in enumerate(forms)
    )
    latencies: list[float] = []
    answers: dict[int, Answered] = {}
    started = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for _ in range(min(clients, len(forms))):
            client = _Uploader(forms[0].target.port, patience)
            client.begin(*waiting.popleft())
            selector.register(client.sock, client.waits_for, client)
        while selector.get_map():
            if time.perf_counter() - started > patience:
                raise ClientError(f"uploads unfinished after {patience:.0f} s")
            for key, _ in selector.select(timeout=1.0):
                client = key.data
                if client.advance():
                    answered = client.answered
                    latencies.append(answered.seconds)
                    if client.status in forms[0].accepted:
                        answers[client.number] = answered
                    selector.unregister(client.sock)
                    if not waiting:
                        client.sock.close()
                        continue
                    client.begin(*waiting.popleft())
                    selector.register(client.sock, client.waits_for, client)
                elif client.waits_for != key.events:
                    selector.modify(client.sock, client.waits_for, client)
    seconds = time.perf_counter() - started
    return Burst(seconds, latencies, len(forms) - len(answers), answers)


def announce(uploads: list[Tus], size: int, patience: float) -> list[Upload]:
    """Announce files of that size one after the other; answers the one piece that each lacks."""
    pieces = []
    for tus in uploads:
        with socket.create_connection(("127.0.0.1", tus.target.port), timeout=patience) as sock:
            reply = _exchange(sock, tus.creation(size), io.FileIO(os.devnull), 0, 0)
        pieces.append(tus.piece(reply.headers.get("location", ""), 0))
    return pieces


class _Steady:
    """One file on its way at a steady pace, over a connection of its own."""

    def __init__(self, form: Upload, size: int, body: memoryview, patience: float) -> None:
        self._opening = memoryview(form.opening(size) + os.urandom(16))
        self._after = memoryview(form.after)
        self._accepted = form.accepted
        self._body = body
        self._left = size - 16
        self._size = size
        self._reply = Reply()
        self.is_over = False
        self.sock = socket.create_connection(("127.0.0.1", form.target.port), timeout=patience)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CHUNK)
        self.sock.setblocking(False)

    @property
    def is_under_way(self) -> bool:
        """Whether the server has taken a good part: more than what the kernel holds for it."""
        return not self.is_over and self._left < self._size * 3 / 4

    def advance(self, allowed: float) -> bool:
        """Send until that many bytes of the file are on their way; say whether all is over."""
        try:
            while self._opening:
                self._opening = self._opening[self.sock.send(self._opening) :]
            while self._left and (due := int(allowed) - (self._size - self._left)) > 0:
                at = (self._size - self._left) % len(self._body)
                wanted = min(due, self._left, CHUNK)
                self._left -= self.sock.send(self._body[at : at + wanted])
            while not self._left and self._after:
                self._after = self._after[self.sock.send(self._after) :]
        except BlockingIOError:
            pass
        except OSError:
            self.is_over = True
        try:
            data = self.sock.recv(65536)
            self.is_over |= self._reply.feed(data) or not data
        except BlockingIOError:
            pass
        except OSError:
            self.is_over = True
        return self.is_over

    def answered(self, seconds: float) -> Answered | None:
        """The answer, if it is a good one."""
        if not self._reply.complete or self._reply.status not in self._accepted:
            return None
        return Answered(seconds, self._reply.body, self._reply.headers)


def upload_steadily(
    forms: list[Upload], size: int, bytes_per_second: int, patience: float
) -> Crowd:
    """Upload one file with each form, all at once and each at that pace.

    One that is not answered in time is cut, and counts as failed.
    """
    body = memoryview(os.urandom(4 * CHUNK))
    crowd: dict[int, _Steady] = {}
    answers: dict[int, Answered] = {}
    at_once = 0
    started = time.perf_counter()
    try:
        for number, form in enumerate(forms):
            crowd[number] = _Steady(form, size, body, patience)
        running = dict(crowd)
        while running and (elapsed := time.perf_counter() - started) < patience:
            at_once = max(at_once, sum(steady.is_under_way for steady in running.values()))
            for number, steady in list(running.items()):
                if steady.advance(elapsed * bytes_per_second):
                    del running[number]
                    if answered := steady.answered(time.perf_counter() - started):
                        answers[number] = answered
            # Often enough for the pace, and seldom enough to cost little.
            time.sleep(0.02)
    finally:
        for steady in crowd.values():
            steady.sock.close()
    return Crowd(time.perf_counter() - started, at_once, answers)
