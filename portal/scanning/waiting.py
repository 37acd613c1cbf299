"""What waits to be scanned. The versions themselves are the queue.

One is claimed by moving its `next_scan_at` behind a lease, which is renewed while the scan goes
on. Whoever dies in between leaves one that is scanned again when the lease is over. Those who
upload take turns: ten thousand files of one keep nobody else's waiting.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, update

from portal.config import Settings
from portal.database import transaction
from portal.extensions import db
from portal.jobs.turns import Turns, next_in_turn
from portal.models import Document, Scan, Version, utcnow

LEASE = timedelta(minutes=1)
#: After so many tries in vain, the next one comes so much later; then always the last of these.
PAUSES = tuple(timedelta(seconds=each) for each in (5, 15, 60, 180, 300))
#: How many from the time before there was a scanner are put into the queue at once: few, so that
#: what was just uploaded does not wait behind them.
_BATCH = 50


class Lost(Exception):
    """The version is gone, or somebody else scans it by now."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A version that nobody else scans until `lease`."""

    version_id: int
    document_id: uuid.UUID
    number: int
    blob: str
    size_bytes: int
    tries: int
    uploaded_by_id: int
    lease: datetime


@dataclass(frozen=True, slots=True)
class Figures:
    """How many versions wait (those from before the scanner too), and are blocked."""

    waiting: int
    #: When the one that waits longest was uploaded.
    oldest_at: datetime | None
    blocked: int


def first_state(settings: Settings) -> dict[str, Any]:
    """The columns of a version that is just stored, as far as scanning is concerned."""
    waits = settings.clamd_url is not None
    return {
        "scan": Scan.WAITING if waits else Scan.NONE,
        "next_scan_at": utcnow() if waits else None,
        "scan_tries": 0,
        "threat": "",
        "scanned_at": None,
    }


def state_of_copy(version: Version, settings: Settings) -> dict[str, Any]:
    """The same of one that has the very bytes of `version`: what is clean stays clean."""
    state = first_state(settings)
    if version.scan != Scan.CLEAN:
        return state
    return {**state, "scan": Scan.CLEAN, "next_scan_at": None, "scanned_at": version.scanned_at}


def is_due() -> bool:
    """Whether something waits whose time has come. Takes nobody's turn to write."""
    found = db.session.scalar(select(Version.id).where(_due()).limit(1))
    db.session.commit()
    return found is not None


def claim(last: int = 0) -> Claim | None:
    """Take one of whoever comes after `last` uploaded; None where none is due.

    What failed before goes last, as files that take the scanner minutes each time would otherwise
    keep everybody else's waiting; of one person the one due for longest comes first.
    """
    lease = utcnow() + LEASE
    with transaction() as session:
        found = next_in_turn(
            session,
            select(
                Version.id,
                Document.public_id,
                Version.number,
                Version.blob,
                Version.size_bytes,
                Version.scan_tries,
                Version.uploaded_by_id,
            )
            .join(Document, Document.id == Version.document_id)
            .where(_due()),
            Turns(Version.scan_tries, Version.uploaded_by_id, Version.next_scan_at),
            last,
        )
        if found is None:
            return None
        session.execute(
            update(Version)
            .where(Version.id == found.id)
            .values(next_scan_at=lease)
            .execution_options(synchronize_session=False)
        )
    facts: list[Any] = [*found, lease]
    return Claim(*facts)


def renew(claim: Claim) -> Claim:
    """The same claim for a while longer. Raises `Lost`."""
    lease = utcnow() + LEASE
    _change(claim, next_scan_at=lease)
    return replace(claim, lease=lease)


def give_back(claim: Claim) -> None:
    """Let it be scanned at once, by anybody; it was not a try."""
    _change(claim, next_scan_at=utcnow())


def put_off(claim: Claim) -> None:
    """It could not be scanned: again after a pause that grows."""
    pause = PAUSES[min(claim.tries, len(PAUSES) - 1)]
    _change(claim, next_scan_at=utcnow() + pause, scan_tries=claim.tries + 1)


def mark_clean(claim: Claim) -> None:
    """The scanner found nothing. Raises `Lost`."""
    _change(claim, scan=Scan.CLEAN, scanned_at=utcnow(), next_scan_at=None, scan_tries=0, threat="")


def enqueue_older(after_id: int) -> int | None:
    """Have some versions scanned that were stored when there was no scanner.

    Answers the id to go on after, or None where there are no more.
    """
    ids = db.session.scalars(
        select(Version.id)
        .where(Version.id > after_id, Version.scan == Scan.NONE)
        .order_by(Version.id)
        .limit(_BATCH)
    ).all()
    db.session.commit()
    if not ids:
        return None
    with transaction() as session:
        session.execute(
            update(Version)
            .where(Version.id.in_(ids), Version.scan == Scan.NONE)
            .values(scan=Scan.WAITING, next_scan_at=utcnow())
            .execution_options(synchronize_session=False)
        )
    return ids[-1]


def figures(settings: Settings) -> Figures:
    """How many wait and are blocked now. Without a scanner nothing waits."""
    found = db.session.execute(
        select(Version.scan, func.count(), func.min(Version.uploaded_at)).group_by(Version.scan)
    ).all()
    db.session.commit()
    waiting, oldest_at, blocked = 0, None, 0
    for state, count, oldest in found:
        if state == Scan.INFECTED:
            blocked = count
        elif state != Scan.CLEAN and settings.clamd_url is not None:
            waiting += count
            oldest_at = oldest if oldest_at is None else min(oldest_at, oldest)
    return Figures(waiting, oldest_at, blocked)


def _due() -> ColumnElement[bool]:
    return and_(Version.next_scan_at <= utcnow(), Version.scan == Scan.WAITING)


def _change(claim: Claim, **values: Any) -> None:
    with transaction() as session:
        changed = session.execute(
            update(Version)
            .where(
                Version.id == claim.version_id,
                # Once the lease is over, the version is somebody else's.
                Version.next_scan_at == claim.lease,
                Version.scan == Scan.WAITING,
            )
            .values(**values)
            .returning(Version.id)
            .execution_options(synchronize_session=False)
        ).one_or_none()
    if changed is None:
        raise Lost
