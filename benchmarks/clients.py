"""The load clients. Each runs in a process of its own and costs little beside what it measures."""

from __future__ import annotations

import heapq
import os
import selectors
import signal
import socket
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from wire import Reply, Target, Upload

CHUNK = 256 * 1024


class ClientError(Exception):
    """A server did not do what the client asked; the text says what came instead."""


@dataclass(frozen=True)
class Answered:
    """One upload and its answer."""

    seconds: float
    body: bytes


@dataclass(frozen=True)
class Burst:
    """Many requests: how long all took, how long each took, and how many failed."""

    seconds: float
    latencies: list[float]
    failures: int


@dataclass(frozen=True)
class Trickle:
    """What slow readers got: how many were served at their pace, and how many were refused."""

    served: int
    refused: int


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def download(target: Target, size: int, patience: float) -> float:
    """Read a whole file over one new connection; answer with the seconds it took."""
    buffer = bytearray(CHUNK)
    started = time.perf_counter()
    with socket.create_connection(("127.0.0.1", target.port), timeout=patience) as sock:
        sock.sendall(target.get())
        reply = Reply()
        while not reply.status:
            data = sock.recv(4096)
            if not data:
                raise ClientError("closed before an answer")
            reply.feed(data)
        if reply.status != 200:
            raise ClientError(f"download answered {reply.status}")
        received = len(reply.body)
        while received < size:
            count = sock.recv_into(buffer)
            if not count:
                raise ClientError(f"download ended after {received} of {size} bytes")
            received += count
    return time.perf_counter() - started


def upload(form: Upload, source: Path, size: int, patience: float) -> Answered:
    """Send one file as browsers do, by reading and sending, and wait for the answer.

    Not by sendfile: that makes it dearer for servers that read in small pieces.
    """
    buffer = memoryview(bytearray(CHUNK))
    with source.open("rb", buffering=0) as file:
        started = time.perf_counter()
        with socket.create_connection(("127.0.0.1", form.target.port), timeout=patience) as sock:
            sock.sendall(form.opening(size))
            # The first bytes are new each time, so that nobody can recognise the file.
            sent = sock.send(os.urandom(16))
            file.seek(sent)
            while sent < size:
                count = file.readinto(buffer[: size - sent])
                sock.sendall(buffer[:count])
                sent += count
            if form.after:
                sock.sendall(form.after)
            reply = Reply()
            while not reply.complete:
                data = sock.recv(65536)
                if not reply.feed(data) and not data:
                    raise ClientError("closed before an answer")
        seconds = time.perf_counter() - started
    if reply.status not in form.accepted:
        raise ClientError(f"upload answered {reply.status}: {reply.body[:200]!r}")
    return Answered(seconds, reply.body)


class _Uploader:
    """One client that posts file after file over a kept connection."""

    def __init__(self, port: int, patience: float) -> None:
        self._port = port
        self._patience = patience
        self._unsent = memoryview(b"")
        self._reply = Reply()
        self._reusable = False
        self.sock = socket.socket()
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

    def begin(self, request: bytes) -> None:
        """Start the next request, over a new connection when the last one was closed."""
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
        form.opening(size) + number.to_bytes(8, "big") + payload + form.after
        for number, form in enumerate(forms)
    )
    latencies: list[float] = []
    failures = 0
    started = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for _ in range(min(clients, len(forms))):
            client = _Uploader(forms[0].target.port, patience)
            client.begin(waiting.popleft())
            selector.register(client.sock, client.waits_for, client)
        while selector.get_map():
            if time.perf_counter() - started > patience:
                raise ClientError(f"uploads unfinished after {patience:.0f} s")
            for key, _ in selector.select(timeout=1.0):
                client = key.data
                if client.advance():
                    latencies.append(time.perf_counter() - client.started)
                    failures += client.status not in forms[0].accepted
                    selector.unregister(client.sock)
                    if not waiting:
                        client.sock.close()
                        continue
                    client.begin(waiting.popleft())
                    selector.register(client.sock, client.waits_for, client)
                elif client.waits_for != key.events:
                    selector.modify(client.sock, client.waits_for, client)
    return Burst(time.perf_counter() - started, latencies, failures)


def probe(target: Target, per_second: int, seconds: float, patience: float) -> Burst:
    """Small downloads begun at a steady pace, each over a new connection, answered or not.

    One that is not answered in time counts as a failure that took that long.
    """
    request = target.get()
    latencies: list[float] = []
    failures = 0
    deadlines: list[tuple[float, int]] = []
    running: dict[int, tuple[socket.socket, float, Reply]] = {}
    planned = int(per_second * seconds)
    begun = 0
    started = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        while begun < planned or running:
            now = time.perf_counter()
            while begun < planned and started + begun / per_second <= now:
                sock = socket.socket()
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", target.port))
                selector.register(sock, selectors.EVENT_WRITE, begun)
                running[begun] = (sock, time.perf_counter(), Reply())
                heapq.heappush(deadlines, (now + patience, begun))
                begun += 1
            while deadlines and (deadlines[0][0] <= now or deadlines[0][1] not in running):
                _, number = heapq.heappop(deadlines)
                if number in running:
                    sock, _, _ = running.pop(number)
                    selector.unregister(sock)
                    sock.close()
                    latencies.append(patience)
                    failures += 1
            next_start = started + begun / per_second if begun < planned else now + 0.1
            for key, mask in selector.select(timeout=max(0.0, next_start - time.perf_counter())):
                sock, began, reply = running[key.data]
                try:
                    if mask & selectors.EVENT_WRITE:
                        sock.send(request)
                        selector.modify(sock, selectors.EVENT_READ, key.data)
                        continue
                    data = sock.recv(65536)
                    if not reply.feed(data) and data:
                        continue
                except BlockingIOError:
                    continue
                except OSError:
                    pass
                latencies.append(time.perf_counter() - began)
                failures += not (reply.complete and reply.status == 200)
                selector.unregister(sock)
                sock.close()
                del running[key.data]
    return Burst(time.perf_counter() - started, latencies, failures)


def read_slowly(target: Target, readers: int, bytes_per_second: int, seconds: float) -> Trickle:
    """Many downloads at once, each read at a slow steady pace and left unfinished."""
    tick = 0.1
    bite = int(bytes_per_second * tick)
    received: dict[socket.socket, int] = {}
    refused: set[socket.socket] = set()
    try:
        for _ in range(readers):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
            sock.settimeout(5.0)
            sock.connect(("127.0.0.1", target.port))
            sock.sendall(target.get())
            sock.setblocking(False)
            received[sock] = 0
        started = time.perf_counter()
        for turn in range(1, int(seconds / tick) + 1):
            for sock, count in received.items():
                if sock in refused:
                    continue
                try:
                    data = sock.recv(bite)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                if not data or (not count and not data.startswith(b"HTTP/1.1 200")):
                    refused.add(sock)
                received[sock] = count + len(data)
            time.sleep(max(0.0, started + turn * tick - time.perf_counter()))
    finally:
        for sock in received:
            sock.close()
    enough = bytes_per_second * seconds / 2
    served = sum(count >= enough for sock, count in received.items() if sock not in refused)
    return Trickle(served, len(refused))
