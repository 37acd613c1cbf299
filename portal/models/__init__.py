"""The tables, one idea a file."""

from portal.models.audit_event import AuditEvent, AuditHead
from portal.models.base import Base, UtcDateTime, utcnow
from portal.models.document import DiscardedBlob, Document, Version
from portal.models.session import Session, Throttle
from portal.models.share_link import ShareLink
from portal.models.user import Invitation, Role, Setup, User

__all__ = [
    "AuditEvent",
    "AuditHead",
    "Base",
    "DiscardedBlob",
    "Document",
    "Invitation",
    "Role",
    "Session",
    "Setup",
    "ShareLink",
    "Throttle",
    "User",
    "UtcDateTime",
    "Version",
    "utcnow",
]
