"""Resting in proportion to work: most of the time is everybody else's, busy or not."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Called with how many seconds to rest; may raise where the work is to end.
Rest = Callable[[float], object]


class Pace:
    """Rests `share` times as long as went by at work, whenever `keep` is called.

    What counts is the clock and not the processor: who waits for others leaves them more.
    """

    def __init__(self, rest: Rest, share: float) -> None:
        self._rest = rest
        self._share = share
        self._since = time.monotonic()

    def keep(self) -> None:
        """Rest for what was done since it was called last, or since `begin`."""
        self._rest(self._share * (time.monotonic() - self._since))
        self.begin()

    def begin(self) -> None:
        """What went by until now was not work."""
        self._since = time.monotonic()
