"""What a child may use. It sets its own limits before it opens anything, and cannot lift them."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


@dataclass(frozen=True, slots=True)
class Limits:
    """Of memory, time, and what may be written."""

    memory_bytes: int
    cpu_seconds: int
    #: The largest file it may write: none at all, for one that answers through a pipe.
    file_bytes: int = 0
    open_files: int = 64
    #: How far it stands back, at least.
    niceness: int = 15
    #: Whether it has the processor only while nobody else wants it, where the system can do that.
    only_idle: bool = True


def take_on(limits: Limits) -> None:
    """Take on the limits, for this process and what it starts."""
    # Without an I/O class of its own, the kernel derives that priority from this one.
    os.nice(max(0, limits.niceness - os.nice(0)))
    if limits.only_idle and hasattr(os, "SCHED_IDLE"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    for which, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(which, (most, most))
    # One second more, so that its end has a name (SIGXCPU) before the kernel just kills it.
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
