"""Keys for programs: tokens for the API (RFC 6750), and app passwords for Basic authentication.

Both are random and long, and only their hashes are kept. A right one is let in without a
write; a wrong one is counted. So nobody can guess, and nobody can shut out somebody's
programs by guessing, whether from elsewhere or from beside them.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NoReturn

from sqlalchemy import LargeBinary, bindparam, delete, func, or_, select, update

from portal import audit
from portal.accounts import throttle
from portal.accounts.emails import normalised
from portal.accounts.sessions import OWES_SECOND_FACTOR, PERSON
from portal.accounts.throttle import Limit
from portal.database import transaction
from portal.errors import Busy, Invalid, NotFound, PortalError, SignInRequired, TooManyTries
from portal.extensions import db
from portal.mail import notices
from portal.mail.notices import Notice
from portal.models import ApiToken, Role, User, utcnow
from portal.questions import Question
from portal.tokens import hash_token, new_token

#: What every token begins with, so that scanners find one that was left in a file.
PREFIX = "dp_"
DEFAULT_DAYS = 90
MOST_DAYS = 365
LONGEST_NAME = 100
#: How long one that has expired is still listed.
KEPT_AFTER_END = timedelta(days=30)
#: How stale "last used" may grow before it is written again.
_TOUCH_EVERY = timedelta(minutes=1)

_WORDS = re.compile(r"[^\W_]")


class Scope(StrEnum):
    """What a token may do. Its holder may never do more than the person it belongs to."""

    DOCUMENTS_READ = "documents:read"
    DOCUMENTS_WRITE = "documents:write"
    SHARES_WRITE = "shares:write"
    ADMIN = "admin"
    METRICS_READ = "metrics:read"


#: Scopes that only an admin can give to a token, and that are void once they are none.
ADMINS_SCOPES = frozenset({Scope.ADMIN, Scope.METRICS_READ})
#: What a program can do that signs in with name and password.
APP_PASSWORD_SCOPES = frozenset({Scope.DOCUMENTS_READ, Scope.DOCUMENTS_WRITE})


class TokenRefused(SignInRequired):
    """Unknown, revoked, expired, its account disabled: one answer for all of them."""

    title = "This token does not work"
    what = "The token is unknown, or it was revoked, or it has expired."
    cure = "Make a new one in the portal, under your account, and use that."
    challenge = 'Bearer error="invalid_token"'


class AppPasswordRefused(SignInRequired):
    """One answer for an unknown address, a wrong password and one that has ended."""

    title = "Sign-in did not work"
    what = "This e-mail address and app password do not go together."
    cure = "Make an app password in the portal, under your account, and use that."
    challenge = 'Basic realm="documents", charset="UTF-8"'


class MissingScope(PortalError):
    """The token works but may not do this; `scope` is what it lacks, None if no token may."""

    status = 403
    title = "This token may not do that"

    def __init__(self, scope: Scope | None) -> None:
        self.scope = scope.value if scope else None
        self.challenge = 'Bearer error="insufficient_scope"'
        if scope is None:
            super().__init__("No token can be used here.", cure="Sign in with a browser instead.")
        else:
            self.challenge += f', scope="{scope.value}"'
            super().__init__(
                f"This needs a token with the scope {scope.value}.",
                cure="Make one in the portal, under your account.",
            )


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever acts through a token or an app password: `current_user` of that request."""

    user_id: int
    public_id: uuid.UUID
    email: str
    name: str
    role: str
    timezone: str
    language: str
    token_id: int
    token_name: str
    last_used_at: datetime | None
    #: What the token may do at this moment.
    scopes: frozenset[Scope]
    #: Whether the person has to set up a second factor before anything else.
    owes_second_factor: bool

    is_authenticated = True

    @property
    def is_admin(self) -> bool:
        """Whether both the person and the token may act as an admin."""
        return self.role == Role.ADMIN and Scope.ADMIN in self.scopes


def create(
    user_id: int,
    *,
    name: str,
    scopes: Iterable[str],
    days: int = DEFAULT_DAYS,
    is_app_password: bool = False,
) -> tuple[ApiToken, str]:
    """Make a token for somebody; answers it and its text, which is kept nowhere.

    Raises `Invalid` for a name, scopes or a number of days against the rules, `NotFound` for
    an account that is disabled.
    """
    name = " ".join(name.split())
    text = PREFIX + new_token()
    now = utcnow()
    with transaction() as session:
        # Locked: one that is disabled at this moment gets no token that outlives that.
        user = session.get_one(User, user_id, with_for_update=True)
        if user.disabled_at is not None:
            raise NotFound
        chosen = _check(name, scopes, days, user, is_app_password=is_app_password)
        token = ApiToken(
            user_id=user.id,
            name=name,
            token_hash=hash_token(text),
            scopes=" ".join(chosen),
            is_app_password=is_app_password,
            created_at=now,
            expires_at=now + timedelta(days=days),
        )
        session.add(token)
        session.flush()
        audit.record(
            audit.Action.TOKEN_CREATED,
            owner=user.email,
            name=name,
            id=str(token.public_id),
            scopes=token.scopes,
            days=days,
            is_app_password=is_app_password,
        )
        notices.tell(user, Notice.TOKEN_CREATED, name=name)
    return token, text


def of_user(user_id: int) -> Sequence[ApiToken]:
    """Somebody's tokens and app passwords, the newest first; expired ones are among them."""
    return db.session.scalars(
        select(ApiToken)
        .where(ApiToken.user_id == user_id)
        .order_by(ApiToken.created_at.desc(), ApiToken.id.desc())
    ).all()


def count_live(user_id: int) -> int:
    """How many of somebody's tokens work."""
    query = select(func.count()).where(ApiToken.user_id == user_id, ApiToken.expires_at > utcnow())
    return db.session.scalar(query) or 0


def revoke(user: User, token_id: uuid.UUID) -> str:
    """End one of somebody's tokens at once; answers its name. Raises `NotFound`."""
    with transaction():
        ended = _end(user, ApiToken.public_id == token_id)
        if not ended:
            raise NotFound
    return ended[0]


def revoke_all(user: User) -> int:
    """End all of somebody's tokens at once; answers how many. May be part of a transaction."""
    with transaction():
        return len(_end(user))


def with_token(text: str) -> Holder:
    """Whoever holds a token that works, in one query. Raises `TokenRefused` or `TooManyTries`."""
    holder = _look_up(text)
    if isinstance(holder, _Refused):
        holder.raise_(TokenRefused(), throttle.for_tokens(audit.origin.get().address))
    return holder


def with_app_password(email: str, password: str) -> Holder:
    """Whoever signs in with Basic authentication, in one query; no other password works there.

    Raises `AppPasswordRefused` after the same work whether or not the account exists, and
    `TooManyTries` where an account or an address was tried too often.
    """
    email = normalised(email)
    holder = _look_up(password, email)
    if isinstance(holder, _Refused):
        holder.raise_(
            AppPasswordRefused(),
            throttle.for_app_passwords(email),
            throttle.for_tokens(audit.origin.get().address),
        )
    return holder


def touch(holder: Holder) -> None:
    """Note that a token is in use, and from where; writes at most once a minute, if it can."""
    now = utcnow()
    stale = now - _TOUCH_EVERY
    if holder.last_used_at is not None and holder.last_used_at > stale:
        return
    with suppress(Busy), transaction() as session:
        session.execute(
            update(ApiToken)
            .where(
                ApiToken.id == holder.token_id,
                or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at <= stale),
            )
            .values(last_used_at=now, last_address=audit.origin.get().address[:64])
        )


def forget_expired() -> int:
    """Remove those that ended long ago; answers how many."""
    with transaction() as session:
        gone = session.execute(
            delete(ApiToken)
            .where(ApiToken.expires_at <= utcnow() - KEPT_AFTER_END)
            .returning(ApiToken.id)
        ).all()
    return len(gone)


@dataclass(frozen=True, slots=True)
class _Refused:
    """Why nobody is let in: for the log, never for whoever tries."""

    reason: str
    owner: str = ""
    name: str = ""

    def raise_(self, refusal: PortalError, *limits: Limit) -> NoReturn:
        facts: dict[str, Any] = {"name": self.name} if self.name else {}
        try:
            throttle.count(*limits)
        except TooManyTries:
            audit.record_alone(
                audit.Action.TOKEN_REFUSED, owner=self.owner, reason="throttled", **facts
            )
            raise
        audit.record_alone(
            audit.Action.TOKEN_REFUSED, owner=self.owner, reason=self.reason, **facts
        )
        raise refusal


def _look_up(text: str, email: str | None = None) -> Holder | _Refused:
    row = _BY_TOKEN.ask(token_hash=hash_token(text))
    if row is None:
        return _Refused("unknown")
    *facts, last_used_at, scopes, is_app_password, expires_at, disabled_at, owes = row
    owner, name, role = facts[2], facts[8], facts[4]
    if is_app_password != (email is not None) or (is_app_password and owner != email):
        return _Refused("used in the wrong place", owner, name)
    if expires_at <= utcnow():
        return _Refused("expired", owner, name)
    if disabled_at is not None:
        return _Refused("its account is disabled", owner, name)
    allowed = frozenset(Scope) if role == Role.ADMIN else frozenset(Scope) - ADMINS_SCOPES
    given = frozenset(scope for scope in allowed if scope in scopes.split())
    return Holder(*(*facts, last_used_at, given, owes))


def _check(
    name: str, scopes: Iterable[str], days: int, user: User, *, is_app_password: bool
) -> list[Scope]:
    errors = {}
    if not (1 <= len(name) <= LONGEST_NAME and name.isprintable() and _WORDS.search(name)):
        errors["name"] = f"Enter a name of 1 to {LONGEST_NAME} characters."
    if not 1 <= days <= MOST_DAYS:
        errors["days"] = f"Choose between 1 and {MOST_DAYS} days."
    asked = set(scopes)
    chosen = [scope for scope in Scope if scope in asked]
    if not chosen:
        errors["scope"] = "Choose at least one thing that it may do."
    elif len(chosen) < len(asked):
        errors["scope"] = "There is no such scope."
    elif ADMINS_SCOPES & asked and not user.is_admin:
        errors["scope"] = "Only an admin can choose this."
    elif is_app_password and not asked <= APP_PASSWORD_SCOPES:
        errors["scope"] = "An app password can only read and change documents."
    if errors:
        raise Invalid(" ".join(errors.values()), errors=errors)
    return chosen


def _end(user: User, *which: Any) -> list[str]:
    with transaction() as session:
        names = session.scalars(
            delete(ApiToken)
            .where(ApiToken.user_id == user.id, *which)
            .returning(ApiToken.name)
            .execution_options(synchronize_session=False)
        ).all()
        for name in names:
            audit.record(audit.Action.TOKEN_REVOKED, owner=user.email, name=name)
    return list(names)


_BY_TOKEN = Question(
    select(
        *PERSON,
        ApiToken.id,
        ApiToken.name,
        ApiToken.last_used_at,
        ApiToken.scopes,
        ApiToken.is_app_password,
        ApiToken.expires_at,
        User.disabled_at,
        OWES_SECOND_FACTOR.label("owes_second_factor"),
    )
    .join(User, User.id == ApiToken.user_id)
    .where(ApiToken.token_hash == bindparam("token_hash", type_=LargeBinary))
)
