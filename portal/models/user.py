"""People who have an account, and the invitations that open one."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, LargeBinary, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, UtcDateTime, utcnow


class Role(StrEnum):
    """What somebody may do beyond their own documents."""

    USER = "user"
    ADMIN = "admin"


class User(Base):
    """Somebody with an account. Their documents live in a directory named by `public_id`."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("used_bytes >= 0", "used_bytes_not_negative"),
        CheckConstraint("reserved_bytes >= 0", "reserved_bytes_not_negative"),
        CheckConstraint("role IN ('user', 'admin')", "role_known"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(Uuid, unique=True, default=uuid.uuid4)
    #: Lower case; what they sign in with.
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(16), default=Role.USER)
    #: None until one is chosen; who signs in with a provider may never need one.
    password_hash: Mapped[str | None] = mapped_column(String(200))
    #: When the account was switched off. None means it may sign in.
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: IANA name, or empty for the browser's own zone.
    timezone: Mapped[str] = mapped_column(String(64), default="")
    #: BCP 47 tag, or empty for the browser's own.
    language: Mapped[str] = mapped_column(String(16), default="")
    #: When they asked for their account to be deleted; an admin confirms it after the grace time.
    deletion_asked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: When they were deleted for ever. The row stays without its facts, because what they
    #: uploaded for others names it, and because files in its directory are nobody else's.
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: None means the portal's default; 0 means no limit.
    quota_bytes: Mapped[int | None] = mapped_column(BigInteger)
    #: Sum of all versions of all their documents, trash included. Only SQL changes it.
    used_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    #: Sum of the lengths of all unfinished uploads into their directory. Only SQL changes it.
    reserved_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    last_seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN

    @property
    def is_active(self) -> bool:
        return self.disabled_at is None

    @property
    def has_begun(self) -> bool:
        """Whether somebody has made the account theirs: chosen a password, or signed in."""
        return self.password_hash is not None or self.last_seen_at is not None

    @property
    def status(self) -> str:
        """`active`, `invited` (nobody has made it theirs yet), `disabled` or `deleted`."""
        if self.deleted_at is not None:
            return "deleted"
        if self.disabled_at is not None:
            return "disabled"
        return "active" if self.has_begun else "invited"


class Invitation(Base):
    """A single-use address by which somebody chooses the first password of their account."""

    __tablename__ = "invitations"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    #: SHA-256 of the token in the address.
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Setup(Base):
    """The one row that lets one first admin in, once."""

    __tablename__ = "setup"
    __table_args__ = (CheckConstraint("id = 1", "one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    #: SHA-256 of the token in the printed address.
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    #: The name chosen at set-up; the setting `site_name` beats it.
    site_name: Mapped[str] = mapped_column(String(200), default="")
    completed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
