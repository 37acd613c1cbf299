"""Letting everybody else go first: for work that has days, and for what is read and drawn."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from contextlib import suppress

#: The number of the system call `ioprio_set`, for which the C library has no function.
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_OF_THIS_THREAD = 0
_OF_ONE = 1
_IDLE = 3 << 13
_LEAST_NICE = 19
#: Of a child, where it does not wait until the processor is idle: it has to end some day.
NICENESS = 15


def step_back() -> None:
    """Have the present thread wait for everybody who wants the disk or the processor.

    Linux knows both by thread. Where it cannot be had, the thread goes on as it was.
    """
    if sys.platform == "linux":
        _nice(threading.get_native_id(), _LEAST_NICE)
        _last_at_the_disk(_OF_THIS_THREAD)


def hold_back(leader: int) -> None:
    """Have a child that has just begun wait for everybody, with all that it starts.

    Where that cannot be had, it goes on as it was.
    """
    if sys.platform == "linux":
        _nice(leader, NICENESS)
        _last_at_the_disk(leader)


def _nice(number: int, niceness: int) -> None:
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, number, niceness)


def _last_at_the_disk(number: int) -> None:
    if call := _IOPRIO_SET.get(platform.machine()):
        ctypes.CDLL(None).syscall(call, _OF_ONE, number, _IDLE)
