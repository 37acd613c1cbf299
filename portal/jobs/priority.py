"""Letting everybody else go first: for work that has days, and for what is read and drawn."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

#: The number of the system call `ioprio_set`, for which the C library has no function.
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_OF_THIS_THREAD = 0
_OF_ONE = 1
_IDLE = 3 << 13
_LEAST_NICE = 19
#: Of a child. Downloads notice no difference to the least, and it gets twice as much done.
NICENESS = 15
#: Whoever is not root may change a session so often, all users of the machine together.
_SESSIONS_SECONDS = 0.1
_SESSIONS_TRIES = 10


def step_back() -> None:
    """Have the present thread wait for everybody who wants the disk or the processor.

    Linux knows both by thread. Where it cannot be had, the thread goes on as it was.
    """
    if sys.platform == "linux":
        _nice(threading.get_native_id(), _LEAST_NICE)
        _last_at_the_disk(_OF_THIS_THREAD)


def hold_back(leader: int) -> None:
    """Have a child that has just begun a session wait for everybody, with all that it starts.

    It has a thirtieth of what somebody else gets who wants the processor, so that it ends some day.
    Where that cannot be had, it goes on as it was.
    """
    if sys.platform != "linux":
        return
    _nice(leader, NICENESS)
    _last_at_the_disk(leader)
    _hold_back_session(leader)


def _nice(number: int, niceness: int) -> None:
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, number, niceness)


def _last_at_the_disk(number: int) -> None:
    if call := _IOPRIO_SET.get(platform.machine()):
        ctypes.CDLL(None).syscall(call, _OF_ONE, number, _IDLE)


def _hold_back_session(leader: int) -> None:
    """Where the kernel groups by session, a process is nice to those of its own session alone."""
    for _ in range(_SESSIONS_TRIES):
        try:
            Path(f"/proc/{leader}/autogroup").write_text(str(NICENESS))
        except OSError as error:
            if error.errno != errno.EAGAIN:
                return
            time.sleep(_SESSIONS_SECONDS)
        else:
            return
