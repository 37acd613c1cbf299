"""Letting everybody else go first: for work that has days."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from contextlib import suppress

#: The number of the system call `ioprio_set`, for which the C library has no function.
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_OF_THIS_THREAD = 1, 0
_IDLE = 3 << 13
_LEAST_NICE = 19


def step_back() -> None:
    """Have the present thread wait for everybody who wants the disk or the processor.

    Linux knows both by thread. Where it cannot be had, the thread goes on as it was.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LEAST_NICE)
    if number := _IOPRIO_SET.get(platform.machine()):
        ctypes.CDLL(None).syscall(number, *_OF_THIS_THREAD, _IDLE)
