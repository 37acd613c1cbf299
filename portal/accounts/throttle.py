"""Slowing down guesses: counts kept in the database, so every process and machine shares them.

A try is counted before it is judged; a hundred guesses at the same moment are a hundred.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from sqlalchemy import case, delete, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from portal.addresses import network_of
from portal.database import is_sqlite, transaction
from portal.errors import Busy, TooManyTries
from portal.models import Throttle, utcnow


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `tries` within `window` of something said by `kind` and `subject`."""

    kind: str
    subject: str
    tries: int
    window: timedelta

    @property
    def key(self) -> str:
        return f"{self.kind}:{hashlib.sha256(self.subject.encode()).hexdigest()[:48]}"


def for_account(email: str) -> Limit:
    """Guesses at one account's password, whether the account exists or not."""
    return Limit("account", email, 10, timedelta(minutes=15))


def for_address(address: str) -> Limit:
    """Guesses that come from one network address, at whichever account.

    Of an IPv6 address the network counts: whoever has one address there has all of them.
    """
    return Limit("address", network_of(address), 60, timedelta(minutes=15))


def for_passkeys(address: str) -> Limit:
    """Passkeys that were refused, from one network address.

    Apart from `for_address`: no passkey can be guessed, so that whoever has one still gets in
    while others at the same address guess passwords.
    """
    return Limit("passkey", network_of(address), 60, timedelta(minutes=15))


def for_proof(email: str) -> Limit:
    """Guesses at the current password by somebody who is signed in already.

    Apart from `for_account`: strangers who guess at an account keep nobody from changing a
    password, and whoever sits at an unlocked screen gains nothing by the tries of strangers.
    """
    return Limit("proof", email, 10, timedelta(minutes=15))


def for_device(device: str) -> Limit:
    """Guesses from a browser that was signed in to the account before; `device` is its token."""
    return Limit("device", device, 10, timedelta(minutes=15))


def for_link(link: str) -> Limit:
    """Guesses at the password of one share link."""
    return Limit("link", link, 10, timedelta(minutes=15))


def for_tokens(address: str) -> Limit:
    """Wrong tokens and app passwords from one network address.

    Apart from `for_address`: a program with an old token keeps nobody beside it from signing in.
    """
    return Limit("token", network_of(address), 60, timedelta(minutes=15))


def for_app_passwords(email: str) -> Limit:
    """Wrong app passwords for one account, whether the account exists or not."""
    return Limit("app-password", email, 10, timedelta(minutes=15))


def for_second_factor(email: str) -> Limit:
    """Guesses at the codes of one account: of a million, three are right at any moment."""
    return Limit("second factor", email, 5, timedelta(minutes=15))


def for_reset(email: str) -> Limit:
    """Mails with an address to choose a new password, to one account; whether it exists or not."""
    return Limit("reset", email, 5, timedelta(hours=1))


def for_resets_from(address: str) -> Limit:
    """Such mails asked for from one network address, for whichever accounts."""
    return Limit("resets", network_of(address), 30, timedelta(minutes=15))


def for_email_change(email: str) -> Limit:
    """Mails that one account can have sent to addresses which may be anybody's."""
    return Limit("email-change", email, 5, timedelta(hours=1))


def count(*limits: Limit) -> None:
    """Count one try against every limit. Raises `TooManyTries` where one is spent."""
    now = utcnow()
    with transaction() as session:
        for limit in limits:
            tries, ends_at = _count(session, limit, now)
            if tries > limit.tries:
                wait = max(1, ceil((ends_at - now).total_seconds()))
                raise TooManyTries(
                    "There were too many tries in a short time.",
                    cure=f"Wait {ceil(wait / 60)} min and try again.",
                    retry_after=wait,
                )


def forgive(spent: Limit, *others: Limit) -> None:
    """After a success: forget all tries at `spent`, and give one back to `others`."""
    with transaction():
        clear(spent)
        give_back(*others)


def clear(*limits: Limit) -> None:
    """Forget all tries: somebody proved in another way who they are, or was let in by an admin."""
    with transaction() as session:
        keys = [limit.key for limit in limits]
        session.execute(delete(Throttle).where(Throttle.key.in_(keys)))


def give_back(*limits: Limit) -> None:
    """Take one try off each count: it was right, or was never judged."""
    with transaction() as session:
        for limit in limits:
            session.execute(
                update(Throttle)
                .where(Throttle.key == limit.key, Throttle.tries > 0)
                .values(tries=Throttle.tries - 1)
            )


def is_first_use(secret: str, window: timedelta) -> bool:
    """Whether a single-use `secret` is used for the first time within `window`.

    Of many who ask at the same moment, one is told yes.
    """
    with transaction() as session:
        uses, _ = _count(session, Limit("single use", secret, 1, window), utcnow())
    return uses == 1


@contextmanager
def judging(*limits: Limit) -> Iterator[None]:
    """Give a counted try back where it could not be judged because the portal was busy."""
    try:
        yield
    except Busy:
        give_back(*limits)
        raise


def _count(session: Session, limit: Limit, now: datetime) -> tuple[int, datetime]:
    make: Any = sqlite.insert if is_sqlite() else postgresql.insert
    is_over = Throttle.ends_at <= now
    statement = (
        make(Throttle)
        .values(key=limit.key, tries=1, ends_at=now + limit.window)
        .on_conflict_do_update(
            index_elements=[Throttle.key],
            set_={
                "tries": case((is_over, 1), else_=Throttle.tries + 1),
                "ends_at": case((is_over, now + limit.window), else_=Throttle.ends_at),
            },
        )
        .returning(Throttle.tries, Throttle.ends_at)
    )
    row = session.execute(statement).one()
    return row.tries, row.ends_at
