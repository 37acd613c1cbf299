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
    PASSWORD_RESET_ASKED = "user.password_reset_asked"  # noqa: S105 - the name of an event
    PASSWORD_RESET = "user.password_reset"  # noqa: S105 - the name of an event
    EMAIL_CHANGE_ASKED = "user.email_change_asked"
    EMAIL_CHANGED = "user.email_changed"
    SECOND_FACTOR_ON = "user.second_factor_on"
    SECOND_FACTOR_OFF = "user.second_factor_off"
    SECOND_FACTOR_REFUSED = "session.second_factor_refused"
    RECOVERY_CODES_MADE = "user.recovery_codes_made"
    RECOVERY_CODE_USED = "user.recovery_code_used"
    PASSKEY_ADDED = "user.passkey_added"
    PASSKEY_RENAMED = "user.passkey_renamed"
    PASSKEY_REMOVED = "user.passkey_removed"
    PROVED = "session.proved"
    IDENTITY_LINKED = "user.identity_linked"
    IDENTITY_UNLINKED = "user.identity_unlinked"
    TOKEN_CREATED = "token.created"  # noqa: S105 - the name of an event
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 - the name of an event
    TOKEN_REFUSED = "token.refused"  # noqa: S105 - the name of an event
    SESSION_ENDED = "session.ended_elsewhere"
    SESSIONS_LISTED = "user.sessions_listed"
    PEOPLE_LISTED = "admin.people_listed"
    DATA_EXPORTED = "user.data_exported"
    DELETION_ASKED = "user.deletion_asked"
    DELETION_WITHDRAWN = "user.deletion_withdrawn"
    USAGE_CORRECTED = "user.usage_corrected"
    USER_DELETED = "user.deleted"
    POLICY_CHANGED = "policy.changed"
    MAIL_FAILED = "mail.failed"
    ACCESS_DENIED = "access.denied"
    REFUSALS_COUNTED = "access.refusals_counted"
    UPLOADED = "document.uploaded"
    VERSION_ADDED = "document.version_added"
    VERSION_RESTORED = "document.version_restored"
    VERSION_DELETED = "document.version_deleted"
    VERSION_TRIMMED = "document.version_trimmed"
    UPLOAD_REFUSED = "upload.refused"
    DOWNLOADED = "document.downloaded"
    PREVIEWED = "document.previewed"
    DOWNLOAD_BLOCKED = "document.download_blocked"
    INFECTED = "document.infected"
    DAMAGED = "document.damaged"
    MENDED = "document.mended"
    RENAMED = "document.renamed"
    MOVED = "document.moved"
    TRASHED = "document.trashed"
    RESTORED = "document.restored"
    PURGED = "document.purged"
    FOLDER_CREATED = "folder.created"
    FOLDER_RENAMED = "folder.renamed"
    FOLDER_MOVED = "folder.moved"
    FOLDER_TRASHED = "folder.trashed"
    FOLDER_RESTORED = "folder.restored"
    FOLDER_PURGED = "folder.purged"
    DELETION_REFUSED = "document.deletion_refused"
    MOVE_REFUSED = "document.move_refused"
    HOLD_PLACED = "legal_hold.placed"
    HOLD_RELEASED = "legal_hold.released"
    HOLDS_LISTED = "admin.holds_listed"
    RETENTION_SET = "retention.set"
    RETENTION_REMOVED = "retention.removed"
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
    Action.SESSIONS_ENDED: "Ended the sessions of {owner}",
    Action.USER_CREATED: "Made an account for {owner}",
    Action.USER_INVITED: "Made an invitation for {owner}",
    Action.INVITATION_ACCEPTED: "Accepted the invitation",
    Action.USER_CHANGED: "Changed the account of {owner}",
    Action.USER_DISABLED: "Disabled the account of {owner}",
    Action.USER_ENABLED: "Enabled the account of {owner}",
    Action.PASSWORD_CHANGED: "Changed the password of {owner}",
    Action.PASSWORD_RESET_ASKED: "Asked for a new password for {owner}",
    Action.PASSWORD_RESET: "Chose a new password through a mailed link",
    Action.EMAIL_CHANGE_ASKED: "Asked to change the address of {owner} to {new_email}",
    Action.EMAIL_CHANGED: "Changed their address from {old_email} to {owner}",
    Action.SECOND_FACTOR_ON: "Turned two-factor sign-in on for {owner}",
    Action.SECOND_FACTOR_OFF: "Turned two-factor sign-in off for {owner}",
    Action.SECOND_FACTOR_REFUSED: "A second proof for {owner} was refused",
    Action.RECOVERY_CODES_MADE: "Made new recovery codes",
    Action.RECOVERY_CODE_USED: "Used a recovery code",
    Action.PASSKEY_ADDED: "Added the passkey “{name}”",
    Action.PASSKEY_RENAMED: "Renamed the passkey “{old_name}” to “{name}”",
    Action.PASSKEY_REMOVED: "Removed the passkey “{name}” of {owner}",
    Action.PROVED: "Proved who they are once more",
    Action.IDENTITY_LINKED: "Linked the account of {owner} to {issuer}",
    Action.IDENTITY_UNLINKED: "Removed the link of the account of {owner} to {issuer}",
    Action.TOKEN_CREATED: "Made the token “{name}” for {owner}",
    Action.TOKEN_REVOKED: "Revoked the token “{name}” of {owner}",
    Action.TOKEN_REFUSED: "A token was refused: {reason}",
    Action.SESSION_ENDED: "Signed another device out",
    Action.SESSIONS_LISTED: "Looked at where {owner} is signed in",
    Action.PEOPLE_LISTED: "Looked at the list of people",
    Action.DATA_EXPORTED: "Downloaded all data of {owner}",
    Action.DELETION_ASKED: "Asked for the account of {owner} to be deleted",
    Action.DELETION_WITHDRAWN: "Took back the wish to have the account of {owner} deleted",
    Action.USAGE_CORRECTED: "Counted the room that {owner} takes again, and corrected it",
    Action.USER_DELETED: "Deleted the account of {owner} for ever",
    Action.POLICY_CHANGED: "Changed the rule “{policy}” to {new}",
    Action.MAIL_FAILED: "A mail to {owner} could not be sent: {problem}",
    Action.ACCESS_DENIED: "Was refused access",
    Action.REFUSALS_COUNTED: "Was refused {count} times more from the same address",
    Action.UPLOADED: "Uploaded “{name}”{misnamed}",
    Action.VERSION_ADDED: "Uploaded a new version of “{name}”{misnamed}",
    Action.VERSION_RESTORED: "Made version {version} of “{name}” the newest one again",
    Action.VERSION_DELETED: "Deleted version {version} of “{name}” for ever",
    Action.VERSION_TRIMMED: "Version {version} of “{name}” was deleted: newer ones are enough",
    Action.UPLOAD_REFUSED: "An upload of “{name}” was refused: {reason}",
    Action.DOWNLOADED: "Downloaded “{name}”{through}",
    Action.PREVIEWED: "Looked at “{name}”{page}",
    Action.DOWNLOAD_BLOCKED: "A download of “{name}” was refused, as malware was found in it",
    Action.INFECTED: "Malware was found in “{name}”: {threat}",
    Action.DAMAGED: "The stored file of version {version} of “{name}” {problem}",
    Action.MENDED: "The stored file of version {version} of “{name}” is whole again",
    Action.RENAMED: "Renamed “{old_name}” to “{name}”",
    Action.MOVED: "Moved “{name}” {to_place}",
    Action.TRASHED: "Moved “{name}” to the trash{by_rule}",
    Action.RESTORED: "Restored “{name}” from the trash",
    Action.PURGED: "Deleted “{name}” for ever",
    Action.DELETION_REFUSED: "Was refused to delete “{name}”: {reason}",
    Action.MOVE_REFUSED: "Was refused to take “{name}” out of its folder: {reason}",
    Action.HOLD_PLACED: "Placed a legal hold on {place}",
    Action.HOLD_RELEASED: "Released the legal hold on {place}",
    Action.HOLDS_LISTED: "Looked at the list of legal holds",
    Action.RETENTION_SET: "Set the rule for {place}: {rule}",
    Action.RETENTION_REMOVED: "Removed the rule for {place}: {rule}",
    Action.FOLDER_CREATED: "Made the folder “{name}”",
    Action.FOLDER_RENAMED: "Renamed the folder “{old_name}” to “{name}”",
    Action.FOLDER_MOVED: "Moved the folder “{name}” {to_place}",
    Action.FOLDER_TRASHED: "Moved the folder “{name}” to the trash, with all that was in it",
    Action.FOLDER_RESTORED: "Restored the folder “{name}” from the trash",
    Action.FOLDER_PURGED: "Deleted the folder “{name}” for ever",
    Action.LINK_CREATED: "Made a link{label} for “{name}”",
    Action.LINK_USED: "Started a download of “{name}” through the link{label}",
    Action.LINK_UNLOCKED: "Entered the password of the link{label}",
    Action.LINK_REFUSED: "A link was refused: {reason}",
    Action.LINK_REVOKED: "Ended the link{label} for “{name}”",
    Action.DIRECTORY_LISTED: "Looked at the list of documents of {owner}",
    Action.AUDIT_EXPORTED: "Exported the audit log",
}


#: Reasons as they stand in the log, for people.
_REASONS: dict[Any, str] = {
    "throttled": "too many tries",
    "wrong": "it was wrong",
    "held": "a legal hold keeps it",
    "kept": "a rule keeps it",
    "stays": "a legal hold or a rule keeps them",
}


def sentence(action: str, owner: str, detail: str) -> str:
    """The event in plain words, without who did it; an action unknown here names itself."""
    template = _SENTENCES.get(action)
    if template is None:
        return action
    somebody = {"owner": owner or "somebody", "email": "somebody"}
    facts: dict[str, Any] = {**somebody, **json.loads(detail or "{}")}
    facts["reason"] = _REASONS.get(facts.get("reason"), facts.get("reason", "…"))
    label = str(facts.get("label") or "")
    facts["label"] = f" “{label}”" if label else ""
    facts["through"] = f" through the link{facts['label']}" if "link" in facts else ""
    if "zip" in facts:
        facts["through"] = f" in the ZIP “{facts['zip']}”"
    place = facts.get("place")
    facts["to_place"] = f"to the folder “{place}”" if place else "to the top"
    facts["by_rule"] = f", by the rule for {facts.get('place')}" if "rule" in facts else ""
    kind = facts.get("type_mismatch")
    facts["misnamed"] = f", which is something else by its content: {kind}" if kind else ""
    facts["page"] = f", page {facts['page']}" if facts.get("page") else ""
    token = facts.get("token")
    return template.format_map(_Facts(facts)) + (f" with the token “{token}”" if token else "")


class _Facts(dict[str, Any]):
    """Facts in which a missing one reads as an ellipsis instead of failing."""

    def __missing__(self, key: str) -> str:
        return "…"
