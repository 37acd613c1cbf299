"""Who is signed in: rows in the database, known by a random token in the cookie.

Ending a session deletes its row, so a copied cookie is dead at once, on every machine.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask_login import UserMixin
from sqlalchemy import LargeBinary, and_, bindparam, delete, exists, func, or_, select, update

from portal import audit, browsers, site
from portal.accounts import known_devices
from portal.config import Settings
from portal.database import transaction
from portal.errors import Busy, SignInRequired
from portal.mail import notices
from portal.mail.notices import Notice
from portal.models import (
    Authenticator,
    Passkey,
    PendingSignIn,
    Policy,
    Role,
    Session,
    User,
    UtcDateTime,
    utcnow,
)
from portal.questions import Question
from portal.tokens import hash_token, new_token

#: How stale "last seen" may grow before it is written again.
_TOUCH_EVERY = timedelta(minutes=1)
#: How long a proof counts before a sensitive act.
PROOF_LASTS = timedelta(minutes=10)
#: Of a session that the present request has renewed: the token it had, and the one it has now.
renewed: ContextVar[tuple[str, str]] = ContextVar("renewed", default=("", ""))


@dataclass(frozen=True, slots=True)
class SignedIn(UserMixin):
    """Somebody signed in, as loaded for one request: `current_user` in views and pages."""

    user_id: int
    public_id: uuid.UUID
    email: str
    name: str
    role: str
    timezone: str
    language: str
    session_id: int
    last_seen_at: datetime
    #: When they last proved who they are in this session.
    proved_at: datetime
    has_second_factor: bool
    #: What the portal is called, as chosen at set-up: every page says it.
    site_name: str
    token: str
    #: The admins ask for a second factor, and this person has none yet.
    owes_second_factor: bool = False

    @property
    def is_freshly_proved(self) -> bool:
        """Whether the newest proof still counts before a sensitive act."""
        return utcnow() - self.proved_at < PROOF_LASTS

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN

    def get_id(self) -> str:
        """What Flask-Login keeps in the cookie: the session's token, not the account's id."""
        return self.token


def start(
    user: User, settings: Settings, *, remember: bool, has_second_factor: bool = False
) -> str:
    """Open a session for `user` within a transaction; answers its token.

    Every way of signing in passes here: from a browser that is new to the account it mails
    the person, unless nobody ever signed in to it before.
    """
    token = new_token()
    now = utcnow()
    here = audit.origin.get()
    with transaction() as database:
        was_here_before = user.last_seen_at is not None
        if was_here_before and not known_devices.is_known(user.id, here.device):
            browser = browsers.in_words(here.user_agent)
            notices.tell(user, Notice.NEW_DEVICE, browser=browser, address=here.address, at=now)
        database.add(
            Session(
                token_hash=hash_token(token),
                user_id=user.id,
                created_at=now,
                last_seen_at=now,
                expires_at=now + timedelta(days=settings.session_days),
                is_remembered=remember,
                has_second_factor=has_second_factor,
                address=here.address[:64],
                user_agent=here.user_agent[:300],
            )
        )
        database.execute(update(User).where(User.id == user.id).values(last_seen_at=now))
    return token


def load(token: str, settings: Settings) -> SignedIn | None:
    """Whoever holds `token`, in one query; None once the session has ended in any way."""
    now = utcnow()
    row = _BY_TOKEN.ask(token_hash=hash_token(token), now=now)
    if row is None:
        return None
    *facts, is_remembered, owes = row
    person = SignedIn(*facts, token=token, owes_second_factor=owes)
    idle = now - person.last_seen_at
    if not is_remembered and idle > timedelta(minutes=settings.session_idle_minutes):
        return None
    return person


def touch(person: SignedIn) -> None:
    """Note that the session is in use; writes at most once a minute.

    Where nothing can be written (a full disk), reading goes on: an idle session ends sooner.
    """
    now = utcnow()
    if now - person.last_seen_at < _TOUCH_EVERY:
        return
    with suppress(Busy), transaction() as database:
        database.execute(
            update(Session).where(Session.id == person.session_id).values(last_seen_at=now)
        )
        database.execute(update(User).where(User.id == person.user_id).values(last_seen_at=now))


def end(person: SignedIn) -> None:
    """Sign this browser out."""
    with transaction() as database:
        database.execute(delete(Session).where(Session.id == person.session_id))
        audit.record(audit.Action.SIGNED_OUT, owner=person.email)


def prove(person: SignedIn, how: str, *, has_second_factor: bool = False) -> None:
    """Note, within a transaction, that the person has just proved themselves once more.

    It counts for this browser alone, so the session is renewed. Raises `SignInRequired` where
    the session has ended meanwhile.
    """
    values: dict[str, object] = {"proved_at": utcnow()}
    if has_second_factor:
        values["has_second_factor"] = True
    with transaction() as database:
        found = database.execute(
            update(Session)
            .where(Session.id == person.session_id)
            .values(values)
            .returning(Session.id)
        ).one_or_none()
        if found is None:
            raise SignInRequired
        renew(person)
        audit.record(audit.Action.PROVED, owner=person.email, how=how)


def renew(person: SignedIn) -> None:
    """Give the session of the present request another token; part of a transaction.

    Whoever copied the cookie of this very browser is out, as with every other device. The
    answer to the request tells the browser. Raises `SignInRequired` where the session has ended
    or was renewed meanwhile: of two who hold the same cookie, one goes on.
    """
    if renewed.get()[0] == person.token:  # the browser is told of that one
        return
    token = new_token()
    with transaction() as database:
        found = database.execute(
            update(Session)
            .where(Session.token_hash == hash_token(person.token))
            .values(token_hash=hash_token(token))
            .returning(Session.id)
        ).one_or_none()
        if found is None:
            raise SignInRequired
    renewed.set((person.token, token))


def end_all(user_id: int, *, but: int | None = None) -> int:
    """End every session of somebody, but perhaps the present one; part of a transaction.

    Sign-ins that wait for their second factor end too, and every other browser is new to the
    account from then on. Answers how many sessions have ended.
    """
    with transaction() as database:
        # First: one that is completed at this moment is a session when the next line looks.
        database.execute(delete(PendingSignIn).where(PendingSignIn.user_id == user_id))
        statement = delete(Session).where(Session.user_id == user_id)
        if but is not None:
            statement = statement.where(Session.id != but)
        ended = database.execute(statement.returning(Session.id)).all()
        known_devices.forget_others(user_id, audit.origin.get().device)
    return len(ended)


#: What is asked of whoever signs in, in the order of the fields of `SignedIn`.
PERSON = (
    User.id,
    User.public_id,
    User.email,
    User.name,
    User.role,
    User.timezone,
    User.language,
)
#: Part of the one question, so that a new rule counts for sessions and tokens that exist already.
OWES_SECOND_FACTOR = and_(
    exists().where(
        Policy.name == "two_factor",
        or_(
            Policy.value == "everyone",
            and_(Policy.value == "admins", User.role == Role.ADMIN.value),
        ),
    ),
    ~exists().where(Authenticator.user_id == User.id),
    ~exists().where(Passkey.user_id == User.id),
)
_BY_TOKEN = Question(
    select(
        *PERSON,
        Session.id,
        Session.last_seen_at,
        Session.proved_at,
        Session.has_second_factor,
        func.coalesce(site.CHOSEN, ""),
        Session.is_remembered,
        OWES_SECOND_FACTOR.label("owes_second_factor"),
    )
    .join(User, User.id == Session.user_id)
    .where(
        Session.token_hash == bindparam("token_hash", type_=LargeBinary),
        Session.expires_at > bindparam("now", type_=UtcDateTime),
        User.disabled_at.is_(None),
    )
)
