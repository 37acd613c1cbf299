"""Pictures of versions, and what is known of the drawing of them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, UtcDateTime


class Size(StrEnum):
    """What a picture is for."""

    #: For a row or a tile of a list.
    SMALL = "small"
    #: For the page of the document.
    LARGE = "large"
    #: One page to look at large; an image has one.
    PAGE = "page"
    #: No picture, but the lines of a text.
    TEXT = "text"


class Preview(Base):
    """One picture of a version. Its bytes can be made again at any time."""

    __tablename__ = "previews"
    __table_args__ = (UniqueConstraint("version_id", "size", "page"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id", ondelete="CASCADE"))
    size: Mapped[str] = mapped_column(String(10))
    #: From 1 for a page; 0 for what is of the whole.
    page: Mapped[int] = mapped_column(default=0)
    #: The storage's own name for the bytes; says nothing about the document.
    blob: Mapped[str] = mapped_column(String(80), unique=True)
    size_bytes: Mapped[int]
    media_type: Mapped[str] = mapped_column(String(255))
    #: In pixels; 0 for a text.
    width: Mapped[int]
    height: Mapped[int]


class Drawing(StrEnum):
    """How far the pictures of a version are."""

    PENDING = "pending"
    MADE = "made"
    IMPOSSIBLE = "impossible"


class PreviewState(Base):
    """What became of drawing a version. One without a row was not looked at yet."""

    __tablename__ = "preview_states"

    version_id: Mapped[int] = mapped_column(
        ForeignKey("versions.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    state: Mapped[str] = mapped_column(String(10), default=Drawing.PENDING)
    #: Why it is impossible, in a word.
    reason: Mapped[str] = mapped_column(String(20), default="")
    #: How many pages (of a text: lines that are shown) it has; more than there are pictures of.
    page_count: Mapped[int] = mapped_column(default=0)
    #: When it is drawn, or tried again; None where there is nothing to do.
    next_try_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: How often that was begun.
    tries: Mapped[int] = mapped_column(default=0)
    #: Who uploaded the version, as it says itself: they take turns.
    uploaded_by_id: Mapped[int] = mapped_column(default=0)


Index(
    "ix_preview_states_turns",
    PreviewState.tries,
    PreviewState.uploaded_by_id,
    PreviewState.next_try_at,
    sqlite_where=PreviewState.next_try_at.is_not(None),
    postgresql_where=PreviewState.next_try_at.is_not(None),
)
