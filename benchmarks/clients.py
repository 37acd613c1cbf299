"""The load clients. Each runs in a process of its own and costs little beside what it measures."""

from __future__ import annotations

import heapq
import io
import selectors
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field

from wire import Reply, Target

CHUNK = 256 * 1024


class ClientError(Exception):
    """A server did not do what the client asked; the text says what came instead."""


@dataclass(frozen=True)
class Answered:
    """One upload and its answer."""

    seconds: float
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class Burst:
    """Many requests: how long all took, how long each took, and how many failed."""

    seconds: float
    latencies: list[float]
    failures: int
    #: The good answers, by the number of the request; kept where somebody needs them.
    answers: dict[int, Answered] = field(default_factory=dict)


@dataclass(frozen=True)
class Trickle:
    """What slow readers got: how many were served at their pace, and how many were refused."""

    served: int
    refused: int


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def download(target: Target, size: int, patience: float, request: bytes | None = None) -> float:
    """Read a whole file over one new connection; answer with the seconds it took.

    `request` is sent instead of a GET.
    """
    buffer = bytearray(CHUNK)
    started = time.perf_counter()
    with socket.create_connection(("127.0.0.1", target.port), timeout=patience) as sock:
        sock.sendall(request or target.get())
        reply = Reply()
        while not reply.status:
            data = sock.recv(4096)
            if not data:
                raise ClientError("closed before an answer")
            reply.feed(data)
        if reply.status != 200:
            raise ClientError(f"download answered {reply.status}")
        received = len(reply.body)
        if request is not None:
            size = max(size, int(reply.headers["content-length"]))
        while received < size:
            count = sock.recv_into(buffer)
            if not count:
                raise ClientError(f"download ended after {received} of {size} bytes")
            received += count
    return time.perf_counter() - started


def read_pipe(command: list[str], size: int, patience: float) -> float:
    """Read all that a command writes into a pipe; answer with the seconds it took."""
    buffer = bytearray(CHUNK)
    started = time.perf_counter()
    received = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
        assert isinstance(process.stdout, io.RawIOBase)
        while count := process.stdout.readinto(buffer):
            received += count
            if time.perf_counter() - started > patience:
                process.kill()
                raise ClientError(f"{command[0]} took too long")
    if process.returncode or received < size:
        raise ClientError(f"{command[0]} gave {received} of {size} bytes")
    return time.perf_counter() - started


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
