"""Signing in with e-mail and password, and changing the password."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from portal import audit, site
from portal.accounts import (
    api_tokens,
    known_devices,
    passwords,
    pending,
    people,
    second_factor,
    sessions,
    throttle,
)
from portal.accounts.emails import normalised
from portal.accounts.sessions import SignedIn
from portal.accounts.throttle import Limit
from portal.config import Settings
from portal.database import transaction
from portal.errors import PortalError, TooManyTries
from portal.extensions import db
from portal.models import User


class SignInRefused(PortalError):
    """One text for every reason, so that it does not tell who has an account."""

    status = 401
    title = "Sign-in did not work"
    what = "This e-mail address and password do not go together."
    cure = "Check both and try again."


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a right proof has led."""

    #: Of the session, or of the wait for the second factor.
    token: str
    #: Whether that was all; if not, the second factor is still to come (`second_step`).
    is_complete: bool


def sign_in(email: str, password: str, settings: Settings, *, remember: bool = False) -> Entry:
    """Open a session, or wait for the second factor of who has one.

    An unknown account, a disabled one and a wrong password give the same `SignInRefused`
    after the same work. Raises `TooManyTries` after too many, `Busy` under a flood.
    """
    email = normalised(email)
    limits = _limits(email)
    passwords.refuse_when_busy()
    try:
        throttle.count(*limits)
    except TooManyTries:
        audit.record_refusal(
            audit.Action.SIGN_IN_REFUSED, owner=email, email=email, reason="throttled"
        )
        raise
    user = db.session.execute(
        select(User).where(User.email == email, User.disabled_at.is_(None))
    ).scalar_one_or_none()
    known = user.password_hash if user else None
    # No transaction may stay open while bcrypt takes its time.
    db.session.commit()
    with throttle.judging(*limits):
        is_right = passwords.check_password(password, known, settings.bcrypt_rounds)
    if not is_right or user is None:
        audit.record_alone(audit.Action.SIGN_IN_REFUSED, owner=email, email=email, reason="wrong")
        raise SignInRefused
    with transaction() as session:
        # Disabled, or given another password, while this one was checked?
        session.refresh(user, with_for_update=True)
        if user.disabled_at is not None or user.password_hash != known:
            raise SignInRefused
        throttle.forgive(*limits)
        return enter(user, settings, remember=remember, how="password")


def enter(user: User, settings: Settings, *, how: str, remember: bool = False) -> Entry:
    """Go on after a right first proof, within the transaction that locked the user's row.

    Whoever has a second factor owes it now; everybody else is signed in.
    """
    with transaction():
        if second_factor.of(user.id).is_on:
            return Entry(pending.begin(user, how=how, remember=remember), is_complete=False)
        return Entry(admit(user, settings, remember=remember, how=how), is_complete=True)


def admit(
    user: User,
    settings: Settings,
    *,
    how: str,
    remember: bool = False,
    has_second_factor: bool = False,
) -> str:
    """Open a session for somebody who has proved who they are; answers its token.

    Every way of signing in ends here; after a first proof alone, `enter` decides whether it
    may. `how` stands in the audit log.
    """
    with transaction():
        token = sessions.start(
            user, settings, remember=remember, has_second_factor=has_second_factor
        )
        audit.record(audit.Action.SIGNED_IN, actor=user.email, owner=user.email, how=how)
    return token


def change_password(person: SignedIn, current: str, new: str, settings: Settings) -> None:
    """Set a new password after checking the current one; every other session and every token ends.

    Raises `Invalid` with the field at fault, `TooManyTries` after too many wrong ones.
    """
    user = db.session.execute(select(User).where(User.id == person.user_id)).scalar_one()
    known, about = user.password_hash, (user.email, user.name, site.name(settings))
    db.session.commit()
    passwords.check_rules(new, about, "new_password")
    by_person = throttle.for_proof(person.email)
    throttle.count(by_person)
    with throttle.judging(by_person):
        if not passwords.check_password(current, known, settings.bcrypt_rounds):
            raise passwords.not_current()
        new_hash = passwords.hash_password(new, settings.bcrypt_rounds)
    with transaction() as session:
        # Given another password while this one was checked?
        session.refresh(user, with_for_update=True)
        if user.password_hash != known:
            raise passwords.not_current()
        user.password_hash = new_hash
        sessions.end_all(user.id, but=person.session_id)
        sessions.renew(person)
        throttle.clear(by_person)
        people.tell_of_password(user)
        api_tokens.revoke_all(user)
        people.end_mailed_addresses(session, user.id)
        audit.record(audit.Action.PASSWORD_CHANGED, owner=user.email)


def _limits(email: str) -> tuple[Limit, ...]:
    """What a try counts against.

    A browser from which the account was signed in to before has a count of its own, so that
    nobody else's guesses shut its owner out: only who has its cookie can use it up. Asked
    alike for accounts that are there and that are not.
    """
    here = audit.origin.get()
    if here.device:
        user_id = db.session.scalar(select(User.id).where(User.email == email))
        if known_devices.is_known(user_id or 0, here.device):
            return (throttle.for_device(f"{user_id} {here.device}"),)
    return throttle.for_account(email), throttle.for_address(here.address)
