"""Writing the audit log: every event in the transaction of what it records, in one chain."""

from __future__ import annotations

import json
import logging
import threading
import time
import unicodedata
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

from flask import Flask, current_app
from sqlalchemy import Dialect, Table, bindparam, event, insert, select, update
from sqlalchemy.orm import Session

from portal.audit.actions import Action
from portal.audit.chain import Entry, Head, hash_of
from portal.audit.head_file import HeadFile
from portal.compiled import Compiled
from portal.database import (
    after_transaction,
    in_transaction,
    is_sqlite,
    unavailable_is_busy,
    writer_lock,
)
from portal.errors import Busy
from portal.extensions import db
from portal.models import AuditEvent, AuditHead, utcnow
from portal.questions import Connections

log = logging.getLogger(__name__)

_EVENTS = cast(Table, AuditEvent.__table__)
_HEAD = cast(Table, AuditHead.__table__)
_READ_HEAD = select(_HEAD.c.seq, _HEAD.c.hash).where(_HEAD.c.id == 1).with_for_update()
_ADD_EVENTS = insert(_EVENTS)
_MOVE_HEAD = (
    update(_HEAD)
    .where(_HEAD.c.id == 1)
    .values(seq=bindparam("new_seq"), hash=bindparam("new_hash"))
)


class _Statements:
    """What writing an event takes, compiled for the database in use."""

    def __init__(self, dialect: Dialect) -> None:
        self.read_head = Compiled(_READ_HEAD, dialect)
        self.add_events = Compiled(_ADD_EVENTS, dialect)
        self.move_head = Compiled(_MOVE_HEAD, dialect)


#: How long the first of several waits for more to share its commit, once there was company.
_GATHERING_SECONDS = 0.0005

#: Something that is done on a connection of the driver's.
Change = Callable[[Any], None]

#: Made once: `json.dumps` with options would make an encoder for every event.
_to_json = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode


@dataclass(frozen=True, slots=True)
class Origin:
    """Who acts in the present request or command, and from where."""

    actor: str = "system"
    address: str = ""
    user_agent: str = ""
    #: What the browser keeps to be known again (`accounts.known_devices`); in no event.
    device: str = field(default="", repr=False)
    #: The name of the token through which somebody acts.
    token: str = ""


#: Set by the gate for each request and by the command line; read by every event.
origin: ContextVar[Origin] = ContextVar("origin", default=Origin())  # noqa: B039 - frozen


class _Event(NamedTuple):
    """What happened, its fields in the order of `Entry`."""

    at: datetime
    actor: str
    action: str
    document: str
    owner: str
    address: str
    user_agent: str
    detail: str


def record(
    action: Action,
    *,
    actor: str | None = None,
    document: uuid.UUID | None = None,
    owner: str = "",
    **detail: Any,
) -> None:
    """Add an event to the present `transaction()`: it is kept exactly if the change is.

    `actor` defaults to whoever acts in this request. `detail` holds names and numbers only.
    """
    session = db.session()
    if not session.info.get("in_transaction"):
        raise RuntimeError("an audit event outside transaction()")
    session.info.setdefault("events", []).append(_event(action, actor, document, owner, detail))


def record_alone(
    action: Action,
    *,
    actor: str | None = None,
    document: uuid.UUID | None = None,
    owner: str = "",
    **detail: Any,
) -> None:
    """Write an event that belongs to no other change; durable when this returns.

    Events of requests that wait at the same moment share one commit. Raises `Busy`. Inside a
    `transaction()` it is written when that has ended, also when it was given up.
    """
    journal: _Journal = current_app.extensions["journal"]
    event = _event(action, actor, document, owner, detail)
    if not after_transaction(lambda: journal.write(event)):
        journal.write(event)


def record_with(
    change: Change,
    action: Action,
    *,
    actor: str | None = None,
    document: uuid.UUID | None = None,
    owner: str = "",
    **detail: Any,
) -> None:
    """Make `change` and write its event: both are durable when this returns, or neither is kept.

    Like `record_alone` it shares a commit with those that wait at the same moment, and so may be
    called in another request's thread: `change` uses nothing but the driver's connection it is
    given. What it raises is raised here, and takes nothing of the others along. Raises `Busy`.
    """
    if in_transaction():
        raise RuntimeError("a change that shares its commit inside transaction()")
    journal: _Journal = current_app.extensions["journal"]
    with unavailable_is_busy():
        journal.write(_event(action, actor, document, owner, detail), change)


def init_app(app: Flask, instance_dir: Path) -> None:
    """Seal events when a transaction commits, and keep the head beside the database."""
    app.extensions["journal"] = _Journal()
    app.extensions["audit_head_file"] = HeadFile(instance_dir / "audit-head.json")
    with app.app_context():
        app.extensions["audit_statements"] = _Statements(db.engine.dialect)


@event.listens_for(db.session, "before_commit")
def _seal(session: Session) -> None:
    events: list[_Event] = session.info.pop("events", [])
    if events:
        session.flush()
        connection = session.connection().connection.driver_connection
        session.info["new_head"] = _append(connection, events)


@event.listens_for(db.session, "after_commit")
def _committed(session: Session) -> None:
    if head := session.info.pop("new_head", None):
        _keep(head)


def _event(
    action: Action,
    actor: str | None,
    document: uuid.UUID | None,
    owner: str,
    detail: dict[str, Any],
) -> _Event:
    here = origin.get()
    if here.token:
        detail = {**detail, "token": here.token}
    return _Event(
        at=utcnow(),
        actor=_line(here.actor if actor is None else actor, 254),
        action=action.value,
        document=str(document) if document else "",
        owner=_line(owner, 254),
        address=_line(here.address, 64),
        user_agent=_line(here.user_agent, 300),
        # Escaped to ASCII: any name a person can think of, and no control character, fits.
        detail=_to_json(detail) if detail else "",
    )


def _line(text: str, limit: int) -> str:
    """One line a database and a spreadsheet can hold, of at most `limit` characters."""
    if text.isascii() and text.isprintable():
        return text[:limit]
    return "".join(
        char if unicodedata.category(char)[0] not in "CZ" or char == " " else " "
        for char in text[:limit]
    )


def _append(driver: Any, events: Sequence[_Event]) -> Head:
    """Chain `events` onto the log; the head's row keeps other writers waiting until commit."""
    statements: _Statements = current_app.extensions["audit_statements"]
    found = statements.read_head.fetch_one(driver, {})
    if found is None:
        raise RuntimeError("the audit log has no head")
    head = Head(*found)
    _beware(head)
    rows: list[dict[str, Any]] = []
    for at, *said in events:
        entry = Entry._make((head.seq + 1, iso(at), *said, ""))
        head = Head(entry.seq, hash_of(head.hash, entry))
        rows.append(dict(zip(Entry._fields, (entry.seq, at, *said, head.hash), strict=True)))
    statements.add_events.insert(driver, rows)
    statements.move_head.run(driver, {"new_seq": head.seq, "new_hash": head.hash})
    return head


def iso(moment: datetime) -> str:
    """A moment as it stands in the chain and in exports."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _beware(head: Head) -> None:
    file: HeadFile = current_app.extensions["audit_head_file"]
    with suppress(OSError, ValueError):  # `_keep` says so in the log
        file.beware(head)


def _keep(head: Head) -> None:
    """Remember the head beside the database; the commit stands whether or not this works."""
    file: HeadFile = current_app.extensions["audit_head_file"]
    try:
        if is_sqlite():
            file.keep(head)  # still inside the writer lock
        else:
            with writer_lock():
                file.keep(head)
    except (OSError, ValueError, Busy):
        log.exception("the head of the audit log could not be kept in %s", file.path.name)


class _Turn:
    """A request waiting for its event, and the change it tells of, to be durable."""

    __slots__ = ("change", "error", "event", "leads", "signal")

    def __init__(self, event: _Event, change: Change | None) -> None:
        self.event = event
        self.change = change
        self.signal = threading.Lock()
        self.signal.acquire()
        self.leads = False
        self.error: BaseException | None = None


class _Journal:
    """Group commit: while one request commits, the others gather and share the next one.

    Leadership moves to the first of those who waited, so nobody serves the others for long.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Turn] = []
        self._busy = False
        #: Whether the last commit was shared; then there are others who will be here in a moment.
        self._has_company = False

    def write(self, event: _Event, change: Change | None = None) -> None:
        turn = _Turn(event, change)
        with self._lock:
            self._waiting.append(turn)
            turn.leads, self._busy = not self._busy, True
        if not turn.leads:
            turn.signal.acquire()
        if turn.leads:
            self._lead()
        if turn.error is not None:
            raise turn.error

    def _lead(self) -> None:
        batch: list[_Turn] = []
        error: BaseException | None = None
        try:
            if self._has_company:
                time.sleep(_GATHERING_SECONDS)
            with unavailable_is_busy(), _in_line():
                # Taken only now: whoever came while this one waited for its turn is in it.
                batch = self._take()
                self._has_company = len(batch) > 1
                _commit_apart(batch)
        except BaseException as failure:  # noqa: BLE001 - each of those who wait is told
            error = failure
            batch = batch or self._take()
        with self._lock:
            successor = self._waiting[0] if self._waiting else None
            self._busy = successor is not None
        if successor is not None:
            successor.leads = True
            successor.signal.release()
        for turn in batch:
            turn.error = error or turn.error
            if not turn.leads:
                turn.signal.release()

    def _take(self) -> list[_Turn]:
        with self._lock:
            batch, self._waiting = self._waiting, []
        return batch


def _in_line() -> AbstractContextManager[None]:
    """The place in the line of writers; PostgreSQL keeps that line itself."""
    return writer_lock() if is_sqlite() else nullcontext()


def _commit_apart(batch: Sequence[_Turn]) -> None:
    head: Head | None = None
    connections: Connections = current_app.extensions["connections"]
    with connections.lend() as driver:
        driver.execute("BEGIN IMMEDIATE" if is_sqlite() else "BEGIN")
        for turn in batch:
            if turn.change is not None:
                turn.error = _change(driver, turn.change)
        if events := [turn.event for turn in batch if turn.error is None]:
            head = _append(driver, events)
        driver.execute("COMMIT")
    if head is not None:
        _keep(head)


def _change(driver: Any, change: Change) -> Exception | None:
    """Make one of several changes; one that fails is taken back by itself."""
    driver.execute("SAVEPOINT change")
    try:
        change(driver)
    except Exception as error:  # noqa: BLE001 - raised where somebody waits for it
        driver.execute("ROLLBACK TO SAVEPOINT change")
        return error
    driver.execute("RELEASE SAVEPOINT change")
    return None


@contextmanager
def acting(who: Origin) -> Iterator[None]:
    """Let everything inside the block be recorded as done by `who`."""
    token = origin.set(who)
    try:
        yield
    finally:
        origin.reset(token)
