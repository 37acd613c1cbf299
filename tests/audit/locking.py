"""Somebody outside who holds the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from portal.extensions import db


@contextmanager
def locked_log() -> Iterator[None]:
    """Let nobody else write to the audit log of the present app while the block runs."""
    if db.engine.dialect.name == "sqlite":
        with closing(sqlite3.connect(str(db.engine.url.database), isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            yield
            holder.execute("ROLLBACK")
    else:
        with db.engine.connect() as connection:
            connection.exec_driver_sql("LOCK TABLE audit_head IN ACCESS EXCLUSIVE MODE")
            yield
            connection.rollback()
