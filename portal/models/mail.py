"""Mails on their way, and the addresses in them that do something once."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String, Text, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, UtcDateTime, utcnow


class Mail(Base):
    """One mail to one person, and what became of it. Its text is gone once it was handed over."""

    __tablename__ = "mails"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(Uuid, unique=True, default=uuid.uuid4)
    recipient: Mapped[str] = mapped_column(String(254))
    #: What it is about, such as `invitation` or `security`.
    kind: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(300))
    #: The whole message (RFC 5322), sealed: there may be a secret address in it.
    sealed_message: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow, index=True)
    tries: Mapped[int] = mapped_column(default=0)
    #: When it is tried (again); None once it was sent or given up.
    next_try_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Why the newest try did not work, in the mail server's words; empty where it did.
    problem: Mapped[str] = mapped_column(String(500), default="")


class PasswordReset(Base):
    """A single-use address by which somebody chooses a new password."""

    __tablename__ = "password_resets"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    #: SHA-256 of the token in the address.
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class EmailChange(Base):
    """A change of address on its way: it happens when both addresses have agreed."""

    __tablename__ = "email_changes"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), unique=True)
    new_email: Mapped[str] = mapped_column(String(254))
    #: SHA-256 of the tokens mailed to the present and to the new address.
    old_token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    new_token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    old_agreed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    new_agreed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
