"""Starting a server, watching what it costs, and stopping it, always by process id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class ServerError(Exception):
    """A server that did not start, or ended; the text holds the last lines it wrote."""


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Server:
    """A server process with everything it starts, in a session of its own."""

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str], folder: Path, log: Path
    ) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=dict(env),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_listening(self, port: int, patience: float) -> None:
        """Return when the port answers; raise with the log's tail when that takes too long."""
        give_up = time.monotonic() + patience
        while time.monotonic() < give_up:
            if self._process.poll() is not None:
                raise ServerError(f"ended with {self._process.returncode}:\n{self._tail()}")
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
                return
            time.sleep(0.1)
        raise ServerError(f"did not listen within {patience:.0f} s:\n{self._tail()}")

    def pids(self) -> set[int]:
        """The process and everything descended from it or started in its session."""
        root = self._process.pid
        table = {
            int(entry.name): fields
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and (fields := _stat(int(entry.name)))
        }
        found = {pid for pid, fields in table.items() if pid == root or int(fields[3]) == root}
        while True:
            more = {pid for pid, fields in table.items() if int(fields[1]) in found} - found
            if not more:
                return found
            found |= more

    def cpu_seconds(self) -> float:
        """User and system time spent so far, ended children included."""
        ticks = 0
        for pid in self.pids():
            if fields := _stat(pid):
                ticks += sum(int(field) for field in fields[11:15])
        return ticks / TICKS_PER_SECOND

    def stop(self) -> None:
        """Ask it to end, wait a little, then end whatever of it is left."""
        left = self.pids()
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=10.0)
        for pid in left | self.pids():
            fields = _stat(pid)
            if fields and int(fields[3]) == self._process.pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10.0)

    def _tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])


class Watch:
    """What a server cost while something happened: processor seconds and peak memory.

    Memory is the proportional share (PSS) of all its processes together, looked at a few
    times a second: shared pages count once, and the page cache does not count.
    """

    _interval = 0.15

    def __init__(self, server: Server) -> None:
        self._server = server
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._cpu_before = 0.0
        self.cpu_seconds = 0.0
        self.peak_bytes = 0
        self.first_bytes = 0

    def __enter__(self) -> Watch:
        self._cpu_before = self._server.cpu_seconds()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        self.cpu_seconds = self._server.cpu_seconds() - self._cpu_before

    def _sample(self) -> None:
        turn = 0
        pids: set[int] = set()
        while True:
            if turn % 10 == 0:
                pids = self._server.pids()
            turn += 1
            now = sum(map(_proportional_bytes, pids))
            self.first_bytes = self.first_bytes or now
            self.peak_bytes = max(self.peak_bytes, now)
            if self._done.wait(self._interval):
                return


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name; empty when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _proportional_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
