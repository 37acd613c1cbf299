"""A worker of the portal's that verifies stored files for as long as it is wanted."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType

from processes import Server, ServerError

_PATIENCE = 60.0
#: How often everything is made due again; the worker never finds that it has nothing to do.
_EVERY_SECONDS = 2.0
_MAKE_DUE = "UPDATE versions SET verified_at = NULL, next_verify_at = NULL WHERE verified_at > ?"


class Verifying:
    """Verifies while its block lasts."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], home: Path) -> None:
        self._command, self._env, self._home = command, env, home
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep_due, daemon=True)
        self._worker: Server | None = None
        self._began = self._read_before = 0.0

    def __enter__(self) -> Verifying:
        self._make_due()
        log = self._home / "worker.log"
        self._worker = Server(self._command, env=self._env, folder=self._home, log=log)
        self._keeper.start()
        give_up = time.monotonic() + _PATIENCE
        while not self._read() or not self._verified():
            if time.monotonic() > give_up:
                self.__exit__(None, None, None)
                raise ServerError("the worker did not verify anything")
            time.sleep(0.1)
        self._began, self._read_before = time.monotonic(), self._read()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._keeper.join()
        if self._worker is not None:
            self._worker.stop()

    def bytes_per_second(self) -> float:
        """How fast it has read since the block began."""
        return (self._read() - self._read_before) / (time.monotonic() - self._began)

    def _read(self) -> float:
        total = 0
        for pid in self._worker.pids() if self._worker else ():
            with suppress(OSError):
                for line in Path(f"/proc/{pid}/io").read_text().splitlines():
                    name, _, value = line.partition(": ")
                    total += int(value) if name == "rchar" else 0
        return float(total)

    def _keep_due(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
            with suppress(sqlite3.OperationalError):  # next time
                self._make_due()

    def _make_due(self) -> None:
        with closing(self._open()) as database, database:
            database.execute(_MAKE_DUE, ("",))

    def _verified(self) -> bool:
        with closing(self._open()) as database:
            asked = "SELECT count(*) FROM versions WHERE next_verify_at IS NOT NULL"
            return bool(database.execute(asked).fetchone()[0])

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._home / "instance" / "portal.db", timeout=5)
