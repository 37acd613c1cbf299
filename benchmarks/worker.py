"""The portal's worker, kept busy for as long as something is measured beside it."""

from __future__ import annotations

import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from processes import Server, ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

#: Long enough for a document that LibreOffice has to open on a busy machine.
_PATIENCE = 120.0
#: How often what was done is made due again; the worker never finds that it has nothing to do.
_EVERY_SECONDS = 1.0
_LOCK_PATIENCE = 10.0


class _Locked(ServerError):
    """The database was locked for too long."""


class BusyWorker(ABC):
    """Has something to do while its block lasts; the block begins once the first of it is done."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep_due, daemon=True)
        self._began = 0.0

    @abstractmethod
    def has_worked(self) -> bool:
        """Whether it did something of every sort since the block began."""

    @abstractmethod
    def figures(self) -> dict[str, float]:
        """What it did since the block began. Raises `ServerError` where it did not work."""

    @abstractmethod
    def _begin(self) -> None:
        """Give it something to do."""

    @abstractmethod
    def _make_due(self, database: sqlite3.Connection) -> None:
        """Give it once more what it has done."""

    @abstractmethod
    def _end(self) -> None:
        """Leave it nothing to do, and wait until it does nothing."""

    def _count_from_here(self) -> None:
        self._began = time.monotonic()

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def __enter__(self) -> Self:
        try:
            self._begin()
            self._keeper.start()
            give_up = time.monotonic() + _PATIENCE
            while not self.has_worked():
                if time.monotonic() > give_up:
                    raise ServerError(f"the worker did nothing within {_PATIENCE:.0f} s")
                time.sleep(0.1)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self._count_from_here()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._keeper.ident is not None:
            self._keeper.join()
        self._end()

    def _keep_due(self) -> None:
        while not self._stop.wait(_EVERY_SECONDS):
            with suppress(_Locked), self._database() as database:  # or next time
                self._make_due(database)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        path = self._home / "instance" / "portal.db"
        with closing(sqlite3.connect(path, timeout=_LOCK_PATIENCE)) as database:
            database.execute("PRAGMA synchronous=OFF")  # it costs nobody a turn of the disk
            try:
                with database:
                    yield database
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                raise _Locked from error


class Verifying(BusyWorker):
    """One more worker, as the setting has it, for which everything is due all the time."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], home: Path) -> None:
        super().__init__(home)
        self._command, self._env = command, env
        self._worker: Server | None = None
        self._read_before = 0.0

    def figures(self) -> dict[str, float]:
        return {"verified": (self._read() - self._read_before) / 1e6 / self._seconds}

    def _begin(self) -> None:
        with self._database() as database:
            self._make_due(database)
        log = self._home / "worker.log"
        self._worker = Server(self._command, env=self._env, folder=self._home, log=log)

    def has_worked(self) -> bool:
        asked = "SELECT count(*) FROM versions WHERE next_verify_at IS NOT NULL"
        with self._database() as database:
            held = database.execute(asked).fetchone()[0]
        return bool(held and self._read() > self._read_before)

    def _count_from_here(self) -> None:
        super()._count_from_here()
        self._read_before = self._read()

    def _make_due(self, database: sqlite3.Connection) -> None:
        database.execute(
            "UPDATE versions SET verified_at = NULL, next_verify_at = NULL WHERE verified_at > ''"
        )

    def _end(self) -> None:
        if self._worker is not None:
            self._worker.stop()

    def _read(self) -> float:
        total = 0
        for pid in self._worker.pids() if self._worker else ():
            with suppress(OSError):
                for line in Path(f"/proc/{pid}/io").read_text().splitlines():
                    name, _, value = line.partition(": ")
                    total += int(value) if name == "rchar" else 0
        return float(total)
