"""Who is signed in where, and who tried too often."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, UtcDateTime, utcnow


class Session(Base):
    """One signed-in browser. Deleting the row signs it out at once, everywhere."""

    __tablename__ = "sessions"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(Uuid, unique=True, default=uuid.uuid4)
    #: SHA-256 of the random token in the cookie; the token itself is stored nowhere.
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    #: The absolute end, whatever happens.
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    #: "Keep me signed in": lifts the idle limit, never the absolute one.
    is_remembered: Mapped[bool] = mapped_column(default=False)
    #: When the person last proved themselves here, by password, code or passkey.
    proved_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    #: Whether a second factor was among the proofs at sign-in.
    has_second_factor: Mapped[bool] = mapped_column(default=False)
    address: Mapped[str] = mapped_column(String(64), default="")
    user_agent: Mapped[str] = mapped_column(String(300), default="")


class Throttle(Base):
    """How often something secret was tried lately; shared by all processes and machines."""

    __tablename__ = "throttles"

    #: What was tried and by whom, hashed: the table tells nobody's address or e-mail.
    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    tries: Mapped[int] = mapped_column()
    #: When the count begins anew.
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
