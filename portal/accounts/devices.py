"""Where somebody is signed in: every device, and how to sign one or all others out."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select

from portal import audit, browsers
from portal.accounts import known_devices, sessions
from portal.accounts.sessions import SignedIn
from portal.config import Settings
from portal.database import transaction
from portal.errors import NotFound
from portal.extensions import db
from portal.models import Session, utcnow

#: More are not listed; all of them can be ended.
MOST_LISTED = 200


@dataclass(frozen=True, slots=True)
class Device:
    """One signed-in browser as its owner sees it."""

    public_id: uuid.UUID
    browser: str
    is_phone: bool
    address: str
    first_used_at: datetime
    last_used_at: datetime
    is_this: bool = False


def of(user_id: int, settings: Settings, *, this: int | None = None) -> Sequence[Device]:
    """Where somebody is signed in at this moment, `this` session first, then the last used.

    What has expired or was idle for too long is signed out already, and left out.
    """
    now = utcnow()
    idle = now - timedelta(minutes=settings.session_idle_minutes)
    found = db.session.scalars(
        select(Session)
        .where(
            Session.user_id == user_id,
            Session.expires_at > now,
            or_(Session.is_remembered, Session.last_seen_at >= idle),
        )
        .order_by((Session.id == this).desc(), Session.last_seen_at.desc(), Session.id.desc())
        .limit(MOST_LISTED)
    )
    return [_device(each, this) for each in found]


def end(person: SignedIn, public_id: uuid.UUID) -> bool:
    """Sign one device of `person` out at once; answers whether it was the present one.

    Somebody else's session and one that has ended raise the same `NotFound`.
    """
    with transaction() as database:
        ended = database.execute(
            delete(Session)
            .where(Session.public_id == public_id, Session.user_id == person.user_id)
            .returning(Session.id, Session.user_agent, Session.address)
        ).one_or_none()
        if ended is None:
            raise NotFound
        session_id, user_agent, address = ended
        # Which known device it was nobody can tell: signing in from any other is new again.
        known_devices.forget_others(person.user_id, audit.origin.get().device)
        audit.record(
            audit.Action.SESSION_ENDED,
            owner=person.email,
            browser=browsers.in_words(user_agent),
            address=address,
        )
    return bool(session_id == person.session_id)


def end_others(person: SignedIn) -> int:
    """Sign every other device of `person` out at once; answers how many there were."""
    with transaction():
        ended = sessions.end_all(person.user_id, but=person.session_id)
        sessions.renew(person)
        audit.record(audit.Action.SESSIONS_ENDED, owner=person.email, ended=ended, others=True)
    return ended


def _device(session: Session, this: int | None) -> Device:
    return Device(
        public_id=session.public_id,
        browser=browsers.in_words(session.user_agent),
        is_phone=browsers.is_phone(session.user_agent),
        address=session.address,
        first_used_at=session.created_at,
        last_used_at=session.last_seen_at,
        is_this=session.id == this,
    )
