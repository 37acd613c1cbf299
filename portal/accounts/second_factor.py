"""The second factor: an authenticator app (TOTP, RFC 6238) and the codes that replace a lost one.

Whoever has an authenticator or a passkey signs in with two proofs, and has recovery codes.
"""

from __future__ import annotations

import base64
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime

import pyotp
from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.orm import Session as DatabaseSession

from portal import audit, sealing
from portal.accounts import sessions, throttle
from portal.accounts.sessions import SignedIn
from portal.config import Settings
from portal.database import transaction
from portal.errors import Conflict, Invalid, PortalError
from portal.extensions import db
from portal.mail import notices
from portal.mail.notices import Notice
from portal.models import Authenticator, Passkey, RecoveryCode, Role, User, utcnow
from portal.tokens import hash_token

#: How many recovery codes somebody gets at a time.
CODES = 10
#: Bytes of chance in one: what is stored is a plain SHA-256 (ASVS 5.0, 6.5.2 asks for 112 bits).
_CODE_BYTES = 15
_STEP_SECONDS = 30
#: Clocks of phones are a little wrong: the code before and the one after count too.
_DRIFT = (-1, 0, 1)
_PURPOSE = "authenticator"


class CodeRefused(PortalError):
    """A code that is wrong, was used before, or is nobody's: one text for all."""

    status = 401
    title = "This code did not work"
    what = "This code is not right, or it was used already."
    cure = "Wait for the next code and try again, or use a recovery code."


@dataclass(frozen=True, slots=True)
class Factors:
    """What somebody has besides their password."""

    #: Since when there is an authenticator app.
    authenticator_since: datetime | None
    passkeys: int
    #: Recovery codes that were not used yet.
    codes_left: int

    @property
    def is_on(self) -> bool:
        """Whether signing in takes two proofs."""
        return self.authenticator_since is not None or self.passkeys > 0


@dataclass(frozen=True, slots=True)
class SetUp:
    """What an authenticator app needs to know."""

    #: Base32, to be typed where there is no camera.
    secret: str
    #: `otpauth://`, as the QR code says it.
    uri: str


@dataclass(frozen=True, slots=True)
class Lacking:
    """How many people who can sign in have one proof only."""

    admins: int
    everybody: int


def of(user_id: int) -> Factors:
    """What somebody has to prove themselves with."""
    since, passkeys, codes = db.session.execute(
        select(
            select(Authenticator.confirmed_at)
            .where(Authenticator.user_id == user_id)
            .scalar_subquery(),
            select(func.count(Passkey.id)).where(Passkey.user_id == user_id).scalar_subquery(),
            select(func.count(RecoveryCode.id))
            .where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))
            .scalar_subquery(),
        )
    ).one()
    return Factors(since, passkeys, codes)


def lacking() -> Lacking:
    """How many would have to set something up if it were asked of admins, or of everybody."""
    without = (
        User.disabled_at.is_(None),
        ~exists().where(Authenticator.user_id == User.id),
        ~exists().where(Passkey.user_id == User.id),
    )
    counted = select(func.count(User.id)).where(*without)
    return Lacking(
        admins=db.session.scalar(counted.where(User.role == Role.ADMIN.value)) or 0,
        everybody=db.session.scalar(counted) or 0,
    )


def new_secret(settings: Settings) -> str:
    """A secret for an authenticator that is being set up, sealed for the way through a browser."""
    return sealing.seal(pyotp.random_base32(), _PURPOSE, settings)


def set_up(sealed_secret: str, email: str, site_name: str, settings: Settings) -> SetUp:
    """What the app must be told. Raises `sealing.NotOurs`."""
    secret = sealing.unseal(sealed_secret, _PURPOSE, settings)
    uri = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=site_name)
    return SetUp(secret, uri)


def turn_on(person: SignedIn, sealed_secret: str, code: str, settings: Settings) -> list[str]:
    """Keep the authenticator whose app shows `code`; answers ten new recovery codes.

    Where it is the first second factor, every other session ends: it was opened with less.
    Raises `Invalid` for a wrong code, `Conflict` where there is an authenticator already,
    `TooManyTries` after too many wrong codes.
    """
    limit = throttle.for_second_factor(person.email)
    throttle.count(limit)
    try:
        secret = sealing.unseal(sealed_secret, _PURPOSE, settings)
    except sealing.NotOurs as error:
        raise _wrong_code() from error
    steps = _matching_steps(secret, _plain(code))
    if not steps:
        raise _wrong_code()
    with transaction() as session:
        user = locked(session, person.user_id)
        before = of(user.id)
        if before.authenticator_since is not None:
            raise Conflict("There is an authenticator app already.", cure="Remove that one first.")
        session.add(
            Authenticator(
                user_id=user.id,
                sealed_secret=sealing.seal(secret, _PURPOSE, settings),
                confirmed_at=utcnow(),
                last_step=steps[-1],
            )
        )
        throttle.forgive(limit)
        if not before.is_on:
            sessions.end_all(user.id, but=person.session_id)
        sessions.prove(person, "code", has_second_factor=True)
        audit.record(audit.Action.SECOND_FACTOR_ON, owner=user.email, kind="authenticator")
        notices.tell(user, Notice.SECOND_FACTOR_ON)
        return make_codes(session, user)


def turn_off(person: SignedIn) -> None:
    """Forget the authenticator; with the last second factor the recovery codes go too.

    Raises `Conflict` where there is none.
    """
    with transaction() as session:
        user = locked(session, person.user_id)
        gone = session.execute(
            delete(Authenticator)
            .where(Authenticator.user_id == user.id)
            .returning(Authenticator.user_id)
        ).one_or_none()
        if gone is None:
            raise Conflict("There is no authenticator app to remove.", cure="")
        forget_codes_without_factor(session, user.id)
        audit.record(audit.Action.SECOND_FACTOR_OFF, owner=user.email, kind="authenticator")
        notices.tell(user, Notice.SECOND_FACTOR_OFF)


def new_codes(person: SignedIn) -> list[str]:
    """Ten new recovery codes; the ones before stop working.

    Raises `Conflict` where there is no second factor that they could stand in for.
    """
    with transaction() as session:
        user = locked(session, person.user_id)
        if not of(user.id).is_on:
            raise Conflict(
                "There is nothing yet that recovery codes could replace.",
                cure="Set up an authenticator app or a passkey first.",
            )
        notices.tell(user, Notice.NEW_RECOVERY_CODES)
        return make_codes(session, user)


def reset(user: User) -> None:
    """Take every second factor from somebody who has lost them; all their sessions end.

    Raises `Conflict` where there is none.
    """
    with transaction() as session:
        locked(session, user.id)
        if not of(user.id).is_on:
            raise Conflict(f"{user.name} has no two-factor sign-in.", cure="")
        session.execute(delete(Authenticator).where(Authenticator.user_id == user.id))
        session.execute(delete(Passkey).where(Passkey.user_id == user.id))
        forget_codes_without_factor(session, user.id)
        sessions.end_all(user.id)
        audit.record(audit.Action.SECOND_FACTOR_OFF, owner=user.email, kind="everything")
        notices.tell(user, Notice.SECOND_FACTOR_OFF)


def use_code(session: DatabaseSession, user: User, code: str, settings: Settings) -> str:
    """Spend a code of the authenticator app or a recovery code; answers which it was.

    Part of a transaction: each code works once, however many try at the same moment. Raises
    `CodeRefused`. Count the try before; this does not.
    """
    text = _plain(code)
    if _use_app_code(session, user.id, text, settings):
        return "code"
    used = session.execute(
        update(RecoveryCode)
        .where(
            RecoveryCode.user_id == user.id,
            RecoveryCode.code_hash == hash_token(text),
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=utcnow())
        .returning(RecoveryCode.id)
    ).one_or_none()
    if used is None:
        raise CodeRefused
    left = of(user.id).codes_left
    audit.record(audit.Action.RECOVERY_CODE_USED, actor=user.email, owner=user.email, left=left)
    notices.tell(user, Notice.RECOVERY_CODE_USED, left=left)
    return "recovery code"


def locked(session: DatabaseSession, user_id: int) -> User:
    """The row of somebody, locked: what changes their factors or signs them in stands in line."""
    return session.scalars(
        select(User)
        .where(User.id == user_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def make_codes(session: DatabaseSession, user: User) -> list[str]:
    """Ten new recovery codes in place of all before them, as people read them."""
    codes = [
        base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode("ascii").lower()
        for _ in range(CODES)
    ]
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    session.add_all(RecoveryCode(user_id=user.id, code_hash=hash_token(code)) for code in codes)
    audit.record(audit.Action.RECOVERY_CODES_MADE, owner=user.email)
    return ["-".join(code[start : start + 6] for start in range(0, 24, 6)) for code in codes]


def has_codes(session: DatabaseSession, user_id: int) -> bool:
    """Whether somebody was ever given recovery codes for what they have now."""
    found = session.scalar(select(RecoveryCode.id).where(RecoveryCode.user_id == user_id).limit(1))
    return found is not None


def forget_codes_without_factor(session: DatabaseSession, user_id: int) -> None:
    """Drop the recovery codes where nothing is left that they stand in for."""
    if not of(user_id).is_on:
        session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))


def _use_app_code(session: DatabaseSession, user_id: int, text: str, settings: Settings) -> bool:
    sealed = session.scalar(
        select(Authenticator.sealed_secret).where(Authenticator.user_id == user_id)
    )
    if sealed is None:
        return False
    try:
        secret = sealing.unseal(sealed, _PURPOSE, settings)
    except sealing.NotOurs:  # the portal has another key now; recovery codes still work
        return False
    for step in _matching_steps(secret, text):
        used = session.execute(
            update(Authenticator)
            .where(
                Authenticator.user_id == user_id,
                Authenticator.sealed_secret == sealed,
                Authenticator.last_step < step,
            )
            .values(last_step=step)
            .returning(Authenticator.user_id)
        ).one_or_none()
        if used is not None:
            return True
    return False


def _matching_steps(secret: str, text: str) -> list[int]:
    """The time steps, oldest first, for which the app shows `text`."""
    app = pyotp.TOTP(secret)
    now = int(utcnow().timestamp()) // _STEP_SECONDS
    return [
        now + drift
        for drift in _DRIFT
        if secrets.compare_digest(app.generate_otp(now + drift).encode(), text.encode())
    ]


def _plain(code: str) -> str:
    """A code without what people put between its characters; look-alikes as base32 has them."""
    text = unicodedata.normalize("NFKC", code[:200]).lower()
    text = "".join(char for char in text if char.isascii() and char.isalnum())
    if len(text) <= len("123456"):
        return text
    return text.translate(str.maketrans("018", "olb"))


def _wrong_code() -> Invalid:
    problem = "This code is not right. Enter the six digits that the app shows now."
    return Invalid(problem, errors={"code": problem})
