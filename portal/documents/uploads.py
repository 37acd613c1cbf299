"""Taking a document in: the same service for the pages, admins on behalf, and programs.

`owner` decides who may see a document; `actor` is recorded and decides nothing. When
`receive` answers, bytes, row, usage and audit event are durable.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, cast

from flask import Flask, current_app
from sqlalchemy import BigInteger, Dialect, Table, bindparam, func, insert, or_, select, update

from portal import audit, storage
from portal.access import Owner, scan_state
from portal.accounts.people import quota_of
from portal.compiled import Compiled
from portal.config import Settings
from portal.database import let_go
from portal.documents import media_types, names
from portal.errors import FileTooLarge, NotFound, OverQuota, PortalError, UploadRejected
from portal.extensions import db
from portal.models import Document, Scan, User, Version, utcnow
from portal.presentation import filesize
from portal.scanning import waiting
from portal.storage import Incoming

LONGEST_NOTE = 2000
#: What the form around the files may take of a declared length.
_FORM_OVERHEAD = 64 * 1024


class Actor(Protocol):
    """Whoever uploads."""

    @property
    def user_id(self) -> int: ...
    @property
    def email(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as it was just stored."""

    public_id: uuid.UUID
    name: str
    size_bytes: int
    sha256: bytes
    media_type: str
    uploaded_at: datetime
    #: What is known of its bytes and malware, as it counts now.
    scan: Scan


class Reception:
    """Takes the files of one request into the directory of `owner`, within the rules.

    Stands behind the form reader as its sink: what is too large is refused while it comes.
    """

    def __init__(self, owner: Owner, settings: Settings) -> None:
        self.owner = owner
        self._settings = settings
        quota = quota_of(owner, settings)
        #: None where there is no limit.
        self._left = max(quota - owner.used_bytes, 0) if quota else None
        #: The file coming in, and what those before it in the same form take on the disk.
        self._present: Incoming | None = None
        self._before = 0

    def expect(self, content_length: int | None) -> None:
        """Refuse before a byte is read what cannot fit. Raises `OverQuota`."""
        if content_length is None or self._left is None:
            return
        # The form itself takes a little room of what was declared.
        if content_length - _FORM_OVERHEAD > self._left:
            raise _over_quota(self._left)

    def open(self) -> Incoming:
        if self._present is not None:
            self._before += self._present.size_bytes
        self._present = None
        self._present = storage.current().receive(self.owner.public_id)
        return self._present

    def check(self, size_bytes: int) -> None:
        try:
            self._check(size_bytes)
        except UploadRejected:
            self._present = None  # what came of it is thrown away
            raise

    def _check(self, size_bytes: int) -> None:
        if size_bytes > self._settings.max_upload_bytes:
            raise FileTooLarge(
                f"The file is larger than {filesize(self._settings.max_upload_bytes)}.",
                cure=rules(self._settings),
            )
        # A body of no declared length could otherwise fill the disk with files that fit singly.
        if self._left is not None and self._before + size_bytes > self._left:
            raise _over_quota(self._left - self._before)


def receive(
    actor: Actor,
    owner: Owner,
    raw_name: str,
    incoming: Incoming,
    settings: Settings,
    *,
    note: str = "",
) -> Stored:
    """Store what came in as a new document of `owner`.

    Raises `UploadRejected` (name, type, size, quota, no space) with the rule, or `Busy`;
    then nothing of it stays.
    """
    try:
        name = names.clean(raw_name)
        names.check_extension(name, settings)
        received = incoming.finish()
        if received.size_bytes > settings.max_upload_bytes:
            raise FileTooLarge(
                f"The file is larger than {filesize(settings.max_upload_bytes)}.",
                cure=rules(settings),
            )
        media_type = media_types.detect(received.head, names.extension(name))
        blob = incoming.keep()
    except BaseException:
        incoming.discard()
        raise
    stored = Stored(
        public_id=uuid.uuid4(),
        name=name,
        size_bytes=received.size_bytes,
        sha256=received.sha256,
        media_type=media_type,
        uploaded_at=utcnow(),
        scan=scan_state(waiting.first_state(settings)["scan"]),
    )
    let_go()
    try:
        audit.record_with(
            _intake(stored, owner, actor, blob, note, settings),
            audit.Action.UPLOADED,
            document=stored.public_id,
            owner=owner.email,
            name=name,
            size_bytes=received.size_bytes,
            sha256=received.sha256.hex(),
            **({"given_name": raw_name[:1000]} if raw_name != name else {}),
        )
    except _NoRoom:
        # Certainly no row: the bytes can go now. After any other failure the commit may have
        # happened all the same, so they stay, and `purge` finds them if they are nobody's.
        storage.current().remove(blob)
        raise _why_no_room(owner, settings) from None
    return stored


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
    return Stored(
        public_id=document.public_id,
        name=document.name,
        size_bytes=document.size_bytes,
        sha256=newest.sha256,
        media_type=document.media_type,
        uploaded_at=document.uploaded_at,
        scan=scan_state(newest.scan),
    )


def uploader_of(version: Version) -> User:
    """Who uploaded a version."""
    return db.session.get_one(User, version.uploaded_by_id)


def note_refusal(owner: Owner, raw_name: str, refusal: Exception) -> None:
    """Put a refused upload into the audit log."""
    audit.record_alone(
        audit.Action.UPLOAD_REFUSED,
        owner=owner.email,
        name=raw_name[:1000],
        reason=getattr(refusal, "reason", "unavailable"),
    )


def rules(settings: Settings) -> str:
    """What may be uploaded, as a sentence or two."""
    size = f"Up to {filesize(settings.max_upload_bytes)} each."
    return f"{size} {names.rule(settings)}".strip()


class _NoRoom(Exception):
    """The owner has no room for so much, or no account any more."""


def _intake(
    stored: Stored, owner: Owner, actor: Actor, blob: str, note: str, settings: Settings
) -> audit.Change:
    """What puts the document into the database.

    Everything is worked out now: it may be called in the thread of another upload.
    """
    statements: _Statements = current_app.extensions["upload_statements"]
    room = {
        "owner": owner.id,
        "more": stored.size_bytes,
        "default_quota": settings.default_quota_bytes,
    }
    uploaded = {
        "size_bytes": stored.size_bytes,
        "media_type": stored.media_type,
        "uploaded_at": stored.uploaded_at,
        "uploaded_by_id": actor.user_id,
    }
    document = {
        **uploaded,
        "public_id": stored.public_id,
        "owner_id": owner.id,
        "name": stored.name,
        "name_key": names.fold(stored.name),
        "path": "",
        "note": note.replace("\0", " ").strip()[:LONGEST_NOTE],
        "version": 1,
    }
    version = {
        **uploaded,
        "number": 1,
        "blob": blob,
        "sha256": stored.sha256,
        **waiting.first_state(settings),
    }

    def take_in(driver: Any) -> None:
        # One conditional UPDATE: two uploads at once cannot both take the last room.
        if not statements.take_from_quota.run(driver, room):
            raise _NoRoom
        added = statements.add_document.fetch_one(driver, document)
        assert added is not None  # noqa: S101 - for the type checker
        statements.add_version.run(driver, {**version, "document_id": added[0]})

    return take_in


def _why_no_room(owner: Owner, settings: Settings) -> PortalError:
    now = db.session.get(User, owner.id, populate_existing=True)
    if now is None or now.disabled_at is not None:
        return NotFound()
    return _over_quota(max(quota_of(now, settings) - now.used_bytes, 0))


def _over_quota(left: int) -> OverQuota:
    return OverQuota(
        f"There is room for {filesize(left)} more.",
        cure="Delete something for ever, or ask the person who runs this portal for more room.",
    )


# Built once, for tables instead of classes: uploads of many small files are this.
_QUOTA = func.coalesce(User.quota_bytes, bindparam("default_quota", type_=BigInteger))
_MORE = bindparam("more", type_=BigInteger)
_TAKE_FROM_QUOTA = (
    update(cast(Table, User.__table__))
    .where(
        User.id == bindparam("owner"),
        User.disabled_at.is_(None),
        or_(_QUOTA == 0, User.used_bytes + _MORE <= _QUOTA),
    )
    .values(used_bytes=User.used_bytes + _MORE)
)
_DOCUMENTS = cast(Table, Document.__table__)
_ADD_DOCUMENT = insert(_DOCUMENTS).returning(_DOCUMENTS.c.id)
_ADD_VERSION = insert(cast(Table, Version.__table__))
_OF_BOTH = ("size_bytes", "media_type", "uploaded_at", "uploaded_by_id")
_OF_DOCUMENT = ("public_id", "owner_id", "name", "name_key", "path", "note", "version", *_OF_BOTH)
_OF_SCAN = ("scan", "threat", "scan_tries", "next_scan_at")
_OF_VERSION = ("document_id", "number", "blob", "sha256", *_OF_SCAN, *_OF_BOTH)


class _Statements:
    """What an upload asks of the database, compiled for the one in use."""

    def __init__(self, dialect: Dialect) -> None:
        self.take_from_quota = Compiled(_TAKE_FROM_QUOTA, dialect)
        self.add_document = Compiled(_ADD_DOCUMENT, dialect, _OF_DOCUMENT)
        self.add_version = Compiled(_ADD_VERSION, dialect, _OF_VERSION)


def init_app(app: Flask) -> None:
    """Compile what every upload asks of the database; asks nothing yet."""
    with app.app_context():
        app.extensions["upload_statements"] = _Statements(db.engine.dialect)
