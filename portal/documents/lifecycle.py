"""What happens to a document after upload: renamed, trashed, restored, deleted for ever."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, delete, select, update

from portal import audit
from portal.access import (
    Person,
    document_for,
    document_to_use,
    trashed_document_for,
    trashed_folders,
    trashed_for,
)
from portal.config import Settings
from portal.database import transaction
from portal.documents import folders, media_types, names
from portal.errors import Invalid, UploadRejected
from portal.models import DiscardedBlob, Document, Folder, ShareLink, User, Version, utcnow
from portal.previews import keeping

#: Documents deleted in one transaction, so that others get their turn.
_BATCH = 200


def rename(person: Person, document_id: uuid.UUID, raw_name: str, settings: Settings) -> Document:
    """Give a document another name, under the rules of uploads.

    Raises `Invalid`, or `Infected` for one that is blocked.
    """
    document = document_to_use(person, document_id)
    try:
        name = names.check(raw_name, settings)
        media_types.check(name, document.media_type, document.size_bytes, settings)
    except UploadRejected as error:
        problem = f"{error.what} {error.cure}"
        raise Invalid(problem, errors={"name": problem}) from error
    with transaction():
        document = document_to_use(person, document_id)
        if document.name != name:
            audit.record(
                audit.Action.RENAMED,
                document=document_id,
                owner=person.email,
                old_name=document.name,
                name=name,
            )
            document.name, document.name_key = name, names.fold(name)
            document.name_sort = names.sort_key(name)
    return document


def trash(person: Person, document_id: uuid.UUID) -> Document:
    """Move a document to the trash; its links stop until it is restored."""
    document_for(person, document_id)
    with transaction():
        document = document_for(person, document_id)
        document.trashed_at = utcnow()
        audit.record(
            audit.Action.TRASHED, document=document_id, owner=person.email, name=document.name
        )
    return document


def restore(person: Person, document_id: uuid.UUID) -> Document:
    """Take a document out of the trash: to where it was, or to the top if that is gone."""
    trashed_document_for(person, document_id)
    with transaction() as session:
        folders.lock(session, person.user_id)
        document = trashed_document_for(person, document_id)
        place = folders.live_place(session, document.folder_id)
        document.folder_id = place.id if place else None
        document.trashed_at = None
        audit.record(
            audit.Action.RESTORED, document=document_id, owner=person.email, name=document.name
        )
    return document


def purge(person: Person, thing_id: uuid.UUID) -> str:
    """Delete a document or folder that lies in the trash for ever, with all that went with it.

    Answers what it was called.
    """
    thing = trashed_for(person, thing_id)
    if isinstance(thing, Folder):
        row, name = thing.id, thing.name
        _purge_all(Document.trashed_with_id == row)
        folders.forget(Folder.id == row)
        return name
    with transaction():
        document = trashed_document_for(person, thing_id)
        name = document.name
        delete_for_ever([document.id])
    return name


def empty_trash(person: Person) -> int:
    """Delete for ever whatever lies in `person`'s trash now; answers how many documents."""
    emptied_at = utcnow()
    total = _purge_all(and_(Document.owner_id == person.user_id, Document.trashed_at <= emptied_at))
    folders.forget(and_(trashed_folders(person), Folder.trashed_at <= emptied_at))
    return total


def _purge_all(condition: ColumnElement[bool]) -> int:
    """Delete the trashed documents of the condition for ever, some at a time."""
    total = 0
    while True:
        with transaction() as session:
            ids = session.scalars(
                select(Document.id).where(condition, Document.trashed_at.is_not(None)).limit(_BATCH)
            ).all()
            delete_for_ever(ids)
        total += len(ids)
        if len(ids) < _BATCH:
            return total


def delete_for_ever(ids: Sequence[int]) -> None:
    """Delete trashed documents, within a transaction: rows now, bytes later by the worker."""
    with transaction() as session:
        # The owners' rows first, as everybody who changes folders takes them.
        owners = select(Document.owner_id).where(Document.id.in_(ids))
        session.execute(
            select(User.id)
            .where(User.id.in_(owners))
            .order_by(User.id)
            .with_for_update(key_share=True)
        )
        chosen = session.execute(
            select(Document, User.email)
            .join(User, User.id == Document.owner_id)
            .where(Document.id.in_(ids), Document.trashed_at.is_not(None))
            .with_for_update(of=Document)
        ).all()
        for document, owner in chosen:
            versions = session.scalars(
                select(Version).where(Version.document_id == document.id)
            ).all()
            keeping.discard([version.id for version in versions])
            freed = sum(version.size_bytes for version in versions)
            session.add_all(DiscardedBlob(blob=version.blob) for version in versions)
            session.execute(
                update(ShareLink)
                .where(ShareLink.document_id == document.id)
                .values(document_id=None)
            )
            session.execute(delete(Version).where(Version.document_id == document.id))
            session.execute(delete(Document).where(Document.id == document.id))
            session.execute(
                update(User)
                .where(User.id == document.owner_id)
                .values(used_bytes=User.used_bytes - freed)
            )
            audit.record(
                audit.Action.PURGED,
                document=document.public_id,
                owner=owner,
                name=document.name,
                size_bytes=freed,
            )
