"""The tables, one idea a file."""

from portal.models.api_token import ApiToken
from portal.models.audit_event import AuditEvent, AuditHead
from portal.models.base import Base, UtcDateTime, utcnow
from portal.models.document import DiscardedBlob, Document, Scan, Version
from portal.models.folder import Folder
from portal.models.mail import EmailChange, Mail, PasswordReset
from portal.models.name_order import NameOrder
from portal.models.open_upload import OpenUpload, SameName
from portal.models.policy import Policy
from portal.models.preview import Drawing, Preview, PreviewState, Size
from portal.models.retention import LegalHold, RetentionRule
from portal.models.search import SearchPassage, SearchText
from portal.models.second_factor import Authenticator, Passkey, RecoveryCode
from portal.models.session import Session, Throttle
from portal.models.share_link import ShareLink
from portal.models.sign_in import Identity, KnownDevice, PendingSignIn
from portal.models.user import Invitation, Role, Setup, User

__all__ = [
    "ApiToken",
    "AuditEvent",
    "AuditHead",
    "Authenticator",
    "Base",
    "DiscardedBlob",
    "Document",
    "Drawing",
    "EmailChange",
    "Folder",
    "Identity",
    "Invitation",
    "KnownDevice",
    "LegalHold",
    "Mail",
    "NameOrder",
    "OpenUpload",
    "Passkey",
    "PasswordReset",
    "PendingSignIn",
    "Policy",
    "Preview",
    "PreviewState",
    "RecoveryCode",
    "RetentionRule",
    "Role",
    "SameName",
    "Scan",
    "SearchPassage",
    "SearchText",
    "Session",
    "Setup",
    "ShareLink",
    "Size",
    "Throttle",
    "User",
    "UtcDateTime",
    "Version",
    "utcnow",
]
