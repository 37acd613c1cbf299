"""Connections on which nothing moves any more, and their end.

granian waits for the rest of a body, and for a reader, as long as the connection lasts. A
laptop that was closed in the middle of an upload would hold one of the threads for ever, and
so would somebody who means it. Only the kernel knows how many bytes went over a connection.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

#: A connection must move as many bytes in as many seconds, in and out together. An idle one
#: is closed by the server long before.
LEAST_BYTES = 1024
PATIENCE_SECONDS = 180
_LOOK_SECONDS = 15

#: Where struct tcp_info of Linux keeps `tcpi_bytes_acked` and `tcpi_bytes_received`.
_MOVED = struct.Struct("=120xQQ")


@dataclass(slots=True)
class _Mark:
    """When a connection had moved how many bytes."""

    moved: int
    at: float


class Watch:
    """Looks after the connections that this process has on one port."""

    def __init__(self, port: int) -> None:
        self._port = port
        #: By inode, which no other connection has while this one lives.
        self._marks: dict[int, _Mark] = {}

    def start(self) -> None:
        """Look after them from now on, in a thread. Does nothing where it is not Linux."""
        if sys.platform == "linux":
            threading.Thread(target=self._run, name="stalled", daemon=True).start()

    def look(self, now: float) -> int:
        """Cut every connection that has stalled; answers how many. `now` only ever grows."""
        cut = 0
        marks: dict[int, _Mark] = {}
        for connection in self._connections():
            with connection:
                inode = os.fstat(connection.fileno()).st_ino
                moved = _moved(connection)
                mark = self._marks.get(inode)
                if mark is None or moved - mark.moved >= LEAST_BYTES:
                    mark = _Mark(moved, now)
                elif now - mark.at >= PATIENCE_SECONDS:
                    cut += _cut(connection)
                marks[inode] = mark
        self._marks = marks
        return cut

    def _connections(self) -> Iterator[socket.socket]:
        """A second handle on every connection; the first one may close in the meantime."""
        for name in os.listdir("/proc/self/fd"):
            # Files are left alone: to close a second handle on the database would drop the locks
            # that this process holds on it (POSIX, fcntl), and another one would take it apart.
            try:
                if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                    continue
                handle = os.dup(int(name))
            except OSError:
                continue
            try:
                found = socket.socket(fileno=handle)
            except OSError:  # became a file in this very moment: left open, for the same reason
                continue
            try:
                found.getpeername()
                is_ours = found.getsockname()[1] == self._port
            except (OSError, IndexError, TypeError):  # listening, gone, or of another family
                is_ours = False
            if is_ours:
                yield found
            else:
                found.close()

    def _run(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            self.look(time.monotonic())


def _moved(connection: socket.socket) -> int:
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _MOVED.size)
    sent, received = _MOVED.unpack(info.ljust(_MOVED.size, b"\0"))
    return int(sent + received)


def _cut(connection: socket.socket) -> bool:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it is over already
        return False
    return True
