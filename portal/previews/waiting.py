"""What waits to be drawn: the newest version of each document, once it may leave.

A row is put there by the worker, which looks for versions it has not seen, and not by the
upload: that costs uploads nothing, and whatever made a version, it is found. One is claimed
by moving its next try behind a lease, and that counts as a try: who dies of a document has
tried it. Those who upload take turns: ten thousand documents of one keep nobody else's waiting.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from portal import access, database
from portal.database import transaction
from portal.extensions import db
from portal.jobs.turns import Turns, next_in_turn
from portal.models import Document, Drawing, PreviewState, Scan, User, Version, utcnow
from portal.previews import kinds

#: Longer than any drawing may take, with LibreOffice before it.
LEASE = timedelta(minutes=10)
#: How often one is begun at most, and the pauses in between.
TRIES = 3
PAUSES = (timedelta(seconds=20), timedelta(minutes=2))
#: How many versions are looked through at once.
_BATCH = 1000
#: PostgreSQL may show a version after one with a higher number.
_OVERLAP = 200


class Lost(Exception):
    """The version is gone, or somebody else draws it by now."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A version that nobody else draws until `lease`."""

    version_id: int
    document_id: uuid.UUID
    owner_id: uuid.UUID
    blob: str
    size_bytes: int
    media_type: str
    tries: int
    uploaded_by_id: int
    lease: datetime


@dataclass(frozen=True, slots=True)
class Figures:
    """How many documents wait to be drawn, and of how many there will be no picture."""

    waiting: int
    impossible: int


def enqueue(after_id: int) -> int | None:
    """Put the newest versions above `after_id` into the queue that can be drawn.

    Answers the id to go on after, or None where that was the end.
    """
    found = db.session.execute(
        select(Version.id, Version.media_type, Version.uploaded_by_id)
        .join(Document, _is_newest())
        .outerjoin(PreviewState, PreviewState.version_id == Version.id)
        .where(
            Version.id > after_id, PreviewState.version_id.is_(None), Version.scan != Scan.INFECTED
        )
        .order_by(Version.id)
        .limit(_BATCH)
    ).all()
    db.session.commit()
    rows: list[dict[str, Any]] = [
        {
            "version_id": row.id,
            "state": Drawing.PENDING,
            "next_try_at": utcnow(),
            "uploaded_by_id": row.uploaded_by_id,
        }
        for row in found
        if kinds.drawable(row.media_type)
    ]
    if rows:
        _add(rows)
    return found[-1].id if len(found) == _BATCH else None


def newest_id() -> int:
    """From where on new versions are to be looked for from now on."""
    newest = db.session.scalar(select(func.max(Version.id))) or 0
    db.session.commit()
    return max(newest - _OVERLAP, 0)


def claim(last: int = 0) -> Claim | None:
    """Take one of whoever comes after `last` uploaded; None where none is due.

    What was tried before goes last; of one person the one due for longest comes first.
    """
    # In the order of the index, so that no database thinks of looking through all versions.
    any_due = _due(select(PreviewState.version_id)).order_by(PreviewState.tries).limit(1)
    if db.session.scalar(any_due) is None:
        db.session.commit()
        return None
    lease = utcnow() + LEASE
    with transaction() as session:
        found = next_in_turn(
            session,
            _due(
                select(
                    Version.id,
                    Document.public_id,
                    User.public_id,
                    Version.blob,
                    Version.size_bytes,
                    Version.media_type,
                    PreviewState.tries,
                    PreviewState.uploaded_by_id,
                )
            ).join(User, User.id == Document.owner_id),
            Turns(PreviewState.tries, PreviewState.uploaded_by_id, PreviewState.next_try_at),
            last,
        )
        if found is None:
            return None
        session.execute(
            update(PreviewState)
            .where(PreviewState.version_id == found[0])
            .values(next_try_at=lease, tries=PreviewState.tries + 1)
        )
    facts: list[Any] = [*found, lease]
    return Claim(*facts)


def give_back(claim: Claim) -> None:
    """Let it be drawn at once, by anybody; it was not a try."""
    _change(claim, next_try_at=utcnow(), tries=claim.tries)


def put_off(claim: Claim) -> bool:
    """Let it be tried once more after a pause; answers False where it was the last try."""
    if claim.tries + 1 >= TRIES:
        refuse(claim, "failed")
        return False
    _change(claim, next_try_at=utcnow() + PAUSES[claim.tries])
    return True


def refuse(claim: Claim, reason: str) -> None:
    """Write down that it will never be drawn."""
    _change(claim, state=Drawing.IMPOSSIBLE, reason=reason, next_try_at=None)


def mark_made(claim: Claim, page_count: int) -> None:
    """Write down that its pictures are there, in the transaction that puts them there."""
    _change(claim, state=Drawing.MADE, reason="", next_try_at=None, page_count=page_count)


def draw_again(version_blob: str) -> None:
    """Have the pictures of a version made once more, because one of them is not there."""
    of_blob = select(Version.id).where(Version.blob == version_blob).scalar_subquery()
    with transaction() as session:
        session.execute(
            update(PreviewState)
            .where(PreviewState.version_id == of_blob, PreviewState.state == Drawing.MADE)
            .values(state=Drawing.PENDING, next_try_at=utcnow(), tries=0)
            .execution_options(synchronize_session=False)
        )


def figures() -> Figures:
    """How many wait now, and how many are given up. What the scanner keeps waits for that first."""
    found = db.session.execute(
        select(PreviewState.state, func.count())
        .join(Version, Version.id == PreviewState.version_id)
        .where(or_(PreviewState.state != Drawing.PENDING, access.may_leave()))
        .group_by(PreviewState.state)
    ).all()
    db.session.commit()
    counts: dict[str, int] = {row[0]: row[1] for row in found}
    return Figures(counts.get(Drawing.PENDING, 0), counts.get(Drawing.IMPOSSIBLE, 0))


def _is_newest() -> ColumnElement[bool]:
    return and_(Document.id == Version.document_id, Document.version == Version.number)


def _due(statement: Any) -> Any:
    """Narrow a statement down to what can be drawn now."""
    return (
        statement.select_from(PreviewState)
        .join(Version, Version.id == PreviewState.version_id)
        .join(Document, _is_newest())
        .where(
            PreviewState.next_try_at <= utcnow(),
            PreviewState.state == Drawing.PENDING,
            access.may_leave(),
        )
    )


def _change(claim: Claim, **values: Any) -> None:
    with transaction() as session:
        changed = session.execute(
            update(PreviewState)
            .where(
                PreviewState.version_id == claim.version_id,
                # Once the lease is over, the version is somebody else's.
                PreviewState.next_try_at == claim.lease,
            )
            .values(**values)
            .returning(PreviewState.version_id)
            .execution_options(synchronize_session=False)
        ).one_or_none()
        if changed is None:
            raise Lost


def _add(rows: list[dict[str, Any]]) -> None:
    dialect = sqlite if database.is_sqlite() else postgresql
    whole = [{"reason": "", "page_count": 0, "tries": 0, **row} for row in rows]
    with transaction() as session:
        # Another worker may see them at the same moment, and one may be deleted at it.
        there = set(
            session.scalars(
                select(Version.id).where(Version.id.in_([row["version_id"] for row in rows]))
            )
        )
        whole = [row for row in whole if row["version_id"] in there]
        if whole:
            session.execute(dialect.insert(PreviewState).values(whole).on_conflict_do_nothing())
