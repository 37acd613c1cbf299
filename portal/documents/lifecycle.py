"""What happens to a document after upload: renamed, trashed, restored, deleted for ever."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, func, select, update

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
from portal.documents import folders, keeping, media_types, names
from portal.errors import Invalid, UploadRejected
from portal.extensions import db
from portal.models import (
    DiscardedBlob,
    Document,
    Folder,
    LegalHold,
    ShareLink,
    User,
    Version,
    utcnow,
)
from portal.previews import keeping as pictures

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
            for column, value in names.in_row(name).items():
                setattr(document, column, value)
    return document


def trash(person: Person, document_id: uuid.UUID) -> Document:
    """Move a document to the trash; its links stop until it is restored.

    Raises `Held` or `Kept` for one that must stay.
    """
    owner_id = document_for(person, document_id).owner_id
    with transaction():
        keeping.stand_in_line([owner_id])
        document = document_for(person, document_id)
        keeping.check_may_delete(document)
        document.trashed_at = utcnow()
        audit.record(
            audit.Action.TRASHED, document=document_id, owner=person.email, name=document.name
        )
    return document


def restore(person: Person, document_id: uuid.UUID) -> Document:
    """Take a document out of the trash, to where it was; to the top where that is gone.

    Raises `Held` or `Kept` where it would leave a folder that keeps it.
    """
    owner_id = trashed_document_for(person, document_id).owner_id
    with transaction() as session:
        keeping.stand_in_line([owner_id])
        document = trashed_document_for(person, document_id)
        if folders.live_place(session, document.folder_id) is None and document.folder_id:
            keeping.check_may_leave(document.owner_id, None, [document])
            document.folder_id = None
        document.trashed_at = document.trashed_with_id = None
        document.restored_at = utcnow()
        audit.record(
            audit.Action.RESTORED, document=document_id, owner=person.email, name=document.name
        )
    return document


def purge(person: Person, thing_id: uuid.UUID) -> str:
    """Delete a document or folder that lies in the trash for ever, with all that went with it.

    Answers what it was called. Raises `Held` or `Kept` for what must stay.
    """
    thing = trashed_for(person, thing_id)
    owner_id, name = thing.owner_id, thing.name
    if isinstance(thing, Folder):
        row = thing.id
        with transaction() as session:
            keeping.check_may_delete_folder(session.get_one(Folder, row))
        delete_all_for_ever(Document.trashed_with_id == row, owner_ids=[owner_id])
        folders.forget(Folder.id == row)
        return name
    with transaction():
        keeping.stand_in_line([owner_id])
        document = trashed_document_for(person, thing_id)
        keeping.check_may_delete(document)
        delete_for_ever([document.id])
    return name


@dataclass(frozen=True, slots=True)
class Emptied:
    """How many documents are gone for ever, and how many had to stay in the trash."""

    deleted: int
    left: int


def empty_trash(person: Person) -> Emptied:
    """Delete for ever whatever lies in `person`'s trash now, but what is held or kept."""
    emptied_at = utcnow()
    mine = and_(Document.owner_id == person.user_id, Document.trashed_at.is_not(None))
    deleted = delete_all_for_ever(
        mine, Document.trashed_at <= emptied_at, owner_ids=[person.user_id]
    )
    folders.forget(and_(trashed_folders(person), Folder.trashed_at <= emptied_at))
    left = db.session.scalar(
        select(func.count()).select_from(Document).where(mine, keeping.must_stay([person.user_id]))
    )
    db.session.commit()
    if left:
        audit.record_alone(
            audit.Action.DELETION_REFUSED,
            owner=person.email,
            name="1 document" if left == 1 else f"{left} documents",
            reason="stays",
            count=left,
        )
    return Emptied(deleted, left or 0)


def delete_all_for_ever(
    *conditions: ColumnElement[bool], owner_ids: Sequence[int] | None = None
) -> int:
    """Delete the trashed documents that meet `conditions`, some at a time; answers how many.

    What is held or kept stays. `owner_ids` are those of the documents, None for everybody's.
    """
    total = 0
    while True:
        ids = db.session.scalars(
            select(Document.id)
            .where(Document.trashed_at.is_not(None), ~keeping.must_stay(owner_ids), *conditions)
            .limit(_BATCH)
        ).all()
        db.session.commit()
        gone = delete_for_ever(ids) if ids else 0
        if not gone:  # none are left, or somebody else is at it
            return total
        total += gone


def may_be_deleted(ids: Sequence[int]) -> set[int]:
    """Of these documents those that may lose versions for ever, asked within a transaction.

    Whoever deletes versions of a document that stays asks here, also on behalf of the portal.
    """
    session = db.session()
    mine = Document.id.in_(ids)
    keeping.stand_in_line(session.scalars(select(Document.owner_id).where(mine).distinct()).all())
    return set(session.scalars(select(Document.id).where(mine, ~keeping.must_stay())))


def delete_for_ever(ids: Sequence[int]) -> int:
    """Delete trashed documents, within a transaction: rows now, bytes later by the worker.

    The only place that deletes rows of documents. Whatever was asked before, what is held or
    kept at this moment stays. Answers how many are gone.
    """
    with transaction() as session:
        owners = session.scalars(
            select(Document.owner_id).where(Document.id.in_(ids)).distinct()
        ).all()
        keeping.stand_in_line(owners)
        chosen = session.execute(
            select(Document, User.email)
            .join(User, User.id == Document.owner_id)
            .where(
                Document.id.in_(ids),
                Document.trashed_at.is_not(None),
                ~keeping.must_stay(owners),
            )
            .order_by(Document.id)
            .with_for_update(of=Document)
        ).all()
        for document, owner in chosen:
            versions = session.scalars(
                select(Version).where(Version.document_id == document.id)
            ).all()
            pictures.discard([version.id for version in versions])
            freed = sum(version.size_bytes for version in versions)
            session.add_all(DiscardedBlob(blob=version.blob) for version in versions)
            session.execute(
                update(ShareLink)
                .where(ShareLink.document_id == document.id)
                .values(document_id=None)
            )
            session.execute(
                delete(LegalHold).where(
                    LegalHold.document_id == document.id, LegalHold.released_at.is_not(None)
                )
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
        return len(chosen)
