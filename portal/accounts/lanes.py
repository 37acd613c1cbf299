"""Lanes for work that takes a processor: few at a time, a short line, and a clear no.

A hash takes a fifth of a second of a whole core. Without lanes a flood of sign-ins would take
every core and every thread from people who are signed in already.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from portal import cores
from portal.errors import Busy

Result = TypeVar("Result")

#: What somebody is told who finds the line full, in seconds.
RETRY_SECONDS = 5
#: How much a lane gives way to other threads where both want the same core (see nice(1)).
_NICENESS = 3


class Lanes:
    """At most `lanes` at the same moment in this process, and at most `line` waiting.

    The work runs in threads of its own, which give way to those that answer requests.
    """

    def __init__(self, lanes: int, line: int) -> None:
        self._lanes = lanes
        self._places = lanes + line
        self._open()
        # A thread does not survive fork.
        os.register_at_fork(after_in_child=self._open)

    def refuse_when_full(self) -> None:
        """Raise `Busy` where `run` would at this moment: before anything else is done for it."""
        if not self._free.acquire(blocking=False):
            raise _full()
        self._free.release()

    def run(self, work: Callable[[], Result]) -> Result:
        """What `work` answers or raises. Raises `Busy` at once where the line is full."""
        if not self._free.acquire(blocking=False):
            raise _full()
        try:
            return self._threads.submit(work).result()
        finally:
            self._free.release()

    def _open(self) -> None:
        self._free = threading.BoundedSemaphore(self._places)
        # Makes its threads when there is work.
        self._threads = ThreadPoolExecutor(self._lanes, "lane", initializer=_give_way)


def _full() -> Busy:
    return Busy("Too many passwords are being checked at this moment.", retry_after=RETRY_SECONDS)


def _give_way() -> None:
    """Let this thread use any processor, and lower its priority; only Linux knows such things."""
    cores.roam()
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
