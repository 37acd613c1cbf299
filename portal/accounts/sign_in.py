"""Signing in with e-mail and password, and changing the password."""

from __future__ import annotations

from sqlalchemy import select

from portal import audit
from portal.accounts import passwords, people, sessions, throttle
from portal.accounts.emails import normalised
from portal.accounts.sessions import SignedIn
from portal.config import Settings
from portal.database import transaction
from portal.errors import Invalid, PortalError, TooManyTries
from portal.extensions import db
from portal.mail import notices
from portal.mail.notices import Notice
from portal.models import User


class SignInRefused(PortalError):
    """One text for every reason, so that it does not tell who has an account."""

    status = 401
    title = "Sign-in did not work"
    what = "This e-mail address and password do not go together."
    cure = "Check both and try again."


def sign_in(email: str, password: str, settings: Settings, *, remember: bool = False) -> str:
    """Open a session and answer its token.

    An unknown account, a disabled one and a wrong password give the same `SignInRefused`
    after the same work. Raises `TooManyTries` after too many.
    """
    email = normalised(email)
    by_account = throttle.for_account(email)
    by_address = throttle.for_address(audit.origin.get().address)
    try:
        throttle.count(by_account, by_address)
    except TooManyTries:
        audit.record_alone(audit.Action.SIGN_IN_REFUSED, email=email, reason="throttled")
        raise
    user = db.session.execute(
        select(User).where(User.email == email, User.disabled_at.is_(None))
    ).scalar_one_or_none()
    known = user.password_hash if user else None
    # No transaction may stay open while bcrypt takes its time.
    db.session.commit()
    if not passwords.check_password(password, known, settings.bcrypt_rounds) or user is None:
        audit.record_alone(audit.Action.SIGN_IN_REFUSED, email=email, reason="wrong")
        raise SignInRefused
    with transaction() as session:
        # Disabled, or given another password, while this one was checked?
        session.refresh(user, with_for_update=True)
        if user.disabled_at is not None or user.password_hash != known:
            raise SignInRefused
        throttle.forgive(by_account, by_address)
        return admit(user, settings, remember=remember, how="password")


def admit(
    user: User,
    settings: Settings,
    *,
    how: str,
    remember: bool = False,
    has_second_factor: bool = False,
) -> str:
    """Open a session for somebody who has proved who they are; answers its token.

    Every way of signing in ends here. `how` stands in the audit log.
    """
    with transaction():
        token = sessions.start(
            user, settings, remember=remember, has_second_factor=has_second_factor
        )
        audit.record(audit.Action.SIGNED_IN, actor=user.email, owner=user.email, how=how)
    return token


def change_password(person: SignedIn, current: str, new: str, settings: Settings) -> None:
    """Set a new password after checking the current one; every other session ends.

    Raises `Invalid` with the field at fault, `TooManyTries` after too many wrong ones.
    """
    by_account = throttle.for_account(person.email)
    throttle.count(by_account)
    user = db.session.execute(select(User).where(User.id == person.user_id)).scalar_one()
    known, about = user.password_hash, (user.email, user.name)
    db.session.commit()
    if not passwords.check_password(current, known, settings.bcrypt_rounds):
        raise _not_current()
    passwords.check_rules(new, about, "new_password")
    new_hash = passwords.hash_password(new, settings.bcrypt_rounds)
    with transaction() as session:
        # Given another password while this one was checked?
        session.refresh(user, with_for_update=True)
        if user.password_hash != known:
            raise _not_current()
        user.password_hash = new_hash
        sessions.end_all(user.id, but=person.session_id)
        people.end_mailed_addresses(session, user.id)
        throttle.forgive(by_account)
        audit.record(audit.Action.PASSWORD_CHANGED, owner=user.email)
        notices.tell(user, Notice.PASSWORD_CHANGED)


def _not_current() -> Invalid:
    problem = "This is not your current password."
    return Invalid(problem, errors={"current_password": problem})
