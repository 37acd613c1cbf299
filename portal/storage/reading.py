"""Reading a blob at the pace of whoever takes it."""

from __future__ import annotations

import os
import time

from portal.storage.base import CHUNK, LARGEST_CHUNK, BlobMissing

#: A reader that comes back for more within this time keeps up with any disk.
_QUICK_SECONDS = 0.01
#: So much the buffers between here and the slowest reader may take at once.
_BUFFERED = 8 * 1024 * 1024
#: While more read than this, nobody gets large pieces: each may keep several, and then be slow.
_FEW_READERS = 16


class Reader:
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

    def __iter__(self) -> Reader:
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
