"""On which processor requests are answered.

CPython runs one thread of a process at a time. Where the threads of a busy process wander, each
hand-over between them wakes another processor and finds cold caches: sixteen small downloads at a
time lost a quarter of the machine to that. So each server process has a home, one processor, and
what is short runs there; what is large, and uses several threads at once, may run anywhere.

Only Linux knows such a thing; elsewhere, and on one processor, nothing here does anything.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from portal.storage.pace import SMALL_BYTES

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: The processors this process may use; empty as long as it has no home.
_all: frozenset[int] = frozenset()
_home: frozenset[int] = frozenset()
_thread = threading.local()


def choose_home(number: int) -> None:
    """Give this process, the `number`th of the server, its home.

    Processors that were kept from the portal, by `taskset` or systemd's `CPUAffinity`, stay so.
    """
    global _all, _home
    if sys.platform == "linux":
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) > 1:
            _all, _home = frozenset(usable), frozenset({usable[number % len(usable)]})


def stay() -> None:
    """Have the present thread, and those that it starts, run on the process's home."""
    if _all and not getattr(_thread, "stays", False):
        _run_on(_home)
        _thread.stays = True


def roam() -> None:
    """Let the present thread, and those that it starts, run on any processor."""
    # A thread that says nothing of itself may have its place from the one that started it.
    if _all and getattr(_thread, "stays", True):
        _run_on(_all)
        _thread.stays = False


def _run_on(processors: frozenset[int]) -> None:
    with suppress(OSError):  # the machine may have lost one meanwhile: stay where we may be
        os.sched_setaffinity(0, processors)


class Homely:
    """Answers what is short at home; takes in a body, and hands out an answer, anywhere."""

    def __init__(self, application: WSGIApplication) -> None:
        """`application` hands a short answer over as a list, as `server.InOnePiece` does."""
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH") or "0"
        is_long = not length.isdecimal() or int(length) > SMALL_BYTES
        if is_long or "HTTP_TRANSFER_ENCODING" in environ:
            roam()
        else:
            stay()
        answer = self._application(environ, start_response)
        if not isinstance(answer, list):
            roam()
        return answer
