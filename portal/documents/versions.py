"""The versions of a document: listed, restored, deleted, and trimmed by the portal's rule."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ScalarSelect, delete, func, literal, or_, select, update

from portal import access, audit, storage
from portal.access import Person
from portal.config import Settings
from portal.database import let_go, transaction
from portal.documents import intake, lifecycle, room
from portal.documents.intake import Changed, Intent, NoRoom, Present, Stored
from portal.errors import Conflict, Damaged, Infected, NotFound
from portal.extensions import db
from portal.models import DiscardedBlob, Document, Scan, User, Version, utcnow
from portal.previews import keeping as pictures
from portal.previews import showing
from portal.previews.showing import Look
from portal.scanning import waiting
from portal.storage import BlobMissing

#: How many versions are trimmed in one transaction, so that others get their turn.
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One version as its owner sees it."""

    number: int
    is_newest: bool
    size_bytes: int
    sha256: bytes
    media_type: str
    uploaded_at: datetime
    uploaded_by_name: str
    #: What is known of its bytes and malware, as it counts now.
    scan: Scan
    threat: str
    scan_tries: int
    verified_at: datetime | None
    damaged_at: datetime | None
    preview: Look

    @property
    def may_leave(self) -> bool:
        """Whether it can be downloaded now."""
        return self.damaged_at is None and self.scan in {Scan.NONE, Scan.CLEAN}


def history(
    document: Document, below: int | None = None, most: int | None = None
) -> Sequence[Entry]:
    """The versions of a document, newest first: at most `most` of them.

    With `below`, the newest one and then those with numbers under that. The caller has found
    that somebody may see the document.
    """
    query = showing.with_pictures(
        select(
            Version.number,
            Version.size_bytes,
            Version.sha256,
            Version.media_type,
            Version.uploaded_at,
            User.name,
            Version.scan,
            Version.threat,
            Version.scan_tries,
            Version.verified_at,
            Version.damaged_at,
        )
        .join(User, User.id == Version.uploaded_by_id)
        .where(Version.document_id == document.id)
        .order_by(Version.number.desc())
        .limit(most)
    )
    if below is not None:
        query = query.where(or_(Version.number < below, Version.number == document.version))
    return [
        Entry(
            number=row.number,
            is_newest=row.number == document.version,
            size_bytes=row.size_bytes,
            sha256=row.sha256,
            media_type=row.media_type,
            uploaded_at=row.uploaded_at,
            uploaded_by_name=row.name,
            scan=access.scan_state(row.scan),
            threat=row.threat,
            scan_tries=row.scan_tries,
            verified_at=row.verified_at,
            damaged_at=row.damaged_at,
            preview=showing.look_in(row, row.media_type),
        )
        for row in db.session.execute(query)
    ]


def restore(person: Person, document_id: uuid.UUID, number: int, settings: Settings) -> Stored:
    """Make the bytes of an older version the newest one; every version stays as it is.

    The document keeps its name. Raises `NotFound`, `Conflict` for the newest one, `Infected`,
    `Damaged` where the stored bytes are not what they were, `OverQuota`, `NoSpace` or `Busy`.
    """
    document = access.document_for(person, document_id)
    source = _older(document, number)
    if access.scan_state(source.scan) is Scan.INFECTED:
        raise Infected
    if source.damaged_at is not None:
        raise Damaged
    owner = access.may_upload_to(person, access.owner_of(person, document_id))
    room.check(owner, source.size_bytes, settings)
    present = Present(document.id, document.public_id, document.name)
    scan = waiting.state_of_copy(source, settings)
    source_blob, source_sha256 = source.blob, source.sha256
    stored = Stored(
        public_id=document.public_id,
        name=document.name,
        size_bytes=source.size_bytes,
        sha256=source_sha256,
        media_type=source.media_type,
        uploaded_at=utcnow(),
        scan=access.scan_state(scan["scan"]),
    )
    let_go()
    try:
        blob = storage.current().copy(
            source_blob, owner.public_id, stored.size_bytes, source_sha256
        )
    except BlobMissing as error:
        raise Damaged from error
    intent = Intent(owner, stored.name, document_id=document_id)
    try:
        audit.record_with(
            intake.change(stored, intent, present, person, blob, settings, False, None, scan=scan),
            audit.Action.VERSION_RESTORED,
            document=document_id,
            owner=owner.email,
            name=stored.name,
            version=number,
            size_bytes=stored.size_bytes,
            sha256=source_sha256.hex(),
        )
    except (NoRoom, Changed) as failure:
        # Certainly no row, as in `uploads.receive`.
        storage.current().remove(blob)
        if isinstance(failure, NoRoom):
            raise room.why_none(owner, settings) from None
        raise NotFound from None
    return stored


def delete_one(person: Person, document_id: uuid.UUID, number: int) -> None:
    """Delete an older version for ever: its row now, its bytes later by the worker.

    Raises `NotFound`, or `Conflict` for the newest one and for what must be kept.
    """
    document = access.document_for(person, document_id)
    _older(document, number)
    owner_id = document.owner_id
    with transaction():
        _lock_room(owner_id)
        document = access.document_for(person, document_id)
        version = _older(document, number)
        if document.id not in lifecycle.may_be_deleted([document.id]):
            raise Conflict(
                "This document must be kept as it is, with all its versions.",
                cure="Ask the person who runs this portal, if you think that it need not.",
            )
        _remove(document, [version], person.email, audit.Action.VERSION_DELETED)


def trim(settings: Settings) -> int:
    """Delete for ever what is older than the versions that are kept; answers how many.

    The newest one of a document always stays, and so does everything in the trash.
    """
    if not settings.keep_versions:
        return 0
    found = db.session.execute(
        select(Document.id, Document.owner_id)
        .where(
            Document.trashed_at.is_(None),
            # Said twice: only this one is known to fit the index of such documents.
            Document.version > literal(1, literal_execute=True),
            Document.version > settings.keep_versions,
            settings.keep_versions < _HOW_MANY,
        )
        .order_by(Document.version)
    ).all()
    db.session.commit()
    total = 0
    for document_id, owner_id in found:
        trimmed = _BATCH
        while trimmed == _BATCH:
            with transaction():
                trimmed = _trim(document_id, owner_id, settings.keep_versions)
            total += trimmed
    return total


def _trim(document_id: int, owner_id: int, keep: int) -> int:
    session = db.session
    _lock_room(owner_id)
    found = session.execute(
        select(Document, User.email)
        .join(User, User.id == Document.owner_id)
        .where(Document.id == document_id, Document.trashed_at.is_(None))
        .with_for_update(of=Document)
    ).one_or_none()
    if found is None or document_id not in lifecycle.may_be_deleted([document_id]):
        return 0
    document, owner_email = found
    oldest_kept = (
        select(Version.number)
        .where(Version.document_id == document_id)
        .order_by(Version.number.desc())
        .offset(keep - 1)
        .limit(1)
        .scalar_subquery()
    )
    versions = session.scalars(
        select(Version)
        .where(
            Version.document_id == document_id,
            Version.number < oldest_kept,
            Version.number != document.version,
        )
        .order_by(Version.number)
        .limit(_BATCH)
    ).all()
    _remove(document, versions, owner_email, audit.Action.VERSION_TRIMMED)
    return len(versions)


def _lock_room(owner_id: int) -> None:
    """Whoever takes room changes this row before any document's; in one order nobody is stuck."""
    db.session.execute(select(User.id).where(User.id == owner_id).with_for_update())


_HOW_MANY: ScalarSelect[int] = (
    select(func.count(Version.id))
    .where(Version.document_id == Document.id)
    .correlate(Document)
    .scalar_subquery()
)


def _older(document: Document, number: int) -> Version:
    """A version of `document` that is not its newest one."""
    version = db.session.execute(
        select(Version).where(Version.document_id == document.id, Version.number == number)
    ).scalar_one_or_none()
    if version is None:
        raise NotFound(
            "There is no such version of this document.",
            cure="Reload the page and look again: it may have been deleted.",
        )
    if version.number == document.version:
        raise Conflict(
            "This is the newest version, which the document itself is.",
            cure="Choose an older one, or delete the document.",
        )
    return version


def _remove(
    document: Document, versions: Sequence[Version], owner_email: str, action: audit.Action
) -> None:
    """Within a transaction that holds the document's row."""
    session = db.session
    freed = 0
    pictures.discard([version.id for version in versions])
    for version in versions:
        freed += version.size_bytes
        session.add(DiscardedBlob(blob=version.blob))
        audit.record(
            action,
            document=document.public_id,
            owner=owner_email,
            name=document.name,
            version=version.number,
            size_bytes=version.size_bytes,
            sha256=version.sha256.hex(),
        )
    session.execute(delete(Version).where(Version.id.in_([each.id for each in versions])))
    session.execute(
        update(User).where(User.id == document.owner_id).values(used_bytes=User.used_bytes - freed)
    )
