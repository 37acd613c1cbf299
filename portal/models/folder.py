"""Folders: rows that name their parent. No path is ever kept or joined."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Uuid, and_
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, BinaryText, UtcDateTime, utcnow


class Folder(Base):
    """A place of one owner's for documents and further folders.

    Of the live folders beside each other no two have names that differ in case or width only.
    """

    __tablename__ = "folders"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(Uuid, unique=True, default=uuid.uuid4)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    #: The folder it lies in; None at the top. Always of the same owner, never its own descendant.
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("folders.id"), index=True)
    #: As the person gave it, cleaned like the name of a document.
    name: Mapped[str] = mapped_column(String(255))
    #: The name folded: what must not be there twice.
    name_key: Mapped[str] = mapped_column(BinaryText)
    #: The name as lists are sorted by it (see `Document.name_sort`).
    name_sort: Mapped[str] = mapped_column(BinaryText, default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    #: When it went to the trash; None while it is live.
    trashed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: The folder with which it went there; None where it was deleted itself.
    trashed_with_id: Mapped[int | None] = mapped_column(ForeignKey("folders.id"), index=True)


_LIVE = Folder.trashed_at.is_(None)
_TRASHED = Folder.trashed_at.is_not(None)
# Two, because NULLs are never equal.
for _name, _columns, _where in (
    ("live_name", (Folder.parent_id, Folder.name_key), and_(_LIVE, Folder.parent_id.is_not(None))),
    ("live_name_at_top", (Folder.name_key,), and_(_LIVE, Folder.parent_id.is_(None))),
):
    Index(
        f"uq_folders_{_name}",
        Folder.owner_id,
        *_columns,
        unique=True,
        sqlite_where=_where,
        postgresql_where=_where,
    )
#: For searching by name among all folders of one owner.
Index(
    "ix_folders_live_sort",
    Folder.owner_id,
    Folder.name_sort,
    Folder.id,
    sqlite_where=_LIVE,
    postgresql_where=_LIVE,
)
Index(
    "ix_folders_trash",
    Folder.owner_id,
    Folder.trashed_at,
    Folder.id,
    sqlite_where=_TRASHED,
    postgresql_where=_TRASHED,
)
