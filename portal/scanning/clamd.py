"""A client of clamd: is it there, and what does it say of some bytes (its command INSTREAM)?

Whatever is not plainly `OK` or `FOUND` raises `NotScanned`: no answer, one that came too early or
is not understood, an error, a limit. What was not scanned is never clean.
"""

from __future__ import annotations

import io
import re
import select
import socket
import time
import zipfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

from portal.config import Scanner

CONNECT_SECONDS = 5.0
#: For one piece to be taken; clamd keeps what comes in a file, which may be on a slow disk.
SEND_SECONDS = 30.0
#: For the verdict, once everything was sent: more than clamd's own limit (MaxScanTime, 120 s).
VERDICT_SECONDS = 180.0
#: For everything but a verdict.
ANSWER_SECONDS = 5.0
#: Its answers are a line; a name in them is much shorter.
LONGEST_ANSWER = 4096
#: Above this it never looks into a file, and says OK.
LARGEST_BYTES = 2**31 - 4096
#: How large a file is looked into where nobody changed the limits (MaxFileSize).
USUAL_BYTES = 100 * 1024 * 1024

#: What it "finds" where it was told to say that it did not look (AlertExceedsMax).
_LIMIT = "Heuristics.Limits.Exceeded"
_FOUND = re.compile(r"stream: (\S.*) FOUND")
_SLICE_SECONDS = 1.0


class NotScanned(Exception):
    """Nothing is known of the bytes; the text says why, for whoever runs the portal."""


class ScannerAway(NotScanned):
    """Nobody who speaks clamd's language answers at the address."""


@dataclass(frozen=True, slots=True)
class Clean:
    """The scanner looked at all of the bytes and found nothing."""


@dataclass(frozen=True, slots=True)
class Infected:
    """The scanner found malware, which it calls by this name."""

    threat: str


def _nothing() -> None:
    pass


def ping(server: Scanner) -> None:
    """Make sure that clamd answers. Raises `ScannerAway`."""
    answer = _ask(server, b"PING")
    if answer != "PONG":
        raise ScannerAway(f"What answers at {server} is not clamd: {_quoted(answer)}")


def version(server: Scanner) -> str:
    """What clamd says it is, with the age of its signatures. Raises `ScannerAway`."""
    answer = _ask(server, b"VERSION")
    if not answer.startswith("ClamAV "):
        raise ScannerAway(f"What answers at {server} is not clamd: {_quoted(answer)}")
    return answer


def scan(
    server: Scanner, pieces: Iterable[bytes], beat: Callable[[], None] = _nothing
) -> Clean | Infected:
    """What clamd says of the bytes. Raises `NotScanned`, `ScannerAway` where nobody answers.

    `beat` is called between pieces and every second while waiting; what it raises ends the scan.
    """
    size_bytes = 0
    with _Conversation(server, beat) as clamd:
        try:
            clamd.send(b"zINSTREAM\0")
            for piece in pieces:
                if piece:  # an empty piece would say that this was all
                    clamd.send(len(piece).to_bytes(4, "big") + piece)
                    size_bytes += len(piece)
                beat()
            is_early = clamd.has_spoken()
            clamd.send(bytes(4))
        except OSError as error:
            raise NotScanned(f"It stopped listening: {clamd.last_words() or error}") from error
        if is_early:
            # Whatever it says, it says of a part.
            raise NotScanned(f"It answered before the end: {clamd.last_words()}")
        verdict = _understood(clamd.answer(VERDICT_SECONDS))
    if verdict == Clean() and size_bytes > USUAL_BYTES:
        if size_bytes > LARGEST_BYTES:
            raise NotScanned("The file is larger than clamd looks into.")
        if not tells_limits(server):
            raise NotScanned(
                "The file is large, and clamd does not say whether it looked into it:"
                " set AlertExceedsMax yes in clamd.conf."
            )
    return verdict


def tells_limits(server: Scanner) -> bool:
    """Whether clamd says so when it does not look into something, instead of calling it clean.

    It is asked about a small archive that is nested deeper than it looks. Raises `NotScanned`.
    """
    with _Conversation(server, _nothing) as clamd:
        try:
            nested = _nested()
            clamd.send(b"zINSTREAM\0" + len(nested).to_bytes(4, "big") + nested + bytes(4))
        except OSError as error:
            raise NotScanned(f"It stopped listening: {error}") from error
        return f"stream: {_LIMIT}" in clamd.answer(ANSWER_SECONDS)


def _understood(answer: str) -> Clean | Infected:
    if answer == "stream: OK":
        return Clean()
    found = _FOUND.fullmatch(answer)
    if found and answer.isprintable() and not found[1].startswith(_LIMIT):
        return Infected(found[1])
    raise NotScanned(f"It said: {_quoted(answer)}")


def _ask(server: Scanner, command: bytes) -> str:
    """The answer to a command without content. Raises `ScannerAway` for whatever goes wrong."""
    try:
        with _Conversation(server, _nothing) as clamd:
            clamd.send(b"z" + command + b"\0")
            return clamd.answer(ANSWER_SECONDS)
    except ScannerAway:
        raise
    except (NotScanned, OSError) as error:
        raise ScannerAway(f"Nobody answers at {server}: {error}") from error


class _Conversation:
    """A connection for one command."""

    def __init__(self, server: Scanner, beat: Callable[[], None]) -> None:
        self._beat = beat
        try:
            if server.path:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self._socket.settimeout(CONNECT_SECONDS)
                try:
                    self._socket.connect(server.path)
                except BaseException:
                    self._socket.close()
                    raise
            else:
                address = (server.host, server.port)
                self._socket = socket.create_connection(address, CONNECT_SECONDS)
                # The last four bytes would wait for the kernel to hear that the others arrived.
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise ScannerAway(f"Nobody listens at {server}: {error.strerror or error}") from error

    def __enter__(self) -> _Conversation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.settimeout(SEND_SECONDS)
        self._socket.sendall(data)

    def has_spoken(self) -> bool:
        """Whether something came, or the other side has closed."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def answer(self, seconds: float) -> str:
        """The whole answer, without the NUL at its end. Raises `NotScanned`."""
        deadline = time.monotonic() + seconds
        received = bytearray()
        while not received.endswith(b"\0"):
            left = deadline - time.monotonic()
            if left <= 0:
                raise NotScanned(f"It did not answer within {seconds:.0f} seconds.")
            self._socket.settimeout(min(left, _SLICE_SECONDS))
            try:
                piece = self._socket.recv(LONGEST_ANSWER)
            except TimeoutError:
                self._beat()
                continue
            except OSError as error:
                raise NotScanned(f"The connection broke: {error.strerror or error}") from error
            received += piece
            if not piece or len(received) > LONGEST_ANSWER:
                raise NotScanned(f"Its answer has no end: {_quoted(received.decode('latin-1'))}")
        return received[:-1].decode("utf-8", "replace")

    def last_words(self) -> str:
        """Why it no longer listens, if it said so."""
        with suppress(NotScanned):
            return _quoted(self.answer(_SLICE_SECONDS))
        return ""


def _quoted(answer: str) -> str:
    return repr(answer[:200])


def _nested() -> bytes:
    """An archive in an archive, and so on, deeper than anybody's limit (MaxRecursion, 17)."""
    content = b"nothing"
    for _ in range(110):
        into = io.BytesIO()
        with zipfile.ZipFile(into, "w") as archive:
            archive.writestr(zipfile.ZipInfo("x"), content)
        content = into.getvalue()
    return content
