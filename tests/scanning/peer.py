"""A peer that takes connections as clamd does, and then goes wrong in one way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from portal.config import Scanner

Talk = Callable[[socket.socket], None]


@contextmanager
def peer(talk: Talk) -> Iterator[Scanner]:
    """Somebody at an address of this machine, who does `talk` with each who connects."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def serve() -> None:
            while not done.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection, suppress(OSError):
                    connection.settimeout(10)
                    talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Scanner(host="127.0.0.1", port=server.getsockname()[1])
        finally:
            done.set()
            thread.join()


def heard(connection: socket.socket) -> bytes:
    """A whole command: up to the NUL, and the pieces of a stream up to the empty one."""
    with connection.makefile("rb", buffering=0) as file:

        def exactly(count: int) -> bytes:
            taken = b""
            while len(taken) < count:
                piece = file.read(count - len(taken))
                if not piece:
                    raise ConnectionError
                taken += piece
            return taken

        command = b""
        while not command.endswith(b"\0"):
            command += exactly(1)
        if command == b"zINSTREAM\0":
            while length := int.from_bytes(exactly(4), "big"):
                exactly(length)
        return command


def says(answer: bytes) -> Talk:
    """Hears everything, answers that, and closes."""

    def talk(connection: socket.socket) -> None:
        heard(connection)
        connection.sendall(answer)

    return talk
