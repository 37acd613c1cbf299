"""How many bytes travel at a time, by the pace of whoever takes them."""

from __future__ import annotations

import time

#: What is no longer travels whole: to hand it over piece by piece costs more than to send it.
SMALL_BYTES = 64 * 1024
#: How many bytes of anything longer travel at a time at first. The server holds up to 16 such
#: pieces for a reader, and there may be hundreds of slow ones.
CHUNK = 8 * 1024
#: Where many read at the same time: their pieces are most of what the server holds then.
CROWDED_CHUNK = 4 * 1024
#: Whoever takes pieces as fast as they come gets larger ones, up to this, while few others read.
LARGEST_CHUNK = 1024 * 1024

#: A reader that comes back for more within this time keeps up with any disk.
_QUICK_SECONDS = 0.01
#: So much the buffers between here and the slowest reader may take at once.
_BUFFERED = 8 * 1024 * 1024


class Pace:
    """The pace of one taker; what takes several blobs one after the other keeps it for all."""

    def __init__(self) -> None:
        self._taken_bytes = 0
        self._chunk = CHUNK
        self._taken_at = 0.0

    def next_chunk(self, *, few_read: bool) -> int:
        """How many bytes to hand over now, at most."""
        now = time.monotonic()
        is_quick = now - self._taken_at < _QUICK_SECONDS and self._taken_bytes >= _BUFFERED
        if not few_read:
            self._chunk = CROWDED_CHUNK
        else:
            self._chunk = min(2 * self._chunk, LARGEST_CHUNK) if is_quick else CHUNK
        self._taken_at = now
        return self._chunk

    def took(self, count: int) -> None:
        """So many bytes were handed over."""
        self._taken_bytes += count
