"""What tests of scanning share: states of a document, and doing what the worker does."""

from __future__ import annotations

import threading
from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import select, update

from conftest import Browser
from portal.extensions import db
from portal.models import Document, Version, utcnow
from portal.scanning import scanner
from stage import file_part, form, send_form, settings_of


def scan(app: Flask, stop: threading.Event | None = None) -> int:
    """Do what the worker does every second."""
    with app.app_context():
        try:
            return scanner.scan_due(settings_of(app), stop)
        finally:
            db.session.remove()


def put(app: Flask, document: dict[str, Any], **values: Any) -> None:
    """Change columns of a document's versions behind the portal's back."""
    with app.app_context():
        owned = select(Document.id).where(Document.public_id == UUID(document["id"]))
        db.session.execute(update(Version).where(Version.document_id.in_(owned)).values(**values))
        db.session.commit()


def upload(browser: Browser, name: str, content: bytes) -> dict[str, Any]:
    """Upload a file of any size: Flask's client would leave large ones in temporary files."""
    answer = send_form(browser, form([file_part(content, name)]))
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.get_json()["documents"][0]
    return document


def make_due(app: Flask, document: dict[str, Any]) -> None:
    put(app, document, next_scan_at=utcnow())


def version_of(app: Flask, document: dict[str, Any]) -> Version:
    """The newest version's row, detached."""
    with app.app_context():
        version = db.session.scalars(
            select(Version)
            .join(Document, Document.id == Version.document_id)
            .where(Document.public_id == UUID(document["id"]), Version.number == Document.version)
        ).one()
        db.session.expunge(version)
        return version
