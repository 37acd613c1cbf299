"""Blobs in a folder of this machine: one directory per owner, generated names, 0700 and 0600.

The order of writing is the promise "2xx means it is safe": temporary file in `.incoming/`
(never seen by anyone) → fsync → rename → fsync of the directory → and only then a row.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import mmap
import os
import queue
import re
import shutil
import stat
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from portal.errors import NoSpace, PortalError, StorageUnavailable
from portal.storage.base import CHUNK, LARGEST_CHUNK, BlobMissing, Received, Stored

INCOMING = ".incoming"

_BLOB = re.compile(r"[0-9a-f]{32}/(?:\.incoming/)?[0-9a-f]{32}")
#: The beginning of a file that is kept in memory for telling its media type.
_HEAD_BYTES = 4096
#: Beyond its first so many bytes a file is written in blocks of this size, which a thread of
#: its own hashes. Small pieces would have the two threads wake each other all the time.
_BLOCK = 1024 * 1024
#: Blocks a large upload uses in turn: its whole memory, and never a fresh page.
_BLOCKS = 4
#: Writes past the kernel's cache (Linux): no copy, and the last fsync finds nothing left to do.
#: What many write at once into the cache is written back in bursts, at a fraction of the speed.
_O_DIRECT = getattr(os, "O_DIRECT", 0)
#: Where that cannot be had, have the kernel write back every so many bytes.
_WRITE_BACK_EVERY = 16 * 1024 * 1024
_SYNC_FILE_RANGE_WRITE = 2
#: A reader that comes back for more within this time keeps up with any disk.
_QUICK_SECONDS = 0.01
#: So much the buffers between here and the slowest reader may take at once.
_BUFFERED = 8 * 1024 * 1024
#: While more read than this, nobody gets large pieces: each may keep several, and then be slow.
_FEW_READERS = 16
#: Blocks on their way to a thread, each with how much of it is filled; None is the end.
_Queue = queue.SimpleQueue[tuple[mmap.mmap, int] | None]
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_libc = ctypes.CDLL(None, use_errno=True)
_sync_file_range = getattr(_libc, "sync_file_range", None)  # Linux only
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


class LocalStorage:
    """`Storage` in `root`, which must be on one file system and belong to the portal alone."""

    def __init__(self, root: Path) -> None:
        self._root = root
        #: The descriptors of the files that are being read.
        self._reading: set[int] = set()

    def receive(self, owner: uuid.UUID) -> LocalIncoming:
        directory = self._root / owner.hex
        try:
            _make_directory(directory)
            _make_directory(directory / INCOMING)
            return LocalIncoming(directory)
        except OSError as error:
            raise _refusal(error) from error

    def read(self, blob: str, start: int, length: int, size_bytes: int) -> Iterator[bytes]:
        try:
            descriptor = os.open(self._path(blob), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise BlobMissing(blob) from error
        except OSError as error:
            raise StorageUnavailable from error
        if os.fstat(descriptor).st_size != size_bytes:
            os.close(descriptor)
            raise BlobMissing(blob)
        return _Reader(descriptor, start, length, self._reading)

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


class LocalIncoming:
    """`Incoming` as a file in `.incoming/` of the owner's directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / INCOMING / uuid.uuid4().hex
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor: int | None = os.open(self._path, flags, 0o600)
        self._hash = hashlib.sha256()
        self._blocks: _Blocks | None = None
        self._head = bytearray()
        self._size = 0
        self._received: Received | None = None
        self._kept = False

    @property
    def size_bytes(self) -> int:
        return self._size

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        if self._descriptor is None or self._received is not None:
            raise RuntimeError("written to after its end")
        if len(self._head) < _HEAD_BYTES:
            self._head += chunk[: _HEAD_BYTES - len(self._head)]
        try:
            if self._blocks is None and self._size + len(chunk) <= _BLOCK:
                _write_all(self._descriptor, chunk, self._size)
                self._hash.update(chunk)
            else:
                if self._blocks is None:
                    self._blocks = _Blocks(self._descriptor, self._hash, self._size)
                self._blocks.write(chunk)
        except OSError as error:
            self.discard()
            raise _refusal(error) from error
        self._size += len(chunk)

    def finish(self) -> Received:
        if self._received is None:
            if self._descriptor is None:
                # Its number may be another file's by now.
                raise RuntimeError("finished after it was discarded")
            if self._blocks is not None:
                try:
                    self._blocks.finish()
                except OSError as error:
                    self.discard()
                    raise _refusal(error) from error
            self._received = Received(self._size, self._hash.digest(), bytes(self._head))
        return self._received

    def keep(self) -> str:
        self.finish()
        if self._descriptor is None:
            raise RuntimeError("kept after it was kept or discarded")
        final = self._directory / uuid.uuid4().hex
        try:
            # A failed fsync is never tried again: the kernel may have dropped the pages.
            os.fsync(self._descriptor)
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)
            os.rename(self._path, final)
            self._path = final
            _sync_directory(self._directory)
        except OSError as error:
            self.discard()
            raise _refusal(error) from error
        self._kept = True
        return f"{self._directory.name}/{final.name}"

    def discard(self) -> None:
        if self._kept:
            return
        if self._blocks is not None:
            self._blocks.stop()
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with suppress(OSError):
                os.close(descriptor)
        with suppress(OSError):
            self._path.unlink()


class _Blocks:
    """Takes a large file block by block: one thread hashes them, a second one writes them.

    hashlib and write() let go of the interpreter lock, so that disk, processor and the
    server's own reading of the network go on at the same time.
    """

    def __init__(self, descriptor: int, digest: hashlib._Hash, begun: int) -> None:
        """`begun` bytes, fewer than a block, are in the file already."""
        self._descriptor = descriptor
        self._digest = digest
        self._free: queue.SimpleQueue[mmap.mmap] = queue.SimpleQueue()
        self._full: _Queue = queue.SimpleQueue()
        self._hashed: _Queue = queue.SimpleQueue()
        self._made = 1
        self._block = mmap.mmap(-1, _BLOCK)  # page-aligned, as direct writes need it
        self._filled = 0
        #: The first block ends where a block of the file ends, so that all others are aligned.
        self._room = _BLOCK - begun
        self._is_direct = False
        self._written = begun
        self._written_back = 0
        self._failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._hash, name="hash", daemon=True),
            threading.Thread(target=self._write, name="write", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append bytes. Raises `OSError` as write() does, for these or for earlier ones."""
        rest = memoryview(chunk)
        while rest:
            length = min(len(rest), self._room - self._filled)
            self._block[self._filled : self._filled + length] = rest[:length]
            self._filled += length
            rest = rest[length:]
            if self._filled == self._room:
                self._full.put((self._block, self._filled))
                self._block = self._next_block()
                self._filled, self._room = 0, _BLOCK

    def finish(self) -> None:
        """Hash and write what is left, and wait for it. Raises `OSError` as write() does."""
        if self._filled:
            self._full.put((self._block, self._filled))
        self.stop()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End the threads; what was not handed to them stays unwritten."""
        if any(thread.is_alive() for thread in self._threads):
            self._full.put(None)
            for thread in self._threads:
                thread.join()
        # A form holds its files until the last one is there: only the blocks in use cost memory.
        with suppress(BufferError):  # what the traceback of a failed write still holds goes with it
            self._block.close()
        self._free = queue.SimpleQueue()

    def _next_block(self) -> mmap.mmap:
        if self._failure is not None:
            raise self._failure
        if self._made < _BLOCKS:
            self._made += 1
            return mmap.mmap(-1, _BLOCK)
        return self._free.get()

    def _hash(self) -> None:
        while (item := self._full.get()) is not None:
            block, length = item
            with memoryview(block) as view, view[:length] as filled:
                self._digest.update(filled)
            self._hashed.put(item)
        self._hashed.put(None)

    def _write(self) -> None:
        while (item := self._hashed.get()) is not None:
            block, length = item
            if self._failure is None:
                try:
                    with memoryview(block) as view, view[:length] as filled:
                        self._write_block(filled)
                except BaseException as error:  # noqa: BLE001 - raised where somebody hears it
                    self._failure = error
            self._free.put(block)

    def _write_block(self, filled: memoryview) -> None:
        # Those at the beginning and at the end of a file are seldom whole.
        self._write_directly(len(filled) == _BLOCK)
        try:
            _write_all(self._descriptor, filled, self._written)
        except OSError as error:
            if error.errno != errno.EINVAL or not self._is_direct:
                raise
            # A file system that takes the flag and then no such write.
            self._write_directly(False)
            self._can_write_directly = False
            _write_all(self._descriptor, filled, self._written)
        self._written += len(filled)
        if not self._is_direct and self._written - self._written_back >= _WRITE_BACK_EVERY:
            self._start_write_back()

    _can_write_directly = bool(_O_DIRECT)

    def _write_directly(self, wanted: bool) -> None:
        if wanted == self._is_direct or (wanted and not self._can_write_directly):
            return
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags ^ _O_DIRECT)
        except OSError:  # not on this file system
            self._can_write_directly = False
        else:
            self._is_direct = wanted

    def _start_write_back(self) -> None:
        if _sync_file_range is not None:
            # A hint, from the beginning to the end (0): pages already on their way cost
            # nothing. What goes wrong is told by the fsync at the end.
            _sync_file_range(self._descriptor, 0, 0, _SYNC_FILE_RANGE_WRITE)
        self._written_back = self._written


class _Reader:
    """Reads a span of an open file; closes it at the end, when closed, or when forgotten."""

    def __init__(self, descriptor: int, start: int, length: int, reading: set[int]) -> None:
        self._descriptor: int | None = descriptor
        self._reading = reading
        reading.add(descriptor)
        self._position = start
        self._buffered_until = start + _BUFFERED
        self._left = length
        self._chunk = CHUNK
        self._taken_at = 0.0

    def __iter__(self) -> _Reader:
        return self

    def __next__(self) -> bytes:
        if self._descriptor is None or self._left <= 0:
            self.close()
            raise StopIteration
        now = time.monotonic()
        may_be_large = (
            now - self._taken_at < _QUICK_SECONDS
            and self._position >= self._buffered_until
            and len(self._reading) <= _FEW_READERS
        )
        self._chunk = min(2 * self._chunk, LARGEST_CHUNK) if may_be_large else CHUNK
        self._taken_at = now
        piece = os.pread(self._descriptor, min(self._chunk, self._left), self._position)
        if not piece:
            # Ending the iteration would look like a whole file to the client.
            self.close()
            raise BlobMissing("shorter than when it was opened")
        self._position += len(piece)
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            self._reading.discard(descriptor)  # before the next file gets the number
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def _write_all(descriptor: int, piece: bytes | bytearray | memoryview, at: int) -> None:
    rest = memoryview(piece)
    while rest:
        written = os.pwrite(descriptor, rest, at)
        rest, at = rest[written:], at + written


def _make_directory(path: Path) -> None:
    """Make a directory 0700 and its name durable; one that is there is left alone."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise
        return
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def _refusal(error: OSError) -> PortalError:
    return NoSpace() if error.errno in _NO_SPACE else StorageUnavailable()
