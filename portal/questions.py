"""The few questions every request asks, on connections that stay open for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from flask import Flask, current_app
from sqlalchemy import Connection, Engine, Select

from portal.compiled import Compiled
from portal.database import unavailable_is_busy
from portal.extensions import db

#: Connections a process keeps open.
_KEPT = 16
#: Each beside what the driver calls it.
_Kept = deque[tuple[Connection, Any]]


def init_app(app: Flask) -> None:
    """Open no connection yet; `database.close` closes those that will be."""
    with app.app_context():
        app.extensions["connections"] = Connections(db.engine)


class Question:
    """A SELECT of columns of which at most one row is expected. Made once, at import."""

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        self._statement = statement
        #: Compiled for each database that was asked; a process has one, the tests have two.
        self._compiled: dict[str, Compiled] = {}

    def ask(self, **facts: Any) -> tuple[Any, ...] | None:
        """The row as committed at this moment, its values as the columns' types say, or None.

        Raises `Busy` where the database is locked or away.
        """
        connections: Connections = current_app.extensions["connections"]
        dialect = connections.engine.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = Compiled(self._statement, dialect)
        return connections.fetch_one(compiled, facts)


class Connections:
    """Connections kept open. They hold no transaction: a question sees what is committed."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._idle: _Kept = deque()
        #: For what is lent. Mostly one at a time writes: it finds its statements prepared and its
        #: pages read, and no other connection holds them, too.
        self._lent: _Kept = deque()

    def fetch_one(self, compiled: Compiled, facts: dict[str, Any]) -> tuple[Any, ...] | None:
        """The first row. Raises `Busy` where the database is locked or away."""
        with unavailable_is_busy():
            connection, driver = self._take(self._idle)
            try:
                row = compiled.fetch_one(driver, facts)
            except BaseException:
                self._give_up(connection)
                raise
        self._put_back(connection, driver, self._idle)
        return row

    @contextmanager
    def lend(self) -> Iterator[Any]:
        """A connection of the driver's outside any transaction, to be given back like that.

        Whatever is raised inside costs the connection, and its transaction with it.
        """
        connection, driver = self._take(self._lent)
        try:
            yield driver
        except BaseException:
            self._give_up(connection)
            raise
        self._put_back(connection, driver, self._lent)

    def close(self) -> None:
        """Give every connection back."""
        for kept in (self._idle, self._lent):
            with suppress(IndexError):  # it is empty, or another thread was quicker
                while True:
                    kept.pop()[0].close()

    def _take(self, kept: _Kept) -> tuple[Connection, Any]:
        try:
            return kept.pop()
        except IndexError:
            connection = self._open()
            return connection, connection.connection.driver_connection

    def _put_back(self, connection: Connection, driver: Any, kept: _Kept) -> None:
        if len(kept) < _KEPT:
            kept.append((connection, driver))
        else:
            connection.close()

    def _give_up(self, connection: Connection) -> None:
        connection.invalidate()
        connection.close()
        self.close()  # where one was lost, the others are

    def _open(self) -> Connection:
        connection = self.engine.connect()
        if self.engine.dialect.name != "sqlite":  # there only writers begin a transaction anyway
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        return connection
