"""Sign-ins that wait for their second factor: they open nothing, and end after ten minutes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select

from portal.database import transaction
from portal.extensions import db
from portal.models import PendingSignIn, User, utcnow
from portal.tokens import hash_token, new_token

LASTS = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Whose first proof was right, and what the sign-in was asked for."""

    user_id: int
    email: str
    #: What the first proof was.
    how: str
    is_remembered: bool


def begin(user: User, *, how: str, remember: bool) -> str:
    """Wait for the second factor of `user`, within a transaction; answers the token."""
    token = new_token()
    with transaction() as session:
        session.add(
            PendingSignIn(
                token_hash=hash_token(token),
                user_id=user.id,
                how=how,
                is_remembered=remember,
                expires_at=utcnow() + LASTS,
            )
        )
    return token


def find(token: str) -> Waiting | None:
    """Whoever waits with `token`; None once that is over in any way."""
    row = db.session.execute(
        select(User.id, User.email, PendingSignIn.how, PendingSignIn.is_remembered)
        .join(User, User.id == PendingSignIn.user_id)
        .where(
            PendingSignIn.token_hash == hash_token(token),
            PendingSignIn.expires_at > utcnow(),
            User.disabled_at.is_(None),
        )
    ).one_or_none()
    return Waiting(*row) if row else None


def take(token: str) -> bool:
    """End the waiting, within a transaction; of several who try, one is told that it was there."""
    with transaction() as session:
        taken = session.execute(
            delete(PendingSignIn)
            .where(
                PendingSignIn.token_hash == hash_token(token), PendingSignIn.expires_at > utcnow()
            )
            .returning(PendingSignIn.id)
        ).one_or_none()
    return taken is not None
