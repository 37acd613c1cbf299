"""How child processes begin, and what ties them to their parent.

They are forked once everything is imported, so that they share the memory of it.

A server that was killed with kill -9 leaves no chance to clean up. Its children would go on
answering on its port and working on its database beside the next one.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time

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


def prepare_to_fork() -> None:
    """Have children forked from now on. Call it with no connection open and no lock held."""
    multiprocessing.set_start_method("fork", force=True)
    # Collected now, the garbage collector leaves the shared pages alone later.
    gc.collect()
    gc.freeze()


def leave_network() -> None:
    """Give up every network socket that came over the fork; the parent keeps its own.

    A child that answers nobody would otherwise keep the port taken after the server has gone.
    """
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for name in os.listdir("/dev/fd"):
        try:
            found = socket.socket(fileno=int(name))
        except OSError:  # no socket
            continue
        is_of_network = found.family in {socket.AF_INET, socket.AF_INET6}
        number = found.detach()
        # The number stays taken: whoever still knows it must not close another file.
        if is_of_network:
            os.dup2(nowhere, number, inheritable=False)
    os.close(nowhere)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
