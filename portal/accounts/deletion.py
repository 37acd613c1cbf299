"""Leaving for good: a wish with a grace time, taken back or confirmed by an admin."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.orm import Session as DatabaseSession

from portal import audit, browsers
from portal.accounts import passwords, people, sessions, throttle
from portal.accounts.sessions import SignedIn
from portal.config import Settings
from portal.database import transaction
from portal.documents import folders, lifecycle, resumable
from portal.errors import Conflict, Invalid, NotFound
from portal.extensions import db
from portal.mail import notices
from portal.mail.notices import Notice
from portal.models import (
    ApiToken,
    Authenticator,
    Document,
    EmailChange,
    Folder,
    Identity,
    Invitation,
    KnownDevice,
    Mail,
    Passkey,
    PasswordReset,
    PendingSignIn,
    RecoveryCode,
    Role,
    Session,
    ShareLink,
    User,
    utcnow,
)

#: How long a wish can be taken back before an admin can fulfil it.
GRACE = timedelta(days=14)
#: What people see where a deleted account did something for somebody else.
NAME_AFTER = "Deleted account"

_BATCH = 200
#: What is somebody's alone and goes with them.
_OWN = (
    ApiToken,
    Authenticator,
    EmailChange,
    Identity,
    Invitation,
    KnownDevice,
    Passkey,
    PasswordReset,
    PendingSignIn,
    RecoveryCode,
    Session,
)


def ask(person: SignedIn, password: str | None, settings: Settings) -> None:
    """Note that `person` wants their account deleted, and mail it to them.

    `password` is None for an account without one: let it prove itself in another way first.
    Asked again, the grace time goes on from the first time. Raises `Invalid` for a wrong
    password, `TooManyTries` after too many.
    """
    by_person = throttle.for_proof(person.email)
    throttle.count(by_person)
    known = db.session.scalar(select(User.password_hash).where(User.id == person.user_id))
    db.session.commit()
    if password is None:
        is_right = known is None
    else:
        with throttle.judging(by_person):
            is_right = passwords.check_password(password, known, settings.bcrypt_rounds)
    if not is_right:
        raise _not_your_password()
    with transaction() as session:
        throttle.clear(by_person)
        now = utcnow()
        user = session.execute(
            update(User)
            .where(
                User.id == person.user_id,
                # Given another one while this one was checked?
                User.password_hash.is_not_distinct_from(known),
                User.deletion_asked_at.is_(None),
            )
            .values(deletion_asked_at=now)
            .returning(User)
        ).scalar_one_or_none()
        if user is not None:
            here = audit.origin.get()
            notices.tell(
                user,
                Notice.DELETION_ASKED,
                browser=browsers.in_words(here.user_agent),
                address=here.address,
                at=now,
                delete_after=now + GRACE,
            )
            audit.record(audit.Action.DELETION_ASKED, owner=user.email)
        elif possible_from(session.get_one(User, person.user_id)) is None:
            raise _not_your_password()


def _not_your_password() -> Invalid:
    problem = "This is not your password."
    return Invalid(problem, errors={"password": problem})


def withdraw(person: SignedIn) -> None:
    """Take the wish back; where there is none, nothing happens."""
    with transaction() as session:
        taken_back = session.execute(
            update(User)
            .where(User.id == person.user_id, User.deletion_asked_at.is_not(None))
            .values(deletion_asked_at=None)
            .returning(User.id)
        ).one_or_none()
        if taken_back is not None:
            audit.record(audit.Action.DELETION_WITHDRAWN, owner=person.email)


def possible_from(user: User) -> datetime | None:
    """When an admin can delete the account; None where nobody asked for it."""
    return None if user.deletion_asked_at is None else user.deletion_asked_at + GRACE


def is_possible(user: User) -> bool:
    """Whether the grace time is over, and the wish was not taken back."""
    ends_at = possible_from(user)
    return ends_at is not None and ends_at <= utcnow()


def waiting() -> Sequence[User]:
    """Everybody who wants to be deleted, the first who asked first."""
    return db.session.scalars(
        select(User)
        .where(User.deletion_asked_at.is_not(None), User.deleted_at.is_(None))
        .order_by(User.deletion_asked_at, User.id)
    ).all()


def delete_for_ever(user: User) -> None:
    """Delete an account that asked for it, once its grace time is over.

    It is shut first, then its documents go (rows now, bytes later by the worker), then all that
    is left of it but what the audit log says. Interrupted, it is simply asked for again. However
    many try at once, one succeeds and the others get `NotFound`. Raises `Conflict` before the
    grace time ends, where nobody asked, and for the last active admin.
    """
    user_id = user.id
    with transaction() as session:
        person = _locked(session, user_id)
        _check(person)
        if person.is_admin and person.is_active:
            people.refuse_last_admin(session, person)
        person.disabled_at = person.disabled_at or utcnow()
        sessions.end_all(user_id)
    while _delete_some(user_id):
        pass
    resumable.give_up_all(user_id)
    with transaction() as session:
        person = _locked(session, user_id)
        _check(person)  # enabled again and taken back meanwhile?
        while _delete_some(user_id):  # what came in before it was shut
            pass
        resumable.give_up_all(user_id)
        audit.record(audit.Action.USER_DELETED, owner=person.email)
        _forget(session, person)


def _check(person: User) -> None:
    ends_at = possible_from(person)
    if ends_at is None:
        raise Conflict(
            f"{person.name} has not asked for this.",
            cure="They can do so on the page of their data; you can disable the account.",
        )
    if not is_possible(person):
        day = f"{ends_at.day} {ends_at:%B %Y, %H:%M} UTC"
        raise Conflict(f"{person.name} can take this back until {day}.", cure="Wait until then.")


def _locked(session: DatabaseSession, user_id: int) -> User:
    """The row, locked before any document's, so that all who delete stand in one line."""
    user = session.execute(
        select(User).where(User.id == user_id, User.deleted_at.is_(None)).with_for_update()
    ).scalar_one_or_none()
    if user is None:
        raise NotFound
    return user


def _delete_some(user_id: int) -> bool:
    """Delete some documents; answers whether there may be more."""
    with transaction() as session:
        _locked(session, user_id)
        ids = session.scalars(
            select(Document.id).where(Document.owner_id == user_id).limit(_BATCH)
        ).all()
        session.execute(
            update(Document)
            .where(Document.id.in_(ids), Document.trashed_at.is_(None))
            .values(trashed_at=utcnow())
        )
        lifecycle.delete_for_ever(ids)
    return bool(ids)


def _forget(session: DatabaseSession, person: User) -> None:
    folders.remove(session, select(Folder.id).where(Folder.owner_id == person.id))
    for own in _OWN:
        session.execute(delete(own).where(own.user_id == person.id))
    session.execute(delete(Mail).where(Mail.recipient == person.email))
    # The links stay as stubs: whoever holds one is told that it has ended.
    session.execute(
        update(ShareLink)
        .where(ShareLink.created_by_id == person.id)
        .values(
            label="",
            password_hash=None,
            revoked_at=func.coalesce(
                ShareLink.revoked_at, bindparam("now", utcnow(), ShareLink.revoked_at.type)
            ),
        )
    )
    person.email = f"deleted {person.public_id.hex}"
    person.name = NAME_AFTER
    person.role = Role.USER.value
    person.password_hash = person.quota_bytes = person.last_seen_at = None
    person.timezone = person.language = ""
    person.deletion_asked_at = None
    person.deleted_at = utcnow()
