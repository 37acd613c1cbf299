"""ZIP archives made while they are sent: no temporary file, and memory for a piece at a time.

Stored, not deflated: most documents are compressed already, and the bytes stay as they are.
So the length of an archive is known before its first byte. The format is PKWARE's APPNOTE.
"""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from struct import pack

from portal.storage.pace import CHUNK

#: File systems take 255 bytes; " (12)" and what a program adds while unpacking must fit too.
_LONGEST_NAME_BYTES = 200
#: What no name on Windows may hold, and what separates folders.
_NOT_IN_NAMES = frozenset('<>:"/\\|?*')
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)
#: A ZIP can say no earlier and no later moment.
_FIRST_YEAR, _LAST_YEAR = 1980, 2107
#: From here on, sizes and places, and counts of files, stand in the fields of ZIP64.
_MOST, _MOST_FILES = 0xFFFFFFFF, 0xFFFF
_NOON = datetime(2000, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive, or with a `/` at the end of its path an empty folder."""

    #: From `Paths`, so that it stays inside the folder it is unpacked to.
    path: str
    modified_at: datetime
    pieces: Iterable[bytes] = ()
    #: None where nobody knows it before the last piece.
    size_bytes: int | None = None


class Paths:
    """Paths in one archive: each cleaned, and none used twice, whatever the case."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}

    def take(self, folder: str, name: str) -> str:
        """A free path in `folder` for a document called `name`; UTF-8, `/` between folders."""
        name = clean(name)
        stem, dot, ending = name.rpartition(".")
        return self._take(folder, stem, dot + ending) if stem else self._take(folder, name, "")

    def take_folder(self, folder: str, name: str) -> str:
        """A free path in `folder` for a folder called `name`, whatever dots are in it."""
        return self._take(folder, clean(name), "")

    def _take(self, folder: str, stem: str, ending: str) -> str:
        start = f"{folder}/" if folder else ""
        path = f"{start}{stem}{ending}"
        while (key := unicodedata.normalize("NFKC", path).casefold()) in self._used:
            self._used[key] += 1
            path = f"{start}{stem} ({self._used[key]}){ending}"
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

    ZIP64 where it must be (over 4 GiB, over 65,534 files); names in UTF-8. What a member raises
    ends the archive in the middle: without its directory no program takes it for whole. So does
    one that is not as long as it said.
    """
    with closing(_parts(members)) as parts:
        yield from _gathered(parts)


def length_of(contents: Iterable[tuple[str, int]]) -> int:
    """How long `stream` will be for members of those paths and sizes."""
    directory = _Directory()
    for path, size_bytes in contents:
        directory.begin(Member(path, _NOON, (), size_bytes))
        directory.end(0, size_bytes)
    return directory.offset + sum(map(len, directory.close()))


def _parts(members: Iterable[Member]) -> Generator[bytes, None, None]:
    directory = _Directory()
    for member in members:
        yield directory.begin(member)
        crc = size = 0
        for piece in member.pieces:
            crc = zlib.crc32(piece, crc)
            size += len(piece)
            if member.size_bytes is not None and size > member.size_bytes:
                break
            yield piece
        if member.size_bytes not in {None, size}:
            raise WrongSize(member.path)
        yield directory.end(crc, size)
    yield from directory.close()


def _gathered(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, the short ones put together: each costs the server some work."""
    held: list[bytes] = []
    held_bytes = 0
    for part in parts:
        if len(part) < CHUNK:
            held.append(part)
            held_bytes += len(part)
            if held_bytes < CHUNK:
                continue
            part = b""  # noqa: PLW2901 - it is in what is held
        if held:
            yield b"".join(held)
            held, held_bytes = [], 0
        if part:
            yield part
    if held:
        yield b"".join(held)


class WrongSize(Exception):
    """A member of an archive is not as long as it said before."""


class _Directory:
    """The headers of an archive, written one after the other, and its directory at the end."""

    def __init__(self) -> None:
        #: Where the next header goes.
        self.offset = 0
        self._records: list[bytes] = []
        self._facts = b""
        self._name = b""
        self._is_folder = self._is_large = False
        self._began_at = 0

    def begin(self, member: Member) -> bytes:
        """The header of a member. Its sum is not known yet, and follows its bytes."""
        self._name = member.path.encode()
        self._is_folder = member.path.endswith("/")
        self._is_large = member.size_bytes is None or member.size_bytes >= _MOST
        self._facts = pack("<HHI", _flags(self._is_folder), 0, _dos_time(member.modified_at))
        self._began_at = self.offset
        more = pack("<HHQQ", 1, 16, 0, 0) if self._is_large else b""
        size = _MOST if self._is_large else 0
        facts = pack("<III", 0, size, size)
        lengths = pack("<HH", len(self._name), len(more))
        return self._moved(
            pack("<4sH", b"PK\3\4", _version(self._is_large))
            + self._facts
            + facts
            + lengths
            + self._name
            + more
        )

    def end(self, crc: int, size_bytes: int) -> bytes:
        """What stands after the bytes of the member that was begun."""
        self.offset += size_bytes
        self._add_record(crc, size_bytes)
        if self._is_folder:
            return b""
        sizes = "<4sIQQ" if self._is_large else "<4sIII"
        return self._moved(pack(sizes, b"PK\7\x08", crc, size_bytes, size_bytes))

    def close(self) -> Iterator[bytes]:
        """The directory."""
        count, start = len(self._records), self.offset
        length = sum(map(len, self._records))
        yield from self._records
        if count >= _MOST_FILES or length >= _MOST or start >= _MOST:
            version = _version(is_large=True)
            facts = (version, version, 0, 0, count, count, length, start)
            yield pack("<4sQHHIIQQQQ", b"PK\6\6", 44, *facts)
            yield pack("<4sIQI", b"PK\6\7", 0, start + length, 1)
        few = min(count, _MOST_FILES)
        yield pack(
            "<4sHHHHIIH", b"PK\5\6", 0, 0, few, few, min(length, _MOST), min(start, _MOST), 0
        )

    def _moved(self, header: bytes) -> bytes:
        self.offset += len(header)
        return header

    def _add_record(self, crc: int, size_bytes: int) -> None:
        large = [size_bytes] * 2 if self._is_large else []
        if self._began_at >= _MOST:
            large.append(self._began_at)
        more = pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
        size = _MOST if self._is_large else size_bytes
        # 3 is Unix, whose rights stand in the upper half of the attributes.
        rights = (0o40700 << 16) | 0x10 if self._is_folder else 0o600 << 16
        version = _version(bool(large))
        self._records.append(
            pack("<4sHH", b"PK\1\2", 3 << 8 | version, version)
            + self._facts
            + pack("<III", crc, size, size)
            + pack("<HHHHHI", len(self._name), len(more), 0, 0, 0, rights)
            + pack("<I", min(self._began_at, _MOST))
            + self._name
            + more
        )


def _flags(is_folder: bool) -> int:
    """Names are UTF-8; the sum of a file stands after its bytes."""
    return 0x800 if is_folder else 0x808


def _version(is_large: bool) -> int:
    """What a program must know to read it: ZIP64, or folders."""
    return 45 if is_large else 20


def _dos_time(moment: datetime) -> int:
    year, month, day, hour, minute, second = _moment(moment)
    date = (year - _FIRST_YEAR) << 9 | month << 5 | day
    return date << 16 | hour << 11 | minute << 5 | second // 2


def _moment(moment: datetime) -> tuple[int, int, int, int, int, int]:
    there = moment.astimezone(UTC)
    if not _FIRST_YEAR <= there.year <= _LAST_YEAR:
        return (_FIRST_YEAR, 1, 1, 0, 0, 0)
    return (there.year, there.month, there.day, there.hour, there.minute, there.second)
