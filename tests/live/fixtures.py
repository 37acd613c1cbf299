"""The fixtures of a running portal, for the tests in `live/`, `browser/` and `faults/`."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from live.running import LivePortal

IS_FULL = os.environ.get("PORTAL_TEST_FULL") == "1"


@contextmanager
def live_portal(database: str = "", **settings: str) -> Iterator[LivePortal]:
    """A portal in a temporary folder, not yet started; killed and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="portal-live-"))
    if database:
        settings["PORTAL_DATABASE_URL"] = database
    portal = LivePortal(folder, **settings)
    try:
        yield portal
    finally:
        portal.kill()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fresh_database(address: str) -> Iterator[str]:
    """A new empty database on the PostgreSQL server at `address`, dropped at the end."""
    name = f"portal_{uuid.uuid4().hex}"
    server = create_engine(address, isolation_level="AUTOCOMMIT")
    try:
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        yield make_url(address).set(database=name).render_as_string(hide_password=False)
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        server.dispose()


def _database(database_kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    if database_kind == "sqlite":
        yield ""
        return
    with fresh_database(request.getfixturevalue("postgresql")) as address:
        yield address


@pytest.fixture(scope="module")
def module_database(database_kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The database of a module's portal; empty for SQLite in its own folder."""
    yield from _database(database_kind, request)


@pytest.fixture
def own_database(database_kind: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The database of one test's portal; empty for SQLite in its own folder."""
    yield from _database(database_kind, request)


@pytest.fixture(scope="module")
def portal(module_database: str) -> Iterator[LivePortal]:
    """A running portal with Alice, Bob and Ada, who is an admin."""
    with live_portal(module_database) as portal:
        portal.start()
        ada = portal.set_up()
        portal.invite(ada, "alice@example.org", "Alice Archer")
        portal.invite(ada, "bob@example.org", "Bob Baker")
        yield portal
