"""Uploads on their way in pieces, and those that have just arrived."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String, Text, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, UtcDateTime, utcnow


class SameName(StrEnum):
    """What becomes of an upload where a document of that name is already there."""

    KEEP_BOTH = "keep-both"
    NEW_VERSION = "new-version"
    REFUSE = "refuse"


class OpenUpload(Base):
    """An upload that comes in pieces (tus), from its announcement until it is forgotten.

    Its room is set aside in `User.reserved_bytes` while it is unfinished. How much has come,
    the file in storage says; only what a power loss can spoil is told apart here.
    """

    __tablename__ = "open_uploads"
    __table_args__ = (CheckConstraint("length_bytes >= 0", "length_not_negative"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(Uuid, unique=True, default=uuid.uuid4)
    #: Into whose directory it goes.
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    #: Who sends it: nobody else can go on with it, or see it.
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    #: As a document's: cleaned.
    name: Mapped[str] = mapped_column(String(255))
    #: `Upload-Metadata` as it came, which a client may ask back.
    upload_metadata: Mapped[str] = mapped_column(Text, default="")
    #: The folder it goes into; None at the top, and once that folder is deleted for ever.
    folder_id: Mapped[int | None] = mapped_column(ForeignKey("folders.id"), index=True)
    #: The folders it was dropped with, like "Taxes/2026": made there when it is stored.
    path: Mapped[str] = mapped_column(Text, default="")
    note: Mapped[str] = mapped_column(Text, default="")
    same_name: Mapped[str] = mapped_column(String(16), default=SameName.KEEP_BOTH)
    #: The document it is to be a new version of. No foreign key: that may be deleted meanwhile.
    version_of: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    length_bytes: Mapped[int] = mapped_column(BigInteger)
    #: The name its bytes will have in storage, and have now among the unfinished ones.
    blob: Mapped[str] = mapped_column(String(80), unique=True)
    #: So many bytes would survive a power loss.
    synced_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    #: When the machine was started, as its kernel names it: bytes that came in the same life of
    #: the machine are there, synced or not.
    boot_id: Mapped[str] = mapped_column(String(36), default="")
    #: While a piece with a checksum comes: where it begins. It counts once it was checked.
    checked_bytes: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    #: When it is forgotten. Each piece puts it off.
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    #: The document it became.
    document_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
