"""Another e-mail address: asked for with the password, done when both addresses have agreed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as DatabaseSession

from portal import audit
from portal.accounts import passwords, people, throttle
from portal.accounts.emails import checked
from portal.accounts.sessions import SignedIn
from portal.config import Settings
from portal.database import transaction
from portal.errors import Conflict, Invalid, NotFound
from portal.extensions import db
from portal.mail import letters, notices, post
from portal.mail.notices import Notice
from portal.models import EmailChange, User, utcnow
from portal.tokens import hash_token, new_token

CHANGE_HOURS = 24


@dataclass(frozen=True, slots=True)
class Change:
    """A change on its way, as one of its two addresses sees it."""

    old_email: str
    new_email: str
    has_old_agreed: bool
    has_new_agreed: bool
    #: Whether it is looked at from the new address.
    is_new: bool = False
    is_done: bool = False

    @property
    def has_agreed(self) -> bool:
        return self.has_new_agreed if self.is_new else self.has_old_agreed


def ask(person: SignedIn, new_email: str, password: str, settings: Settings) -> None:
    """Mail both addresses; an earlier wish is forgotten. Nothing changes before both agree.

    An address that another account has is answered like any other, so that nobody learns of it.
    Raises `Invalid` with the field at fault, `TooManyTries` after too many.
    """
    by_person = throttle.for_proof(person.email)
    throttle.count(by_person)
    user = db.session.execute(select(User).where(User.id == person.user_id)).scalar_one()
    known, old_email = user.password_hash, user.email
    db.session.commit()
    with throttle.judging(by_person):
        is_right = passwords.check_password(password, known, settings.bcrypt_rounds)
    if not is_right:
        raise passwords.not_current()
    throttle.clear(by_person)
    try:
        new_email = checked(new_email)
    except Invalid as error:
        raise Invalid(error.what, errors={"new_email": error.what}) from error
    if new_email == old_email:
        problem = "This is your address already."
        raise Invalid(problem, errors={"new_email": problem})
    throttle.count(throttle.for_email_change(old_email))
    tokens = {"old": new_token(), "new": new_token()}
    ends_at = utcnow() + timedelta(hours=CHANGE_HOURS)
    with transaction() as session:
        session.refresh(user, with_for_update=True)
        if user.password_hash != known or user.email != old_email or user.disabled_at is not None:
            raise passwords.not_current()
        session.execute(delete(EmailChange).where(EmailChange.user_id == user.id))
        session.add(
            EmailChange(
                user_id=user.id,
                new_email=new_email,
                old_token_hash=hash_token(tokens["old"]),
                new_token_hash=hash_token(tokens["new"]),
                expires_at=ends_at,
            )
        )
        to_old, to_new = (
            letters.email_change(tokens[side], ends_at, user, new_email, settings, to_new=is_new)
            for side, is_new in (("old", False), ("new", True))
        )
        post.put(to_old, old_email, name=user.name)
        post.put(to_new, new_email)
        audit.record(audit.Action.EMAIL_CHANGE_ASKED, owner=old_email, new_email=new_email)


def pending(user_id: int) -> Change | None:
    """The change that somebody has asked for and that has not happened yet."""
    row = db.session.execute(
        select(EmailChange, User.email)
        .join(User, User.id == EmailChange.user_id)
        .where(EmailChange.user_id == user_id, EmailChange.expires_at > utcnow())
    ).one_or_none()
    return _seen(row[0], row[1]) if row else None


def cancel(user_id: int) -> None:
    """Forget the change that somebody has asked for, if there is one."""
    with transaction() as session:
        session.execute(delete(EmailChange).where(EmailChange.user_id == user_id))


def look(token: str) -> Change:
    """The change that a mailed address belongs to; changes nothing. Raises `NotFound`."""
    change, user = _find(db.session(), token)
    return _seen(change, user.email, token)


def agree(token: str) -> Change:
    """Agree from the address that `token` was mailed to; the second to agree makes the change.

    Raises `NotFound` for an address that is not good any more, `Conflict` where another account
    has the new address by then: nothing is changed.
    """
    with transaction() as session:
        change, user = _find(session, token, lock=True)
        if hash_token(token) == change.new_token_hash:
            change.new_agreed_at = change.new_agreed_at or utcnow()
        else:
            change.old_agreed_at = change.old_agreed_at or utcnow()
        seen = _seen(change, user.email, token)
        if not (seen.has_old_agreed and seen.has_new_agreed):
            return seen
        _move(session, user, seen)
    return Change(seen.old_email, seen.new_email, True, True, seen.is_new, is_done=True)


def refuse(token: str) -> None:
    """Stop the change from either of its addresses. Raises `NotFound`."""
    with transaction() as session:
        change, _user = _find(session, token, lock=True)
        session.delete(change)


def _move(session: DatabaseSession, user: User, change: Change) -> None:
    taken = session.scalar(select(User.id).where(User.email == change.new_email))
    if taken is not None:
        raise _taken()
    user.email = change.new_email
    try:
        session.flush()
    except IntegrityError as error:  # somebody took it at the same moment
        raise _taken() from error
    people.end_mailed_addresses(session, user.id)
    audit.record(
        audit.Action.EMAIL_CHANGED,
        actor=change.new_email,
        owner=change.new_email,
        old_email=change.old_email,
        new_email=change.new_email,
    )
    notices.tell(user, Notice.EMAIL_CHANGED, old_email=change.old_email, new_email=change.new_email)


def _find(session: DatabaseSession, token: str, *, lock: bool = False) -> tuple[EmailChange, User]:
    hashed = hash_token(token)
    query = (
        select(EmailChange, User)
        .join(User, User.id == EmailChange.user_id)
        .where(
            or_(EmailChange.old_token_hash == hashed, EmailChange.new_token_hash == hashed),
            EmailChange.expires_at > utcnow(),
            User.disabled_at.is_(None),
        )
    )
    # Locked, both addresses that agree at the same moment stand in a line.
    row = session.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(
            "This address is not valid any more: the change was made, stopped, or too late.",
            cure="Whoever wants the change asks for it again, on the page of their account.",
        )
    return row[0], row[1]


def _seen(change: EmailChange, old_email: str, token: str = "") -> Change:
    return Change(
        old_email,
        change.new_email,
        change.old_agreed_at is not None,
        change.new_agreed_at is not None,
        is_new=bool(token) and hash_token(token) == change.new_token_hash,
    )


def _taken() -> Conflict:
    return Conflict(
        "This address cannot be used for your account. Nothing was changed.",
        cure="Ask for the change again with another address.",
    )
