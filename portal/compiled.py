"""Statements compiled once and run on the driver itself, for what every request does.

Through SQLAlchemy's own `execute` such a statement costs some ten times the processor time of
the database: it is looked up, its parameters are mapped and a result is built, each time anew.
Types convert as everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler

Convert = Callable[[Any], Any]

#: SQLite takes 32,766 parameters; a table here has at most twenty columns.
_ROWS_A_STATEMENT = 500


class Compiled:
    """`statement` as the driver of `dialect` takes it."""

    def __init__(
        self, statement: Executable, dialect: Dialect, columns: Sequence[str] | None = None
    ) -> None:
        """`columns` are those an INSERT sets, where the database sets the others."""
        compiled = statement.compile(dialect=dialect, column_keys=columns)  # type: ignore[attr-defined]
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - for the type checker
        self._text = compiled.string
        self._constants = dict(compiled.params)
        #: The names of the parameters in their order, where the driver wants them so.
        self._order = compiled.positiontup
        self._into: list[tuple[str, Convert]] = [
            (name, convert)
            for name, bind in compiled.binds.items()
            if (convert := bind.type.dialect_impl(dialect).bind_processor(dialect))
        ]
        self._out_of: list[tuple[int, Convert]] = [
            (place, convert)
            for place, column in enumerate(getattr(statement, "selected_columns", ()))
            if (convert := column.type.dialect_impl(dialect).result_processor(dialect, None))
        ]

    def fetch_one(self, driver: Any, facts: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The first row, on a connection of the driver's, its values as their types say."""
        row = driver.execute(self._text, self._parameters(facts)).fetchone()
        if row is None:
            return None
        values = list(row)
        for place, convert in self._out_of:
            values[place] = convert(values[place])
        return tuple(values)

    def run(self, driver: Any, facts: Mapping[str, Any]) -> int:
        """Run it where no row is wanted; answers how many rows it changed."""
        changed: int = driver.execute(self._text, self._parameters(facts)).rowcount
        return changed

    def insert(self, driver: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run an INSERT for each of `rows`."""
        values = [self._parameters(row) for row in rows]
        if self._order is None:
            driver.cursor().executemany(self._text, values)
            return
        # In one statement: each one hands the interpreter to another thread and back.
        row_text = self._text[self._text.rindex("(") :]
        for start in range(0, len(values), _ROWS_A_STATEMENT):
            some = values[start : start + _ROWS_A_STATEMENT]
            text = self._text + f", {row_text}" * (len(some) - 1)
            driver.execute(text, list(chain.from_iterable(some)))

    def _parameters(self, facts: Mapping[str, Any]) -> Any:
        given = {**self._constants, **facts}
        for name, convert in self._into:
            given[name] = convert(given[name])
        if self._order is None:
            return given
        return [given[name] for name in self._order]
