"""Are the stored bytes still those that came? Each blob is hashed again and again, by the clock.

The versions themselves are the queue, as they are for the scanner: whoever takes some moves their
`next_verify_at` behind a lease, so that several workers share the work, and what one was killed
over is done by another. What is wrong is written down once, told to the admins, and looked at
again every hour: bytes that were put back from a backup are handed out again.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update

from portal import audit, storage
from portal.config import Settings
from portal.database import transaction
from portal.errors import StorageUnavailable
from portal.extensions import db
from portal.jobs.pace import Pace, Rest
from portal.mail import notices
from portal.models import Document, Role, User, Version, utcnow
from portal.storage import BlobMissing

log = logging.getLogger(__name__)

#: For so long nobody else verifies what one has taken; it is renewed while the work goes on.
LEASE = timedelta(minutes=10)
_RENEW_SECONDS = LEASE.total_seconds() / 4
#: When damaged bytes are looked at again.
AGAIN = timedelta(hours=1)
#: So many versions are taken at once, and so many bytes: two commits for all of them.
_BATCH = 100
_BATCH_BYTES = 64 * 1024 * 1024
#: So many times as long as it worked it rests: an eighth of a core's time is work, at most.
REST = 7.0
#: How many rows are read at a time by who verifies everything.
_PAGE = 500


class Stopped(Exception):
    """The worker was told to stop in the middle."""


@dataclass(frozen=True, slots=True)
class Item:
    """A version whose bytes are to be verified."""

    version_id: int
    blob: str
    size_bytes: int
    sha256: bytes
    is_damaged: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found: nothing, or what is the matter, as a sentence that begins with the file."""

    item: Item
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the round is."""

    total: int
    #: Whole, and verified within the days of the setting.
    verified: int
    damaged: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A version whose stored bytes are damaged, for admins."""

    document_id: uuid.UUID
    number: int
    name: str
    owner_id: uuid.UUID
    owner_name: str
    damaged_at: datetime


def verify_some(settings: Settings, rest: Rest) -> int:
    """Verify a few of those that are due, resting seven times as long as working.

    Answers how many; 0 where none is due. Raises `Stopped` when `rest` does: what was verified by
    then is written down, the others are given back. Raises `StorageUnavailable` or `Busy`.
    """
    pace = Pace(rest, REST)
    lease = utcnow() + LEASE
    items = _claim(settings, lease)
    if not items:
        return 0
    with audit.acting(audit.Origin("system")):
        return _verify(items, lease, pace)


def _verify(items: Sequence[Item], lease: datetime, pace: Pace) -> int:
    held = _Held(items, lease, pace)
    done: list[Verdict] = []
    try:
        for item in items:
            done.append(_examine(item, held.after_block))
            pace.keep()
    except StorageUnavailable:
        # What cannot even be asked for keeps no other from being verified.
        held.put_off(items[len(done)])
        raise
    finally:
        # Whatever ended it: what is known is known.
        _write_down(done)
        held.give_back(items[len(done) :])
    pace.keep()
    return len(done)


def verify_everything(told: Callable[[int], None]) -> Iterator[tuple[Item, str]]:
    """Verify all there is now, at full speed; answers what is damaged, and what is the matter.

    `told` hears of bytes that were read. Everything is written down as the worker does it.
    """
    last = 0
    while True:
        items = [
            Item(*row)
            for row in db.session.execute(
                _ITEMS.where(Version.id > last).order_by(Version.id).limit(_PAGE)
            )
        ]
        db.session.commit()
        for item in items:
            verdict = _examine(item, told)
            _write_down([verdict])
            last = item.version_id
            if verdict.problem:
                yield item, verdict.problem
        if len(items) < _PAGE:
            return


def all_bytes() -> int:
    """How many bytes there are to verify."""
    total = db.session.scalar(select(func.coalesce(func.sum(Version.size_bytes), 0)))
    db.session.commit()
    return int(total or 0)


def progress(settings: Settings) -> Progress:
    """How far the round is now."""
    since = utcnow() - timedelta(days=settings.verify_days)
    total = db.session.scalar(select(func.count(Version.id)))
    verified = db.session.scalar(
        select(func.count(Version.id)).where(
            Version.verified_at >= since, Version.damaged_at.is_(None)
        )
    )
    damaged = db.session.scalar(
        select(func.count(Version.id)).where(Version.damaged_at.is_not(None))
    )
    db.session.commit()
    return Progress(total or 0, verified or 0, damaged or 0)


def findings(most: int) -> Sequence[Finding]:
    """What is damaged now, the oldest finding first; at most so many."""
    found: Sequence[Sequence[Any]] = db.session.execute(
        select(
            Document.public_id,
            Version.number,
            Document.name,
            User.public_id,
            User.name,
            Version.damaged_at,
        )
        .join(Document, Document.id == Version.document_id)
        .join(User, User.id == Document.owner_id)
        .where(Version.damaged_at.is_not(None))
        .order_by(Version.damaged_at, Version.id)
        .limit(most)
    ).all()
    db.session.commit()
    return [Finding(*row) for row in found]


class _Held:
    """Versions that nobody else verifies, for as long as it takes."""

    def __init__(self, items: Sequence[Item], lease: datetime, pace: Pace) -> None:
        self._ids = [item.version_id for item in items]
        self._lease = lease
        self._pace = pace
        self._renewed_at = time.monotonic()

    def after_block(self, _length: int) -> None:
        if time.monotonic() - self._renewed_at > _RENEW_SECONDS:
            lease = utcnow() + LEASE
            self._change(self._ids, lease)
            self._lease, self._renewed_at = lease, time.monotonic()
        self._pace.keep()

    def give_back(self, items: Sequence[Item]) -> None:
        """Let anybody take them at once."""
        if items:
            self._change([item.version_id for item in items], utcnow())

    def put_off(self, item: Item) -> None:
        """Let nobody take it for a while."""
        self._change([item.version_id], utcnow() + AGAIN)

    def _change(self, ids: Sequence[int], moment: datetime) -> None:
        with transaction() as session:
            session.execute(
                update(Version)
                .where(Version.id.in_(ids), Version.next_verify_at == self._lease)
                .values(next_verify_at=moment)
                .execution_options(synchronize_session=False)
            )


_ITEMS = select(
    Version.id, Version.blob, Version.size_bytes, Version.sha256, Version.damaged_at.is_not(None)
)


def _claim(settings: Settings, lease: datetime) -> list[Item]:
    """Take those that are due: never verified first, then verified longest ago, then damaged."""
    if not settings.verify_days or not any(_is_any(each) for each, _ in _due(settings)):
        return []  # without taking anybody's turn to write
    with transaction() as session:
        for condition, order in _due(settings):
            found = [
                Item(*row)
                for row in session.execute(
                    _ITEMS.where(condition)
                    .order_by(*order)
                    .limit(_BATCH)
                    .with_for_update(skip_locked=True)
                )
            ]
            if items := _within_reason(found):
                session.execute(
                    update(Version)
                    .where(Version.id.in_([item.version_id for item in items]))
                    .values(next_verify_at=lease)
                    .execution_options(synchronize_session=False)
                )
                return items
    return []


def _is_any(condition: ColumnElement[bool]) -> bool:
    found = db.session.scalar(select(Version.id).where(condition).limit(1))
    db.session.commit()
    return found is not None


def _due(settings: Settings) -> Iterator[tuple[ColumnElement[bool], Sequence[Any]]]:
    """What is due, in the order in which it is taken; each as an index has it."""
    now = utcnow()
    is_free = or_(Version.next_verify_at.is_(None), Version.next_verify_at <= now)
    is_whole = and_(Version.damaged_at.is_(None), is_free)
    before = now - timedelta(days=settings.verify_days)
    yield and_(Version.verified_at.is_(None), is_whole), (Version.id,)
    yield and_(Version.verified_at < before, is_whole), (Version.verified_at, Version.id)
    yield and_(Version.damaged_at.is_not(None), is_free), (Version.damaged_at, Version.id)


def _within_reason(found: Sequence[Item]) -> list[Item]:
    items: list[Item] = []
    size_bytes = 0
    for item in found:
        size_bytes += item.size_bytes
        if items and size_bytes > _BATCH_BYTES:
            break
        items.append(item)
    return items


def _examine(item: Item, after_block: Callable[[int], None]) -> Verdict:
    """Hash the bytes of a version. Holds no transaction. Raises `StorageUnavailable`."""
    problem = _problem(item, after_block)
    if problem and not item.is_damaged:
        # A cable or a memory may have erred once: only what is found twice is a finding.
        problem = _problem(item, after_block)
        if not problem:
            log.warning("%s was read wrongly once, and rightly after that", item.blob)
    return Verdict(item, problem)


def _problem(item: Item, after_block: Callable[[int], None]) -> str:
    try:
        digest = storage.current().digest(item.blob, item.size_bytes, after_block)
    except BlobMissing as error:
        return str(error)
    return "" if digest == item.sha256 else "was changed"


def _write_down(verdicts: Sequence[Verdict]) -> None:
    whole = [each.item for each in verdicts if not each.problem and not each.item.is_damaged]
    if whole:
        with transaction() as session:
            session.execute(
                update(Version)
                .where(Version.id.in_([item.version_id for item in whole]), _is_not_damaged())
                .values(verified_at=utcnow(), next_verify_at=None)
                .execution_options(synchronize_session=False)
            )
    for verdict in verdicts:
        if verdict.problem:
            _write_damage(verdict.item, verdict.problem)
        elif verdict.item.is_damaged:
            _write_mended(verdict.item)


def _is_not_damaged() -> ColumnElement[bool]:
    return Version.damaged_at.is_(None)


def _write_damage(item: Item, problem: str) -> None:
    """Let nobody have the bytes, and tell the admins; once, whoever finds it how often."""
    with transaction() as session:
        now = utcnow()
        found = session.execute(
            update(Version)
            .where(Version.id == item.version_id, Version.blob == item.blob, _is_not_damaged())
            .values(damaged_at=now, next_verify_at=now + AGAIN)
            .returning(Version.document_id, Version.number)
            .execution_options(synchronize_session=False)
        ).one_or_none()
        if found is None:  # deleted in the meantime, or known
            session.execute(
                update(Version)
                .where(Version.id == item.version_id, Version.damaged_at.is_not(None))
                .values(next_verify_at=now + AGAIN)
                .execution_options(synchronize_session=False)
            )
            return
        document, owner = _note(
            audit.Action.DAMAGED, found.document_id, found.number, problem=problem
        )
        admins = session.scalars(
            select(User)
            .where(User.role == Role.ADMIN, User.disabled_at.is_(None))
            .order_by(User.id)
        ).all()
        for admin in admins:
            notices.tell_of_damage(admin, document, owner, found.number, problem)
    log.error(
        "the stored file of version %d of document %s %s",
        found.number,
        document.public_id,
        problem,
    )


def _write_mended(item: Item) -> None:
    with transaction() as session:
        mended = session.execute(
            update(Version)
            .where(Version.id == item.version_id, Version.damaged_at.is_not(None))
            .values(damaged_at=None, verified_at=utcnow(), next_verify_at=None)
            .returning(Version.document_id, Version.number)
            .execution_options(synchronize_session=False)
        ).one_or_none()
        if mended is not None:
            _note(audit.Action.MENDED, mended.document_id, mended.number)


def _note(
    action: audit.Action, document_id: int, number: int, **more: str
) -> tuple[Document, User]:
    document = db.session.get_one(Document, document_id, populate_existing=True)
    owner = db.session.get_one(User, document.owner_id)
    audit.record(
        action,
        document=document.public_id,
        owner=owner.email,
        name=document.name,
        version=number,
        **more,
    )
    return document, owner
