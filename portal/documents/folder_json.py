"""Folders as programs see them."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from flask import url_for

from portal.documents.folder_listing import FolderRow
from portal.documents.folders import FolderFacts
from portal.documents.keeping import Keeping
from portal.documents.receiving import as_text


def facts_json(folder: FolderFacts) -> dict[str, Any]:
    """A folder after a change."""
    parent = folder.parent.public_id if folder.parent else None
    return _json(folder.public_id, folder.name, parent)


def row_json(row: FolderRow) -> dict[str, Any]:
    """A folder in a list, with how much is in it and in all folders inside it."""
    facts = _json(row.public_id, row.name, row.parent)
    return {**facts, "size": row.size_bytes, "documents": row.documents}


def trashed_json(row: FolderRow, keep: timedelta, why: Keeping) -> dict[str, Any]:
    """A folder in the trash, with what can be done with it there."""
    facts = row_json(row)
    del facts["url"]
    restore_url = url_for("folders.restore", folder_id=row.public_id)
    return {**facts, **trash_facts(row.public_id, row.trashed_at, keep, why, restore_url)}


def trash_facts(
    thing_id: uuid.UUID,
    trashed_at: datetime | None,
    keep: timedelta,
    why: Keeping,
    restore_url: str,
) -> dict[str, Any]:
    """What the trash says of a document or folder: until when it lies there, and why it stays."""
    facts = {"restore_url": restore_url}
    if trashed_at is not None:
        facts["trashed_at"] = as_text(trashed_at)
        facts["purge_at"] = as_text(trashed_at + keep)
    if why.held_since:
        facts["held_since"] = as_text(why.held_since)
    if why.kept_until:
        facts["kept_until"] = as_text(why.kept_until)
    if not why.must_stay:
        facts["purge_url"] = url_for("documents.purge", document_id=thing_id)
    return facts


def _json(public_id: uuid.UUID, name: str, parent: uuid.UUID | None) -> dict[str, Any]:
    return {
        "id": str(public_id),
        "name": name,
        "parent": str(parent) if parent else None,
        "url": url_for("documents.index", folder=public_id),
    }
