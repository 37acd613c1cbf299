"""A piece of work that was claimed until a moment, kept for as long as it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Generic, TypeVar

Claim = TypeVar("Claim")

#: A claim is renewed after this part of its lease, so several times within it.
_RENEWED_AFTER = 1 / 4


class Stopped(Exception):
    """The worker was told to stop in the middle of its work."""


class Held(Generic[Claim]):
    """A claim, as it is after it was renewed last; for as long as `beat` is called often enough."""

    def __init__(
        self,
        claim: Claim,
        renew: Callable[[Claim], Claim],
        lease: timedelta,
        stop: threading.Event,
    ) -> None:
        self.claim = claim
        self._renew = renew
        self._lease = lease
        self._stop = stop
        self._renewed_at = time.monotonic()

    def beat(self) -> None:
        """Still at it. Raises `Stopped`, or what `renew` does for a claim that is lost."""
        if self._stop.is_set():
            raise Stopped
        if time.monotonic() - self._renewed_at > self._lease.total_seconds() * _RENEWED_AFTER:
            self.claim = self._renew(self.claim)
            self._renewed_at = time.monotonic()
