"""The second half of a sign-in: whoever waits shows a code or a passkey, and is let in."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session as DatabaseSession

from portal import audit
from portal.accounts import (
    known_devices,
    passkeys,
    pending,
    second_factor,
    sign_in,
    throttle,
)
from portal.accounts.passkeys import PasskeyRefused
from portal.accounts.pending import Waiting
from portal.accounts.second_factor import CodeRefused
from portal.accounts.throttle import Limit
from portal.config import Settings
from portal.database import transaction
from portal.errors import PortalError, TooManyTries
from portal.models import User


class NobodyWaits(PortalError):
    """The password was entered too long ago, or is not right any more."""

    status = 401
    title = "Please sign in again"
    what = "This sign-in has taken too long, or was ended."
    cure = "Start again with your password."


@dataclass(frozen=True, slots=True)
class Admitted:
    """Somebody who is signed in now."""

    #: Of the session.
    token: str
    is_remembered: bool


def with_code(token: str, code: str, settings: Settings) -> Admitted:
    """Finish a sign-in with a code of the authenticator app or a recovery code.

    Raises `NobodyWaits`, `CodeRefused`, and `TooManyTries` after too many wrong codes.
    """
    waiting = _waiting(token)
    by_account, by_address = throttle.for_second_factor(waiting.email), _by_address(waiting)
    try:
        throttle.count(by_account, *by_address)
        with transaction() as session:
            user = _taken(session, waiting, token)
            how = second_factor.use_code(session, user, code, settings)
            throttle.forgive(by_account, *by_address)
            return _admit(user, waiting, how, settings)
    except (CodeRefused, TooManyTries) as error:
        _note_refusal(waiting.email, "code", error)
        raise


def with_passkey(token: str, answer: str, challenge: str | None, settings: Settings) -> Admitted:
    """Finish a sign-in with a passkey of the same person.

    Raises `NobodyWaits`, `PasskeyRefused`, and `TooManyTries` after too many from one address.
    """
    waiting = _waiting(token)
    by_address = throttle.for_passkeys(audit.origin.get().address)
    try:
        throttle.count(by_address)
        proof = passkeys.verify(answer, challenge, settings)
        if proof.user_id != waiting.user_id:
            raise PasskeyRefused
        with transaction() as session:
            user = _taken(session, waiting, token)
            passkeys.spend(session, proof)
            throttle.give_back(by_address)
            return _admit(user, waiting, "passkey", settings)
    except (PasskeyRefused, TooManyTries) as error:
        _note_refusal(waiting.email, "passkey", error)
        raise


def with_passkey_alone(
    answer: str, challenge: str | None, settings: Settings, *, remember: bool
) -> Admitted:
    """Sign in without a password: a passkey is something one has, and was unlocked by its owner.

    Raises `PasskeyRefused`, and `TooManyTries` after too many from one address.
    """
    by_address = throttle.for_passkeys(audit.origin.get().address)
    try:
        throttle.count(by_address)
        proof = passkeys.verify(answer, challenge, settings)
        with transaction() as session:
            user = second_factor.locked(session, proof.user_id)
            if user.disabled_at is not None:
                raise PasskeyRefused
            passkeys.spend(session, proof)
            throttle.give_back(by_address)
            token = sign_in.admit(
                user, settings, how="passkey", remember=remember, has_second_factor=True
            )
            return Admitted(token, is_remembered=remember)
    except (PasskeyRefused, TooManyTries) as error:
        reason = "throttled" if isinstance(error, TooManyTries) else "wrong"
        audit.record_alone(
            audit.Action.SIGN_IN_REFUSED, email="somebody", how="passkey", reason=reason
        )
        raise


def _waiting(token: str) -> Waiting:
    waiting = pending.find(token)
    if waiting is None:
        raise NobodyWaits
    return waiting


def _by_address(waiting: Waiting) -> tuple[Limit, ...]:
    """What a try counts against besides the account.

    From a browser that was signed in to the account before, nothing: what others guess from the
    same address keeps its owner out no more at this step than at the one before.
    """
    here = audit.origin.get()
    if known_devices.is_known(waiting.user_id, here.device):
        return ()
    return (throttle.for_address(here.address),)


def _taken(session: DatabaseSession, waiting: Waiting, token: str) -> User:
    """Whose turn it is, if it still is: two who finish the same sign-in get one session."""
    user = second_factor.locked(session, waiting.user_id)
    if user.disabled_at is not None or not pending.take(token):
        raise NobodyWaits
    return user


def _admit(user: User, waiting: Waiting, how: str, settings: Settings) -> Admitted:
    token = sign_in.admit(
        user,
        settings,
        how=f"{waiting.how}, {how}",
        remember=waiting.is_remembered,
        has_second_factor=True,
    )
    return Admitted(token, is_remembered=waiting.is_remembered)


def _note_refusal(email: str, how: str, error: PortalError) -> None:
    reason = "throttled" if isinstance(error, TooManyTries) else "wrong"
    audit.record_alone(audit.Action.SECOND_FACTOR_REFUSED, owner=email, how=how, reason=reason)
