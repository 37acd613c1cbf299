"""What happened: a chain of events in which nothing can be changed unnoticed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, String, Text, literal_column
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, UtcDateTime


class AuditEvent(Base):
    """One event. Every column but `hash` goes into the hash, with the hash before it."""

    __tablename__ = "audit_events"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    #: E-mail of who did it, or `visitor`, `system`, `command line`.
    actor: Mapped[str] = mapped_column(String(254))
    action: Mapped[str] = mapped_column(String(64))
    #: Public id of the document, or empty.
    document: Mapped[str] = mapped_column(String(36))
    #: E-mail of whose document or account it concerns, or empty.
    owner: Mapped[str] = mapped_column(String(254))
    address: Mapped[str] = mapped_column(String(64))
    user_agent: Mapped[str] = mapped_column(String(300))
    #: JSON text; names and numbers, never a secret and never content.
    detail: Mapped[str] = mapped_column(Text)
    #: SHA-256, hexadecimal.
    hash: Mapped[str] = mapped_column(String(64))


Index("ix_audit_events_actor_seq", AuditEvent.actor, AuditEvent.seq)
Index("ix_audit_events_action_seq", AuditEvent.action, AuditEvent.seq)
Index("ix_audit_events_document_seq", AuditEvent.document, AuditEvent.seq)
Index("ix_audit_events_owner_seq", AuditEvent.owner, AuditEvent.seq)
# Who had which address when: a handful of rows, found without walking through the others.
_EMAIL_CHANGES = AuditEvent.action == literal_column("'user.email_changed'")
Index(
    "ix_audit_events_email_changes",
    AuditEvent.owner,
    AuditEvent.seq,
    sqlite_where=_EMAIL_CHANGES,
    postgresql_where=_EMAIL_CHANGES,
)


class AuditHead(Base):
    """The newest link of the chain; locking its row puts writers in a line."""

    __tablename__ = "audit_head"
    __table_args__ = (CheckConstraint("id = 1", "one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))
