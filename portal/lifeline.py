"""What ties child processes to their parent.

A server that was killed with kill -9 leaves no chance to clean up. Its children would go on
answering on its port and working on its database beside the next one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from multiprocessing import resource_tracker

PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Make sure that this process ends when the process `parent`, which started it, ends.

    Call it first of all in the child, in its main thread. On Linux the kernel sees to it;
    elsewhere a thread looks once a second.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
    else:
        threading.Thread(target=_watch, args=(parent,), name="lifeline", daemon=True).start()
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)


def wait_for_tracker() -> None:
    """Wait for the helper process that `multiprocessing` keeps beside spawned children.

    By itself it ends a moment after its parent, which looks as if something went on running.
    """
    tracker = getattr(resource_tracker, "_resource_tracker", None)
    if stop := getattr(tracker, "_stop", None):
        stop()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
