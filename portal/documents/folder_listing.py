"""Folders as lists show them: by name, with how much is in each, some at a time.

They come before the documents. Where there are more than a page holds, the cursor says how far
one has come; the documents follow with the last of them.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Subquery, and_, func, or_, select
from sqlalchemy.orm import aliased

from portal.access import Person, Place, trashed_folders, visible_folders
from portal.documents import listing
from portal.documents.folders import below
from portal.documents.listing import PAGE_SIZE, Page, Query
from portal.documents.names import DEEPEST_PATH
from portal.errors import BadRequest
from portal.extensions import db
from portal.models import Document, Folder, User

#: Folders that a form lets one choose from.
_MOST_OFFERED = 2000
#: A cursor of folders begins with it; no other one can.
_MARK = "."


@dataclass(frozen=True, slots=True)
class FolderRow:
    """One folder as a list shows it."""

    id: int
    public_id: uuid.UUID
    name: str
    #: The folder it lies in; None at the top.
    parent: uuid.UUID | None
    created_at: datetime
    trashed_at: datetime | None
    #: How many documents are in it and in the folders inside it, and how large these are.
    documents: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Contents:
    """Some folders and documents, and where the next ones begin (None at the end)."""

    folders: Sequence[FolderRow]
    page: Page
    next_cursor: str | None


def contents(person: Person, query: Query) -> Contents:
    """A page of a folder or of the top: folders first; or of what is found below it."""
    is_of_documents = bool(query.filters)  # folders have no type, and no day they came
    if is_of_documents or (query.cursor and not query.cursor.startswith(_MARK)):
        page = listing.visible(person, query)
        return Contents([], page, page.next_cursor)
    found, after = inside(person, query.folder, query.cursor, listing.searched(query))
    if after:
        return Contents(found, Page([], None), after)
    page = listing.visible(person, replace(query, cursor=""))
    return Contents(found, page, page.next_cursor)


def to_choose_from(owner: User) -> list[tuple[uuid.UUID, str]]:
    """The live folders of `owner` by path ("Taxes / 2026"); the oldest ones where they are many."""
    rows = db.session.execute(
        select(Folder.id, Folder.parent_id, Folder.public_id, Folder.name)
        .where(Folder.owner_id == owner.id, Folder.trashed_at.is_(None))
        .order_by(Folder.id)
        .limit(_MOST_OFFERED)
    ).all()
    known = {row.id: row for row in rows}
    offered = []
    for row in rows:
        way, above = [row.name], known.get(row.parent_id)
        while above is not None and len(way) < DEEPEST_PATH:
            way.append(above.name)
            above = known.get(above.parent_id)
        offered.append((row.public_id, " / ".join(reversed(way))))
    return sorted(offered, key=lambda place: place[1].casefold())


def in_trash(person: Person, cursor: str) -> Contents:
    """A page of what lies in `person`'s trash: folders first."""
    if cursor and not cursor.startswith(_MARK):
        page = listing.trash(person, cursor)
        return Contents([], page, page.next_cursor)
    found, after = _some(trashed_folders(person), cursor, _of_trash)
    if after:
        return Contents(found, Page([], None), after)
    page = listing.trash(person)
    return Contents(found, page, page.next_cursor)


def inside(
    person: Person, folder: Place | None, cursor: str = "", searched: str = ""
) -> tuple[Sequence[FolderRow], str | None]:
    """The folders in a folder or at the top by name, and the cursor of those after them.

    With `searched`, those anywhere below it that have it in their name.
    """
    if searched:
        where = Folder.name_key.contains(searched, autoescape=True)
        if folder is not None:
            within = select(below(folder.id).c.id)
            where = and_(where, Folder.id.in_(within), Folder.id != folder.id)
    else:
        where = Folder.parent_id == folder.id if folder else Folder.parent_id.is_(None)
    return _some(and_(visible_folders(person), where), cursor, _of_trees)


def _some(
    allowed: ColumnElement[bool],
    cursor: str,
    how_much: Callable[[Subquery], Subquery],
) -> tuple[Sequence[FolderRow], str | None]:
    chosen = select(Folder.id, Folder.owner_id).where(allowed).order_by(Folder.name_sort, Folder.id)
    if cursor:
        name_sort, last_id = _decode(cursor)
        chosen = chosen.where(
            Folder.name_sort >= name_sort,
            or_(Folder.name_sort > name_sort, Folder.id > last_id),
        )
    some = chosen.limit(PAGE_SIZE + 1).subquery("some")
    sums = how_much(some)
    parent = aliased(Folder)
    rows = db.session.execute(
        select(
            Folder.id,
            Folder.public_id,
            Folder.name,
            Folder.name_sort,
            parent.public_id.label("parent"),
            Folder.created_at,
            Folder.trashed_at,
            func.coalesce(sums.c.documents, 0).label("documents"),
            func.coalesce(sums.c.size_bytes, 0).label("size_bytes"),
        )
        .join(some, some.c.id == Folder.id)
        .outerjoin(sums, sums.c.root == Folder.id)
        .outerjoin(parent, parent.id == Folder.parent_id)
        .order_by(Folder.name_sort, Folder.id)
    ).all()
    shown = [
        FolderRow(
            row.id,
            row.public_id,
            row.name,
            row.parent,
            row.created_at,
            row.trashed_at,
            row.documents,
            int(row.size_bytes),
        )
        for row in rows[:PAGE_SIZE]
    ]
    last = rows[PAGE_SIZE - 1] if len(rows) > PAGE_SIZE else None
    return shown, _encode(last.name_sort, last.id) if last else None


def _of_trees(some: Subquery) -> Subquery:
    """How much is in each of some folders and in all inside them: one walk for all of them."""
    root = some.c.id.label("root")
    tree = select(root, some.c.id.label("id"), some.c.owner_id).cte(recursive=True)
    tree = tree.union_all(
        select(tree.c.root, Folder.id, tree.c.owner_id)
        .join(tree, Folder.parent_id == tree.c.id)
        .where(Folder.trashed_at.is_(None))
    )
    return (
        select(
            tree.c.root,
            func.count().label("documents"),
            func.sum(Document.size_bytes).label("size_bytes"),
        )
        # The owner is the folder's anyway; named, an index alone answers.
        .join(
            Document,
            and_(Document.owner_id == tree.c.owner_id, Document.folder_id == tree.c.id),
        )
        .where(Document.trashed_at.is_(None))
        .group_by(tree.c.root)
        .subquery("sums")
    )


def _of_trash(some: Subquery) -> Subquery:
    """How much went to the trash with each of some folders."""
    return (
        select(
            some.c.id.label("root"),
            func.count().label("documents"),
            func.sum(Document.size_bytes).label("size_bytes"),
        )
        .join(Document, Document.trashed_with_id == some.c.id)
        .group_by(some.c.id)
        .subquery("sums")
    )


def _encode(name_sort: str, last_id: int) -> str:
    text = json.dumps([name_sort, last_id], separators=(",", ":"), ensure_ascii=False)
    return _MARK + base64.urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")


def _decode(cursor: str) -> tuple[str, int]:
    """Undo `_encode`; like every cursor it is a hint where to go on and grants nothing."""
    try:
        text = cursor.removeprefix(_MARK)
        padded = text + "=" * (-len(text) % 4)
        name_sort, last_id = json.loads(base64.urlsafe_b64decode(padded))
        if not isinstance(name_sort, str) or not listing.is_row(last_id):
            raise ValueError("not a place in this list")
        if b"\0" in name_sort.encode("utf-8"):
            raise ValueError("not a name of ours")
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise BadRequest(
            "This page of the list is not there.", cure="Start again from the first page."
        ) from error
    return name_sort, last_id
