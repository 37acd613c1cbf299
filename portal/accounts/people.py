"""Accounts: making them, inviting, changing, disabling. Every act is audited."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol
from zoneinfo import available_timezones

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as DatabaseSession

from portal import audit, browsers, site
from portal.accounts import api_tokens, passwords, sessions, throttle
from portal.accounts.emails import checked
from portal.config import Settings
from portal.database import transaction
from portal.errors import Conflict, Invalid, NotFound
from portal.extensions import db
from portal.mail import letters, notices, post
from portal.mail.notices import Notice
from portal.models import EmailChange, Invitation, PasswordReset, Role, User, utcnow
from portal.tokens import hash_token, new_token

INVITATION_DAYS = 7
LONGEST_NAME = 200
#: The languages the portal has texts in (BCP 47), each by its own name.
LANGUAGES = {"en": "English"}


def create(
    email: str,
    settings: Settings,
    *,
    name: str = "",
    role: Role = Role.USER,
    password: str | None = None,
    quota_bytes: int | None = None,
) -> User:
    """Make an account; without a password nobody can sign in before an invitation is accepted.

    Raises `Invalid` for a field that breaks a rule, `Conflict` for an address already used.
    """
    email = checked(email)
    name = checked_name(name) if name.strip() else email.partition("@")[0]
    if password is not None:
        passwords.check_rules(password, (email, name, site.name(settings)))
        password_hash = passwords.hash_password(password, settings.bcrypt_rounds)
    else:
        password_hash = None
    with transaction() as session:
        if session.scalar(select(User.id).where(User.email == email)) is not None:
            raise _taken(email)
        user = User(
            email=email,
            name=name,
            role=role.value,
            password_hash=password_hash,
            quota_bytes=quota_bytes,
        )
        session.add(user)
        try:
            session.flush()
        except IntegrityError as error:  # somebody made it at the same moment
            raise _taken(email) from error
        audit.record(audit.Action.USER_CREATED, owner=email, name=name, role=role.value)
    return user


def everybody() -> Sequence[User]:
    """Every account there is, by name."""
    return db.session.scalars(
        select(User).where(User.deleted_at.is_(None)).order_by(User.name, User.id)
    ).all()


def invite(user: User) -> str:
    """Make the token of an invitation; it replaces earlier ones and lasts seven days."""
    token = new_token()
    with transaction() as session:
        _end_invitations(session, user.id)
        session.add(
            Invitation(
                user_id=user.id,
                token_hash=hash_token(token),
                expires_at=utcnow() + timedelta(days=INVITATION_DAYS),
            )
        )
        audit.record(audit.Action.USER_INVITED, owner=user.email)
    return token


def invite_by_mail(user: User, settings: Settings) -> str:
    """Make an invitation and mail it; answers its token.

    Raises `Conflict` for somebody who has chosen a password, or is shut out.
    """
    with transaction() as session:
        session.refresh(user, with_for_update=True)
        if user.status != "invited":
            raise Conflict(f"{user.name} needs no invitation.", cure="Look at the account again.")
        token = invite(user)
        ends_at = utcnow() + timedelta(days=INVITATION_DAYS)
        letter = letters.invitation(token, ends_at, user, settings)
        post.put(letter, user.email, name=user.name)
    return token


def invited(token: str, *, lock: bool = False) -> User:
    """Whom `token` invites. Raises `NotFound` once it is used, replaced or expired."""
    query = (
        select(User)
        .join(Invitation, Invitation.user_id == User.id)
        .where(
            Invitation.token_hash == hash_token(token),
            Invitation.used_at.is_(None),
            Invitation.expires_at > utcnow(),
            User.disabled_at.is_(None),
        )
    )
    # Locked, those who use one invitation at the same moment stand in a line: one succeeds.
    query = query.with_for_update() if lock else query
    user = db.session.execute(query).scalar_one_or_none()
    if user is None:
        raise NotFound(
            "This invitation is not valid any more, or it was used already.",
            cure="Sign in if you have chosen a password. If not, ask whoever invited you"
            " for a new invitation.",
        )
    return user


def accept_invitation(token: str, name: str, password: str, settings: Settings) -> str:
    """Set name and password, end the invitation, and sign in; answers the session's token."""
    user = invited(token)
    name = checked_name(name)
    passwords.check_rules(password, (user.email, name, site.name(settings)))
    db.session.commit()
    password_hash = passwords.hash_password(password, settings.bcrypt_rounds)
    with transaction() as session:
        invited(token, lock=True)  # still
        user.name, user.password_hash = name, password_hash
        end_mailed_addresses(session, user.id)
        sessions.end_all(user.id)
        audit.record(audit.Action.INVITATION_ACCEPTED, actor=user.email, owner=user.email)
        return sessions.start(user, settings, remember=False)


def by_email(email: str) -> User:
    """The account of an address. Raises `NotFound`, naming it: for the command line only."""
    user = db.session.execute(select(User).where(User.email == checked(email))).scalar_one_or_none()
    if user is None:
        raise NotFound(f"There is no account for {email}.")
    return user


def by_public_id(public_id: uuid.UUID) -> User:
    """The account of a public id, for admins. Raises `NotFound`, also once it was deleted."""
    user = db.session.execute(
        select(User).where(User.public_id == public_id, User.deleted_at.is_(None))
    ).scalar_one_or_none()
    if user is None:
        raise NotFound
    return user


def set_password(user: User, password: str, settings: Settings) -> None:
    """Give somebody a new password; all their sessions, tokens and invitations end.

    Guesses made before are forgotten: whoever was shut out by them can sign in at once.
    """
    passwords.check_rules(password, (user.email, user.name, site.name(settings)))
    password_hash = passwords.hash_password(password, settings.bcrypt_rounds)
    with transaction() as session:
        session.execute(update(User).where(User.id == user.id).values(password_hash=password_hash))
        end_mailed_addresses(session, user.id)
        sessions.end_all(user.id)
        throttle.clear(throttle.for_account(user.email))
        tell_of_password(user)
        api_tokens.revoke_all(user)
        audit.record(audit.Action.PASSWORD_CHANGED, owner=user.email)


def tell_of_password(user: User) -> None:
    """Mail somebody that their password is another one now; part of a transaction."""
    here = audit.origin.get()
    browser = browsers.in_words(here.user_agent) if here.user_agent else None
    notices.tell(user, Notice.PASSWORD_CHANGED, browser=browser, address=here.address, at=utcnow())


def save(user: User, *, name: str, role: Role, quota_bytes: int | None) -> None:
    """Change what an admin may change. Raises `Conflict` for the last active admin's role."""
    name = checked_name(name)
    with transaction() as session:
        before = {"name": user.name, "role": user.role, "quota_bytes": user.quota_bytes}
        if user.is_admin and role is not Role.ADMIN:
            refuse_last_admin(session, user)
        user.name, user.role, user.quota_bytes = name, role.value, quota_bytes
        after = {"name": name, "role": role.value, "quota_bytes": quota_bytes}
        changed = {key: [before[key], after[key]] for key in before if before[key] != after[key]}
        if changed:
            audit.record(audit.Action.USER_CHANGED, owner=user.email, changed=changed)


def save_own(user_id: int, *, name: str, timezone: str, language: str = "") -> None:
    """Change what everybody may change of their own account.

    `timezone` is an IANA name and `language` one of `LANGUAGES`; empty is the browser's own.
    """
    name = checked_name(name)
    if language and language not in LANGUAGES:
        problem = "Choose a language from the list."
        raise Invalid(problem, errors={"language": problem})
    if timezone and timezone not in available_timezones():
        problem = "Choose a time zone from the list."
        raise Invalid(problem, errors={"timezone": problem})
    with transaction() as session:
        user = session.get_one(User, user_id)
        after = {"name": name, "timezone": timezone, "language": language}
        before = {key: getattr(user, key) for key in after}
        changed = {key: [before[key], after[key]] for key in after if before[key] != after[key]}
        if changed:
            user.name, user.timezone, user.language = name, timezone, language
            audit.record(audit.Action.USER_CHANGED, owner=user.email, changed=changed)


def disable(user: User) -> None:
    """Switch an account off at once: sessions and tokens end, links stop, it cannot sign in.

    Raises `Conflict` for the last active admin.
    """
    with transaction() as session:
        if user.disabled_at is not None:
            return
        if user.is_admin:
            refuse_last_admin(session, user)
        user.disabled_at = utcnow()
        end_mailed_addresses(session, user.id)
        sessions.end_all(user.id)
        api_tokens.revoke_all(user)
        audit.record(audit.Action.USER_DISABLED, owner=user.email)


def enable(user: User) -> None:
    """Let a disabled account sign in again; its links that have not expired live again."""
    with transaction():
        if user.disabled_at is None:
            return
        user.disabled_at = None
        audit.record(audit.Action.USER_ENABLED, owner=user.email)


def end_sessions(user: User) -> int:
    """Sign somebody out everywhere; answers on how many devices."""
    with transaction():
        ended = sessions.end_all(user.id)
        audit.record(audit.Action.SESSIONS_ENDED, owner=user.email, ended=ended)
    return ended


def end_invitations(user: User) -> None:
    """Use up every open invitation of somebody; part of a transaction."""
    with transaction() as session:
        _end_invitations(session, user.id)


def checked_name(name: str) -> str:
    """A person's name as one line. Raises `Invalid` where it is empty, long or not a line."""
    text = unicodedata.normalize("NFC", " ".join(name.split()))
    if not 1 <= len(text) <= LONGEST_NAME or any(
        unicodedata.category(char) in {"Cc", "Cs"} for char in text
    ):
        problem = f"Enter a name of 1 to {LONGEST_NAME} characters."
        raise Invalid(problem, errors={"name": problem})
    return text


class HasQuota(Protocol):
    """Whoever may have a figure of their own."""

    @property
    def quota_bytes(self) -> int | None: ...


def quota_of(user: HasQuota, settings: Settings) -> int:
    """How many bytes somebody may keep; 0 means no limit."""
    return settings.default_quota_bytes if user.quota_bytes is None else user.quota_bytes


def _taken(email: str) -> Conflict:
    problem = f"There is already an account for {email}."
    return Conflict(problem, cure="Look for it in the list.", errors={"email": problem})


def refuse_last_admin(session: DatabaseSession, user: User) -> None:
    """Raise `Conflict` if `user` is the last admin who can sign in; part of a transaction."""
    # Locking all admins' rows puts two who demote each other in a line.
    admins = session.scalars(
        select(User.id)
        .where(
            User.role == Role.ADMIN.value,
            User.disabled_at.is_(None),
            # Who has not accepted the invitation yet cannot sign in and help.
            User.password_hash.is_not(None),
        )
        .order_by(User.id)
        .with_for_update()
    ).all()
    session.refresh(user)
    if set(admins) <= {user.id} and user.is_admin:
        raise Conflict(
            f"{user.name} is the last active admin.", cure="Make somebody else an admin first."
        )


def end_mailed_addresses(session: DatabaseSession, user_id: int) -> None:
    """Have nothing that was mailed so far open or change this account any more."""
    _end_invitations(session, user_id)
    session.execute(
        update(PasswordReset)
        .where(PasswordReset.user_id == user_id, PasswordReset.used_at.is_(None))
        .values(used_at=utcnow())
    )
    session.execute(delete(EmailChange).where(EmailChange.user_id == user_id))


def _end_invitations(session: DatabaseSession, user_id: int) -> None:
    session.execute(
        update(Invitation)
        .where(Invitation.user_id == user_id, Invitation.used_at.is_(None))
        .values(used_at=utcnow())
    )
