"""Writing a large file: hashed and written by threads beside the one that reads the network."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import mmap
import os
import queue
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress

from portal.storage.files import write_all

#: Beyond its first so many bytes a file is written in blocks of this size, which a thread of
#: its own hashes. Small pieces would have the two threads wake each other all the time.
BLOCK = 1024 * 1024
#: Blocks a large upload uses in turn: its whole memory, and never a fresh page.
_BLOCKS = 4
#: Writes past the kernel's cache (Linux): no copy, and the last fsync finds nothing left to do.
#: What many write at once into the cache is written back in bursts, at a fraction of the speed.
_O_DIRECT = getattr(os, "O_DIRECT", 0)
#: Where that cannot be had, have the kernel write back every so many bytes.
_WRITE_BACK_EVERY = 16 * 1024 * 1024
_SYNC_FILE_RANGE_WRITE = 2
#: So many large uploads of a process have blocks of their own; the others are written as they come.
_MOST_AT_ONCE = 2
#: Blocks on their way to a thread, each with how much of it is filled; None is the end.
_Queue = queue.SimpleQueue[tuple[mmap.mmap, int] | None]

_libc = ctypes.CDLL(None, use_errno=True)
_sync_file_range = getattr(_libc, "sync_file_range", None)  # Linux only
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


#: What surrounds a write at some place of the file; it may raise instead.
Claim = Callable[[int], AbstractContextManager[None]]


def no_claim(_at: int) -> AbstractContextManager[None]:
    """Nobody else writes to this file."""
    return nullcontext()


class Blocks:
    """Takes a large file block by block: one thread hashes them, a second one writes them.

    hashlib and write() let go of the interpreter lock, so that disk, processor and the
    server's own reading of the network go on at the same time.
    """

    #: How many are in use in this process, about: being one off costs a little memory.
    _in_use = 0

    def __init__(
        self, descriptor: int, digest: hashlib._Hash | None, begun: int, claim: Claim = no_claim
    ) -> None:
        """`begun` bytes are in the file already; `claim` surrounds each write after them."""
        Blocks._in_use += 1
        self._claim = claim
        self._descriptor = descriptor
        self._digest = digest
        self._free: queue.SimpleQueue[mmap.mmap] = queue.SimpleQueue()
        self._full: _Queue = queue.SimpleQueue()
        self._hashed: _Queue = queue.SimpleQueue()
        self._made = 1
        self._block = mmap.mmap(-1, BLOCK)  # page-aligned, as direct writes need it
        self._filled = 0
        #: The first block ends where a block of the file ends, so that all others are aligned.
        self._room = BLOCK - begun % BLOCK
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

    @classmethod
    def is_worth_it(cls, size_bytes: int) -> bool:
        """Whether an upload of which so much has come should go on block by block."""
        return size_bytes > BLOCK and cls._in_use < _MOST_AT_ONCE

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
                self._filled, self._room = 0, BLOCK

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
            Blocks._in_use -= 1
            self._write_directly(False)  # who reads by the same descriptor has no aligned memory
        # A form holds its files until the last one is there: only the blocks in use cost memory.
        with suppress(BufferError):  # what the traceback of a failed write still holds goes with it
            self._block.close()
        self._free = queue.SimpleQueue()

    def _next_block(self) -> mmap.mmap:
        if self._failure is not None:
            raise self._failure
        if self._made < _BLOCKS:
            with suppress(queue.Empty):  # where the disk keeps up, fewer are enough
                return self._free.get_nowait()
            self._made += 1
            return mmap.mmap(-1, BLOCK)
        return self._free.get()

    def _hash(self) -> None:
        while (item := self._full.get()) is not None:
            block, length = item
            if self._digest is not None:
                with memoryview(block) as view, view[:length] as filled:
                    self._digest.update(filled)
            self._hashed.put(item)
        self._hashed.put(None)

    def _write(self) -> None:
        while (item := self._hashed.get()) is not None:
            block, length = item
            if self._failure is None:
                try:
                    with (
                        self._claim(self._written),
                        memoryview(block) as view,
                        view[:length] as filled,
                    ):
                        self._write_block(filled)
                except BaseException as error:  # noqa: BLE001 - raised where somebody hears it
                    self._failure = error
            self._free.put(block)

    def _write_block(self, filled: memoryview) -> None:
        # Those at the beginning and at the end of a file are seldom whole.
        self._write_directly(len(filled) == BLOCK)
        try:
            write_all(self._descriptor, filled, self._written)
        except OSError as error:
            if error.errno != errno.EINVAL or not self._is_direct:
                raise
            # A file system that takes the flag and then no such write.
            self._write_directly(False)
            self._can_write_directly = False
            write_all(self._descriptor, filled, self._written)
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
