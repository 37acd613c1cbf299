"""The database: how it is opened, and the one way to write to it.

Reads use `db.session` as it is. Every change happens inside `transaction()`, which puts
writers in one line on SQLite (waiting in the kernel instead of polling a busy database),
commits once, and turns a locked or unreachable database into `Busy`.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from flask_migrate import upgrade as migrate_upgrade
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from portal.config import ROOT, Settings
from portal.errors import Busy
from portal.extensions import db

#: How long a statement waits for somebody else's lock, in seconds.
BUSY_TIMEOUT = 5
#: How long a request waits for its turn to write, in seconds.
TURN_TIMEOUT = 15


class WriterLock:
    """One writer at a time among all threads and processes of one machine.

    A process that dies lets go at once: the kernel holds the lock, not a file's content.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.Lock()
        self._descriptor: int | None = None
        self._pid = 0

    def __enter__(self) -> None:
        if not self._threads.acquire(timeout=TURN_TIMEOUT):
            raise Busy("Too many people are saving at this moment. Nothing was changed.")
        try:
            fcntl.flock(self._open(), fcntl.LOCK_EX)
        except OSError as error:
            self._threads.release()
            raise Busy("The portal's own folder cannot be used. Nothing was changed.") from error
        except BaseException:
            self._threads.release()
            raise

    def __exit__(self, *exc_info: object) -> None:
        try:
            fcntl.flock(self._open(), fcntl.LOCK_UN)
        except OSError:
            # What was written stands all the same, and closing the file lets go of it too.
            self._close()
        finally:
            self._threads.release()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None and self._pid == os.getpid():
            with suppress(OSError):
                os.close(descriptor)

    def _open(self) -> int:
        # A descriptor inherited over fork would share the parent's lock.
        if self._descriptor is None or self._pid != os.getpid():
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor, self._pid = os.open(self._path, flags, 0o600), os.getpid()
        return self._descriptor


def init_app(app: Flask, settings: Settings) -> None:
    """Bind the database to `app`; opens no connection yet."""
    is_sqlite = settings.database_url.startswith("sqlite:")
    options: dict[str, Any] = {"pool_size": 16, "max_overflow": 48, "pool_timeout": 10}
    # What fails goes to the log: the statement, never the hashes, names and addresses in it.
    options["hide_parameters"] = True
    if is_sqlite:
        options["connect_args"] = {"timeout": BUSY_TIMEOUT, "check_same_thread": False}
        _make_private(settings.database_url.removeprefix("sqlite:///"))
    else:
        options["pool_pre_ping"] = True
        options["connect_args"] = {
            "connect_timeout": BUSY_TIMEOUT,
            "options": f"-c lock_timeout={BUSY_TIMEOUT * 1000} -c timezone=UTC",
        }
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    db.init_app(app)
    app.extensions["writer_lock"] = WriterLock(settings.instance_dir / "writer.lock")
    if is_sqlite:
        with app.app_context():
            _prepare_sqlite(db.engine)


def upgrade(app: Flask) -> None:
    """Apply every migration that is missing; safe to run at any time, by several at once."""
    with app.app_context(), writer_lock():
        migrate_upgrade(directory=str(ROOT / "migrations"))
    close(app)


def is_sqlite() -> bool:
    return db.engine.dialect.name == "sqlite"


def writer_lock() -> WriterLock:
    """The lock of the present app."""
    lock: WriterLock = current_app.extensions["writer_lock"]
    return lock


def in_transaction() -> bool:
    """Whether the present code runs inside `transaction()`."""
    session = _present_session()
    return session is not None and bool(session.info.get("in_transaction"))


@contextmanager
def transaction() -> Iterator[Session]:
    """Change the database: all of it or nothing, durable when the block has ended.

    Inside, read again what a decision rests on; what was read before is forgotten.
    A block inside a block joins it. Raises `Busy` where the database is locked or away.
    """
    session = db.session()
    if session.info.get("in_transaction"):
        yield session
        return
    let_go()
    afterwards: list[Callable[[], None]] = []
    try:
        with unavailable_is_busy():
            if is_sqlite():
                with writer_lock():
                    yield from _one_transaction(session, afterwards)
            else:
                yield from _one_transaction(session, afterwards)
    finally:
        for act in afterwards:
            act()


def let_go() -> None:
    """Forget what was read, and keep no connection while waiting for a turn to write."""
    session = _present_session()
    if session is None:
        return
    if session.new or session.dirty or session.deleted:
        raise RuntimeError("changes were made outside transaction()")
    session.commit()
    session.expire_all()


def after_transaction(act: Callable[[], None]) -> bool:
    """Have `act` done when the present transaction has ended, however it ends.

    Answers False, and does nothing, where there is none. What writes by itself needs this: a
    block that waits for its own turn to write would keep every writer waiting with it.
    """
    session = _present_session()
    afterwards = None if session is None else session.info.get("afterwards")
    if afterwards is None:
        return False
    afterwards.append(act)
    return True


def _present_session() -> Session | None:
    """The session of this request, unless nothing has asked for one: making one has its cost."""
    return db.session() if db.session.registry.has() else None


def _one_transaction(session: Session, afterwards: list[Callable[[], None]]) -> Iterator[Session]:
    session.info["in_transaction"] = True
    session.info["afterwards"] = afterwards
    try:
        session.connection(execution_options={"sqlite_begin": "BEGIN IMMEDIATE"})
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        session.info.clear()


def close(app: Flask) -> None:
    """Close every connection of `app`; the next question opens new ones."""
    with app.app_context():
        app.extensions["connections"].close()  # of `questions`
        db.session.remove()
        db.engine.dispose()


class unavailable_is_busy:  # noqa: N801 - used as a function
    """Turn "locked", "away" and "no connection free" into `Busy`, whatever the database.

    A class, because it surrounds every question: as a generator it would cost as much as one.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: object
    ) -> None:
        if kind is None or error is None:
            return
        if isinstance(error, OperationalError | PoolTimeout | _drivers_away()):
            raise Busy("The database is busy at this moment. Nothing was changed.") from error
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise Busy("The database cannot be reached. Nothing was changed.") from error


def _drivers_away() -> type[Exception]:
    """What the driver itself raises for a statement that was run on it directly."""
    driver: Any = db.engine.dialect.loaded_dbapi
    away: type[Exception] = driver.OperationalError
    return away


def _make_private(path: str) -> None:
    """Create the file 0600 before SQLite would create it as the umask says."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        cursor = connection.cursor()
        # WAL with synchronous=NORMAL loses committed rows on power loss; FULL does not.
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        # Four times the default: pages that every audit event touches are copied less often.
        cursor.execute("PRAGMA wal_autocheckpoint=4000")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # Only writers begin. A read is a transaction by itself, and needs no two trips more.
        if how := connection.get_execution_options().get("sqlite_begin"):
            connection.exec_driver_sql(how)
