"""Everything the audit log can say, and how it is put into words for people."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What happened. Names are kept for ever: exported logs use them."""

    SETUP_COMPLETED = "setup.completed"
    SIGNED_IN = "session.started"
    SIGN_IN_REFUSED = "session.refused"
    SIGNED_OUT = "session.ended"
    SESSIONS_ENDED = "user.sessions_ended"
    USER_CREATED = "user.created"
    USER_INVITED = "user.invited"
    INVITATION_ACCEPTED = "user.invitation_accepted"
    USER_CHANGED = "user.changed"
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    PASSWORD_CHANGED = "user.password_changed"  # noqa: S105 - the name of an event
    ACCESS_DENIED = "access.denied"
    UPLOADED = "document.uploaded"
    UPLOAD_REFUSED = "upload.refused"
    DOWNLOADED = "document.downloaded"
    RENAMED = "document.renamed"
    TRASHED = "document.trashed"
    RESTORED = "document.restored"
    PURGED = "document.purged"
    LINK_CREATED = "share_link.created"
    LINK_USED = "share_link.used"
    LINK_UNLOCKED = "share_link.unlocked"
    LINK_REFUSED = "share_link.refused"
    LINK_REVOKED = "share_link.revoked"
    DIRECTORY_LISTED = "admin.directory_listed"
    AUDIT_EXPORTED = "audit.exported"


_SENTENCES: dict[str, str] = {
    Action.SETUP_COMPLETED: "Set up this portal",
    Action.SIGNED_IN: "Signed in",
    Action.SIGN_IN_REFUSED: "A sign-in as {email} was refused",
    Action.SIGNED_OUT: "Signed out",
    Action.SESSIONS_ENDED: "Signed {owner} out everywhere",
    Action.USER_CREATED: "Made an account for {owner}",
    Action.USER_INVITED: "Made an invitation for {owner}",
    Action.INVITATION_ACCEPTED: "Accepted the invitation",
    Action.USER_CHANGED: "Changed the account of {owner}",
    Action.USER_DISABLED: "Disabled the account of {owner}",
    Action.USER_ENABLED: "Enabled the account of {owner}",
    Action.PASSWORD_CHANGED: "Changed the password of {owner}",
    Action.ACCESS_DENIED: "Was refused access",
    Action.UPLOADED: "Uploaded “{name}”",
    Action.UPLOAD_REFUSED: "An upload of “{name}” was refused: {reason}",
    Action.DOWNLOADED: "Downloaded “{name}”{through}",
    Action.RENAMED: "Renamed “{old_name}” to “{name}”",
    Action.TRASHED: "Moved “{name}” to the trash",
    Action.RESTORED: "Restored “{name}” from the trash",
    Action.PURGED: "Deleted “{name}” for ever",
    Action.LINK_CREATED: "Made a link{label} for “{name}”",
    Action.LINK_USED: "Started a download of “{name}” through the link{label}",
    Action.LINK_UNLOCKED: "Entered the password of the link{label}",
    Action.LINK_REFUSED: "A link was refused: {reason}",
    Action.LINK_REVOKED: "Ended the link{label} for “{name}”",
    Action.DIRECTORY_LISTED: "Looked at the list of documents of {owner}",
    Action.AUDIT_EXPORTED: "Exported the audit log",
}


def sentence(action: str, owner: str, detail: str) -> str:
    """The event in plain words, without who did it; an action unknown here names itself."""
    template = _SENTENCES.get(action)
    if template is None:
        return action
    facts: dict[str, Any] = {"owner": owner or "somebody", **json.loads(detail or "{}")}
    label = str(facts.get("label") or "")
    facts["label"] = f" “{label}”" if label else ""
    facts["through"] = f" through the link{facts['label']}" if "link" in facts else ""
    return template.format_map(_Facts(facts))


class _Facts(dict[str, Any]):
    """Facts in which a missing one reads as an ellipsis instead of failing."""

    def __missing__(self, key: str) -> str:
        return "…"
