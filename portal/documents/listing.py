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

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from portal.access import (
    Person,
    Place,
    has_downloads_left,
    scan_state,
    trashed_documents,
    visible_documents,
)
from portal.documents.folders import below
from portal.documents.intake import Stored
from portal.documents.names import fold
from portal.errors import BadRequest, NotFound
from portal.extensions import db
from portal.models import (
    Document,
    Drawing,
    Folder,
    PreviewState,
    Scan,
    ShareLink,
    User,
    Version,
    utcnow,
)
from portal.previews import kinds
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
    #: The folder it lies in; None at the top.
    folder: Place | None
    size_bytes: int
    media_type: str
    uploaded_at: datetime
    trashed_at: datetime | None
    uploaded_by_name: str
    sha256: bytes
    #: What is known of its bytes and malware, as it counts now.
    scan: Scan
    #: How far its pictures are.
    drawing: Drawing = Drawing.IMPOSSIBLE
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
    #: The folder whose documents are wanted, or in which they are searched; None is the top.
    folder: Place | None = None
    filters: Filters = field(default_factory=Filters)

    @property
    def is_narrowed(self) -> bool:
        """Whether documents are searched, wherever they lie below the folder."""
        return bool(self.filters) or bool(Question(self.q))

    def __post_init__(self) -> None:
        if self.sort not in SORTS or self.order not in {"asc", "desc"}:
            raise BadRequest("This list cannot be sorted like that.")


def visible(person: Person, query: Query) -> Page:
    """A page of what `person` may see: in a folder or at the top, or what is found below it.

    It is found by a question about names and contents, or by what the list is narrowed to.
    """
    mine = visible_documents(person)
    question = Question(query.q)
    if not query.is_narrowed:
        folder = Document.folder_id
        here = folder == query.folder.id if query.folder else folder.is_(None)
        return _page(and_(mine, here), query, in_place=True)
    narrowed = [query.filters.condition()]
    if query.folder is not None:
        narrowed.append(Document.folder_id.in_(select(below(query.folder.id).c.id)))
    if question:
        narrowed.append(finding.found(person, question))
    page = _page(and_(mine, *narrowed), query)
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


def name_in_directory(owner: User, document_id: uuid.UUID) -> str:
    """The name of a document of `owner`'s, for an admin whom `access.directory_for` let in.

    Raises `NotFound` for one that is not there.
    """
    name = db.session.scalar(
        select(Document.name).where(
            Document.public_id == document_id, Document.owner_id == owner.id
        )
    )
    if name is None:
        raise NotFound
    return name


def as_stored(row: Row) -> Stored:
    """A row as programs know a document."""
    return Stored(
        public_id=row.public_id,
        name=row.name,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        media_type=row.media_type,
        uploaded_at=row.uploaded_at,
        scan=row.scan,
        folder=row.folder.public_id if row.folder else None,
    )


def _page(allowed: ColumnElement[bool], query: Query, *, in_place: bool = False) -> Page:
    """Of what is allowed; `in_place` where all of it lies in one folder, or at the top."""
    column = SORTS[query.sort]
    ascending = query.order == "asc"
    chosen = select(Document.id, column.label("sort_value")).where(allowed).limit(PAGE_SIZE + 1)
    if query.cursor:
        value, last_id = _decode(query.cursor, query)
        beyond = column > value if ascending else column < value
        beyond_id = Document.id > last_id if ascending else Document.id < last_id
        # Written out, not as a row comparison: each database finds its index this way.
        chosen = chosen.where(
            column >= value if ascending else column <= value,
            or_(beyond, and_(column == value, beyond_id)),
        )
    # The folder stands first in the indexes, and where it is NULL PostgreSQL has to be told so.
    order = [Document.folder_id, column, Document.id] if in_place else [column, Document.id]
    chosen = chosen.order_by(*(order if ascending else [each.desc() for each in order]))
    found = sorted(
        db.session.execute(_facts_of(chosen)),
        key=lambda row: (row.sort_value, row.id),
        reverse=not ascending,
    )
    shown = found[:PAGE_SIZE]
    more = len(found) > PAGE_SIZE
    return Page(
        [_row(row) for row in shown],
        _encode(shown[-1].sort_value, shown[-1].id, query) if more else None,
    )


def searched(query: Query) -> str:
    """What names are searched for. No name has NUL in it, and not every database can be asked."""
    return fold(query.q.strip()).replace("\0", "\ufffd")


def _facts_of(chosen: Select[Any]) -> Select[*tuple[Any, ...]]:
    """What a page shows of its documents, in any order; asked of these alone, in one query."""
    page = chosen.subquery("page")
    uploader = aliased(User)
    links = (
        select(func.count())
        .where(
            ShareLink.document_id == Document.id,
            ShareLink.revoked_at.is_(None),
            ShareLink.expires_at > utcnow(),
            has_downloads_left(),
        )
        .correlate(Document)
        .scalar_subquery()
    )
    return (
        select(
            Document.public_id,
            Document.name,
            Document.size_bytes,
            Document.media_type,
            Document.uploaded_at,
            Document.trashed_at,
            uploader.name.label("uploader_name"),
            Version.scan,
            Version.sha256,
            PreviewState.state.label("drawing"),
            links.label("link_count"),
            Folder.id.label("folder_row"),
            Folder.public_id.label("folder_id"),
            Folder.name.label("folder_name"),
            Document.id,
            page.c.sort_value,
        )
        .join(page, page.c.id == Document.id)
        .join(uploader, uploader.id == Document.uploaded_by_id)
        .join(Version, and_(Version.document_id == Document.id, Version.number == Document.version))
        .outerjoin(PreviewState, PreviewState.version_id == Version.id)
        .outerjoin(Folder, and_(Folder.id == Document.folder_id, Folder.trashed_at.is_(None)))
    )


def _row(facts: Any) -> Row:
    in_folder = facts.folder_row is not None
    return Row(
        public_id=facts.public_id,
        name=facts.name,
        folder=Place(facts.folder_row, facts.folder_id, facts.folder_name) if in_folder else None,
        size_bytes=facts.size_bytes,
        media_type=facts.media_type,
        uploaded_at=facts.uploaded_at,
        trashed_at=facts.trashed_at,
        uploaded_by_name=facts.uploader_name,
        sha256=facts.sha256,
        scan=scan_state(facts.scan),
        drawing=_drawing(facts.drawing, facts.media_type),
        link_count=facts.link_count,
        row_id=facts.id,
    )


def _drawing(state: str | None, media_type: str) -> Drawing:
    if state is not None:
        return Drawing(state)
    return Drawing.IMPOSSIBLE if kinds.drawable(media_type) is None else Drawing.PENDING


def _encode(value: Any, last_id: int, query: Query) -> str:
    if isinstance(value, datetime):
        value = value.isoformat()
    # As short as it can be: it travels in an address, and a name may be long.
    parts = [query.sort, query.order, value, last_id]
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")


def is_row(value: object) -> bool:
    """Whether it can be asked for as the id of a row: those are 32 bits wide on PostgreSQL."""
    return type(value) is int and abs(value) < 2**31  # true and false are numbers too, in Python


def _decode(cursor: str, query: Query) -> tuple[Any, int]:
    """Undo `_encode`; a cursor is a hint where to go on and grants nothing."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        sort, order, value, last_id = json.loads(base64.urlsafe_b64decode(padded))
        if (sort, order) != (query.sort, query.order) or not is_row(last_id):
            raise ValueError("a cursor of another list")
        if query.sort in {"uploaded", "trashed"}:
            value = datetime.fromisoformat(value)
            if value.tzinfo is None:
                raise ValueError("a moment without zone")
            value = value.astimezone(UTC)
        elif type(value) is not (int if query.sort == "size" else str):
            raise ValueError("not a value of this column")
        if isinstance(value, str) and b"\0" in value.encode("utf-8"):
            raise ValueError("not a name of ours")
        if isinstance(value, int) and abs(value) > 2**62:
            raise ValueError("not a number of ours")
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise BadRequest(
            "This page of the list is not there.", cure="Start again from the first page."
        ) from error
    return value, last_id
