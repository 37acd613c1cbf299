"""The few questions every request asks: compiled once, asked on connections that stay open.

Asking through `db.session` costs some ten times the processor time: it begins a transaction,
looks up the compiled statement and builds result objects, each time anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, current_app
from sqlalchemy import Connection, Dialect, Engine, Select
from sqlalchemy.sql.compiler import SQLCompiler

from portal.database import unavailable_is_busy
from portal.errors import Busy
from portal.extensions import db

Convert = Callable[[Any], Any] | None

#: Connections a process keeps open for questions.
_KEPT = 16


def init_app(app: Flask) -> None:
    """Open no connection yet; `database.close` closes those that will be."""
    with app.app_context():
        app.extensions["readers"] = Readers(db.engine)


class Question:
    """A SELECT of columns of which at most one row is expected. Made once, at import."""

    def __init__(self, statement: Select[Any]) -> None:
        self._statement = statement
        #: Compiled for each database that was asked; a process has one, the tests have two.
        self._compiled: dict[str, _Compiled] = {}

    def ask(self, **facts: Any) -> tuple[Any, ...] | None:
        """The row as committed at this moment, its values as the columns' types say, or None.

        Raises `Busy` where the database is locked or away.
        """
        readers: Readers = current_app.extensions["readers"]
        compiled = self._compiled.get(readers.dialect.name)
        if compiled is None:
            compiled = _Compiled(self._statement, readers.dialect)
            self._compiled[readers.dialect.name] = compiled
        row = readers.fetch_one(compiled.text, compiled.parameters(facts))
        return None if row is None else compiled.values(row)


class _Compiled:
    """A statement as the driver takes it, and how values are converted on the way."""

    def __init__(self, statement: Select[Any], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - for the type checker
        self.text = compiled.string
        self._constants = dict(compiled.params)
        self._order = compiled.positiontup
        self._into: list[tuple[str, Callable[[Any], Any]]] = [
            (name, convert)
            for name, bind in compiled.binds.items()
            if (convert := bind.type.dialect_impl(dialect).bind_processor(dialect))
        ]
        self._out_of: list[Convert] = [
            column.type.dialect_impl(dialect).result_processor(dialect, None)
            for column in statement.selected_columns
        ]

    def parameters(self, facts: Mapping[str, Any]) -> Any:
        given = self._constants | dict(facts)
        for name, convert in self._into:
            given[name] = convert(given[name])
        return given if self._order is None else [given[name] for name in self._order]

    def values(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            value if convert is None else convert(value)
            for value, convert in zip(row, self._out_of, strict=True)
        )


class Readers:
    """Connections for questions. They hold no transaction: each sees what is committed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._idle: deque[Connection] = deque()
        self.dialect = engine.dialect
        self._away = engine.dialect.loaded_dbapi.OperationalError

    def fetch_one(self, text: str, parameters: Any) -> tuple[Any, ...] | None:
        """The first row. Raises `Busy` where the database is locked or away."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._open()
        try:
            driver: Any = connection.connection.driver_connection
            row: tuple[Any, ...] | None = driver.execute(text, parameters).fetchone()
        except BaseException as error:
            connection.invalidate()
            connection.close()
            self.close()  # when one is lost, so are the others
            if isinstance(error, self._away):
                raise Busy("The database is busy at this moment. Nothing was changed.") from error
            raise
        if len(self._idle) < _KEPT:
            self._idle.append(connection)
        else:
            connection.close()
        return row

    def close(self) -> None:
        """Give every connection back."""
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:  # another thread was quicker
                return

    def _open(self) -> Connection:
        with unavailable_is_busy():
            connection = self._engine.connect()
            if self.dialect.name != "sqlite":  # there only writers begin a transaction anyway
                connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        return connection
