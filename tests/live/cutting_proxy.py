"""A TCP proxy that cuts connections, for uploads that must survive it."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Literal

How = Literal["FIN", "RST"]
_PIECE = 64 * 1024


@dataclass(frozen=True)
class Cut:
    """What ends the next connection that carries so many bytes to the server."""

    after_bytes: int
    how: How


class CuttingProxy:
    """Passes bytes on between loopback ports; lets everything through until it is told to cut."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        #: Where the server is.
        self.target = 0
        self._lock = threading.Lock()
        self._cuts: list[Cut] = []
        self._passed = 0
        self._moment: tuple[int, Callable[[], object]] | None = None
        self._ends: set[socket.socket] = set()
        self._carriers: list[threading.Thread] = []
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def cut(self, chance: Random, times: int, *, least: int, most: int) -> None:
        """Cut so many connections from now on, one after the other, FIN and RST in turns."""
        hows: tuple[How, How] = ("FIN", "RST")
        with self._lock:
            self._cuts = [
                Cut(chance.randrange(least, most), hows[number % 2]) for number in range(times)
            ]

    @property
    def cuts_left(self) -> int:
        with self._lock:
            return len(self._cuts)

    def when_passed(self, more_bytes: int, act: Callable[[], object]) -> None:
        """Call `act` once, when so many bytes more have gone to the server."""
        with self._lock:
            self._moment = self._passed + more_bytes, act

    def close(self) -> None:
        """End every connection, and wait until that is done."""
        self._listener.close()
        for end in list(self._ends):
            with suppress(OSError):  # it is over already
                end.shutdown(socket.SHUT_RDWR)
        for carrier in self._carriers:
            carrier.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            carrier = threading.Thread(target=self._carry, args=(client,), daemon=True)
            self._carriers.append(carrier)
            carrier.start()

    def _carry(self, client: socket.socket) -> None:
        with client:
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            ends = {client, server}
            self._ends |= ends
            with server, suppress(OSError):
                self._pump(client, server)
            self._ends -= ends

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        carried = 0
        waiting = select.poll()  # select() itself refuses descriptors above 1023
        for end in (client, server):
            waiting.register(end, select.POLLIN)
        while True:
            readable = {descriptor for descriptor, _ in waiting.poll()}
            if server.fileno() in readable:
                if not (piece := server.recv(_PIECE)):
                    return
                client.sendall(piece)
            if client.fileno() in readable:
                if not (piece := client.recv(_PIECE)):
                    return
                if cut := self._next_cut(carried + len(piece)):
                    server.sendall(piece[: max(cut.after_bytes - carried, 0)])
                    if cut.how == "RST":
                        for end in (client, server):
                            _reset_at_close(end)
                    return
                server.sendall(piece)
                carried += len(piece)
                self._count(len(piece))

    def _next_cut(self, carried: int) -> Cut | None:
        with self._lock:
            if self._cuts and carried >= self._cuts[0].after_bytes:
                return self._cuts.pop(0)
        return None

    def _count(self, size: int) -> None:
        with self._lock:
            self._passed += size
            if self._moment is None or self._passed < self._moment[0]:
                return
            _, act = self._moment
            self._moment = None
        act()


def _reset_at_close(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextmanager
def cutting_proxy() -> Iterator[CuttingProxy]:
    proxy = CuttingProxy()
    try:
        yield proxy
    finally:
        proxy.close()
