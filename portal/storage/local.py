"""Blobs in a folder of this machine: one directory per owner, generated names, 0700 and 0600.

The order of writing is the promise "2xx means it is safe": temporary file in `.incoming/`
(never seen by anyone) → fsync → rename → fsync of the directory → and only then a row.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from portal.errors import StorageUnavailable
from portal.storage import checking
from portal.storage.base import BlobMissing, Stored
from portal.storage.files import INCOMING, make_directory, refusal
from portal.storage.growing import Digests, LocalGrowing
from portal.storage.incoming import LocalIncoming
from portal.storage.pace import SMALL_BYTES, Pace
from portal.storage.reading import Reader

_BLOB = re.compile(r"[0-9a-f]{32}/(?:\.incoming/)?[0-9a-f]{32}")


class LocalStorage:
    """`Storage` in `root`, which must be on one file system and belong to the portal alone."""

    def __init__(self, root: Path) -> None:
        self._root = root
        #: The descriptors of the files that are being read.
        self._reading: set[int] = set()
        self._digests = Digests()

    def receive(self, owner: uuid.UUID) -> LocalIncoming:
        directory = self._root / owner.hex
        try:
            make_directory(directory)
            make_directory(directory / INCOMING)
            return LocalIncoming(directory)
        except OSError as error:
            raise refusal(error) from error

    def new_blob(self, owner: uuid.UUID) -> str:
        return f"{owner.hex}/{uuid.uuid4().hex}"

    def grow(self, blob: str) -> LocalGrowing:
        path = Path(self._path(blob))
        try:
            make_directory(path.parent)
            make_directory(path.parent / INCOMING)
            return LocalGrowing(path.parent, path.name, self._digests)
        except OSError as error:
            raise refusal(error) from error

    def forget(self, blob: str) -> None:
        path = Path(self._path(blob))
        self._digests.forget(blob)
        for place in (path.parent / INCOMING / path.name, path):
            with suppress(FileNotFoundError):
                place.unlink()

    def size_so_far(self, blob: str) -> int:
        path = Path(self._path(blob))
        for place in (path, path.parent / INCOMING / path.name, path):  # renamed in between
            with suppress(FileNotFoundError):
                return place.stat().st_size
        return 0

    def read(
        self, blob: str, start: int, length: int, size_bytes: int, pace: Pace | None = None
    ) -> Iterator[bytes]:
        try:
            descriptor = os.open(self._path(blob), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise BlobMissing(blob) from error
        except OSError as error:
            raise StorageUnavailable from error
        if os.fstat(descriptor).st_size != size_bytes:
            os.close(descriptor)
            raise BlobMissing(blob)
        if length <= SMALL_BYTES:
            return iter([_whole(descriptor, start, length)])
        return Reader(descriptor, start, length, self._reading, pace or Pace())

    def digest(self, blob: str, size_bytes: int, after_block: Callable[[int], None]) -> bytes:
        try:
            return checking.digest(self._path(blob), size_bytes, after_block)
        except FileNotFoundError as error:
            # A disk that is not mounted has no files: nothing is known of any of them.
            if next(self._directories(), None) is None:
                raise StorageUnavailable from error
            raise BlobMissing("is missing") from error
        except OSError as error:
            if error.errno in checking.OF_THE_FILE:
                raise BlobMissing("cannot be read") from error
            raise StorageUnavailable from error

    def copy(self, blob: str, owner: uuid.UUID, size_bytes: int, sha256: bytes) -> str:
        # Written anew, though some file systems could share the blocks: what damages one version
        # must not damage the other, and what is hashed is what is written.
        pieces = self.read(blob, 0, size_bytes, size_bytes)
        incoming = self.receive(owner)
        try:
            for piece in pieces:
                incoming.write(piece)
            if incoming.received().sha256 != sha256:
                raise BlobMissing("was changed")
            return incoming.keep()
        except BaseException:
            incoming.discard()
            raise

    def remove(self, blob: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._path(blob))

    def blobs(self) -> Iterator[Stored]:
        for directory in self._directories():
            yield from _stored(directory, f"{directory.name}/")

    def abandoned(self, before: datetime) -> Iterator[Stored]:
        for directory in self._directories():
            for found in _stored(directory / INCOMING, f"{directory.name}/{INCOMING}/"):
                if found.modified_at < before:
                    yield found

    def free_bytes(self) -> int | None:
        return shutil.disk_usage(self._root).free

    def _directories(self) -> Iterator[Path]:
        with os.scandir(self._root) as found:
            for entry in found:
                if re.fullmatch("[0-9a-f]{32}", entry.name) and entry.is_dir(follow_symlinks=False):
                    yield Path(entry.path)

    def _path(self, blob: str) -> str:
        if not _BLOB.fullmatch(blob):
            raise BlobMissing(blob)
        return f"{self._root}/{blob}"  # a tenth of the time of joining paths


def _whole(descriptor: int, start: int, length: int) -> bytes:
    """Read a span at once, and close the file."""
    try:
        piece = os.pread(descriptor, length, start)
    except OSError as error:
        raise StorageUnavailable from error
    finally:
        os.close(descriptor)
    if len(piece) != length:
        raise BlobMissing("shorter than when it was opened")
    return piece


def _stored(directory: Path, prefix: str) -> Iterator[Stored]:
    with suppress(FileNotFoundError), os.scandir(directory) as found:
        for entry in found:
            # A file can be renamed or removed between the listing and the look.
            with suppress(FileNotFoundError):
                # What others put there (a file manager, a backup) is none of ours.
                if entry.is_file(follow_symlinks=False) and _BLOB.fullmatch(prefix + entry.name):
                    facts = entry.stat(follow_symlinks=False)
                    modified = datetime.fromtimestamp(facts.st_mtime, UTC)
                    yield Stored(f"{prefix}{entry.name}", facts.st_size, modified)
