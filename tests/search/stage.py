"""What tests of searching share: doing what the worker does, and asking as a person does."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import select

from conftest import Browser
from portal.extensions import db
from portal.models import Document, SearchPassage, SearchText, Version
from portal.search import indexing
from scanning.stage import upload


def index(app: Flask) -> int:
    """Do what the worker does every second."""
    with app.app_context():
        try:
            return indexing.index_due()
        finally:
            db.session.remove()


def put(browser: Browser, name: str, content: str | bytes) -> dict[str, Any]:
    """Upload a document, and have it read."""
    data = content.encode() if isinstance(content, str) else content
    document = upload(browser, name, data)
    index(browser.app)
    return document


def ask(browser: Browser, q: str, **filters: str) -> dict[str, Any]:
    """What a search answers to a program."""
    answer = browser.get(
        "/documents", query_string={"q": q, **filters}, headers={"Accept": "application/json"}
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def names(browser: Browser, q: str, **filters: str) -> list[str]:
    """The names of what is found, by name."""
    return sorted(each["name"] for each in ask(browser, q, **filters)["documents"])


def excerpt(browser: Browser, q: str) -> str:
    """The excerpt of the one document that is found, its hits in brackets."""
    (document,) = ask(browser, q)["documents"]
    return "".join(
        f"[{piece['text']}]" if piece["hit"] else piece["text"] for piece in document["excerpt"]
    )


def rows(app: Flask) -> tuple[int, int]:
    """How many texts and passages the index holds."""
    with app.app_context():
        texts = len(db.session.scalars(select(SearchText.id)).all())
        passages = len(db.session.scalars(select(SearchPassage.id)).all())
        return texts, passages


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


def problem_of(app: Flask, document: dict[str, Any]) -> str:
    """Why a document could not be read; empty where it was, or is yet to be."""
    with app.app_context():
        found = db.session.scalar(
            select(SearchText.problem)
            .join(Document, Document.id == SearchText.document_id)
            .where(Document.public_id == UUID(document["id"]))
        )
        return found or ""
