"""Uploads in pieces: announced, gone on with after any interruption, stored when they are whole.

How much has come, the file says: an offset that was told is on the disk, whatever was killed.
What a power loss can spoil is what came since the machine started and was never synced, so the
row keeps how much was, and in which life of the machine.
"""

from __future__ import annotations

import io
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from flask import Flask, current_app
from sqlalchemy import (
    ColumnElement,
    Dialect,
    Integer,
    Table,
    Uuid,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import aliased

from portal import access, audit, storage
from portal.access import Owner, Person, Sending
from portal.compiled import Compiled
from portal.config import Settings
from portal.database import let_go, transaction
from portal.documents import folders, intake, media_types, names, pieces, renewing, room, uploads
from portal.documents.intake import Intent
from portal.documents.pieces import OtherOffset, Piece
from portal.documents.renewing import DocumentGone, DocumentTrashed, Renewed
from portal.errors import (
    Busy,
    Gone,
    NoSpace,
    NotFound,
    PortalError,
    SameNameThere,
    TooManyTries,
    UploadRejected,
)
from portal.extensions import db
from portal.models import OpenUpload, Role, SameName, User, UtcDateTime, utcnow
from portal.storage import HEAD_BYTES, Growing, Overtaken

#: How long a stored one can still be asked about: the answer to its last piece may be lost.
REMEMBERED = timedelta(days=1)
#: Unfinished uploads one person may have.
MOST_OPEN = 500
#: What comes whole with its announcement and is not larger needs no file to go on with.
SMALL_BYTES = 8 * 1024 * 1024
_UPLOADS = cast(Table, OpenUpload.__table__)


class TooManyUploads(TooManyTries):
    title = "Too many unfinished uploads"
    what = f"You have {MOST_OPEN} unfinished uploads; more are not possible."
    cure = "Finish or cancel some of them first."
    reason = "too_many_uploads"


@dataclass(frozen=True, slots=True)
class Announcement:
    """What somebody says about a file before it comes."""

    raw_name: str
    length_bytes: int
    #: As it came, to be told again.
    upload_metadata: str = ""
    #: The folder it goes into.
    folder_id: uuid.UUID | None = None
    path: str = ""
    note: str = ""
    same_name: SameName = SameName.KEEP_BOTH
    #: The document it is to be a new version of; then the folder, the note and `same_name` say
    #: nothing.
    version_of: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an upload is."""

    public_id: uuid.UUID
    offset: int
    length_bytes: int
    upload_metadata: str
    expires_at: datetime
    #: The document it became, once it is stored.
    document_id: uuid.UUID | None


def announce(
    person: Person, owner: Owner, said: Announcement, settings: Settings, piece: Piece | None = None
) -> Progress:
    """Begin an upload into the directory of `owner`, and set its room aside.

    `piece` is what comes along. A small file that comes whole is stored at once. Where less of
    it comes than was declared, nothing stays: nobody knows yet how to go on with it.
    Raises `UploadRejected` with the rule before anything is read, and `TooManyUploads`.
    """
    try:
        intent = _intent(owner, said, settings)
    except SameNameThere:
        raise  # a question, and no refusal yet
    except UploadRejected as refusal:
        uploads.note_refusal(owner.email, said.raw_name, refusal)
        raise
    if piece is not None and piece.length_bytes == said.length_bytes <= SMALL_BYTES:
        return _take_whole(person, intent, said, piece, settings)
    sending = _begin(person, intent, said, settings)
    if said.length_bytes and piece is None:
        return _progress(sending, 0)
    try:
        return append(person, sending.public_id, 0, piece or Piece(io.BytesIO(), 0), settings)
    except BaseException:
        _forget(sending)
        raise


def look(person: Person, upload_id: uuid.UUID, settings: Settings) -> Progress:
    """How far an upload is; one that is whole and was interrupted then is stored first.

    One that waits for its document to come back from the trash is whole, and became none yet.
    Raises `NotFound`, `Gone`, and what else storing raises.
    """
    sending = _living(person, upload_id)
    offset = pieces.offset_of(sending, storage.current().size_so_far(sending.blob))
    if sending.document_id is None and offset == sending.length_bytes:
        with suppress(DocumentTrashed):
            return _finish(person, sending, settings)
    return _progress(sending, offset)


def append(
    person: Person, upload_id: uuid.UUID, offset: int, piece: Piece, settings: Settings
) -> Progress:
    """Take a piece that begins at `offset`; with the last one the upload is stored.

    What came of it is kept, even where this raises: `OtherOffset`, `PieceCut`, `NoSpace`, `Busy`.
    Of a piece with a checksum all is kept or nothing (`ChecksumMismatch`). Where the beginning
    says that it is not what its name says, and that is refused, it is given up at once; and
    where the document that it renews was deleted for ever (`DocumentGone`). In the trash that
    keeps only the end waiting (`DocumentTrashed`).
    """
    sending = _living(person, upload_id)
    owner = access.may_upload_to(person, sending.owner_id)
    renewed = _renewed(owner, sending)
    let_go()
    waits_until = utcnow() + pieces.LIFETIME  # or a little longer: each piece puts the end off
    growing = storage.current().grow(sending.blob)
    try:
        size = pieces.take(_look_again(person, sending, growing), growing, offset, piece)
        # Once, when the beginning is complete: the rest need not come to tell what it is.
        head = growing.head() if offset < HEAD_BYTES <= size else b""
    except Overtaken:
        raise OtherOffset from None
    finally:
        growing.close()
    if size == sending.length_bytes:
        return _finish(person, sending, settings)
    if head:
        _judge(owner, sending, renewed.name if renewed else sending.name, head, settings)
    return _progress(replace(sending, expires_at=waits_until), size)


def terminate(person: Person, upload_id: uuid.UUID) -> None:
    """Give an upload up. A document that it became stays."""
    _forget(access.upload_of(person, upload_id))


def finish_whole(settings: Settings) -> int:
    """Store the uploads that are whole and were interrupted then; answers how many."""
    total = 0
    for person, sending in _unfinished():
        if not _is_whole(sending):
            continue
        with audit.acting(audit.Origin(actor=person.email)):
            try:
                _finish(person, sending, settings)
            except PortalError:
                continue
        total += 1
    return total


def expire() -> int:
    """Forget the uploads whose time is over, and give their room back; answers how many.

    One that was whole, and waited in vain for its document to come back from the trash, is in
    the audit log.
    """
    is_over = OpenUpload.expires_at <= utcnow()
    over = db.session.execute(access.SENDING_COLUMNS.add_columns(User.email).where(is_over)).all()
    db.session.commit()
    total = 0
    for *facts, owner_email in over:
        sending = access.sending(facts)
        waited = sending.version_of is not None and _is_whole(sending)
        # A piece that has come in the meantime has put the end of its upload off.
        if not _forget(sending, is_over):
            continue
        total += 1
        if waited:
            uploads.note_refusal(owner_email, sending.name, DocumentTrashed())
    return total


def give_up_all(user_id: int) -> None:
    """Give up every unfinished upload by somebody, or into their directory."""
    theirs = or_(OpenUpload.owner_id == user_id, OpenUpload.created_by_id == user_id)
    for row in db.session.execute(access.SENDING_COLUMNS.where(theirs)).all():
        _forget(access.sending(row))


def blobs_under_way() -> set[str]:
    """Where the bytes of unfinished uploads lie."""
    found = set(db.session.scalars(select(OpenUpload.blob).where(OpenUpload.document_id.is_(None))))
    db.session.commit()
    return found


def _is_whole(sending: Sending) -> bool:
    """Whether all of an upload has come that is no document yet."""
    if sending.document_id is not None:
        return False
    size = storage.current().size_so_far(sending.blob)
    return pieces.offset_of(sending, size) == sending.length_bytes


def _intent(owner: Owner, said: Announcement, settings: Settings) -> Intent:
    """What it is to become, if the rules allow it at all."""
    name = names.check(said.raw_name, settings)
    if said.length_bytes > settings.max_upload_bytes:
        raise room.too_large(settings)
    folder = access.folder_of(owner, said.folder_id) if said.folder_id else None
    path = names.clean_path(said.path)
    intent = Intent(owner, said.raw_name, path, said.note, said.same_name, said.version_of, folder)
    intake.check_depth(intent)
    uploads.find_present(intent, name)
    room.check(owner, said.length_bytes, settings)
    return intent


def _take_whole(
    person: Person, intent: Intent, said: Announcement, piece: Piece, settings: Settings
) -> Progress:
    incoming = storage.current().receive(intent.owner.public_id)
    try:
        pieces.take_all(incoming, piece)
        access.may_upload_to(person, intent.owner.public_id)
    except BaseException:
        incoming.discard()
        raise
    facts: dict[str, Any] = {
        **_announced(person, intent, said),
        "public_id": uuid.uuid4(),
        # Its bytes are a blob of their own already; this only has to be no other's.
        "blob": storage.current().new_blob(intent.owner.public_id),
        "synced_bytes": said.length_bytes,
        "expires_at": utcnow() + REMEMBERED,
    }
    statements: _Statements = current_app.extensions["resumable_statements"]
    let_go()
    stored = uploads.receive(
        person,
        intent,
        incoming,
        settings,
        lambda driver, document: statements.add_stored.insert(
            driver, [{**facts, "document_id": document}]
        ),
    )
    return Progress(
        facts["public_id"],
        said.length_bytes,
        said.length_bytes,
        said.upload_metadata,
        facts["expires_at"],
        stored.public_id,
    )


def _begin(person: Person, intent: Intent, said: Announcement, settings: Settings) -> Sending:
    owner = intent.owner
    with transaction() as session:
        # The owner's row first: of two who announce at once, the second one counts the first.
        reserved = session.execute(
            intake.RESERVE,
            {
                "owner": owner.id,
                "more": said.length_bytes,
                "default_quota": settings.default_quota_bytes,
            },
        )
        if not reserved.rowcount:  # type: ignore[attr-defined]
            raise room.why_none(owner, settings)
        open_now = session.scalar(
            select(func.count())
            .select_from(OpenUpload)
            .where(OpenUpload.created_by_id == person.user_id, OpenUpload.document_id.is_(None))
        )
        if (open_now or 0) >= MOST_OPEN:
            raise TooManyUploads(retry_after=60)
        upload = OpenUpload(
            **_announced(person, intent, said),
            public_id=uuid.uuid4(),
            blob=storage.current().new_blob(owner.public_id),
            expires_at=utcnow() + pieces.LIFETIME,
        )
        session.add(upload)
        session.flush()
        facts = session.execute(access.SENDING_COLUMNS.where(OpenUpload.id == upload.id)).one()
    return access.sending(facts)


def _announced(person: Person, intent: Intent, said: Announcement) -> dict[str, Any]:
    return {
        "owner_id": intent.owner.id,
        "created_by_id": person.user_id,
        "name": names.clean(said.raw_name),
        "upload_metadata": said.upload_metadata,
        "folder_id": intent.folder.id if intent.folder else None,
        "path": intent.path,
        "note": said.note.replace("\0", " ").strip()[: intake.LONGEST_NOTE],
        "same_name": said.same_name.value,
        "version_of": said.version_of,
        "length_bytes": said.length_bytes,
        "boot_id": pieces.boot_id(),
        "created_at": utcnow(),
    }


def _living(person: Person, upload_id: uuid.UUID) -> Sending:
    sending = access.upload_of(person, upload_id)
    if sending.expires_at <= utcnow():
        raise Gone(
            "This upload was left alone for too long and was given up.",
            cure="Upload the file again.",
        )
    return sending


def _look_again(person: Person, sending: Sending, growing: Growing) -> Sending:
    """The row as it is now that the file is open: what was known of it may be old.

    A piece may be on its way whose checksum is not known yet. And whoever gave the upload up
    before it was opened has removed the file, which opening has made anew: nobody would count
    what is written into that.
    """
    try:
        return access.upload_of(person, sending.public_id)
    except NotFound:
        growing.discard()
        raise


def _intent_now(owner: Owner, sending: Sending) -> Intent:
    """What an upload becomes at its end.

    Where its folder is gone by now, or lies so deep that those it was dropped with do not fit
    in, it goes to the top: nothing that was sent is lost.
    """
    if sending.version_of is not None:
        return Intent(owner, sending.name, document_id=sending.version_of)
    folder = folders.live_place(db.session(), sending.folder_id)
    wish = SameName(sending.same_name)
    intent = Intent(owner, sending.name, sending.path, sending.note, wish, folder=folder)
    try:
        intake.check_depth(intent)
    except UploadRejected:
        return replace(intent, folder=None)
    return intent


def _renewed(owner: Owner, sending: Sending) -> Renewed | None:
    """The document of which an unfinished upload is to be a new version, if of any.

    Where that was deleted for ever, the upload is given up; raises `DocumentGone`.
    """
    if sending.version_of is None or sending.document_id is not None:
        return None
    try:
        return renewing.look_for(owner, sending.version_of)
    except DocumentGone as refusal:
        _refuse(owner, sending, refusal)
        raise


def _check_is_there(owner: Owner, sending: Sending) -> None:
    """Raise `DocumentTrashed` or `DocumentGone` where an upload can renew nothing now."""
    renewed = _renewed(owner, sending)
    if renewed is not None and renewed.is_trashed:
        raise DocumentTrashed


class _AlreadyStored(Exception):
    """Another request has stored it, or given it up, in the meantime."""


def _finish(person: Person, sending: Sending, settings: Settings) -> Progress:
    """Store an upload that is whole. Where it is refused at the end, it is given up."""
    owner = access.may_upload_to(person, sending.owner_id)
    _check_is_there(owner, sending)  # before all that came is read again for its hash
    intent = _intent_now(owner, sending)
    statements: _Statements = current_app.extensions["resumable_statements"]
    expires_at = utcnow() + REMEMBERED

    def mark(driver: Any, document_id: uuid.UUID) -> None:
        facts = {"at": sending.id, "document": document_id, "until": expires_at}
        if not statements.mark_stored.run(driver, facts):
            raise _AlreadyStored

    growing = storage.current().grow(sending.blob)
    try:
        size = growing.size_bytes
        sending = _look_again(person, sending, growing)
        if pieces.offset_of(sending, size) < sending.length_bytes:
            raise Overtaken
        if sending.document_id is None:
            uploads.receive_reserved(person, intent, growing, settings, mark)
    except _AlreadyStored:
        pass
    except Overtaken:
        raise OtherOffset from None
    except NotFound:
        _check_is_there(owner, sending)
        raise  # it waits for the account to be let in again
    except (NoSpace, Busy):
        raise  # it waits for room, or for a turn
    except UploadRejected as refusal:
        _refuse(owner, sending, refusal)
        raise
    finally:
        growing.close()
    return _progress(access.upload_of(person, sending.public_id), sending.length_bytes)


def _judge(owner: Owner, sending: Sending, name: str, head: bytes, settings: Settings) -> None:
    """Raise what the end of an upload would for how it begins, so that nobody sends the rest.

    `name` is that of the document it becomes.
    """
    try:
        media_types.decide(name, head, settings)
    except UploadRejected as refusal:
        _refuse(owner, sending, refusal)
        raise


def _refuse(owner: Owner, sending: Sending, refusal: UploadRejected) -> None:
    _forget(sending)
    uploads.note_refusal(owner.email, sending.name, refusal)


def _forget(sending: Sending, *conditions: ColumnElement[bool]) -> bool:
    """Row first, and the room with it; then the bytes, unless they are a document's.

    Answers whether there was such a row.
    """
    with transaction() as session:
        gone = session.execute(
            delete(OpenUpload)
            .where(OpenUpload.id == sending.id, *conditions)
            .returning(OpenUpload.owner_id, OpenUpload.length_bytes, OpenUpload.document_id)
        ).one_or_none()
        is_unfinished = gone is not None and gone[2] is None
        if gone is not None and is_unfinished:
            session.execute(
                update(User)
                .where(User.id == gone[0])
                .values(reserved_bytes=User.reserved_bytes - gone[1])
            )
    if is_unfinished:
        with suppress(OSError):  # what a failing disk does not let go, `purge` tries again
            storage.current().forget(sending.blob)
    return gone is not None


@dataclass(frozen=True, slots=True)
class _Sender:
    """Somebody whose upload is finished for them."""

    user_id: int
    email: str
    is_admin: bool


def _unfinished() -> list[tuple[_Sender, Sending]]:
    """The unfinished uploads of people who may sign in, into where they may upload.

    The door is asked once more for each; these are left out because it notes its refusals.
    """
    sender = aliased(User)
    rows = db.session.execute(
        access.SENDING_COLUMNS.add_columns(sender.id, sender.email, sender.role)
        .join(sender, sender.id == OpenUpload.created_by_id)
        .where(
            OpenUpload.document_id.is_(None),
            OpenUpload.expires_at > utcnow(),
            sender.disabled_at.is_(None),
            User.disabled_at.is_(None),
            or_(sender.id == User.id, sender.role == Role.ADMIN),
        )
    ).all()
    db.session.commit()
    return [
        (_Sender(user_id, email, role == Role.ADMIN), access.sending(facts))
        for *facts, user_id, email, role in rows
    ]


def _progress(sending: Sending, offset: int) -> Progress:
    return Progress(
        sending.public_id,
        offset,
        sending.length_bytes,
        sending.upload_metadata,
        sending.expires_at,
        sending.document_id,
    )


_MARK_STORED = (
    update(_UPLOADS)
    .where(_UPLOADS.c.id == bindparam("at", type_=Integer), _UPLOADS.c.document_id.is_(None))
    .values(
        document_id=bindparam("document", type_=Uuid),
        expires_at=bindparam("until", type_=UtcDateTime),
        synced_bytes=_UPLOADS.c.length_bytes,
    )
)
_STORED_COLUMNS = tuple(
    column.name for column in _UPLOADS.c if column.name not in {"id", "checked_bytes"}
)


class _Statements:
    """What goes into the change of an upload that is stored, compiled for the database in use."""

    def __init__(self, dialect: Dialect) -> None:
        self.mark_stored = Compiled(_MARK_STORED, dialect)
        self.add_stored = Compiled(insert(_UPLOADS), dialect, _STORED_COLUMNS)


def init_app(app: Flask) -> None:
    """Compile what storing an upload asks of the database; asks nothing yet."""
    with app.app_context():
        app.extensions["resumable_statements"] = _Statements(db.engine.dialect)
