"""What tests of several pages share: races, raw forms, and looks behind the scenes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from conftest import Browser
from portal.config import Settings
from portal.extensions import db
from portal.models import AuditEvent

Outcome = TypeVar("Outcome")

COOKIE = "portal_session"
HOST = "127.0.0.1"
#: An id nothing has.
NOTHING = "00000000-0000-4000-8000-000000000000"
BOUNDARY = b"frontier"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY.decode()}"


def at_once(count: int, act: Callable[[int], Outcome]) -> list[Outcome]:
    """Let `count` threads call `act` with their number at the same moment."""
    start = threading.Barrier(count)

    def run(number: int) -> Outcome:
        start.wait()
        return act(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(run, range(count)))


def cookie_of(browser: Browser) -> str:
    """The session cookie as somebody with a look at the disk could copy it."""
    cookie = browser.client.get_cookie(COOKIE, domain=HOST)
    assert cookie is not None
    return cookie.value


def browser_with(app: Flask, cookie: str, email: str = "") -> Browser:
    """A browser into which a copied session cookie was put."""
    browser = Browser(app, email)
    browser.client.set_cookie(COOKIE, cookie, domain=HOST)
    return browser


class Program:
    """A script with a token: no cookies, no CSRF token, and JSON without asking for it."""

    def __init__(self, app: Flask, token: str) -> None:
        self.app = app
        self.token = token

    def open(self, path: str, method: str = "GET", **kwargs: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.token}", **kwargs.pop("headers", {})}
        client = Browser(self.app).client
        return client.open(path, method=method, headers=headers, **kwargs)

    def post(self, path: str, data: Any = None, **kwargs: Any) -> TestResponse:
        return self.open(path, "POST", data=data, **kwargs)


def make_token(browser: Browser, *scopes: str, **fields: Any) -> dict[str, Any]:
    """Make a token on the page; answers its JSON, with its text as `token`."""
    data = {"action": "create", "name": "script", "days": "90", "scope": list(scopes), **fields}
    response = browser.post_json("/account/tokens", data)
    assert response.status_code == 201, response.get_data(as_text=True)
    token: dict[str, Any] = response.get_json()
    return token


def program(browser: Browser, *scopes: str, **fields: Any) -> Program:
    """A program of somebody's with those scopes."""
    return Program(browser.app, make_token(browser, *scopes, **fields)["token"])


def twins(browser: Browser, count: int) -> list[Browser]:
    """Browsers that share a session: one for each thread."""
    return [browser_with(browser.app, cookie_of(browser), browser.email) for _ in range(count)]


@dataclass(frozen=True)
class Happening:
    """An audit event as tests look at it."""

    seq: int
    actor: str
    action: str
    document: str
    owner: str
    detail: dict[str, Any]


def events(app: Flask, action: str | None = None) -> list[Happening]:
    """The audit log from the first event, or the events of one kind."""
    with app.app_context():
        found = db.session.scalars(select(AuditEvent).order_by(AuditEvent.seq)).all()
        return [
            Happening(e.seq, e.actor, e.action, e.document, e.owner, json.loads(e.detail or "{}"))
            for e in found
            if action is None or e.action == action
        ]


def settings_of(app: Flask) -> Settings:
    settings: Settings = app.extensions["settings"]
    return settings


def stored_files(app: Flask) -> list[Path]:
    """Every file in the files folder, unfinished ones included."""
    return sorted(path for path in settings_of(app).files_dir.rglob("*") if path.is_file())


def unfinished_files(app: Flask) -> list[Path]:
    return [path for path in stored_files(app) if path.parent.name == ".incoming"]


def part(content: bytes, disposition: str | bytes, *more: bytes) -> bytes:
    """One part of a form with that `Content-Disposition`, byte for byte."""
    if isinstance(disposition, str):
        disposition = disposition.encode()
    head = b"\r\n".join([b"Content-Disposition: " + disposition, *more])
    return b"--" + BOUNDARY + b"\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


def field_part(name: str, value: str) -> bytes:
    return part(value.encode(), f'form-data; name="{name}"')


def file_part(content: bytes, name: str = "deed.pdf", field: str = "file") -> bytes:
    return part(content, f'form-data; name="{field}"; filename="{name}"')


def form(parts: Iterable[bytes]) -> bytes:
    """A whole form of those parts."""
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def send_form(
    browser: Browser, body: bytes, path: str = "/documents", **kwargs: Any
) -> TestResponse:
    """Post a form exactly as given, asking for JSON."""
    kwargs.setdefault("content_type", FORM_TYPE)
    return browser.post_json(path, body, **kwargs)


def database_dump(app: Flask, *but: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, but those of the tables named."""
    with app.app_context():
        return {
            table.name: sorted(map(tuple, db.session.execute(select(table))), key=repr)
            for table in db.metadata.sorted_tables
            if table.name not in but
        }


def facts(response: TestResponse) -> tuple[int, bytes, list[tuple[str, str]]]:
    """All of an answer that somebody could compare."""
    return response.status_code, response.get_data(), sorted(response.headers)
