"""Proving once more that it is you, before something sensitive: password, code or passkey."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from portal import audit
from portal.accounts import passkeys, passwords, second_factor, sessions, throttle
from portal.accounts.passkeys import PasskeyRefused
from portal.accounts.second_factor import CodeRefused
from portal.accounts.sessions import SignedIn
from portal.config import Settings
from portal.database import transaction
from portal.errors import Invalid, PortalError, TooManyTries
from portal.extensions import db
from portal.models import User


@dataclass(frozen=True, slots=True)
class Ways:
    """By which of them somebody can prove themselves."""

    password: bool
    code: bool
    passkey: bool


def ways(user_id: int) -> Ways:
    """What the person has."""
    has_password = db.session.scalar(select(User.password_hash).where(User.id == user_id))
    factors = second_factor.of(user_id)
    has_codes = factors.authenticator_since is not None or factors.codes_left > 0
    return Ways(has_password is not None, has_codes, factors.passkeys > 0)


def by_password(person: SignedIn, password: str, settings: Settings) -> None:
    """Raises `Invalid` for a wrong password, `TooManyTries` after too many."""
    limit = throttle.for_proof(person.email)
    try:
        throttle.count(limit)
        known = db.session.scalar(select(User.password_hash).where(User.id == person.user_id))
        # No transaction may stay open while bcrypt takes its time.
        db.session.commit()
        with throttle.judging(limit):
            is_right = passwords.check_password(password, known, settings.bcrypt_rounds)
        if not is_right:
            raise _wrong("password", "This is not your password.")
        with transaction() as session:
            # Given another password while this one was checked?
            if second_factor.locked(session, person.user_id).password_hash != known:
                raise _wrong("password", "This is not your password.")
            throttle.forgive(limit)
            sessions.prove(person, "password")
    except (Invalid, TooManyTries) as error:
        _note_refusal(person, "password", error)
        raise


def by_code(person: SignedIn, code: str, settings: Settings) -> None:
    """Raises `Invalid` for a wrong code, `TooManyTries` after too many. A code works once."""
    limit = throttle.for_second_factor(person.email)
    try:
        throttle.count(limit)
        with transaction() as session:
            user = second_factor.locked(session, person.user_id)
            how = second_factor.use_code(session, user, code, settings)
            throttle.forgive(limit)
            sessions.prove(person, how)
    except CodeRefused as error:
        _note_refusal(person, "code", error)
        raise _wrong("code", f"{error.what} {error.cure}") from error
    except TooManyTries as error:
        _note_refusal(person, "code", error)
        raise


def by_passkey(person: SignedIn, answer: str, challenge: str | None, settings: Settings) -> None:
    """Raises `Invalid` where it is not a passkey of this person, or its answer does not hold."""
    try:
        proof = passkeys.verify(answer, challenge, settings)
        if proof.user_id != person.user_id:
            raise PasskeyRefused
        with transaction() as session:
            second_factor.locked(session, person.user_id)
            passkeys.spend(session, proof)
            sessions.prove(person, "passkey")
    except PasskeyRefused as error:
        _note_refusal(person, "passkey", error)
        raise Invalid(error.what, cure=error.cure) from error


def _wrong(field: str, problem: str) -> Invalid:
    return Invalid(problem, errors={field: problem})


def _note_refusal(person: SignedIn, how: str, error: PortalError) -> None:
    reason = "throttled" if isinstance(error, TooManyTries) else "wrong"
    audit.record_alone(
        audit.Action.SECOND_FACTOR_REFUSED, owner=person.email, how=how, reason=reason
    )
