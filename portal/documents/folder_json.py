"""Folders as programs see them."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from flask import url_for

from portal.documents.folder_listing import FolderRow
from portal.documents.folders import FolderFacts
from portal.documents.receiving import as_text


def facts_json(folder: FolderFacts) -> dict[str, Any]:
    """A folder after a change."""
    parent = folder.parent.public_id if folder.parent else None
    return _json(folder.public_id, folder.name, parent)


def row_json(row: FolderRow) -> dict[str, Any]:
    """A folder in a list, with how much is in it and in all folders inside it."""
    facts = _json(row.public_id, row.name, row.parent)
    return {**facts, "size": row.size_bytes, "documents": row.documents}


def trashed_json(row: FolderRow, keep: timedelta) -> dict[str, Any]:
    """A folder in the trash, with what can be done with it there."""
    facts = row_json(row)
    del facts["url"]
    if row.trashed_at is not None:
        facts["trashed_at"] = as_text(row.trashed_at)
        facts["purge_at"] = as_text(row.trashed_at + keep)
    facts["restore_url"] = url_for("folders.restore", folder_id=row.public_id)
    facts["purge_url"] = url_for("documents.purge", document_id=row.public_id)
    return facts


def _json(public_id: uuid.UUID, name: str, parent: uuid.UUID | None) -> dict[str, Any]:
    return {
        "id": str(public_id),
        "name": name,
        "parent": str(parent) if parent else None,
        "url": url_for("documents.index", folder=public_id),
    }
