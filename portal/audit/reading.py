"""Reading the audit log: pages with filters, streamed exports, and the check of the chain."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from sqlalchemy import Select, bindparam, select, tuple_

from portal.audit.actions import Action, sentence
from portal.audit.chain import COLUMNS, Entry, Head, Verdict, read, safe_cell, verify
from portal.audit.head_file import HeadFile
from portal.audit.journal import iso
from portal.database import is_sqlite
from portal.extensions import db
from portal.models import AuditEvent, AuditHead

PAGE_SIZE = 100
_BATCH = 1000
#: No event has this number.
_NO_END = 2**63 - 1
_EMAIL_CHANGED = Action.EMAIL_CHANGED.value


@dataclass(frozen=True, slots=True)
class Filters:
    """What somebody wants to see; what is empty does not narrow."""

    actor: str = ""
    action: str = ""
    document: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventLine:
    """One event as a page shows it."""

    seq: int
    at: datetime
    actor: str
    action: str
    document: str
    owner: str
    address: str
    user_agent: str
    detail: str
    sentence: str


def page(filters: Filters, before: int | None = None) -> tuple[list[EventLine], int | None]:
    """The newest events first, and the number to go on before (None at the end)."""
    query = _filtered(filters).order_by(AuditEvent.seq.desc()).limit(PAGE_SIZE + 1)
    if before is not None:
        query = query.where(AuditEvent.seq < before)
    found = db.session.scalars(query).all()
    lines = [_line(event) for event in found[:PAGE_SIZE]]
    return lines, lines[-1].seq if len(found) > PAGE_SIZE else None


def activity_of_document(document_id: uuid.UUID, limit: int = 100) -> list[EventLine]:
    """What happened to one document, newest first; refused tries of strangers left out."""
    query = (
        select(AuditEvent)
        .where(AuditEvent.document == str(document_id), AuditEvent.action != "access.denied")
        .order_by(AuditEvent.seq.desc())
        .limit(limit)
    )
    return [_line(event) for event in db.session.scalars(query)]


def activity_of_account(
    email: str, since: datetime, before: int | None = None
) -> tuple[list[EventLine], int | None]:
    """What concerned one account and its documents, newest first, and the number to go on before.

    `since` is when the account was made. Addresses change hands: of what happened to an address
    only the time counts in which it was this account's. Costs the same however long the log is.
    """
    lines: list[EventLine] = []
    for held in _held(email, since, before):
        room = PAGE_SIZE + 1 - len(lines)
        query = _of_owner(held).where(AuditEvent.at >= since).limit(room)
        lines += [_line(event) for event in db.session.scalars(query)]
        if len(lines) > PAGE_SIZE:
            return lines[:PAGE_SIZE], lines[PAGE_SIZE - 1].seq
    return lines, None


def _of_owner(held: _Held) -> Select[AuditEvent]:
    """Events of one owner, newest first, in words by which each database goes straight there."""
    before = _NO_END if held.before is None else held.before
    if is_sqlite():
        return (
            select(AuditEvent)
            .where(
                AuditEvent.owner == held.email,
                AuditEvent.seq >= held.first,
                AuditEvent.seq < before,
            )
            .order_by(AuditEvent.seq.desc())
        )
    # Told to order by number alone, PostgreSQL may walk back through everybody's events until it
    # has met enough of this owner's; pairs leave it only the index in which they lie together.
    pair = tuple_(AuditEvent.owner, AuditEvent.seq)
    return (
        select(AuditEvent)
        .where(pair >= (held.email, held.first), pair < (held.email, before))
        .order_by(AuditEvent.owner.desc(), AuditEvent.seq.desc())
    )


def whole_activity_of_account(email: str, since: datetime) -> Iterator[EventLine]:
    """Every line of `activity_of_account`; may be read on after the request has ended."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    return _whole_activity(app, email, since)


def _whole_activity(app: Flask, email: str, since: datetime) -> Iterator[EventLine]:
    with app.app_context():
        lines, before = activity_of_account(email, since)
    yield from lines
    while before is not None:
        with app.app_context():
            lines, before = activity_of_account(email, since, before)
        yield from lines


@dataclass(frozen=True, slots=True)
class _Held:
    """An address, and the numbers of the events during which it was somebody's."""

    email: str
    first: int
    before: int | None


def _held(email: str, since: datetime, before: int | None) -> Iterator[_Held]:
    """The addresses an account has had, the present one first."""
    first = db.session.scalar(
        select(AuditEvent.seq).where(AuditEvent.at >= since).order_by(AuditEvent.at).limit(1)
    )
    if first is None:
        return
    until: int | None = None
    while True:
        query = select(AuditEvent.seq, AuditEvent.detail).where(
            AuditEvent.owner == email,
            # Written out, or the index of these few events would not be used.
            AuditEvent.action == bindparam("change", _EMAIL_CHANGED, literal_execute=True),
            AuditEvent.seq > first,
        )
        if until is not None:
            query = query.where(AuditEvent.seq < until)
        change = db.session.execute(query.order_by(AuditEvent.seq.desc()).limit(1)).one_or_none()
        start = first if change is None else change.seq
        end = until if before is None or (until is not None and until < before) else before
        if end is None or end > start:
            yield _Held(email, start, end)
        if change is None:
            return
        email, until = str(json.loads(change.detail).get("old_email", "")), start


def entries(filters: Filters | None = None) -> Iterator[Entry]:
    """All events from the first, in batches: no long transaction, constant memory.

    May be read on after the request that asked for them has ended.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    return _entries(app, filters or Filters())


def _entries(app: Flask, filters: Filters) -> Iterator[Entry]:
    batch = [Entry(0, *[""] * 9)]
    while batch:
        with app.app_context():
            query = _filtered(filters).where(AuditEvent.seq > batch[-1].seq)
            found = db.session.scalars(query.order_by(AuditEvent.seq).limit(_BATCH))
            batch = [_entry(event) for event in found]
        yield from batch


def export_csv(events: Iterable[Entry]) -> Iterator[str]:
    """RFC 4180 lines, safe to open in a spreadsheet; `chain.read` reads them back."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for entry in events:
        writer.writerow([entry.seq, *(safe_cell(cell) for cell in entry[1:])])
        if buffer.tell() > 32_768:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def export_jsonl(events: Iterable[Entry]) -> Iterator[str]:
    """One JSON object a line, with the fields of the CSV."""
    for entry in events:
        yield json.dumps(entry._asdict(), ensure_ascii=False) + "\n"


def newest_head() -> Head:
    """The newest head known: the file's, or the database's where that is newer."""
    return max(_heads(), key=lambda head: head.seq)


def is_behind() -> bool:
    """Whether the database lacks events it once had: it was replaced by an older copy."""
    file: HeadFile = current_app.extensions["audit_head_file"]
    try:
        kept = file.read().seq  # first: whoever writes in between moves both
    except ValueError:
        return True  # nobody can tell
    seq = db.session.scalar(select(AuditHead.seq).where(AuditHead.id == 1))
    db.session.commit()
    return kept > (seq or 0) or file.is_cut


def verify_live() -> Verdict:
    """Check the live log against itself and against both heads.

    A log and a head that were written anew together in the database do not fit the one outside.
    """
    return verify(entries(), *_heads())


def _heads() -> tuple[Head, Head]:
    """The head in the database, and the one beside it."""
    row = db.session.execute(select(AuditHead.seq, AuditHead.hash).where(AuditHead.id == 1)).one()
    file: HeadFile = current_app.extensions["audit_head_file"]
    return Head(row.seq, row.hash), file.read()


def verify_file(path: Path, newest: Head | None = None) -> Verdict:
    """Check an exported log. Raises `ValueError` or `OSError` where it cannot be read."""
    return verify(read(path), newest)


def _filtered(filters: Filters) -> Select[Any]:
    query = select(AuditEvent)
    if filters.actor:
        query = query.where(AuditEvent.actor == filters.actor)
    if filters.action:
        query = query.where(AuditEvent.action == filters.action)
    if filters.document:
        query = query.where(AuditEvent.document == filters.document)
    if filters.since:
        query = query.where(AuditEvent.at >= filters.since)
    if filters.until:
        query = query.where(AuditEvent.at < filters.until)
    return query


def _entry(event: AuditEvent) -> Entry:
    return Entry(
        event.seq,
        iso(event.at),
        event.actor,
        event.action,
        event.document,
        event.owner,
        event.address,
        event.user_agent,
        event.detail,
        event.hash,
    )


def _line(event: AuditEvent) -> EventLine:
    return EventLine(
        seq=event.seq,
        at=event.at,
        actor=event.actor,
        action=event.action,
        document=event.document,
        owner=event.owner,
        address=event.address,
        user_agent=event.user_agent,
        detail=event.detail,
        sentence=sentence(event.action, event.owner, event.detail),
    )
