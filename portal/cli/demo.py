"""A throw-away portal to look around in, with people, documents, links and activity."""

from __future__ import annotations

import re
import secrets
import shutil
import signal
import tempfile
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import Any

import click
from flask import Flask
from flask.testing import FlaskClient

from portal import config, create_app, server
from portal.accounts import people
from portal.cli import acting
from portal.cli.serve import serve
from portal.config import Settings
from portal.errors import PortalError
from portal.models import Role

_PEOPLE = (
    ("ada@example.org", "Ada Admin", Role.ADMIN),
    ("alice@example.org", "Alice Archer", Role.USER),
    ("bob@example.org", "Bob Baker", Role.USER),
)
#: Owner, name, and what stands in it; names that end in .pdf become real PDFs.
_DOCUMENTS = (
    ("alice", "Mietvertrag Lindenstraße 4.pdf", "Rental agreement, Lindenstrasse 4"),
    ("alice", "Annual accounts 2025 (final).pdf", "Annual accounts 2025"),
    ("alice", "契約書.pdf", "Contract"),
    ("alice", "Brief an Großmutter.txt", "Liebe Großmutter,\n\nes geht uns gut.\n"),
    ("alice", "Old draft.txt", "This one is in the trash.\n"),
    ("bob", "Договор аренды.pdf", "Lease"),
    ("bob", "رسالة.txt", "السلام عليكم\n"),
    ("bob", "Σημειώσεις & “quotes” – naïve café.txt", "Καλημέρα.\n"),
)


@click.command()
@click.option("--port", default=8000, show_default=True, help="Port to listen on; 0 takes any.")
def demo(port: int) -> None:
    """Serve a throw-away portal with made-up people and documents; leaves nothing behind."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    folder = Path(tempfile.mkdtemp(prefix="portal-demo-"))
    try:
        _, port = server.reserve("127.0.0.1", port)
        environ = {
            "PORTAL_INSTANCE_DIR": str(folder / "instance"),
            "PORTAL_FILES_DIR": str(folder / "private_files"),
            "PORTAL_SITE_NAME": "Document Portal (demo)",
        }
        settings = config.load(environ, port=port)
        password = secrets.token_urlsafe(12)
        with acting(settings, makes_tables=True) as app:
            for email, name, role in _PEOPLE:
                people.create(email, settings, name=name, role=role, password=password)
        _furnish(app, settings, password)
        serve(create_app(settings), "127.0.0.1", port, None, _greeting(settings, password))
    except server.CannotServe as error:
        raise click.ClickException(str(error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _greeting(settings: Settings, password: str) -> list[str]:
    return [
        f"A demo is running at {settings.base_url} (Ctrl-C ends it and removes everything)",
        *(f"  {name} ({role.value}): {email}" for email, name, role in _PEOPLE),
        f"  password of all three: {password}",
    ]


def _furnish(app: Flask, settings: Settings, password: str) -> None:
    """Have people do what they would do, in a browser; so there is activity to look at."""
    browsers = {email.partition("@")[0]: _Visitor(app, email, password) for email, _, _ in _PEOPLE}
    made: dict[str, Any] = {}
    for owner, name, text in _DOCUMENTS:
        content = _pdf(text) if name.endswith(".pdf") else text.encode("utf-8")
        answer = browsers[owner].post("/documents", {"file": (BytesIO(content), name)})
        made[name] = answer["documents"][0]
    alice, bob = browsers["alice"], browsers["bob"]
    alice.share(made["Mietvertrag Lindenstraße 4.pdf"], label="For the landlord")
    once = alice.share(made["契約書.pdf"], label="Once only", max_downloads=1)
    alice.share(made["Annual accounts 2025 (final).pdf"], label="Tax office", password=password)
    bob.share(made["Договор аренды.pdf"], label="Для Алисы")
    _Visitor(app).fetch(once["url"].removeprefix(settings.base_url))
    alice.get(made["契約書.pdf"]["download_url"])
    bob.get(made["Mietvertrag Lindenstraße 4.pdf"]["download_url"])  # refused, and in the log
    alice.post(made["Old draft.txt"]["url"] + "/delete", {})


class _Visitor:
    """A browser: keeps cookies and sends the CSRF token; signed in if given an account."""

    def __init__(self, app: Flask, email: str = "", password: str = "") -> None:
        self._client: FlaskClient = app.test_client()
        self._base_url = app.extensions["settings"].base_url
        if email:
            self.post("/login", {"email": email, "password": password}, page="/login")

    def get(self, path: str) -> str:
        return self._client.get(path, base_url=self._base_url).get_data(as_text=True)

    def post(self, path: str, data: dict[str, Any], page: str = "/account") -> Any:
        token = re.search(r'name="csrf[-_]token" (?:content|value)="([^"]+)"', self.get(page))
        headers = {"Accept": "application/json", "X-CSRFToken": token[1] if token else ""}
        answer = self._client.post(path, data=data, headers=headers, base_url=self._base_url)
        if answer.status_code >= 400:
            raise PortalError(f"The demo could not be made: {path} answered {answer.status}.")
        return answer.get_json(silent=True)

    def share(self, document: Any, **terms: Any) -> Any:
        terms.setdefault("expires_in_days", 14)
        return self.post(document["url"] + "/share-links", terms)

    def fetch(self, path: str) -> None:
        answer = self._client.post(path + "/download", base_url=self._base_url)
        self.get(answer.headers["Location"])


def _pdf(text: str) -> bytes:
    """A PDF of one page with one line of ASCII."""
    line = f"BT /F1 24 Tf 72 720 Td ({text}) Tj ET".encode("ascii")
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R /Resources 6 0 R >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(line), line),
        b"<< /Font << /F1 4 0 R >> >>",
    )
    body, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    rows = b"".join(b"%010d 00000 n \n" % place for place in places)
    table = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, rows)
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\n" % (len(objects) + 1)
    return body + table + trailer + b"startxref\n%d\n%%%%EOF\n" % len(body)


COMMANDS = (demo,)
