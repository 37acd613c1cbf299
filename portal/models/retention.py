"""What must be kept, and for how long: rules of retention, and legal holds."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, UtcDateTime, utcnow


class RetentionRule(Base):
    """How long documents are kept: all of an owner's, or those in one folder and below it."""

    __tablename__ = "retention_rules"
    __table_args__ = (
        CheckConstraint("keep_days >= 0", "keep_days_not_negative"),
        CheckConstraint("delete_after_days > 0", "delete_after_days_positive"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(Uuid, unique=True, default=uuid.uuid4)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    #: None: everything the owner has.
    folder_id: Mapped[int | None] = mapped_column(ForeignKey("folders.id"))
    #: Nobody can delete what was uploaded fewer days ago.
    keep_days: Mapped[int | None] = mapped_column()
    #: Nobody can delete anything before this moment.
    keep_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: What was uploaded more days ago goes to the trash by itself.
    delete_after_days: Mapped[int | None] = mapped_column()
    set_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    #: Who said after how many days: an owner may change that in their folders, if it was they.
    delete_set_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    set_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)


# One rule for each place; two indexes, because NULLs are never equal.
_IN_FOLDER = RetentionRule.folder_id.is_not(None)
_OF_OWNER = RetentionRule.folder_id.is_(None)
Index(
    "uq_retention_rules_folder",
    RetentionRule.folder_id,
    unique=True,
    sqlite_where=_IN_FOLDER,
    postgresql_where=_IN_FOLDER,
)
Index(
    "uq_retention_rules_owner",
    RetentionRule.owner_id,
    unique=True,
    sqlite_where=_OF_OWNER,
    postgresql_where=_OF_OWNER,
)


class LegalHold(Base):
    """Until an admin releases it, nobody can delete what it covers, by hand or by rule.

    It covers one document, or a folder and what is below it, or all that the owner has.
    """

    __tablename__ = "legal_holds"
    __table_args__ = (
        CheckConstraint("folder_id IS NULL OR document_id IS NULL", "one_kind_of_place"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(Uuid, unique=True, default=uuid.uuid4)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    folder_id: Mapped[int | None] = mapped_column(ForeignKey("folders.id"), index=True)
    document_id: Mapped[int | None] = mapped_column(ForeignKey("documents.id"), index=True)
    reason: Mapped[str] = mapped_column(Text)
    placed_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    placed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    #: None while it holds.
    released_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    released_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    release_reason: Mapped[str] = mapped_column(Text, default="")
