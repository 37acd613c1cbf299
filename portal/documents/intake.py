"""The change that puts an upload into the database: document, version, and the owner's room."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, cast

from flask import Flask, current_app
from sqlalchemy import (
    BigInteger,
    Dialect,
    Integer,
    Select,
    String,
    Table,
    Uuid,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

from portal import audit
from portal.access import Owner, Place
from portal.compiled import Compiled
from portal.config import Settings
from portal.documents import names
from portal.extensions import db
from portal.models import (
    Document,
    Folder,
    SameName,
    Scan,
    User,
    UtcDateTime,
    Version,
    utcnow,
)
from portal.models.base import BinaryText
from portal.questions import Question
from portal.scanning import waiting
from portal.search import waiting as to_index

#: What is done with an upload in the same change: on the driver's connection, for the document.
Also = Callable[[Any, uuid.UUID], None]

LONGEST_NOTE = 2000


class Actor(Protocol):
    """Whoever uploads."""

    @property
    def user_id(self) -> int: ...
    @property
    def email(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as it was just stored."""

    public_id: uuid.UUID
    name: str
    size_bytes: int
    sha256: bytes
    media_type: str
    uploaded_at: datetime
    #: What is known of its bytes and malware, as it counts now.
    scan: Scan
    #: The folder it lies in; None at the top.
    folder: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """What an upload is to become."""

    owner: Owner
    #: The name as it was sent.
    raw_name: str
    #: The folders it was dropped with, cleaned: made in `folder` where they are not there.
    path: str = ""
    note: str = ""
    same_name: SameName = SameName.KEEP_BOTH
    #: The document of which it is to be a new version, whatever its own name is.
    document_id: uuid.UUID | None = None
    #: The folder it goes into; None is the top.
    folder: Place | None = None


class NoRoom(Exception):
    """The owner has no room for so much, or no account any more."""


class FolderGone(Exception):
    """The folder it was to go into is in the trash, or was deleted for ever."""


class Changed(Exception):
    """The document that was to get a version is gone, or one of the same name has come."""


@dataclass(frozen=True, slots=True)
class Present:
    """The document an upload is a new version of."""

    id: int
    public_id: uuid.UUID
    name: str
    #: The folder it lies in; None at the top.
    folder: uuid.UUID | None = None


def same_name(intent: Intent, name: str) -> Present | None:
    """The newest document of that very name in the folder an upload goes to."""
    owner, at = intent.owner.id, intent.folder.id if intent.folder else None
    for part in names.folders_of(intent.path):
        there = _folder_in(at).ask(owner=owner, parent=at, name_key=names.fold(part))
        if there is None:
            return None
        (at,) = there
    found = _SAME_NAME.ask(owner=owner, name=name, name_key=names.fold(name), folder=at)
    return Present(*found) if found else None


def check_depth(intent: Intent) -> None:
    """Raise `FileNameRejected` where the folders of an upload would lie too deep in its folder."""
    if intent.folder is None:
        return
    depth = _DEPTH.ask(owner=intent.owner.id, at=intent.folder.id)
    if depth and depth[0] + len(names.folders_of(intent.path)) > names.DEEPEST_PATH:
        raise names.too_deep()


def _folder_in(parent: int | None) -> Question:
    return _FOLDER_AT_TOP if parent is None else _FOLDER_IN


def document_of(owner: Owner, document_id: uuid.UUID) -> Present | None:
    """That document, if it is `owner`'s and not in the trash."""
    found = _OF_OWNER.ask(owner=owner.id, document=document_id)
    return Present(*found) if found else None


def change(
    stored: Stored,
    intent: Intent,
    present: Present | None,
    actor: Actor,
    blob: str,
    settings: Settings,
    is_reserved: bool,
    also: Also | None,
    scan: Mapping[str, Any] | None = None,
) -> audit.Change:
    """What puts the bytes into the database; `scan` is what is known of them, where it is more
    than of any others that were just stored.

    Everything is worked out now: it may be called in the thread of another upload.
    """
    statements: _Statements = current_app.extensions["upload_statements"]
    owner = intent.owner
    take_room = statements.take_reserved if is_reserved else statements.take_from_quota
    room: dict[str, Any] = {"owner": owner.id, "more": stored.size_bytes}
    if not is_reserved:
        room["default_quota"] = settings.default_quota_bytes
    uploaded = {
        "size_bytes": stored.size_bytes,
        "media_type": stored.media_type,
        "uploaded_at": stored.uploaded_at,
        "uploaded_by_id": actor.user_id,
    }
    named = {
        "owner": owner.id,
        "name": stored.name,
        "name_key": names.fold(stored.name),
    }
    folders = _Folders(statements, intent)
    must_be_alone = intent.same_name == SameName.REFUSE
    renewed = {f"new_{key}": value for key, value in uploaded.items()}
    renewed["at"] = present.id if present else 0
    document = {
        **uploaded,
        "public_id": stored.public_id,
        "owner_id": owner.id,
        **names.in_row(stored.name),
        "note": intent.note.replace("\0", " ").strip()[:LONGEST_NOTE],
        "version": 1,
    }
    version = {
        **uploaded,
        "blob": blob,
        "sha256": stored.sha256,
        # Their hash was taken while they were written.
        "verified_at": stored.uploaded_at,
        **(scan or waiting.first_state(settings)),
        **to_index.first_state(stored.media_type, stored.name),
    }

    def take_in(driver: Any) -> None:
        if also is not None:  # first: what it raises is the reason, where several hold
            also(driver, stored.public_id)
        # One conditional UPDATE: two uploads at once cannot both take the last room.
        if not take_room.run(driver, room):
            raise NoRoom
        if present is not None:
            newest = statements.renew_document.fetch_one(driver, renewed)
            place = (present.id, newest[0]) if newest else None
        else:
            # The owner's row is taken: nobody else changes folders until this is committed.
            folder = folders.make(driver)
            twin = {**named, "folder": folder}
            if must_be_alone and statements.same_name.fetch_one(driver, twin):
                raise Changed
            added = statements.add_document.fetch_one(driver, {**document, "folder_id": folder})
            place = (added[0], 1) if added else None
        if place is None:
            raise Changed
        statements.add_version.run(driver, {**version, "document_id": place[0], "number": place[1]})

    return take_in


class _Folders:
    """The folder an upload goes into, and those it was dropped with, which are made in it."""

    def __init__(self, statements: _Statements, intent: Intent) -> None:
        self._statements = statements
        self._owner = intent.owner.id
        self._into = intent.folder.id if intent.folder else None
        self._parts = [
            {
                "public_id": uuid.uuid4(),
                "owner_id": self._owner,
                **names.in_row(part),
                "created_at": utcnow(),
            }
            for part in names.folders_of(intent.path)
        ]

    def make(self, driver: Any) -> int | None:
        """The row of the innermost; None at the top. Raises `FolderGone`, `FileNameRejected`."""
        at = self._into
        if at is not None:
            depth = self._statements.depth.fetch_one(driver, {"owner": self._owner, "at": at})
            if depth is None or not depth[0]:
                raise FolderGone
            if depth[0] + len(self._parts) > names.DEEPEST_PATH:
                raise names.too_deep()
        for part in self._parts:
            at = self._there(driver, at, part) or self._made(driver, at, part)
        return at

    def _there(self, driver: Any, parent: int | None, part: dict[str, Any]) -> int | None:
        find = self._statements.folder_at_top if parent is None else self._statements.folder_in
        key = {"owner": self._owner, "parent": parent, "name_key": part["name_key"]}
        found = find.fetch_one(driver, key)
        return found[0] if found else None

    def _made(self, driver: Any, parent: int | None, part: dict[str, Any]) -> int:
        added = self._statements.add_folder.fetch_one(driver, {**part, "parent_id": parent})
        if added is None:
            raise Changed
        row: int = added[0]
        return row


# Built once, for tables instead of classes: uploads of many small files are this.
_USERS = cast(Table, User.__table__)
_DOCUMENTS = cast(Table, Document.__table__)
_QUOTA = func.coalesce(_USERS.c.quota_bytes, bindparam("default_quota", type_=BigInteger))
_MORE = bindparam("more", type_=BigInteger)
_ENABLED_OWNER = and_(
    _USERS.c.id == bindparam("owner", type_=Integer), _USERS.c.disabled_at.is_(None)
)
#: The condition for an owner in whose directory there is room for `more` bytes.
HAS_ROOM = and_(
    _ENABLED_OWNER,
    or_(_QUOTA == 0, _USERS.c.used_bytes + _USERS.c.reserved_bytes + _MORE <= _QUOTA),
)
_TAKE_FROM_QUOTA = update(_USERS).where(HAS_ROOM).values(used_bytes=_USERS.c.used_bytes + _MORE)
#: Sets `more` bytes aside for an upload that is yet to come.
RESERVE = update(_USERS).where(HAS_ROOM).values(reserved_bytes=_USERS.c.reserved_bytes + _MORE)
_TAKE_RESERVED = (
    update(_USERS)
    .where(_ENABLED_OWNER)
    .values(used_bytes=_USERS.c.used_bytes + _MORE, reserved_bytes=_USERS.c.reserved_bytes - _MORE)
)
_FOLDERS = cast(Table, Folder.__table__)
_LIVE_FOLDER = select(_FOLDERS.c.id).where(
    _FOLDERS.c.owner_id == bindparam("owner", type_=Integer),
    _FOLDERS.c.trashed_at.is_(None),
    _FOLDERS.c.name_key == bindparam("name_key", type_=BinaryText),
)
# Two, because each finds an index of its own.
_OF_PARENT = _LIVE_FOLDER.where(_FOLDERS.c.parent_id == bindparam("parent", type_=Integer))
_OF_TOP = _LIVE_FOLDER.where(_FOLDERS.c.parent_id.is_(None))
_FOLDER_IN, _FOLDER_AT_TOP = Question(_OF_PARENT), Question(_OF_TOP)


def _depth() -> Select[tuple[int]]:
    """How many folders lie around a live one, itself counted; 0 where it is not there."""
    columns = (_FOLDERS.c.id, _FOLDERS.c.parent_id)
    way = (
        select(*columns)
        .where(
            _FOLDERS.c.id == bindparam("at", type_=Integer),
            _FOLDERS.c.owner_id == bindparam("owner", type_=Integer),
            _FOLDERS.c.trashed_at.is_(None),
        )
        .cte(recursive=True)
    )
    way = way.union_all(select(*columns).join(way, _FOLDERS.c.id == way.c.parent_id))
    return select(func.count(way.c.id))


_DEPTH = Question(_depth())
_LIVE_OF_OWNER = (
    select(_DOCUMENTS.c.id, _DOCUMENTS.c.public_id, _DOCUMENTS.c.name, _FOLDERS.c.public_id)
    .outerjoin(_FOLDERS, _FOLDERS.c.id == _DOCUMENTS.c.folder_id)
    .where(_DOCUMENTS.c.owner_id == bindparam("owner", type_=Integer))
    .where(_DOCUMENTS.c.trashed_at.is_(None))
)
_OF_THE_NAME = (
    _LIVE_OF_OWNER.where(_DOCUMENTS.c.name == bindparam("name", type_=String))
    .where(_DOCUMENTS.c.name_key == bindparam("name_key", type_=BinaryText))
    .where(_DOCUMENTS.c.folder_id.is_not_distinct_from(bindparam("folder", type_=Integer)))
    .order_by(_DOCUMENTS.c.id.desc())
    .limit(1)
)
_SAME_NAME = Question(_OF_THE_NAME)
_OF_OWNER = Question(
    _LIVE_OF_OWNER.where(_DOCUMENTS.c.public_id == bindparam("document", type_=Uuid))
)
_RENEW_DOCUMENT = (
    update(_DOCUMENTS)
    .where(_DOCUMENTS.c.id == bindparam("at", type_=Integer), _DOCUMENTS.c.trashed_at.is_(None))
    .values(
        version=_DOCUMENTS.c.version + 1,
        size_bytes=bindparam("new_size_bytes", type_=BigInteger),
        media_type=bindparam("new_media_type"),
        uploaded_at=bindparam("new_uploaded_at", type_=UtcDateTime),
        uploaded_by_id=bindparam("new_uploaded_by_id"),
    )
    .returning(_DOCUMENTS.c.version)
)
_ADD_DOCUMENT = insert(_DOCUMENTS).returning(_DOCUMENTS.c.id)
_ADD_FOLDER = insert(_FOLDERS).returning(_FOLDERS.c.id)
_ADD_VERSION = insert(cast(Table, Version.__table__))
_OF_BOTH = ("size_bytes", "media_type", "uploaded_at", "uploaded_by_id")
_OF_NAME = ("name", "name_key", "name_sort")
_OF_DOCUMENT = ("public_id", "owner_id", *_OF_NAME, "folder_id", "note", "version", *_OF_BOTH)
_OF_FOLDER = ("public_id", "owner_id", "parent_id", *_OF_NAME, "created_at")
_OF_SCAN = ("scan", "threat", "scan_tries", "next_scan_at", "scanned_at")
_OF_WORK = ("verified_at", "next_index_at", "index_tries", *_OF_SCAN)
_OF_VERSION = ("document_id", "number", "blob", "sha256", *_OF_WORK, *_OF_BOTH)


class _Statements:
    """What an upload asks of the database, compiled for the one in use."""

    def __init__(self, dialect: Dialect) -> None:
        self.take_from_quota = Compiled(_TAKE_FROM_QUOTA, dialect)
        self.take_reserved = Compiled(_TAKE_RESERVED, dialect)
        self.same_name = Compiled(_OF_THE_NAME, dialect)
        self.renew_document = Compiled(_RENEW_DOCUMENT, dialect)
        self.add_document = Compiled(_ADD_DOCUMENT, dialect, _OF_DOCUMENT)
        self.folder_in = Compiled(_OF_PARENT, dialect)
        self.folder_at_top = Compiled(_OF_TOP, dialect)
        self.depth = Compiled(_depth(), dialect)
        self.add_folder = Compiled(_ADD_FOLDER, dialect, _OF_FOLDER)
        self.add_version = Compiled(_ADD_VERSION, dialect, _OF_VERSION)


def init_app(app: Flask) -> None:
    """Compile what every upload asks of the database; asks nothing yet."""
    with app.app_context():
        app.extensions["upload_statements"] = _Statements(db.engine.dialect)
