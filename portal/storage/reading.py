"""Reading a blob at the pace of whoever takes it."""

from __future__ import annotations

import os

from portal.storage.base import BlobMissing
from portal.storage.pace import Pace

#: While more read than this, nobody gets large pieces: each may keep several, and then be slow.
_FEW_READERS = 16


class Reader:
    """Reads a span of an open file; closes it at the end, when closed, or when forgotten."""

    def __init__(
        self, descriptor: int, start: int, length: int, reading: set[int], pace: Pace
    ) -> None:
        self._descriptor: int | None = descriptor
        self._reading = reading
        reading.add(descriptor)
        self._position = start
        self._left = length
        self._pace = pace

    def __iter__(self) -> Reader:
        return self

    def __next__(self) -> bytes:
        if self._descriptor is None or self._left <= 0:
            self.close()
            raise StopIteration
        chunk = self._pace.next_chunk(few_read=len(self._reading) <= _FEW_READERS)
        piece = os.pread(self._descriptor, min(chunk, self._left), self._position)
        if not piece:
            # Ending the iteration would look like a whole file to the client.
            self.close()
            raise BlobMissing("shorter than when it was opened")
        self._position += len(piece)
        self._left -= len(piece)
        self._pace.took(len(piece))
        return piece

    def close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            self._reading.discard(descriptor)  # before the next file gets the number
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()
