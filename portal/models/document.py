"""Documents, their versions, and stored bytes that wait to be removed."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BinaryText, UtcDateTime, utcnow


class Document(Base):
    """Something a person keeps here: a name and one or more versions of bytes.

    What a list shows of the newest version (size, type, moment) stands here too, so that
    sorting and paging never touch another table.
    """

    __tablename__ = "documents"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(Uuid, unique=True, default=uuid.uuid4)
    #: Whose it is: decides who may see it.
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    #: As the person gave it, cleaned once at upload; any Unicode, 1 to 255 characters.
    name: Mapped[str] = mapped_column(String(255))
    #: The name folded: what it is searched and compared by.
    name_key: Mapped[str] = mapped_column(BinaryText)
    #: The name as lists are sorted by it: "Page 2" before "Page 10", accents beside their letters.
    name_sort: Mapped[str] = mapped_column(BinaryText, default="")
    #: The folder it lies in; None at the top. Always of the same owner.
    folder_id: Mapped[int | None] = mapped_column(ForeignKey("folders.id"), index=True)
    #: What the uploader wanted to say with it.
    note: Mapped[str] = mapped_column(Text, default="")
    #: Number of the newest version.
    version: Mapped[int] = mapped_column(default=1)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str] = mapped_column(String(255))
    uploaded_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    #: Who put it here. Decides nothing.
    uploaded_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    #: When it went to the trash; None while it is live.
    trashed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: When it last came back from there: a rule that deletes counts from then.
    restored_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: The folder with which it went there; None where it was deleted itself.
    trashed_with_id: Mapped[int | None] = mapped_column(ForeignKey("folders.id"), index=True)


_LIVE = Document.trashed_at.is_(None)
_TRASHED = Document.trashed_at.is_not(None)
for _name, _columns in {
    "live_name": (Document.owner_id, Document.name_sort, Document.id),
    "live_size": (Document.owner_id, Document.size_bytes, Document.id),
    "live_uploaded": (Document.owner_id, Document.uploaded_at, Document.id),
    # "Same name" is asked for before every upload.
    "live_same_name": (Document.owner_id, Document.name_key),
    "folder_name": (Document.owner_id, Document.folder_id, Document.name_sort, Document.id),
    "folder_size": (Document.owner_id, Document.folder_id, Document.size_bytes, Document.id),
    "folder_uploaded": (Document.owner_id, Document.folder_id, Document.uploaded_at, Document.id),
}.items():
    Index(f"ix_documents_{_name}", *_columns, sqlite_where=_LIVE, postgresql_where=_LIVE)
Index(
    "ix_documents_trash",
    Document.owner_id,
    Document.trashed_at,
    Document.id,
    sqlite_where=_TRASHED,
    postgresql_where=_TRASHED,
)
Index(
    "ix_documents_trashed_at",
    Document.trashed_at,
    sqlite_where=_TRASHED,
    postgresql_where=_TRASHED,
)


class Scan(StrEnum):
    """What is known of some bytes and malware. Unknown means no: only `CLEAN` may leave."""

    #: There was no scanner when they came.
    NONE = ""
    WAITING = "waiting"
    CLEAN = "clean"
    INFECTED = "infected"


class Version(Base):
    """The bytes of a document at one time. Only what is known of them ever changes."""

    __tablename__ = "versions"
    __table_args__ = (UniqueConstraint("document_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id"))
    number: Mapped[int] = mapped_column(default=1)
    #: The storage's own name for the bytes; says nothing about the document.
    blob: Mapped[str] = mapped_column(String(80), unique=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    media_type: Mapped[str] = mapped_column(String(255))
    uploaded_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    #: Who put it here. Decides nothing.
    uploaded_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    scan: Mapped[str] = mapped_column(String(10), default=Scan.NONE)
    #: When the scanner said so.
    scanned_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: What the scanner calls the malware it found.
    threat: Mapped[str] = mapped_column(String(200), default="")
    #: When the scanner is asked next; None where there is nothing to ask.
    next_scan_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: How often it was asked in vain.
    scan_tries: Mapped[int] = mapped_column(default=0)
    #: When the stored bytes were last found to be those of `sha256`.
    verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Since when they are known not to be; None where they are, as far as anybody knows.
    damaged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Not verified before this moment, because somebody is at it or it was damaged a while ago.
    next_verify_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: When its text is to be taken out for searching; None where there is nothing to take.
    next_index_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=utcnow)
    #: How often that was begun.
    index_tries: Mapped[int] = mapped_column(default=0)


Index(
    "ix_versions_scan_turns",
    Version.scan_tries,
    Version.uploaded_by_id,
    Version.next_scan_at,
    sqlite_where=Version.next_scan_at.is_not(None),
    postgresql_where=Version.next_scan_at.is_not(None),
)
Index(
    "ix_versions_next_index_at",
    Version.scan,
    Version.next_index_at,
    sqlite_where=Version.next_index_at.is_not(None),
    postgresql_where=Version.next_index_at.is_not(None),
)
Index(
    "ix_versions_index_turns",
    Version.scan,
    Version.uploaded_by_id,
    Version.next_index_at,
    sqlite_where=Version.next_index_at.is_not(None),
    postgresql_where=Version.next_index_at.is_not(None),
)


Index("ix_versions_verified_at", Version.verified_at, Version.id)
Index(
    "ix_versions_damaged_at",
    Version.damaged_at,
    sqlite_where=Version.damaged_at.is_not(None),
    postgresql_where=Version.damaged_at.is_not(None),
)
Index(
    "ix_documents_versions",
    Document.version,
    sqlite_where=Document.version > 1,
    postgresql_where=Document.version > 1,
)


class DiscardedBlob(Base):
    """Bytes whose row is gone; the worker removes them after a grace time."""

    __tablename__ = "discarded_blobs"

    blob: Mapped[str] = mapped_column(String(80), primary_key=True)
    discarded_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow, index=True)
