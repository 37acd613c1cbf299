"""What the worker starts lets everybody else go first, and so does what that starts."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from portal.jobs import priority

_IOPRIO_GET = {"x86_64": 252, "aarch64": 31}
#: A child that starts another one once it is told to, and says its number.
_PARENT = (
    "import subprocess, sys; sys.stdin.readline();"
    "child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); child.wait()"
)

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in _IOPRIO_GET,
    reason="asks the kernel of Linux",
)


@pytest.fixture
def leader() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    with process:
        yield process
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)


def standing(pid: int) -> tuple[int, int]:
    """The niceness of a process, and its class at the disk."""
    get = _IOPRIO_GET[platform.machine()]
    return os.getpriority(os.PRIO_PROCESS, pid), ctypes.CDLL(None).syscall(get, 1, pid) >> 13


def test_child_that_is_held_back_waits_for_everybody(leader: subprocess.Popen[str]) -> None:
    assert standing(leader.pid)[0] < priority.NICENESS
    priority.hold_back(leader.pid)
    assert standing(leader.pid) == (priority.NICENESS, 3)


def test_what_the_child_starts_waits_as_well(leader: subprocess.Popen[str]) -> None:
    priority.hold_back(leader.pid)
    assert leader.stdin is not None
    assert leader.stdout is not None
    leader.stdin.write("\n")
    leader.stdin.flush()
    started = int(leader.stdout.readline())
    assert standing(started) == standing(leader.pid)


def test_child_that_is_gone_is_no_trouble(leader: subprocess.Popen[str]) -> None:
    os.killpg(leader.pid, 9)
    leader.wait()
    priority.hold_back(leader.pid)
