"""Lists of documents: search by name, sort, and pages that cost the same however many there are.

A page begins where the last one ended (a cursor over an index), not at a count of rows, so
nothing is skipped or shown twice while documents come and go.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from portal.access import (
    Person,
    has_downloads_left,
    scan_state,
    trashed_documents,
    visible_documents,
)
from portal.documents.intake import Stored
from portal.errors import BadRequest
from portal.extensions import db
from portal.models import Document, Scan, ShareLink, User, Version, utcnow
from portal.search import finding
from portal.search.asking import Question
from portal.search.filters import Filters
from portal.search.snippets import Piece

PAGE_SIZE = 50

SORTS: dict[str, InstrumentedAttribute[Any]] = {
    "name": Document.name_sort,
    "size": Document.size_bytes,
    "uploaded": Document.uploaded_at,
    "trashed": Document.trashed_at,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One document as a list shows it."""

    public_id: uuid.UUID
    name: str
    #: The folders it was uploaded with.
    path: str
    size_bytes: int
    media_type: str
    uploaded_at: datetime
    trashed_at: datetime | None
    uploaded_by_name: str
    #: What is known of its bytes and malware, as it counts now.
    scan: Scan
    link_count: int = 0
    row_id: int = 0
    #: Where it was found in its text, if it was.
    excerpt: Sequence[Piece] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and where the next ones begin (None at the end)."""

    rows: Sequence[Row]
    next_cursor: str | None
    #: Of a search: how many of the person's documents are found by their names alone.
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody wants to see. Raises `BadRequest` for a sort or order that is not one."""

    q: str = ""
    sort: str = "uploaded"
    order: str = "desc"
    cursor: str = ""
    filters: Filters = field(default_factory=Filters)

    def __post_init__(self) -> None:
        if self.sort not in SORTS or self.order not in {"asc", "desc"}:
            raise BadRequest("This list cannot be sorted like that.")


def visible(person: Person, query: Query) -> Page:
    """A page of what `person` may see."""
    question = Question(query.q)
    narrowed = [query.filters.condition()]
    if question:
        narrowed.append(finding.found(person, question))
    page = _page(and_(visible_documents(person), *narrowed), query)
    if not question:
        return page
    excerpts = finding.excerpts(person, question, [row.row_id for row in page.rows])
    rows = [replace(row, excerpt=excerpts.by_document.get(row.row_id, ())) for row in page.rows]
    return replace(page, rows=rows, unreadable=excerpts.unreadable)


def trash(person: Person, cursor: str = "") -> Page:
    """A page of what lies in `person`'s trash, newest first."""
    return _page(trashed_documents(person), Query(sort="trashed", cursor=cursor))


def directory(owner: User, cursor: str = "", q: str = "") -> Page:
    """A page of what `owner` has, for an admin whom `access.directory_for` let in.

    `q` is looked for in names alone: what documents say is not for admins.
    """
    mine = and_(Document.owner_id == owner.id, Document.trashed_at.is_(None))
    if question := Question(q):
        mine = and_(mine, finding.found_by_name(question))
    return _page(mine, Query(cursor=cursor))


def as_stored(page: Page) -> list[Stored]:
    """The rows of a page with the hashes of their bytes, which the pages do not show."""
    found = db.session.execute(
        select(Document.public_id, Version.sha256)
        .join(Version, Version.document_id == Document.id)
        .where(
            Version.number == Document.version,
            Document.public_id.in_([row.public_id for row in page.rows]),
        )
    )
    hashes = {row.public_id: row.sha256 for row in found}
    return [
        Stored(
            public_id=row.public_id,
            name=row.name,
            size_bytes=row.size_bytes,
            sha256=hashes[row.public_id],
            media_type=row.media_type,
            uploaded_at=row.uploaded_at,
            scan=row.scan,
        )
        for row in page.rows
        if row.public_id in hashes  # deleted for ever at this moment
    ]


def _page(allowed: ColumnElement[bool], query: Query) -> Page:
    uploader = aliased(User)
    column = SORTS[query.sort]
    ascending = query.order == "asc"
    statement = (
        select(
            Document.public_id,
            Document.name,
            Document.path,
            Document.size_bytes,
            Document.media_type,
            Document.uploaded_at,
            Document.trashed_at,
            uploader.name.label("uploader_name"),
            Document.id,
            column.label("sort_value"),
        )
        .join(uploader, uploader.id == Document.uploaded_by_id)
        .where(allowed)
        .limit(PAGE_SIZE + 1)
    )
    if query.cursor:
        value, last_id = _decode(query.cursor, query)
        beyond = column > value if ascending else column < value
        beyond_id = Document.id > last_id if ascending else Document.id < last_id
        # Written out, not as a row comparison: each database finds its index this way.
        statement = statement.where(
            column >= value if ascending else column <= value,
            or_(beyond, and_(column == value, beyond_id)),
        )
    order = (column, Document.id) if ascending else (column.desc(), Document.id.desc())
    found = db.session.execute(statement.order_by(*order)).all()
    shown = found[:PAGE_SIZE]
    links = _live_links([row.id for row in shown])
    scans = _scans([row.id for row in shown])
    rows = [
        _row(row, scan_state(scans.get(row.id, Scan.NONE)), links.get(row.id, 0)) for row in shown
    ]
    more = len(found) > PAGE_SIZE
    return Page(rows, _encode(shown[-1].sort_value, shown[-1].id, query) if more else None)


def _row(facts: Any, scan: Scan, link_count: int) -> Row:
    return Row(
        public_id=facts.public_id,
        name=facts.name,
        path=facts.path,
        size_bytes=facts.size_bytes,
        media_type=facts.media_type,
        uploaded_at=facts.uploaded_at,
        trashed_at=facts.trashed_at,
        uploaded_by_name=facts.uploader_name,
        scan=scan,
        link_count=link_count,
        row_id=facts.id,
    )


def _live_links(document_ids: Sequence[int]) -> dict[int, int]:
    """How many live links each document has; one query for the page."""
    if not document_ids:
        return {}
    counted = db.session.execute(
        select(ShareLink.document_id, func.count())
        .where(
            ShareLink.document_id.in_(document_ids),
            ShareLink.revoked_at.is_(None),
            ShareLink.expires_at > utcnow(),
            has_downloads_left(),
        )
        .group_by(ShareLink.document_id)
    )
    return {document_id: count for document_id, count in counted if document_id is not None}


def _scans(document_ids: Sequence[int]) -> dict[int, str]:
    """What is known of each document's newest version and malware; one query for the page."""
    if not document_ids:
        return {}
    found = db.session.execute(
        select(Version.document_id, Version.scan)
        .join(Document, Document.id == Version.document_id)
        .where(Version.document_id.in_(document_ids), Version.number == Document.version)
    )
    return {row.document_id: row.scan for row in found}


def _encode(value: Any, last_id: int, query: Query) -> str:
    if isinstance(value, datetime):
        value = value.isoformat()
    text = json.dumps([query.sort, query.order, value, last_id], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")


def _decode(cursor: str, query: Query) -> tuple[Any, int]:
    """Undo `_encode`; a cursor is a hint where to go on and grants nothing."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        sort, order, value, last_id = json.loads(base64.urlsafe_b64decode(padded))
        if (sort, order) != (query.sort, query.order) or not isinstance(last_id, int):
            raise ValueError("a cursor of another list")
        if query.sort in {"uploaded", "trashed"}:
            value = datetime.fromisoformat(value)
            if value.tzinfo is None:
                raise ValueError("a moment without zone")
            value = value.astimezone(UTC)
        elif not isinstance(value, int if query.sort == "size" else str):
            raise ValueError("not a value of this column")
        if isinstance(value, str) and b"\0" in value.encode("utf-8"):
            raise ValueError("not a name of ours")
        # Ids of rows are 32 bits wide on PostgreSQL.
        if abs(last_id) >= 2**31 or (isinstance(value, int) and abs(value) > 2**62):
            raise ValueError("not a number of ours")
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise BadRequest(
            "This page of the list is not there.", cure="Start again from the first page."
        ) from error
    return value, last_id
