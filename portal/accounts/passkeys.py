"""Passkeys (WebAuthn, level 3): public keys of people's devices, instead of a password or besides.

Every passkey can be found by the browser without a name (discoverable), and checks who uses the
device (user verification). Which model a device is we do not ask.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as DatabaseSession

from portal import audit
from portal.accounts import second_factor, sessions, throttle
from portal.accounts.sessions import SignedIn
from portal.config import Settings, is_loopback
from portal.database import transaction
from portal.errors import Conflict, Invalid, NotFound, PortalError
from portal.extensions import db
from portal.mail import notices
from portal.mail.notices import Notice
from portal.models import Passkey, User, utcnow
from portal.tokens import new_token

#: How long the question put to a device may be answered.
CHALLENGE_LASTS = timedelta(minutes=5)
MOST = 20
LONGEST_NAME = 100


class PasskeyRefused(PortalError):
    """A passkey that is unknown, or whose answer does not hold: one text for all."""

    status = 401
    title = "This passkey did not work"
    what = "This passkey did not work here."
    cure = "Try again, or choose another way."


@dataclass(frozen=True, slots=True)
class Place:
    """Where passkeys belong: browsers use them nowhere else."""

    #: The relying party id: the domain without scheme and port.
    domain: str
    #: Addresses from which an answer is accepted.
    origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """A passkey whose answer holds. It was not used up to now; `spend` does that."""

    passkey_id: int
    user_id: int
    known_count: int
    new_count: int


def place(settings: Settings) -> Place | None:
    """Where passkeys belong in this portal; None where browsers allow none.

    They belong to a domain, never to an address in numbers: on one's own machine that is
    `localhost`, whichever name of it the portal was started with.
    """
    base = urlsplit(settings.base_url)
    host = base.hostname or ""
    if is_loopback(host):
        port = f":{base.port}" if base.port else ""
        return Place("localhost", (f"{base.scheme}://localhost{port}",))
    if base.scheme != "https" or _is_number(host):
        return None
    return Place(host, (settings.base_url,))


def new_challenge() -> str:
    """A question for a device. The browser keeps it, signed by us, and it is good once."""
    return f"{int(time.time())}.{new_token()}"


def creation_options(
    person: SignedIn, challenge: str, site_name: str, settings: Settings
) -> dict[str, Any]:
    """What the browser is told to make a passkey (PublicKeyCredentialCreationOptionsJSON)."""
    import webauthn
    from webauthn.helpers import options_to_json_dict
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    options = webauthn.generate_registration_options(
        rp_id=_here(settings).domain,
        rp_name=site_name,
        user_id=person.public_id.bytes,
        user_name=person.email,
        user_display_name=person.name,
        challenge=challenge.encode(),
        timeout=_milliseconds(CHALLENGE_LASTS),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=_descriptors(person.user_id),
    )
    return options_to_json_dict(options)


def request_options(user_id: int | None, challenge: str, settings: Settings) -> dict[str, Any]:
    """What the browser is told to use a passkey (PublicKeyCredentialRequestOptionsJSON).

    Where it is not known who will, the person chooses among those of the device.
    """
    import webauthn
    from webauthn.helpers import options_to_json_dict
    from webauthn.helpers.structs import UserVerificationRequirement

    options = webauthn.generate_authentication_options(
        rp_id=_here(settings).domain,
        challenge=challenge.encode(),
        timeout=_milliseconds(CHALLENGE_LASTS),
        allow_credentials=[] if user_id is None else _descriptors(user_id),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json_dict(options)


def add(
    person: SignedIn, name: str, answer: str, challenge: str | None, settings: Settings
) -> list[str]:
    """Keep the passkey that a device has made; `answer` is the credential as JSON.

    Answers ten recovery codes if it is the first second factor, else none; then every other
    session ends too, because it was opened with less. Raises `Invalid` for the name,
    `PasskeyRefused` where the answer does not hold, `Conflict` beyond twenty.
    """
    name = checked_name(name) if name.strip() else f"Passkey of {utcnow():%Y-%m-%d}"
    _spend_challenge(challenge)
    made = _verified_registration(answer, challenge or "", _here(settings))
    with transaction() as session:
        user = second_factor.locked(session, person.user_id)
        before = second_factor.of(user.id)
        if before.passkeys >= MOST:
            raise Conflict(
                f"There are {MOST} passkeys already.", cure="Remove one that is not used any more."
            )
        session.add(Passkey(user_id=user.id, name=name, **made))
        try:
            session.flush()
        except IntegrityError as error:
            raise PasskeyRefused("This passkey is known here already.", cure="") from error
        if not before.is_on:
            sessions.end_all(user.id, but=person.session_id)
            audit.record(audit.Action.SECOND_FACTOR_ON, owner=user.email, kind="passkey")
        sessions.prove(person, "passkey", has_second_factor=True)
        audit.record(audit.Action.PASSKEY_ADDED, owner=user.email, name=name)
        notices.tell(user, Notice.PASSKEY_ADDED, name=name)
        has_codes = second_factor.has_codes(session, user.id)
        return [] if has_codes else second_factor.make_codes(session, user)


def verify(answer: str, challenge: str | None, settings: Settings) -> Proof:
    """Check what a device has signed; `answer` is the credential as JSON.

    The challenge is spent, whatever comes of it. Raises `PasskeyRefused`.
    """
    here = _here(settings)
    _spend_challenge(challenge)
    credential = _parsed(answer)
    row = db.session.execute(
        select(Passkey.id, Passkey.user_id, Passkey.public_key, Passkey.sign_count, User.public_id)
        .join(User, User.id == Passkey.user_id)
        .where(Passkey.credential_id == _bytes(credential.get("rawId")))
    ).one_or_none()
    db.session.commit()
    if row is None:
        raise PasskeyRefused
    # The device says whose passkey it is: that must be whom we think (WebAuthn 7.2, step 6).
    response = credential.get("response")
    handle = response.get("userHandle") if isinstance(response, Mapping) else None
    if _bytes(handle) != row.public_id.bytes:
        raise PasskeyRefused
    new_count = _verified_count(
        credential, challenge or "", here, public_key=row.public_key, known_count=row.sign_count
    )
    return Proof(row.id, row.user_id, known_count=row.sign_count, new_count=new_count)


def spend(session: DatabaseSession, proof: Proof) -> None:
    """Note the use of a passkey, as part of a transaction.

    Raises `PasskeyRefused` where it was removed or used since it was verified.
    """
    noted = session.execute(
        update(Passkey)
        .where(Passkey.id == proof.passkey_id, Passkey.sign_count == proof.known_count)
        .values(sign_count=proof.new_count, last_used_at=utcnow())
        .returning(Passkey.id)
    ).one_or_none()
    if noted is None:
        raise PasskeyRefused


def listed(user_id: int) -> list[Passkey]:
    """Somebody's passkeys, the oldest first."""
    found = db.session.scalars(
        select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.id)
    )
    return list(found)


def rename(person: SignedIn, passkey_id: uuid.UUID, name: str) -> None:
    """Call one's own passkey something else. Raises `Invalid` and `NotFound`."""
    name = checked_name(name)
    with transaction() as session:
        passkey = _own(session, person, passkey_id)
        if passkey.name != name:
            audit.record(
                audit.Action.PASSKEY_RENAMED, owner=person.email, old_name=passkey.name, name=name
            )
            passkey.name = name


def remove(person: SignedIn, passkey_id: uuid.UUID) -> None:
    """Forget one's own passkey at once; with the last second factor the recovery codes go too.

    Raises `NotFound`.
    """
    with transaction() as session:
        user = second_factor.locked(session, person.user_id)
        name = _own(session, person, passkey_id).name
        session.execute(delete(Passkey).where(Passkey.public_id == passkey_id))
        second_factor.forget_codes_without_factor(session, user.id)
        audit.record(audit.Action.PASSKEY_REMOVED, owner=user.email, name=name)
        if not second_factor.of(user.id).is_on:
            audit.record(audit.Action.SECOND_FACTOR_OFF, owner=user.email, kind="passkey")
        notices.tell(user, Notice.PASSKEY_REMOVED, name=name)


def checked_name(name: str) -> str:
    """A name as one line of 1 to 100 characters. Raises `Invalid`."""
    text = " ".join(name.split())
    if not 1 <= len(text) <= LONGEST_NAME or not text.isprintable():
        problem = f"Enter a name of 1 to {LONGEST_NAME} characters."
        raise Invalid(problem, errors={"name": problem})
    return text


def _own(session: DatabaseSession, person: SignedIn, passkey_id: uuid.UUID) -> Passkey:
    passkey = session.scalars(
        select(Passkey).where(Passkey.public_id == passkey_id, Passkey.user_id == person.user_id)
    ).one_or_none()
    if passkey is None:
        raise NotFound
    return passkey


def _here(settings: Settings) -> Place:
    here = place(settings)
    if here is None:
        raise Conflict(
            "Passkeys cannot be used at this address.",
            cure="They need https and a name instead of a number.",
        )
    return here


def _spend_challenge(challenge: str | None) -> None:
    """Raise `PasskeyRefused` unless this is a question of the last minutes, not answered yet."""
    asked_at, _, _ = (challenge or "").partition(".")
    age = time.time() - int(asked_at) if asked_at.isdecimal() else -1
    is_recent = 0 <= age <= CHALLENGE_LASTS.total_seconds()
    if not challenge or not is_recent or not throttle.is_first_use(challenge, CHALLENGE_LASTS * 2):
        raise PasskeyRefused


def _verified_registration(answer: str, challenge: str, here: Place) -> dict[str, Any]:
    """The columns of a new passkey. Raises `PasskeyRefused`."""
    import webauthn

    credential = _parsed(answer)
    try:
        verified = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=challenge.encode(),
            expected_rp_id=here.domain,
            expected_origin=list(here.origins),
            require_user_verification=True,
        )
        transports = credential["response"].get("transports") or []
        known = {"ble", "cable", "hybrid", "internal", "nfc", "smart-card", "usb"}
        named = sorted({each for each in transports if each in known})
    except Exception as error:  # it stumbles over malformed input in many ways
        raise PasskeyRefused from error
    if len(verified.credential_id) > 1023:  # WebAuthn 7.1, step 25
        raise PasskeyRefused
    return {
        "credential_id": verified.credential_id,
        "public_key": verified.credential_public_key,
        "sign_count": verified.sign_count,
        "transports": ",".join(named),
    }


def _verified_count(
    credential: dict[str, Any],
    challenge: str,
    here: Place,
    *,
    public_key: bytes,
    known_count: int,
) -> int:
    """The device's count of signatures. Raises `PasskeyRefused`, also where it went back."""
    import webauthn

    try:
        verified = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge.encode(),
            expected_rp_id=here.domain,
            expected_origin=list(here.origins),
            credential_public_key=public_key,
            credential_current_sign_count=known_count,
            require_user_verification=True,
        )
    except Exception as error:  # it stumbles over malformed input in many ways
        raise PasskeyRefused from error
    return verified.new_sign_count


def _parsed(answer: str) -> dict[str, Any]:
    try:
        credential = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise PasskeyRefused from error
    if not isinstance(credential, dict):
        raise PasskeyRefused
    return credential


def _bytes(text: object) -> bytes:
    """What base64url says; empty where it says nothing."""
    from webauthn.helpers import base64url_to_bytes

    try:
        return base64url_to_bytes(text) if isinstance(text, str) else b""
    except ValueError:
        return b""


def _descriptors(user_id: int) -> list[Any]:
    from webauthn.helpers.structs import AuthenticatorTransport, PublicKeyCredentialDescriptor

    return [
        PublicKeyCredentialDescriptor(
            id=passkey.credential_id,
            transports=[AuthenticatorTransport(each) for each in _split(passkey.transports)],
        )
        for passkey in listed(user_id)
    ]


def _split(transports: str) -> list[str]:
    return [each for each in transports.split(",") if each]


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _milliseconds(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
