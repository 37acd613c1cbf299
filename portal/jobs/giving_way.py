"""Giving way: what may wait stands still while the processes of the server are at work.

Children that may wait get a processor only while nobody else wants it (`confinement.limits`). What
they do then still takes caches and the way to memory from everybody: a large download beside two
of them came with half its speed. So they are stopped for a while, and go on afterwards.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: How often it is looked whether the server is at work.
LOOK_SECONDS = 0.05
#: It is where its processes together take so much of one processor, and a little longer.
BUSY_SHARE = 0.25
QUIET_SECONDS = 0.25
#: A child stands still no longer than this, all its times together: it has to end some day.
LONGEST_SECONDS = 10.0

_PROC = Path("/proc")


class Server:
    """The processes of the server: what `parent` has started, without the present process."""

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._lock = threading.Lock()
        self._used: dict[int, int] = {}
        self._looked_at = self._worked_at = -math.inf

    def is_busy(self) -> bool:
        """Whether it was at work lately. To be asked again and again, by whichever thread.

        Without `/proc` it never is.
        """
        with self._lock:
            now = time.monotonic()
            went_by = now - self._looked_at
            if went_by >= LOOK_SECONDS:
                before, self._used = self._used, self._used_ticks()
                # Whoever looks for the first time, or after long, learns something the next time.
                if went_by < 10 * LOOK_SECONDS:
                    grown = sum(used - before.get(pid, used) for pid, used in self._used.items())
                    if grown / os.sysconf("SC_CLK_TCK") >= BUSY_SHARE * went_by:
                        self._worked_at = now
                self._looked_at = now
            return now - self._worked_at < QUIET_SECONDS

    def _used_ticks(self) -> dict[int, int]:
        """The processor time each of them has taken, in clock ticks (see proc_pid_stat(5))."""
        ticks = {}
        for pid in self._pids():
            with suppress(OSError, ValueError):  # it has just ended
                facts = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
                ticks[pid] = int(facts[11]) + int(facts[12])
        return ticks

    def _pids(self) -> list[int]:
        found: list[int] = []
        # By thread: each knows only those that it has started itself.
        for task in _PROC.glob(f"{self._parent}/task/*/children"):
            with suppress(OSError):
                found.extend(map(int, task.read_bytes().split()))
        return [pid for pid in found if pid != os.getpid()]


class _Group:
    """A child and all that it has started."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._stands_since: float | None = None
        self._stood_seconds = 0.0

    def attend(self, *, is_busy: bool) -> None:
        """Stop it, or have it go on, as it is time to."""
        now = time.monotonic()
        stood = self._stood_seconds
        if self._stands_since is not None:
            stood += now - self._stands_since
        should_stand = is_busy and stood < LONGEST_SECONDS
        if should_stand and self._stands_since is None:
            self._stands_since = now
            self._tell(signal.SIGSTOP)
        elif not should_stand and self._stands_since is not None:
            self._stands_since, self._stood_seconds = None, stood
            self._tell(signal.SIGCONT)

    def _tell(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._number, number)


class Attendant:
    """Stops and wakes the children that may wait, in a thread of its own while there are any."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._lock = threading.Lock()
        self._groups: dict[int, _Group] = {}
        self._is_attending = False

    @contextmanager
    def attending(self, leader: int) -> Iterator[None]:
        """Attend to the group of the child `leader`, which lives until the block has ended."""
        with self._lock:
            self._groups[leader] = _Group(leader)
            if not self._is_attending:
                self._is_attending = True
                threading.Thread(target=self._attend, name="attendant", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                del self._groups[leader]

    def _attend(self) -> None:
        while True:
            is_busy = self.server.is_busy()
            with self._lock:
                if not self._groups:
                    self._is_attending = False
                    return
                for group in self._groups.values():
                    group.attend(is_busy=is_busy)
            time.sleep(LOOK_SECONDS)


_attendant: Attendant | None = None


def begin(parent: int) -> None:
    """From now on, have what this process starts give way to what `parent` has started."""
    global _attendant  # noqa: PLW0603 - of the process, as its children are
    _attendant = Attendant(Server(parent))


@contextmanager
def standing_still(leader: int) -> Iterator[None]:
    """Have the child `leader` and its group give way; it is killed when the block has ended."""
    if _attendant is None:
        yield
    else:
        with _attendant.attending(leader):
            yield


def is_busy() -> bool:
    """Whether the server is at work, as far as is known: where it is not known, yes."""
    return _attendant is None or _attendant.server.is_busy()
