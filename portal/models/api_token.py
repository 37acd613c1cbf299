"""Keys for programs: tokens for the API, and app passwords."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, UtcDateTime, utcnow


class ApiToken(Base):
    """A named key of one person, for what its scopes say and until it expires or is revoked."""

    __tablename__ = "api_tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(Uuid, unique=True, default=uuid.uuid4)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    #: SHA-256 of the token; the token itself is shown once and stored nowhere.
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    #: Separated by spaces.
    scopes: Mapped[str] = mapped_column(String(200))
    #: Made for a program that signs in with name and password (WebDAV) instead of a header.
    is_app_password: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_address: Mapped[str] = mapped_column(String(64), default="")
