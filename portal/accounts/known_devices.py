"""Browsers from which somebody signed in before: a sign-in from another one is worth a mail.

A browser keeps a random token in a cookie of its own, which opens nothing. Several people may
share it, so what is stored is its hash together with the account.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from portal.database import is_sqlite, transaction
from portal.extensions import db
from portal.models import KnownDevice, utcnow
from portal.tokens import hash_token, new_token

#: How long a browser is remembered after the last sign-in from it.
KEPT = timedelta(days=365)

_TOKEN = re.compile(r"[\w-]{43}", re.ASCII)


def is_known(user_id: int, token: str) -> bool:
    """Whether the browser that keeps `token` was signed in to this account before."""
    found = db.session.scalar(
        select(KnownDevice.id).where(
            KnownDevice.token_hash == _hash(user_id, token),
            KnownDevice.last_seen_at > utcnow() - KEPT,
        )
    )
    return found is not None


def remember(user_id: int, token: str) -> str:
    """Let the browser be known to this account; answers the token it must keep.

    That is `token`, or a new one where the browser keeps none of ours.
    """
    if not _TOKEN.fullmatch(token):
        token = new_token()
    make: Any = sqlite.insert if is_sqlite() else postgresql.insert
    now = utcnow()
    statement = (
        make(KnownDevice)
        .values(user_id=user_id, token_hash=_hash(user_id, token), created_at=now, last_seen_at=now)
        .on_conflict_do_update(
            index_elements=[KnownDevice.token_hash], set_={KnownDevice.last_seen_at: now}
        )
    )
    with transaction() as session:
        session.execute(statement)
    return token


def forget_others(user_id: int, token: str) -> None:
    """Let no browser but the one that keeps `token` be known to this account any more."""
    with transaction() as session:
        session.execute(
            delete(KnownDevice).where(
                KnownDevice.user_id == user_id, KnownDevice.token_hash != _hash(user_id, token)
            )
        )


def _hash(user_id: int, token: str) -> bytes:
    return hash_token(f"{user_id} {token}")
