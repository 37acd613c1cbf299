"""Security mails: what changed about an account, or was found in a document.

They are told to the account's address whatever anybody chose.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import func, select

from portal import audit, browsers
from portal.extensions import db
from portal.mail import post
from portal.mail.composing import Letter, one_line
from portal.models import Document, Mail, User, utcnow
from portal.presentation import spoken

#: How many mails about malware somebody gets in an hour.
MOST_MALWARE_MAILS = 20
#: And how many about damaged files.
MOST_DAMAGE_MAILS = 20


class Notice(StrEnum):
    """What a security mail tells."""

    NEW_DEVICE = "new_device"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the name of a notice
    EMAIL_CHANGED = "email_changed"
    SECOND_FACTOR_ON = "second_factor_on"
    SECOND_FACTOR_OFF = "second_factor_off"
    NEW_RECOVERY_CODES = "new_recovery_codes"
    RECOVERY_CODE_USED = "recovery_code_used"
    PASSKEY_ADDED = "passkey_added"
    PASSKEY_REMOVED = "passkey_removed"
    TOKEN_CREATED = "token_created"  # noqa: S105 - the name of a notice
    DELETION_ASKED = "deletion_asked"


class _Words(NamedTuple):
    subject: str
    #: One sentence; what it names in braces is a fact, and reads as a word where there is none.
    what: str


_WORDS: dict[Notice, _Words] = {
    Notice.NEW_DEVICE: _Words(
        "a new device signed in",
        "Somebody signed in to your account from a device not seen before.",
    ),
    Notice.PASSWORD_CHANGED: _Words(
        "your password was changed", "The password of your account was changed."
    ),
    Notice.EMAIL_CHANGED: _Words(
        "your e-mail address was changed",
        "Your account moved from {old_email} to {new_email}. You sign in with the new address.",
    ),
    Notice.SECOND_FACTOR_ON: _Words(
        "two-factor sign-in is on", "Two-factor sign-in was turned on for your account."
    ),
    Notice.SECOND_FACTOR_OFF: _Words(
        "two-factor sign-in is off",
        "Two-factor sign-in was turned off: a password alone opens your account now.",
    ),
    Notice.NEW_RECOVERY_CODES: _Words(
        "new recovery codes were made",
        "New recovery codes were made for your account. The old ones no longer work.",
    ),
    Notice.RECOVERY_CODE_USED: _Words(
        "a recovery code was used",
        "A recovery code was used to sign in to your account. It does not work again.",
    ),
    Notice.PASSKEY_ADDED: _Words("a passkey was added", "A passkey was added to your account."),
    Notice.PASSKEY_REMOVED: _Words(
        "a passkey was removed", "A passkey was removed from your account."
    ),
    Notice.TOKEN_CREATED: _Words(
        "a token was made",
        "A token was made for your account: a program that has it can act in your name.",
    ),
    Notice.DELETION_ASKED: _Words(
        "your account is to be deleted",
        "Somebody asked for your account and all its documents to be deleted.",
    ),
}
#: How facts are called in the mail; another one is called by its own name.
_LABELS = {
    "at": "When",
    "address": "Network address",
    "browser": "Browser",
    "device": "Device",
    "name": "Name",
    "scopes": "May do",
    "scope": "May do",
    "expires_at": "Works until",
    "delete_after": "Not before",
    "left": "Codes left",
    "by": "By",
}
#: Facts that stand in the sentence already.
_IN_SENTENCE = frozenset({"old_email", "new_email"})


def tell(user: User, notice: Notice, **facts: Any) -> None:
    """Mail `notice` to `user`, as part of the present `transaction()`.

    `facts` are shown under the sentence, by their names: text, numbers, moments, lists; what is
    None or empty is left out. They never hold a secret. When, and the network address and the
    browser of whoever acts in the present request, are added unless given. A change of address
    (`old_email`) is told to both addresses.
    """
    words = _WORDS[notice]
    here = audit.origin.get()
    shown = {"at": utcnow(), "address": here.address, **facts}
    # In our words: what a browser calls itself is text of whoever acts, and the mail is ours.
    if here.user_agent and not {"browser", "device"} & facts.keys():
        shown["browser"] = browsers.in_words(here.user_agent)
    sentence = {"new_email": user.email, "old_email": "another address", **facts}
    letter = Letter(
        "security",
        words.subject,
        "mail/notice.html",
        {
            "heading": words.subject[0].upper() + words.subject[1:],
            "what": words.what.format_map({key: _text(v, user) for key, v in sentence.items()}),
            "rows": _rows(shown, user),
        },
    )
    for address in dict.fromkeys((user.email, *_other_addresses(notice, facts))):
        post.put(letter, address, name=user.name)


def tell_of_malware(user: User, document: Document, owner: User, threat: str) -> None:
    """Mail `user` that malware was found in `document`, as part of the present `transaction()`.

    Whoever uploads a thousand such files fills nobody's mailbox: after `MOST_MALWARE_MAILS` in an
    hour the pages and the audit log alone tell of more.
    """
    kind = "malware"
    lately = _sent_lately(user, kind)
    if lately >= MOST_MALWARE_MAILS:
        return
    letter = Letter(
        kind,
        "malware was found in a document",
        "mail/malware.html",
        {
            "document_name": one_line(document.name),
            "document_id": document.public_id,
            "threat": threat,
            "owner_name": one_line(owner.name),
            "owner_id": owner.public_id,
            "is_owner": user.id == owner.id,
            "is_admin": user.is_admin,
            "is_last": lately == MOST_MALWARE_MAILS - 1,
        },
    )
    post.put(letter, user.email, name=user.name)


def tell_of_damage(user: User, document: Document, owner: User, number: int, problem: str) -> None:
    """Mail an admin that a stored file is damaged, as part of the present `transaction()`.

    A broken disk fills nobody's mailbox: after `MOST_DAMAGE_MAILS` in an hour the pages and the
    audit log alone tell of more.
    """
    kind = "damage"
    lately = _sent_lately(user, kind)
    if lately >= MOST_DAMAGE_MAILS:
        return
    letter = Letter(
        kind,
        "a stored file is damaged",
        "mail/damage.html",
        {
            "document_name": one_line(document.name),
            "document_id": document.public_id,
            "number": number,
            "problem": problem,
            "owner_name": one_line(owner.name),
            "owner_id": owner.public_id,
            "is_last": lately == MOST_DAMAGE_MAILS - 1,
        },
    )
    post.put(letter, user.email, name=user.name)


def _sent_lately(user: User, kind: str) -> int:
    """How many mails of that kind somebody got in the last hour."""
    count = db.session.scalar(
        select(func.count(Mail.id)).where(
            Mail.recipient == user.email,
            Mail.kind == kind,
            Mail.created_at > utcnow() - timedelta(hours=1),
        )
    )
    return count or 0


def _other_addresses(notice: Notice, facts: Mapping[str, Any]) -> list[str]:
    if notice is not Notice.EMAIL_CHANGED:
        return []
    return [str(facts[key]) for key in ("old_email", "new_email") if facts.get(key)]


def _rows(facts: Mapping[str, Any], user: User) -> list[tuple[str, str]]:
    return [
        (_LABELS.get(key, key.replace("_", " ").capitalize()), text)
        for key, value in facts.items()
        if key not in _IN_SENTENCE and (text := _text(value, user))
    ]


def _text(value: Any, user: User) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return spoken(value, user.timezone)
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(_text(each, user) for each in value)
    return one_line(str(value))[:300]
