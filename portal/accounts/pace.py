"""How fast one address may ask for what costs a processor and guesses at nothing.

Kept in the memory of each process and never written: there is no secret to protect here, as
there is with the counts of `throttle`, and a row for every key somebody presses would
cost more than what it saves.
"""

from __future__ import annotations

import time
from math import ceil
from threading import Lock

from portal.addresses import network_of
from portal.errors import TooManyTries

_REMEMBERED = 10_000


class Pace:
    """At most `burst` at once and `per_second` over time, for each network address."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._lock = Lock()
        #: What is left of the burst, and when that was so; the longest unused first.
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, address: str, now: float | None = None) -> None:
        """Use one of `address`. Raises `TooManyTries` where none is left; `now` only ever grows."""
        now = time.monotonic() if now is None else now
        network = network_of(address)
        with self._lock:
            left, then = self._left.pop(network, (float(self._burst), now))
            left = min(float(self._burst), left + (now - then) * self._per_second)
            is_allowed = left >= 1
            self._left[network] = (left - is_allowed, now)
            if len(self._left) > _REMEMBERED:
                del self._left[next(iter(self._left))]
        if not is_allowed:
            raise TooManyTries(retry_after=max(1, ceil((1 - left) / self._per_second)))
