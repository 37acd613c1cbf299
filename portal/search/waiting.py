"""What waits to be read and indexed. The versions themselves are the queue.

One is claimed by moving its `next_index_at` behind a lease, which is renewed while it is read.
Whoever dies in between leaves one that is read again when the lease is over, but not for ever: a
try counts when it begins. Every other time the newest of all comes first: what was just uploaded is
found within seconds, however much of older times is still to be read. In between those who upload
take turns: ten thousand documents of one keep nobody else's waiting.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from portal.access import readable_scans
from portal.database import transaction
from portal.extensions import db
from portal.models import Document, Scan, SearchPassage, SearchText, Version, utcnow
from portal.search import index
from portal.search.extract import ocr, reader_for
from portal.search.words import Passage

LEASE = timedelta(minutes=1)
#: Pauses before another try; after the last one, the document cannot be read.
PAUSES = tuple(timedelta(minutes=each) for each in (1, 10))
#: Passages written, and removed, in one transaction: others write in between.
_BATCH = 10


class Lost(Exception):
    """The version is gone or no longer the newest, or somebody else reads it by now."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A version that nobody else reads until `lease`."""

    version_id: int
    number: int
    document_id: int
    public_id: uuid.UUID
    owner_id: int
    blob: str
    size_bytes: int
    reader: str
    uploaded_by_id: int
    #: This one included.
    tries: int
    lease: datetime

    @property
    def is_last(self) -> bool:
        return self.tries > len(PAUSES)


@dataclass(frozen=True, slots=True)
class Figures:
    """How many documents wait to be read, and how many could not be."""

    waiting: int
    unreadable: int


def first_state(media_type: str, name: str) -> dict[str, Any]:
    """The columns of a version that is just stored, as far as searching is concerned."""
    return {"next_index_at": utcnow() if _reader(media_type, name) else None, "index_tries": 0}


def is_due() -> bool:
    """Whether something waits whose time has come. Takes nobody's turn to write."""
    found = any(
        db.session.scalar(select(Version.id).where(_due(state)).limit(1)) is not None
        for state in readable_scans()
    )
    db.session.commit()
    return found


def claim(last: int | None = None) -> Claim | None:
    """Take the one that came last, or of whoever comes after `last`; None where none is due."""
    lease = utcnow() + LEASE
    with transaction() as session:
        while (found := _newest_due(session, last)) is not None:
            reader = _reader(found.media_type, found.name)
            if reader and found.number == found.newest:
                _change(session, found.id, next_index_at=lease, index_tries=found.index_tries + 1)
                return Claim(
                    version_id=found.id,
                    number=found.number,
                    document_id=found.document_id,
                    public_id=found.public_id,
                    owner_id=found.owner_id,
                    blob=found.blob,
                    size_bytes=found.size_bytes,
                    reader=reader,
                    uploaded_by_id=found.uploaded_by_id,
                    tries=found.index_tries + 1,
                    lease=lease,
                )
            _change(session, found.id, next_index_at=None)
            if not reader:
                _replace(session, found.document_id, found.number)
    return None


def renew(claim: Claim) -> Claim:
    """The same claim for a while longer. Raises `Lost`."""
    lease = utcnow() + LEASE
    with transaction() as session:
        _check(session, claim)
        _change(session, claim.version_id, next_index_at=lease)
    return replace(claim, lease=lease)


def give_back(claim: Claim) -> None:
    """Let it be read at once, by anybody; it was not a try. Raises `Lost`."""
    with transaction() as session:
        _check(session, claim)
        _change(
            session, claim.version_id, next_index_at=utcnow(), index_tries=max(0, claim.tries - 1)
        )


def put_off(claim: Claim) -> None:
    """It could not be read this time: again after a pause. Raises `Lost`."""
    with transaction() as session:
        _check(session, claim)
        pause = PAUSES[min(claim.tries, len(PAUSES)) - 1]
        _change(session, claim.version_id, next_index_at=utcnow() + pause)


def give_up(claim: Claim, problem: str) -> None:
    """It cannot be read, for ever. Raises `Lost`."""
    with transaction() as session:
        _check(session, claim)
        _done(session, claim)
        _replace(session, claim.document_id, claim.number)
        session.add(
            SearchText(
                owner_id=claim.owner_id,
                document_id=claim.document_id,
                version=claim.number,
                problem=problem,
            )
        )


def keep(
    claim: Claim, passages: Sequence[Passage], after_each: Callable[[], None] = lambda: None
) -> None:
    """Put what was read into the index, where it is found once all of it is there.

    It is written a little at a time, and `after_each` called in between: nobody who uploads waits
    for a long text. Raises `Lost`.
    """
    with transaction() as session:
        _check(session, claim)
        text = SearchText(
            owner_id=claim.owner_id, version=claim.number, written_until=utcnow() + LEASE
        )
        session.add(text)
        session.flush()
        text_id = text.id
    for start in range(0, len(passages), _BATCH):
        rows = [
            {
                "text_id": text_id,
                "words": index.stored(claim.owner_id, passage.words),
                "text": passage.text,
            }
            for passage in passages[start : start + _BATCH]
        ]
        lease = utcnow() + LEASE
        with transaction() as session:
            _check(session, claim)
            _change(session, claim.version_id, next_index_at=lease)
            session.execute(
                update(SearchText).where(SearchText.id == text_id).values(written_until=lease)
            )
            session.execute(insert(SearchPassage), rows)
        claim = replace(claim, lease=lease)
        after_each()
    with transaction() as session:
        _check(session, claim)
        _done(session, claim)
        _replace(session, claim.document_id, claim.number)
        session.execute(
            update(SearchText)
            .where(SearchText.id == text_id)
            .values(document_id=claim.document_id, written_until=None)
        )


def sweep() -> bool:
    """Remove some of what nobody can find any more; answers whether there was anything."""
    useless = and_(
        SearchText.document_id.is_(None),
        or_(SearchText.written_until.is_(None), SearchText.written_until < utcnow()),
    )
    if db.session.scalar(select(SearchText.id).where(useless).limit(1)) is None:
        db.session.commit()
        return False
    with transaction() as session:
        text_id = session.scalar(select(SearchText.id).where(useless).limit(1))
        ids = session.scalars(
            select(SearchPassage.id).where(SearchPassage.text_id == text_id).limit(_BATCH)
        ).all()
        session.execute(delete(SearchPassage).where(SearchPassage.id.in_(ids)))
        if len(ids) < _BATCH:
            session.execute(delete(SearchText).where(SearchText.id == text_id))
    return True


def read_again(problems_only: bool) -> int:
    """Have every document read anew, or those that could not be; answers how many.

    What is in the index stays until the new text is there.
    """
    total, last = 0, 0
    while True:
        newest = (
            select(Version.id)
            .join(Document, Document.id == Version.document_id)
            .where(Version.number == Document.version, Version.id > last)
            .order_by(Version.id)
            .limit(500)
        )
        if problems_only:
            newest = newest.join(SearchText, SearchText.document_id == Document.id).where(
                SearchText.problem != ""
            )
        ids = db.session.scalars(newest).all()
        db.session.commit()
        if not ids:
            return total
        with transaction() as session:
            session.execute(
                update(Version)
                .where(Version.id.in_(ids))
                .values(next_index_at=Version.uploaded_at, index_tries=0)
                .execution_options(synchronize_session=False)
            )
        total, last = total + len(ids), ids[-1]


def figures() -> Figures:
    """How many wait now, those that wait for the scanner too, and how many could not be read."""
    waiting = db.session.scalar(
        select(func.count())
        .select_from(Version)
        .where(Version.next_index_at.is_not(None), Version.scan != Scan.INFECTED)
    )
    unreadable = db.session.scalar(
        select(func.count())
        .select_from(SearchText)
        .where(SearchText.problem != "", SearchText.document_id.is_not(None))
    )
    db.session.commit()
    return Figures(waiting or 0, unreadable or 0)


def _reader(media_type: str, name: str) -> str:
    return reader_for(media_type, name, with_ocr=ocr.program() is not None)


def _due(state: Scan) -> ColumnElement[bool]:
    return and_(Version.scan == state, Version.next_index_at <= utcnow())


def _newest_due(session: Session, last: int | None) -> Any | None:
    """The newest of all, or of whose turn it is after `last`."""
    who = Version.uploaded_by_id
    if last is None:
        return _newest_of(session, None, Version.next_index_at.desc())
    # Both downwards, as the index is read then: nothing is sorted.
    order = (who.desc(), Version.next_index_at.desc())
    return _newest_of(session, who < last, *order) or _newest_of(session, who >= last, *order)


def _newest_of(
    session: Session, whose: ColumnElement[bool] | None, *order: ColumnElement[Any]
) -> Any | None:
    for state in readable_scans():  # one by one: the index answers each without sorting
        statement = (
            select(
                Version.id,
                Version.number,
                Version.document_id,
                Version.blob,
                Version.size_bytes,
                Version.media_type,
                Version.uploaded_by_id,
                Version.index_tries,
                Document.public_id,
                Document.owner_id,
                Document.name,
                Document.version.label("newest"),
            )
            .join(Document, Document.id == Version.document_id)
            .where(_due(state))
            .order_by(*order)
            .limit(1)
            .with_for_update(of=Version, skip_locked=True)
        )
        if whose is not None:
            statement = statement.where(whose)
        found = session.execute(statement).one_or_none()
        if found is not None:
            return found
    return None


def _check(session: Session, claim: Claim) -> None:
    """Raise `Lost` where the claim holds no longer."""
    held = session.scalar(
        select(Version.id)
        .join(Document, Document.id == Version.document_id)
        .where(
            Version.id == claim.version_id,
            Version.next_index_at == claim.lease,
            Version.number == Document.version,
            Version.scan.in_(readable_scans()),
        )
        .with_for_update(of=Version)
    )
    if held is None:
        raise Lost


def _done(session: Session, claim: Claim) -> None:
    _change(session, claim.version_id, next_index_at=None, index_tries=0)


def _change(session: Session, version_id: int, **values: Any) -> None:
    session.execute(
        update(Version)
        .where(Version.id == version_id)
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def _replace(session: Session, document_id: int, number: int) -> None:
    """Nobody is to find the text that was there before. `sweep` removes it."""
    session.execute(
        update(SearchText)
        .where(SearchText.document_id == document_id, SearchText.version <= number)
        .values(document_id=None, written_until=None)
        .execution_options(synchronize_session=False)
    )
