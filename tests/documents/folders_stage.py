"""Folders and documents in them, as rows, for tests of what is done with them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import select, update

from conftest import Browser, user_named
from portal.database import transaction
from portal.documents import names
from portal.models import Document, Folder, utcnow


def folder(app: Flask, browser: Browser, name: str, parent: str | None = None) -> str:
    """Make a folder of somebody's; answers its id."""
    owner = user_named(app, browser.email)
    with app.app_context(), transaction() as session:
        above = None
        if parent is not None:
            above = session.scalar(select(Folder.id).where(Folder.public_id == UUID(parent)))
        made = Folder(
            owner_id=owner.id,
            parent_id=above,
            name=name,
            name_key=names.fold(name),
            name_sort=names.sort_key(name),
        )
        session.add(made)
        session.flush()
        return str(made.public_id)


def put_into(app: Flask, document: dict[str, Any], folder_id: str | None) -> None:
    """Let a document lie in a folder, or at the top."""
    with app.app_context(), transaction() as session:
        row = None
        if folder_id is not None:
            row = session.scalar(select(Folder.id).where(Folder.public_id == UUID(folder_id)))
        found = Document.public_id == UUID(document["id"])
        session.execute(update(Document).where(found).values(folder_id=row))


def trash_folder(app: Flask, folder_id: str) -> None:
    """Put the row of a folder into the trash, and nothing else."""
    with app.app_context(), transaction() as session:
        found = Folder.public_id == UUID(folder_id)
        session.execute(update(Folder).where(found).values(trashed_at=utcnow()))
