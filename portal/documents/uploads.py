"""Taking a document in: the same service for the pages, admins on behalf, and programs.

`owner` decides who may see a document; `actor` is recorded and decides nothing. When
`receive` answers, bytes, row, usage and audit event are durable.
"""

from __future__ import annotations

import uuid

from sqlalchemy import select

from portal import audit, storage
from portal.access import scan_state
from portal.config import Settings
from portal.database import let_go
from portal.documents import claims, intake, media_types, names, room
from portal.documents.intake import (
    Actor,
    Also,
    Changed,
    FolderGone,
    Intent,
    NoRoom,
    Present,
    Stored,
)
from portal.errors import Conflict, NotFound, SameNameThere, UploadRejected
from portal.extensions import db
from portal.models import Document, Folder, SameName, Version, utcnow
from portal.scanning import waiting
from portal.storage import Growing, Incoming, Received


def receive(
    actor: Actor, intent: Intent, incoming: Incoming, settings: Settings, also: Also | None = None
) -> Stored:
    """Store what came in as a new document, or as a new version of one, as `intent` says.

    `also` is done with it, or neither is. Raises `UploadRejected` (name, type, size, quota,
    same name, no space) with the rule, or `Busy`; then nothing of it stays.
    """
    try:
        received = incoming.received()
        stored, present = _examine(intent, received, settings)
        blob = incoming.keep()
    except BaseException:
        incoming.discard()
        raise
    try:
        _store(actor, intent, stored, present, blob, settings, is_reserved=False, also=also)
    except (NoRoom, UploadRejected, NotFound, Conflict) as failure:
        # Certainly no row: the bytes can go now. After any other failure the commit may have
        # happened all the same, so they stay, and `purge` finds them if they are nobody's.
        storage.current().remove(blob)
        if isinstance(failure, NoRoom):
            raise room.why_none(intent.owner, settings) from None
        raise
    return stored


def receive_reserved(
    actor: Actor, intent: Intent, growing: Growing, settings: Settings, also: Also
) -> Stored:
    """Store what came in pieces and has its room set aside; `also` is done with it.

    Raises what `receive` does. Nothing is thrown away: it may be asked again, and stores the
    bytes once, because `also` raises where that was done.
    """
    stored, present = _examine(intent, growing.received(), settings)
    blob = growing.keep()
    try:
        _store(actor, intent, stored, present, blob, settings, is_reserved=True, also=also)
    except NoRoom:
        raise room.why_none(intent.owner, settings) from None
    return stored


def _examine(
    intent: Intent, received: Received, settings: Settings
) -> tuple[Stored, Present | None]:
    """What the bytes become, within the rules, and of what they are a new version."""
    name = names.check(intent.raw_name, settings)
    if received.size_bytes > settings.max_upload_bytes:
        raise room.too_large(settings)
    present = find_present(intent, name)
    name = present.name if present else name
    stored = Stored(
        public_id=present.public_id if present else uuid.uuid4(),
        name=name,
        size_bytes=received.size_bytes,
        sha256=received.sha256,
        media_type=media_types.decide(name, received.head, settings),
        uploaded_at=utcnow(),
        scan=scan_state(waiting.first_state(settings)["scan"]),
        folder=present.folder if present else _folder(intent),
    )
    return stored, present


def _folder(intent: Intent) -> uuid.UUID | None:
    return intent.folder.public_id if intent.folder else None


def _store(
    actor: Actor,
    intent: Intent,
    stored: Stored,
    present: Present | None,
    blob: str,
    settings: Settings,
    *,
    is_reserved: bool,
    also: Also | None,
) -> None:
    """Commit the change. Raises `NoRoom`, `SameNameThere`, `NotFound`, `Conflict` or `Busy`."""
    let_go()
    sent_name = {"given_name": intent.raw_name[:1000]} if intent.raw_name != stored.name else {}
    dropped_with = {"path": intent.path} if intent.path and not present else {}
    is_misnamed = bool(claims.mismatch(stored.name, stored.media_type, stored.size_bytes))
    try:
        audit.record_with(
            intake.change(stored, intent, present, actor, blob, settings, is_reserved, also),
            audit.Action.VERSION_ADDED if present else audit.Action.UPLOADED,
            document=stored.public_id,
            owner=intent.owner.email,
            name=stored.name,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256.hex(),
            **sent_name,
            **dropped_with,
            **({"type_mismatch": stored.media_type} if is_misnamed else {}),
        )
    except FolderGone:
        raise NotFound from None
    except Changed:
        if intent.same_name == SameName.REFUSE:
            raise SameNameThere from None
        raise (NotFound if intent.document_id else Conflict) from None


def find_present(intent: Intent, name: str) -> Present | None:
    """The document that gets a new version; None where a new document is made.

    Raises `SameNameThere` where neither is wanted, `NotFound` where it is not there.
    """
    if intent.document_id is not None:
        present = intake.document_of(intent.owner, intent.document_id)
        if present is None:
            raise NotFound
        return present
    if intent.same_name == SameName.KEEP_BOTH:
        return None
    present = intake.same_name(intent, name)
    if present is not None and intent.same_name == SameName.REFUSE:
        raise SameNameThere(present.public_id)
    return present


def newest_version(document: Document) -> Version:
    """The version whose bytes a document has now."""
    return db.session.execute(
        select(Version).where(
            Version.document_id == document.id, Version.number == document.version
        )
    ).scalar_one()


def as_stored(document: Document) -> Stored:
    """A document with the bytes it has now."""
    newest = newest_version(document)
    folder = db.session.get(Folder, document.folder_id) if document.folder_id else None
    return Stored(
        public_id=document.public_id,
        name=document.name,
        size_bytes=document.size_bytes,
        sha256=newest.sha256,
        media_type=document.media_type,
        uploaded_at=document.uploaded_at,
        scan=scan_state(newest.scan),
        folder=folder.public_id if folder else None,
    )


def note_refusal(owner_email: str, raw_name: str, refusal: Exception) -> None:
    """Put a refused upload into somebody's directory into the audit log."""
    audit.record_alone(
        audit.Action.UPLOAD_REFUSED,
        owner=owner_email,
        name=raw_name[:1000],
        reason=getattr(refusal, "reason", "unavailable"),
    )
