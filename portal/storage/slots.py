"""How many transfers a server process carries at once, and how many of them one person's."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from portal.errors import Busy


class Slots:
    """Places for transfers. One person, or one visitor's address, never has them all."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._most = (total + 1) // 2
        self._lock = threading.Lock()
        self._of: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        """How many transfers run."""
        with self._lock:
            return self._of.total()

    def take(self, whose: str) -> Callable[[], None]:
        """Count one more; answers what gives its place back, once however often it is called.

        Raises `Busy` when too many run, or too many of `whose`.
        """
        with self._lock:
            if self._of.total() >= self._total:
                raise Busy("Too many uploads and downloads run at this moment.")
            if self._of[whose] >= self._most:
                raise Busy("Too many uploads and downloads of yours run at this moment.")
            self._of[whose] += 1
        return _Place(self._lock, self._of, whose).give_back


class _Place:
    def __init__(self, lock: threading.Lock, of: Counter[str], whose: str) -> None:
        self._lock, self._of, self._whose = lock, of, whose
        self._is_taken = True

    def give_back(self) -> None:
        with self._lock:
            if self._is_taken:
                self._is_taken = False
                self._of[self._whose] -= 1
                if not self._of[self._whose]:
                    del self._of[self._whose]
