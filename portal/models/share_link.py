"""Links by which somebody without an account may fetch a document."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, UtcDateTime, utcnow


class ShareLink(Base):
    """One address for one document, until then, so often."""

    __tablename__ = "share_links"
    __table_args__ = (
        CheckConstraint(
            "max_downloads IS NULL OR download_count <= max_downloads", "never_over_the_limit"
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(Uuid, unique=True, default=uuid.uuid4)
    #: SHA-256 of the token in the address; the token itself is stored nowhere.
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    #: None once the document was deleted for ever: the link then answers 410, not 404.
    document_id: Mapped[int | None] = mapped_column(ForeignKey("documents.id"), index=True)
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    #: For the sender's own memory, such as "For the bank".
    label: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    password_hash: Mapped[str | None] = mapped_column(String(200))
    #: None means no limit.
    max_downloads: Mapped[int | None] = mapped_column()
    #: Only one conditional UPDATE counts it, so that a limit of N is N.
    download_count: Mapped[int] = mapped_column(default=0)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
