"""ZIP archives made while they are sent: no temporary file, and memory for a piece at a time.

Stored, not deflated: most documents are compressed already, and the bytes stay as they are.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from zipfile import ZIP_STORED, ZipFile, ZipInfo

#: File systems take 255 bytes; " (12)" and what a program adds while unpacking must fit too.
_LONGEST_NAME_BYTES = 200
#: What no name on Windows may hold, and what separates folders.
_NOT_IN_NAMES = frozenset('<>:"/\\|?*')
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)
#: A ZIP can say no earlier and no later moment.
_FIRST_YEAR, _LAST_YEAR = 1980, 2107


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive."""

    #: From `Paths`, so that it stays inside the folder it is unpacked to.
    path: str
    modified_at: datetime
    pieces: Iterable[bytes]
    #: None where nobody knows it before the last piece.
    size_bytes: int | None = None


class Paths:
    """Paths in one archive: each cleaned, and none used twice, whatever the case."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}

    def take(self, folder: str, name: str) -> str:
        """A free path in `folder` for a document called `name`; UTF-8, `/` between folders."""
        name = clean(name)
        path = f"{folder}/{name}" if folder else name
        stem, dot, ending = name.rpartition(".")
        if not stem:
            stem, dot, ending = name, "", ""
        while (key := unicodedata.normalize("NFKC", path).casefold()) in self._used:
            self._used[key] += 1
            numbered = f"{stem} ({self._used[key]}){dot}{ending}"
            path = f"{folder}/{numbered}" if folder else numbered
        self._used[key] = 1
        return path


def clean(name: str) -> str:
    """`name` as every file system takes it: no folders, no `..`, at most 200 bytes."""
    text = "".join("_" if c in _NOT_IN_NAMES or ord(c) < 32 or ord(c) == 127 else c for c in name)
    text = text.lstrip(" ").rstrip(" .")
    stem, dot, ending = text.rpartition(".")
    if not stem or len(ending.encode()) > 20:
        stem, dot, ending = text, "", ""
    room = _LONGEST_NAME_BYTES - len(dot) - len(ending.encode())
    stem = stem.encode()[:room].decode("utf-8", "ignore").rstrip(" .")
    text = f"{stem}{dot}{ending}"
    if not text.strip("._ "):
        return "document"
    return f"_{text}" if text.partition(".")[0].strip().casefold() in _RESERVED else text


def stream(members: Iterable[Member]) -> Iterator[bytes]:
    """The bytes of an archive of `members`, in their order, as they are asked for.

    ZIP64 where it must be (over 4 GiB, over 65,535 files); names in UTF-8. What a member raises
    ends the archive in the middle: without its directory no program takes it for whole.
    """
    outbox = _Outbox()
    # Given up in the middle, it writes its directory into the outbox, which nobody empties.
    with ZipFile(outbox, "w", ZIP_STORED) as archive:
        for member in members:
            info = ZipInfo(member.path, _moment(member.modified_at))
            info.external_attr = 0o600 << 16
            info.file_size = member.size_bytes or 0
            with archive.open(info, "w", force_zip64=member.size_bytes is None) as entry:
                for piece in member.pieces:
                    entry.write(piece)
                    yield from outbox.take()
    yield from outbox.take()


class _Outbox:
    """A file that can only be written to and is emptied now and then."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(piece)
        return len(piece)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> list[bytes]:
        taken, self._pieces = self._pieces, []
        return taken


def _moment(moment: datetime) -> tuple[int, int, int, int, int, int]:
    there = moment.astimezone(UTC)
    if not _FIRST_YEAR <= there.year <= _LAST_YEAR:
        return (_FIRST_YEAR, 1, 1, 0, 0, 0)
    return (there.year, there.month, there.day, there.hour, there.minute, there.second)
