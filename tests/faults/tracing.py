"""Following the system calls of a portal's processes: see `tracer`, which does it."""

from __future__ import annotations

import functools
import json
import platform
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

from faults.needs import Impossible, root
from live.running import LivePortal

PROGRAM = Path(__file__).with_name("tracer.py")


class Call(NamedTuple):
    """A system call that changes files."""

    name: str
    #: Without the portal's own folder, and with generated names made equal.
    path: str

    def __str__(self) -> str:
        return f"{self.name} {self.path}"


class Tracing:
    """Follows a process, or a command from its start, within a `with` block.

    `at` is the number of the call that `do` ("kill", "kill-group", an error like "EIO") breaks;
    calls named in `skip` are answered as done and not made, those of directories alone if asked.
    """

    def __init__(
        self,
        portal: LivePortal,
        pid: int | None = None,
        command: tuple[str, ...] = (),
        *,
        at: int = 0,
        do: str = "kill",
        skip: tuple[str, ...] = (),
        directories: bool = False,
    ) -> None:
        self._portal = portal
        self._arguments = [sys.executable, str(PROGRAM), "--at", str(at), "--do", do]
        for folder in (portal.instance, portal.files):
            self._arguments += ["--under", str(folder)]
        for name in skip:
            self._arguments += ["--skip", name]
        self._arguments += ["--directories"] if directories else []
        self._arguments += ["--pid", str(pid)] if pid else ["--", *command]
        self._lines: list[str] = []

    def __enter__(self) -> Tracing:
        self._process = subprocess.Popen(
            self._arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._portal.environment(),
            text=True,
        )
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        if '"ready"' not in first:
            _, problem = self._process.communicate()
            raise AssertionError(f"the system calls cannot be followed: {problem}")
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def _read(self) -> None:
        assert self._process.stdout is not None
        self._lines.extend(self._process.stdout)

    def __exit__(self, *exc_info: object) -> None:
        self._process.terminate()
        self.wait()

    def wait(self) -> None:
        """Wait until what is followed has ended."""
        self._process.wait(60)
        self._reader.join(60)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()

    @property
    def calls(self) -> list[Call]:
        """Every call in its order; whole once the block has ended."""
        found = []
        for line in self._lines:
            call = json.loads(line)
            path = call["path"].removeprefix(f"{self._portal.folder.resolve()}/")
            parts = ["…" if len(part) == 32 else part for part in path.split("/")]
            found.append(Call(call["name"], "/".join(parts)))
        return found


def server_of(portal: LivePortal) -> int:
    """The process that answers, of a portal with one."""
    wanted = f":{portal.port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{line[9]}]" for line in lines if line[1].endswith(wanted)}
    found = [pid for pid in portal.children() if sockets & _descriptors(pid)]
    assert len(found) == 1, found
    return found[0]


def _descriptors(pid: int) -> set[str]:
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(str(entry.readlink()))
        except OSError:  # closed in the meantime
            continue
    return found


@functools.cache
def check_can_trace() -> None:
    """Raises `Lacking` or `Impossible` unless system calls can be followed here."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise Impossible("the tracer knows the system calls of Linux on x86-64 alone")
    with subprocess.Popen(["sleep", "60"]) as probe:
        try:
            done = subprocess.run(
                [sys.executable, str(PROGRAM), "--pid", str(probe.pid)],
                capture_output=True,
                text=True,
                timeout=1,
            )
        except subprocess.TimeoutExpired:
            return
        finally:
            probe.kill()
    root()
    raise Impossible(f"this system lets nobody follow system calls: {done.stderr[-200:]}")
