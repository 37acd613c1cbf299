"""Removing pictures: rows at once, bytes later by the worker, as with documents."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select

from portal.database import transaction
from portal.models import DiscardedBlob, Document, Preview, PreviewState, Version

#: Versions forgotten in one transaction, so that others get their turn.
_BATCH = 200


def discard(version_ids: Sequence[int]) -> None:
    """Forget the pictures of some versions, and that they were drawn, within a transaction.

    Whoever removes a version calls this before.
    """
    if not version_ids:
        return
    with transaction() as session:
        discard_pictures(version_ids)
        session.execute(delete(PreviewState).where(PreviewState.version_id.in_(version_ids)))


def discard_pictures(version_ids: Sequence[int]) -> None:
    """Forget the pictures alone, within a transaction."""
    with transaction() as session:
        blobs = session.scalars(
            delete(Preview).where(Preview.version_id.in_(version_ids)).returning(Preview.blob)
        ).all()
        session.add_all(DiscardedBlob(blob=blob) for blob in blobs)


def discard_superseded() -> int:
    """Remove the pictures of versions that are no longer the newest; answers of how many."""
    total = 0
    while True:
        with transaction() as session:
            ids = session.scalars(
                select(PreviewState.version_id)
                .join(Version, Version.id == PreviewState.version_id)
                .join(Document, Document.id == Version.document_id)
                .where(Version.number != Document.version)
                .limit(_BATCH)
            ).all()
            discard(ids)
        total += len(ids)
        if len(ids) < _BATCH:
            return total
