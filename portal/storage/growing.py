"""Bytes that come in pieces, in several requests and maybe over days."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from portal.errors import Busy, NoSpace, PortalError
from portal.storage.base import Overtaken, Received
from portal.storage.blocks import Blocks
from portal.storage.files import HEAD_BYTES, INCOMING, refusal, sync_directory, write_all

#: Bytes read at a time where a file must be hashed once more.
_READ_AGAIN = 1024 * 1024
#: Files whose hash so far a process remembers, so that the next piece goes on with it.
_REMEMBERED = 256
#: Files a process hashes once more at the same time.
_MOST_READ_AGAIN = 4
#: Longer than the kernel's clock for the times of files goes without moving.
_TICK_SECONDS = 0.02
_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Stamp:
    """How long a file was and when it was written: nobody has touched it while this is the same.

    The length alone is not enough: what was cut off may have been sent again, as something else.
    """

    size_bytes: int
    written_at_ns: int


class Digests:
    """Hashes of files that are not whole yet, as far as this process has worked them out."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Stamp, hashlib._Hash]] = OrderedDict()
        self._lock = threading.Lock()
        #: Files that are being read from their beginning.
        self._being_read: set[str] = set()

    def at(self, blob: str, stamp: Stamp) -> hashlib._Hash | None:
        """The hash of `blob` as `stamp` saw it, to go on with; None if it is not known."""
        if stamp.size_bytes == 0:
            return hashlib.sha256()
        known = self._known.get(blob)
        return known[1].copy() if known is not None and known[0] == stamp else None

    def remember(self, blob: str, stamp: Stamp, digest: hashlib._Hash) -> None:
        self._known[blob] = stamp, digest
        self._known.move_to_end(blob)
        while len(self._known) > _REMEMBERED:
            with suppress(KeyError):  # another thread was quicker
                self._known.popitem(last=False)

    def forget(self, blob: str) -> None:
        self._known.pop(blob, None)

    @contextmanager
    def working_out(self, blob: str) -> Iterator[None]:
        """Surrounds the reading of a whole file. Raises `Busy` where somebody does that already.

        It takes seconds for each gigabyte, and whoever sent the file can ask for it as often as
        they like, at the same time: that must not take every thread.
        """
        with self._lock:
            if blob in self._being_read or len(self._being_read) >= _MOST_READ_AGAIN:
                raise Busy("This file, or many others, are being checked at this moment.")
            self._being_read.add(blob)
        try:
            yield
        finally:
            self._being_read.discard(blob)


class LocalGrowing:
    """`Growing` as a file in `.incoming/`, under the name it will have as a blob.

    Several requests may hold it at once, in several processes. Each write is made under a lock
    and only where nobody else has written or cut since this one's last, so that of two who send
    the same piece one goes on.
    """

    def __init__(self, directory: Path, name: str, digests: Digests) -> None:
        """Open the file, or make it. Raises `OSError`."""
        self._blob = f"{directory.name}/{name}"
        self._directory = directory
        self._incoming, self._final = directory / INCOMING / name, directory / name
        self._digests = digests
        self._is_new = False
        self.is_kept = True
        self._descriptor = self._open()
        self._blocks: Blocks | None = None
        self._stamp = self._look()
        self._position = self._stamp.size_bytes
        self._digest = digests.at(self._blob, self._stamp)

    def _open(self) -> int:
        # Final, unfinished, final: another request may rename it between the first two looks.
        for path, flags in (
            (self._final, os.O_RDONLY),
            (self._incoming, os.O_RDWR),
            (self._final, os.O_RDONLY),
        ):
            with suppress(FileNotFoundError):
                descriptor = os.open(path, flags | _FLAGS)
                self.is_kept = path is self._final
                return descriptor
        self.is_kept, self._is_new = False, True
        return os.open(self._incoming, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)

    @property
    def size_bytes(self) -> int:
        return os.fstat(self._descriptor).st_size

    def cut(self, size_bytes: int) -> None:
        try:
            with self._alone():
                self._must_be_unfinished()
                if self.size_bytes > size_bytes:
                    # The clock of files ticks slowly: after this, the file's time is another one
                    # than that of the last write, which whoever made it will notice.
                    time.sleep(_TICK_SECONDS)
                    os.ftruncate(self._descriptor, size_bytes)
                self._stamp = self._look()
        except OSError as error:
            raise refusal(error) from error
        self._position = size_bytes
        self._digest = self._digests.at(self._blob, self._stamp)

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        try:
            if self._blocks is None and not Blocks.is_worth_it(self._position + len(chunk)):
                with self._claim(self._position):
                    write_all(self._descriptor, chunk, self._position)
                if self._digest is not None:
                    self._digest.update(chunk)
            else:
                if self._blocks is None:
                    self._blocks = Blocks(
                        self._descriptor, self._digest, self._position, self._claim
                    )
                self._blocks.write(chunk)
        except OSError as error:
            raise self._failed(error) from error
        self._position += len(chunk)

    def sync(self) -> int:
        try:
            if self._blocks is not None:
                blocks, self._blocks = self._blocks, None
                blocks.finish()
            os.fdatasync(self._descriptor)
            if self._is_new:
                sync_directory(self._incoming.parent)
                self._is_new = False
        except OSError as error:
            raise self._failed(error) from error
        if self._look() != self._stamp:
            raise Overtaken
        if self._digest is not None:
            self._digests.remember(self._blob, self._stamp, self._digest.copy())
        return self._position

    def head(self) -> bytes:
        try:
            return os.pread(self._descriptor, HEAD_BYTES, 0)
        except OSError as error:
            raise refusal(error) from error

    def received(self) -> Received:
        self._stamp = self._look()
        digest = self._digests.at(self._blob, self._stamp)
        if digest is None:
            with self._digests.working_out(self._blob):
                digest = self._read_again()
            if self._look() == self._stamp:
                self._digests.remember(self._blob, self._stamp, digest.copy())
        return Received(self._stamp.size_bytes, digest.digest(), self.head())

    def keep(self) -> str:
        try:
            # A failed fsync is never tried again: the kernel may have dropped the pages.
            os.fsync(self._descriptor)
            with self._alone():
                if self._look() != self._stamp:
                    raise Overtaken
                if not self._is_at(self._final):  # another request may have been quicker
                    self._must_be_unfinished()
                    os.rename(self._incoming, self._final)
            # Also where it was renamed before: whoever did so may not have come to this.
            sync_directory(self._directory)
        except OSError as error:
            raise self._failed(error) from error
        self.is_kept = True
        self._digests.forget(self._blob)
        return self._blob

    def discard(self) -> None:
        self._digests.forget(self._blob)
        if not self.is_kept:
            with suppress(OSError):
                self._incoming.unlink()

    def close(self) -> None:
        if self._blocks is not None:
            blocks, self._blocks = self._blocks, None
            blocks.stop()
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    @contextmanager
    def _claim(self, at: int) -> Iterator[None]:
        """Let nobody else write; raise `Overtaken` where somebody has, or has cut the end off."""
        with self._alone():
            if self._look() != self._stamp or at != self._stamp.size_bytes:
                raise Overtaken
            self._must_be_unfinished()
            try:
                yield
            finally:
                self._stamp = self._look()

    def _look(self) -> Stamp:
        facts = os.fstat(self._descriptor)
        return Stamp(facts.st_size, facts.st_mtime_ns)

    def _must_be_unfinished(self) -> None:
        """Raise `Overtaken` where it was kept, given up or made anew in the meantime."""
        if not self._is_at(self._incoming):
            raise Overtaken

    def _is_at(self, path: Path) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), path.lstat())
        except FileNotFoundError:
            return False

    @contextmanager
    def _alone(self) -> Iterator[None]:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _read_again(self) -> hashlib._Hash:
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(_READ_AGAIN))
        position = 0
        try:
            while length := os.preadv(self._descriptor, [buffer], position):
                digest.update(buffer[:length])
                position += length
        except OSError as error:
            raise refusal(error) from error
        return digest

    def _failed(self, error: OSError) -> PortalError:
        """What to raise; bytes of which nobody knows whether they are there are given up."""
        refused = refusal(error)
        self._digest = None
        self._digests.forget(self._blob)
        # Where only the room gave out, what is there is right, and the upload can go on.
        if not isinstance(refused, NoSpace) or error.errno == errno.EFBIG:
            self.discard()
        return refused
