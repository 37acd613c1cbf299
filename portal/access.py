"""The door: the only place that decides who may see, fetch or change a document or folder.

To send a document's bytes one needs a `Grant`, and only this module makes one. Lists and
look-ups begin with the same `visible_documents`, so a list never shows what a look-up
would refuse. Every refusal is the same `NotFound`, whether the thing exists or not.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from flask import current_app
from sqlalchemy import (
    CTE,
    Boolean,
    ColumnElement,
    Integer,
    String,
    Uuid,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.orm import aliased

from portal import audit, database
from portal.config import Settings
from portal.errors import BeingScanned, Damaged, Gone, Infected, NotFound, SignInRequired
from portal.extensions import db
from portal.models import (
    ApiToken,
    Document,
    Folder,
    OpenUpload,
    Preview,
    Role,
    Scan,
    Session,
    ShareLink,
    Size,
    User,
    Version,
    utcnow,
)
from portal.questions import Question
from portal.tokens import hash_token

_Thing = TypeVar("_Thing")

#: Ids in one query.
_ASKED_AT_ONCE = 500


class Person(Protocol):
    """Whoever is signed in, as far as a decision needs to know them."""

    @property
    def user_id(self) -> int: ...
    @property
    def email(self) -> str: ...
    @property
    def is_admin(self) -> bool: ...


class Reason(StrEnum):
    """Why somebody may have a document's bytes."""

    OWNER = "owner"
    SHARE_LINK = "share link"


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to have the bytes of one version of one document, now.

    Made by the functions of this module and by nothing else; `storage.delivery` sends
    what a grant names and takes nothing but a grant.
    """

    document_id: uuid.UUID
    name: str
    owner_email: str
    blob: str
    size_bytes: int
    sha256: bytes
    media_type: str
    reason: Reason
    #: Public id and label of the share link, when that is the reason.
    link_id: uuid.UUID | None = None
    link_label: str = ""


def scan_state(scan: str) -> Scan:
    """What is known of some bytes and malware, as it counts now. Unknown means no.

    With a scanner, what was never scanned waits; without one, nothing does: whoever took it away
    decided that documents are not scanned. What was found stays found. A state that this
    portal does not know (a newer one wrote it) waits, in either case.
    """
    if scan in {Scan.CLEAN, Scan.INFECTED}:
        return Scan(scan)
    settings: Settings = current_app.extensions["settings"]
    if scan in {Scan.NONE, Scan.WAITING} and settings.clamd_url is None:
        return Scan.NONE
    return Scan.WAITING


def _may_leave(scan: str) -> bool:
    return scan_state(scan) in {Scan.CLEAN, Scan.NONE}


def readable_scans() -> list[Scan]:
    """The states of `Version.scan` in which bytes may leave, be read, and be searched."""
    return [state for state in Scan if _may_leave(state)]


def may_leave() -> ColumnElement[bool]:
    """The condition on `Version` for bytes that may leave, as `scan_state` would say."""
    return Version.scan.in_(readable_scans())


def visible_documents(person: Person) -> ColumnElement[bool]:
    """The condition on `Document` for what `person` may see: their own, outside the trash."""
    return _visible_to(literal(person.user_id))


def _visible_to(person_id: ColumnElement[int]) -> ColumnElement[bool]:
    return and_(Document.owner_id == person_id, Document.trashed_at.is_(None))


def trashed_documents(person: Person) -> ColumnElement[bool]:
    """The condition on `Document` for what lies in `person`'s own trash, by itself."""
    return and_(
        Document.owner_id == person.user_id,
        Document.trashed_at.is_not(None),
        # What went with a folder comes back with it, and is deleted for ever with it.
        Document.trashed_with_id.is_(None),
    )


def visible_folders(person: Person) -> ColumnElement[bool]:
    """The condition on `Folder` for what `person` may see: their own, outside the trash."""
    return and_(Folder.owner_id == person.user_id, Folder.trashed_at.is_(None))


def trashed_folders(person: Person) -> ColumnElement[bool]:
    """The condition on `Folder` for what lies in `person`'s own trash, by itself."""
    return and_(
        Folder.owner_id == person.user_id,
        Folder.trashed_at.is_not(None),
        Folder.trashed_with_id.is_(None),
    )


def document_for(person: Person, document_id: uuid.UUID) -> Document:
    """A document that `person` may see and, as its owner, change.

    Someone else's document, a trashed one and one that never existed raise the same
    `NotFound`, and each such try is in the audit log.
    """
    return _one_document(visible_documents(person), document_id)


def document_and_way(person: Person, document_id: uuid.UUID) -> tuple[Document, Sequence[Place]]:
    """As `document_for`, with the folders it lies in, the outermost first; in one query."""
    wanted = and_(Document.public_id == document_id, visible_documents(person))
    lies_in = select(Document.folder_id).where(wanted).scalar_subquery()
    way = _way(and_(Folder.id == lies_in, visible_folders(person)))
    rows = db.session.execute(
        select(Document, way.c.id, way.c.public_id, way.c.name)
        .outerjoin(way, true())
        .where(wanted)
        .order_by(way.c.steps.desc())
    ).all()
    if not rows:
        raise _denied(document_id)
    return rows[0].Document, [Place(*row[1:]) for row in rows if row.id is not None]


def documents_for(person: Person, document_ids: Sequence[uuid.UUID]) -> Sequence[Document]:
    """As `document_for`, for each of several in that order, or for none."""
    rows = db.session.scalars(
        select(Document).where(Document.public_id.in_(document_ids), visible_documents(person))
    )
    return _each({row.public_id: row for row in rows}, document_ids, _denied)


def owner_of(person: Person, document_id: uuid.UUID) -> uuid.UUID:
    """In whose directory a document lies that `person` may change; else a `NotFound`."""
    document = document_for(person, document_id)
    return db.session.execute(
        select(User.public_id).where(User.id == document.owner_id)
    ).scalar_one()


def trashed_document_for(person: Person, document_id: uuid.UUID) -> Document:
    """A document in `person`'s own trash; otherwise the `NotFound` of `document_for`."""
    return _one_document(trashed_documents(person), document_id)


def folder_for(person: Person, folder_id: uuid.UUID) -> Folder:
    """A folder that `person` may see and, as its owner, change.

    Someone else's, a trashed one and one that never existed raise the same `NotFound`, and
    each such try is in the audit log.
    """
    return _one_folder(visible_folders(person), folder_id)


def folders_for(person: Person, folder_ids: Sequence[uuid.UUID]) -> Sequence[Folder]:
    """As `folder_for`, for each of several in that order, or for none."""
    rows = db.session.scalars(
        select(Folder).where(Folder.public_id.in_(folder_ids), visible_folders(person))
    )
    return _each({row.public_id: row for row in rows}, folder_ids, _folder_denied)


def trashed_folder_for(person: Person, folder_id: uuid.UUID) -> Folder:
    """A folder that lies in `person`'s own trash by itself; otherwise the same `NotFound`."""
    return _one_folder(trashed_folders(person), folder_id)


def trashed_for(person: Person, thing_id: uuid.UUID) -> Document | Folder:
    """A document or folder that lies in `person`'s own trash by itself; else a `NotFound`."""
    folder = db.session.scalar(
        select(Folder).where(Folder.public_id == thing_id, trashed_folders(person))
    )
    return folder or trashed_document_for(person, thing_id)


@dataclass(frozen=True, slots=True)
class Place:
    """A folder, as somebody may know it."""

    id: int
    public_id: uuid.UUID
    name: str


def way_to(person: Person, folder_id: uuid.UUID) -> Sequence[Place]:
    """A folder that `person` may see, after those it lies in; the outermost first.

    Raises the `NotFound` of `folder_for`.
    """
    return ways_to(person, [folder_id])[0]


def ways_to(person: Person, folder_ids: Sequence[uuid.UUID]) -> Sequence[Sequence[Place]]:
    """As `way_to`, for each of several in that order, or for none; in one query."""
    way = _way(and_(Folder.public_id.in_(folder_ids), visible_folders(person)))
    rows = db.session.execute(
        select(way.c.start, way.c.id, way.c.public_id, way.c.name).order_by(way.c.steps.desc())
    )
    found: dict[uuid.UUID, list[Place]] = {}
    for start, *place in rows:
        found.setdefault(start, []).append(Place(*place))
    return _each(found, folder_ids, _folder_denied)


def way_to_document(person: Person, document: Document) -> Sequence[Place]:
    """The folders a document lies in, the outermost first; none at the top."""
    way = _way(and_(Folder.id == document.folder_id, visible_folders(person)))
    found = db.session.execute(
        select(way.c.id, way.c.public_id, way.c.name).order_by(way.c.steps.desc())
    )
    return [Place(*row) for row in found]


def folder_of(owner: Owner, folder_id: uuid.UUID) -> Place:
    """A live folder in the directory of `owner`, into which somebody may upload.

    That they may, `may_upload_to` has said. Raises the `NotFound` of `folder_for`.
    """
    row = _FOLDER_OF.ask(folder_id=folder_id, owner=owner.id)
    if row is None:
        raise _folder_denied(folder_id)
    return Place(*row)


def _way(condition: ColumnElement[bool]) -> CTE:
    """Each folder that meets `condition`, the `start`, and those it lies in, each so many `steps`
    further up."""
    columns = (Folder.id, Folder.public_id, Folder.name, Folder.parent_id)
    start = select(*columns, Folder.public_id.label("start"), literal(0).label("steps"))
    way = start.where(condition).cte(recursive=True)
    further = select(*columns, way.c.start, way.c.steps + 1)
    return way.union_all(further.join(way, Folder.id == way.c.parent_id))


def grant_to_user(person: Person, document_id: uuid.UUID, version: int | None = None) -> Grant:
    """Grant `person` a document they may see; `version` None is the newest.

    Someone else's document and one that never existed raise the same `NotFound`,
    so the answer does not confirm that a guessed id is real. Raises `BeingScanned`, `Infected`
    or `Damaged` for bytes that may not leave, and only to whom the document is visible.
    """
    row = _GRANT_TO_USER.ask(person_id=person.user_id, document_id=document_id, version=version)
    if row is None:
        raise _denied(document_id)
    return _grant(row, Reason.OWNER)


@dataclass(frozen=True, slots=True)
class Picture:
    """The right to have one picture (or the lines of a text) that was made of granted bytes."""

    document_id: uuid.UUID
    name: str
    owner_email: str
    blob: str
    size_bytes: int
    media_type: str
    width: int
    height: int
    size: Size
    page: int


def picture(grant: Grant, size: Size, page: int = 0) -> Picture | None:
    """The picture of what `grant` names; None where it was not made. Whoever may have the bytes
    may see them, and nobody else."""
    row = _PICTURE.ask(blob=grant.blob, size=size.value, page=page)
    if row is None:
        return None
    blob, size_bytes, media_type, width, height = row
    return Picture(
        document_id=grant.document_id,
        name=grant.name,
        owner_email=grant.owner_email,
        blob=blob,
        size_bytes=size_bytes,
        media_type=media_type,
        width=width,
        height=height,
        size=size,
        page=page,
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """One version of a document as its owner takes it away with them."""

    #: None where the bytes may not leave (see `scan`), or are damaged.
    grant: Grant | None
    document_id: uuid.UUID
    name: str
    size_bytes: int
    sha256: bytes
    media_type: str
    scan: Scan
    number: int
    is_newest: bool
    note: str
    trashed_at: datetime | None
    uploaded_at: datetime
    uploaded_by_name: str
    #: The row of the folder it lies in.
    folder_id: int | None


@dataclass(frozen=True, slots=True)
class OwnFolder:
    """The name of a folder, and the row of the one it lies in."""

    parent_id: int | None
    name: str


def own_folders(person: Person) -> dict[int, OwnFolder]:
    """Every folder of `person` by its row, those in the trash included."""
    found = db.session.execute(
        select(Folder.id, Folder.parent_id, Folder.name).where(Folder.owner_id == person.user_id)
    )
    return {row.id: OwnFolder(row.parent_id, row.name) for row in found}


@dataclass(frozen=True, slots=True)
class Chosen:
    """One document that somebody takes together with others."""

    #: None where the bytes may not leave (see `scan`).
    grant: Grant | None
    document_id: uuid.UUID
    name: str
    owner_email: str
    size_bytes: int
    scan: Scan
    uploaded_at: datetime
    #: The row of the folder it lies in.
    folder_id: int | None


@dataclass(frozen=True, slots=True)
class FolderBelow:
    """A folder below one that somebody chose, or that one itself."""

    id: int
    parent_id: int | None
    name: str


@dataclass(frozen=True, slots=True)
class Below:
    """What lies in some folders and below them: the folders, and the documents in them."""

    places: Sequence[FolderBelow]
    documents: Sequence[Chosen]


def grants_to_several(person: Person, document_ids: Sequence[uuid.UUID]) -> Sequence[Chosen]:
    """Grant `person` each of those documents they may see, in that order.

    One that is not theirs, in the trash or was never there raises the `NotFound` that it raises
    alone, and nothing is granted. Bytes that may not leave come without a grant.
    """
    found: dict[uuid.UUID, Chosen] = {}
    for start in range(0, len(document_ids), _ASKED_AT_ONCE):
        some = document_ids[start : start + _ASKED_AT_ONCE]
        rows = db.session.execute(
            _NEWEST.where(Document.public_id.in_(some), visible_documents(person))
        )
        found.update((row[0], _chosen(row)) for row in rows)
    return _each(found, document_ids, _denied)


def documents_below(person: Person, folder_ids: Sequence[uuid.UUID], most: int) -> Below:
    """Grant `person` what lies in folders of their own and below them, trash left out.

    At most `most` documents, by name. Raises `NotFound` for a folder that is not theirs or was
    never there. Bytes that may not leave come without a grant.
    """
    theirs = and_(Folder.owner_id == person.user_id, Folder.trashed_at.is_(None))
    columns = select(Folder.id, Folder.parent_id, Folder.name, Folder.name_sort)
    chosen = select(Folder.public_id).where(theirs, Folder.public_id.in_(folder_ids))
    if set(db.session.scalars(chosen)) != set(folder_ids):
        raise _denied(None)
    below = columns.where(theirs, Folder.public_id.in_(folder_ids)).cte("below", recursive=True)
    # Not UNION ALL: a folder that was chosen beside one above it comes once.
    below = below.union(columns.join(below, Folder.parent_id == below.c.id).where(theirs))
    places = db.session.execute(
        select(below.c.id, below.c.parent_id, below.c.name).order_by(below.c.name_sort, below.c.id)
    )
    documents = db.session.execute(
        _NEWEST.where(Document.folder_id.in_(select(below.c.id)), visible_documents(person))
        .order_by(Document.name_sort, Document.id)
        .limit(most)
    )
    return Below([FolderBelow(*row) for row in places], [_chosen(row) for row in documents])


def still_granted(person: Person, grants: Sequence[Grant]) -> bool:
    """Whether `person` may have all of those bytes at this moment, while they are being sent."""
    blobs = {grant.blob for grant in grants}
    rows = db.session.execute(
        select(Version.blob, Version.scan)
        .join(Document, Document.id == Version.document_id)
        .join(User, User.id == Document.owner_id)
        .where(Version.blob.in_(blobs), visible_documents(person), User.disabled_at.is_(None))
    )
    return {blob for blob, scan in rows if _may_leave(scan)} == blobs


def _chosen(row: Sequence[Any]) -> Chosen:
    facts, (uploaded_at, folder_id) = row[:8], row[8:]
    document_id, name, owner_email, _, size_bytes, _, _, scan = facts
    grant = _grant(facts, Reason.OWNER) if _may_leave(scan) else None
    state = scan_state(scan)
    return Chosen(grant, document_id, name, owner_email, size_bytes, state, uploaded_at, folder_id)


def everything_of(person: Person) -> Sequence[int]:
    """What `person` owns, by name, then what lies in their trash: for `grants_to_everything`."""
    live = select(Document.id).where(visible_documents(person))
    trashed = select(Document.id).where(
        Document.owner_id == person.user_id, Document.trashed_at.is_not(None)
    )
    return [
        *db.session.scalars(live.order_by(Document.name_key, Document.id)),
        *db.session.scalars(trashed.order_by(Document.trashed_at.desc(), Document.id)),
    ]


def grants_to_everything(person: Person, ids: Sequence[int]) -> Sequence[Kept]:
    """Grant `person` every version of those of their own documents, trashed ones included.

    In the order of `ids`, older versions first. What was deleted since is left out, and so is
    everything once the account was disabled. Bytes that may not leave come without a grant.
    """
    uploader = aliased(User)
    found = db.session.execute(
        _GRANT_COLUMNS.add_columns(
            Document.id,
            Version.number,
            Version.number == Document.version,
            Document.note,
            Document.trashed_at,
            Version.uploaded_at,
            uploader.name,
            Document.folder_id,
        )
        .join(uploader, uploader.id == Version.uploaded_by_id)
        .where(
            Document.id.in_(ids), Document.owner_id == person.user_id, User.disabled_at.is_(None)
        )
    )
    place = {document_id: number for number, document_id in enumerate(ids)}
    rows: list[Sequence[Any]] = sorted(found, key=lambda row: (place[row[8]], row[9]))
    return [_kept(row[:8], row[9:]) for row in rows]


def _kept(facts: Sequence[Any], more: Sequence[Any]) -> Kept:
    document_id, name, _, _, size_bytes, sha256, media_type, scan = facts
    grant = _grant(facts, Reason.OWNER) if _may_leave(scan) else None
    state = Scan.NONE if scan == _DAMAGED else scan_state(scan)
    return Kept(grant, document_id, name, size_bytes, sha256, media_type, state, *more)


@dataclass(frozen=True, slots=True)
class OpenLink:
    """A share link that works at this moment, and what a stranger may know of it.

    (In the refusal of a link that has ended, the facts of the document may be None.)
    """

    id: int
    public_id: uuid.UUID
    label: str
    document_id: uuid.UUID
    document_name: str
    size_bytes: int
    media_type: str
    sender_name: str
    owner_email: str
    created_at: datetime
    expires_at: datetime
    password_hash: str | None
    max_downloads: int | None
    download_count: int
    #: Of the newest version's bytes, as it counts now.
    scan: Scan

    @property
    def is_used_up(self) -> bool:
        return self.max_downloads is not None and self.download_count >= self.max_downloads


def link_is_live(moment: datetime, maker: type[User] = User) -> ColumnElement[bool]:
    """The condition on `ShareLink`, `Document` and `maker`, who made it, for a working link."""
    return and_(
        ShareLink.revoked_at.is_(None),
        ShareLink.expires_at > moment,
        Document.id.is_not(None),
        Document.trashed_at.is_(None),
        maker.disabled_at.is_(None),
        ~_newest_is(Scan.INFECTED),
    )


def _newest_is(scan: Scan) -> ColumnElement[bool]:
    """The condition on `Document` for what is known of its newest version."""
    newest = aliased(Version)
    return exists().where(
        newest.document_id == Document.id, newest.number == Document.version, newest.scan == scan
    )


def has_downloads_left() -> ColumnElement[bool]:
    """The condition on `ShareLink` for one that may be used once more."""
    return or_(
        ShareLink.max_downloads.is_(None),
        ShareLink.download_count < ShareLink.max_downloads,
    )


def open_link(token: str) -> OpenLink:
    """The link behind `token`, if it works now; it may be used up (see `is_used_up`).

    Raises `NotFound` for a token that never was, `Gone` for one whose link has ended:
    expired, revoked, its document in the trash or gone or blocked because of malware, its
    maker's account disabled. One whose document is still being scanned works, but hands out
    nothing yet: see `check_may_start`.
    """
    row = db.session.execute(
        select(
            ShareLink.id,
            ShareLink.public_id,
            ShareLink.label,
            Document.public_id,
            Document.name,
            Document.size_bytes,
            Document.media_type,
            case((User.deleted_at.is_(None), User.name), else_="whoever sent it to you"),
            User.email,
            ShareLink.created_at,
            ShareLink.expires_at,
            ShareLink.password_hash,
            ShareLink.max_downloads,
            ShareLink.download_count,
            Version.scan,
            link_is_live(utcnow()),
            ShareLink.revoked_at,
        )
        .outerjoin(Document, Document.id == ShareLink.document_id)
        .outerjoin(
            Version, and_(Version.document_id == Document.id, Version.number == Document.version)
        )
        .join(User, User.id == ShareLink.created_by_id)
        .where(ShareLink.token_hash == hash_token(token))
    ).one_or_none()
    if row is None:
        audit.record_refusal(audit.Action.LINK_REFUSED, reason="unknown")
        raise _no_such_link()
    facts: Sequence[Any] = row
    link = OpenLink(*(*facts[:14], scan_state(facts[14] or Scan.NONE)))
    if not facts[15]:
        raise gone(link, revoked_at=facts[16])
    return link


def check_may_start(link: OpenLink) -> None:
    """Raise `BeingScanned`, `Damaged` or `Gone` where `link` hands out nothing at this moment.

    To be asked in the transaction that counts a download, so that none is counted in vain.
    """
    scan = db.session.scalar(
        select(_HINDRANCE)
        .join(Document, Document.id == Version.document_id)
        .where(Document.public_id == link.document_id, Version.number == Document.version)
    )
    if scan is None:
        raise gone(link)
    _refuse_unscanned(scan, link.document_id, link.document_name, link.owner_email, link)


def _no_such_link() -> NotFound:
    return NotFound(
        "There is no such link.",
        cure="Check that the whole address was copied, or ask whoever sent it to you.",
    )


def gone(link: OpenLink, revoked_at: datetime | None = None, *, scan: Scan | None = None) -> Gone:
    """The refusal of a link that has ended, in the audit log and in words for a stranger."""
    now = utcnow()
    if link.is_used_up and revoked_at is None and link.expires_at > now:
        why, what = "used up", "This link has been used as often as it allows."
    elif revoked_at is None and link.expires_at <= now:
        day = f"{link.expires_at.day} {link.expires_at:%B %Y}"
        why, what = "expired", f"This link stopped working on {day}."
    elif revoked_at is None and (scan or link.scan) is Scan.INFECTED:
        why, what = "infected", "This link no longer works."
    else:
        why, what = "ended", "This link no longer works."
    audit.record_refusal(
        audit.Action.LINK_REFUSED,
        document=link.document_id,
        owner=link.owner_email,
        reason=why,
        link=str(link.public_id),
        label=link.label,
        name=link.document_name,
    )
    return Gone(what, cure=f"Ask {link.sender_name} for a new one.")


def grant_to_link_holder(link: OpenLink) -> Grant:
    """Grant whoever holds `link` its document, as far as the link is live at this moment.

    The caller has counted the download or holds a ticket that was counted. Raises `Gone`, or
    `BeingScanned`.
    """
    row = db.session.execute(
        _GRANT_COLUMNS.where(
            Version.number == Document.version,
            ShareLink.id == link.id,
            ShareLink.document_id == Document.id,
            link_is_live(utcnow(), maker=_MAKER),
            _MAKER.id == ShareLink.created_by_id,
        )
    ).one_or_none()
    if row is None:
        raise gone(link)
    return _grant(row, Reason.SHARE_LINK, link)


@dataclass(frozen=True, slots=True)
class Owner:
    """Into whose directory an upload goes, and how much room is there."""

    id: int
    public_id: uuid.UUID
    email: str
    name: str
    quota_bytes: int | None
    #: What their documents take, and what is set aside for uploads that are on their way.
    used_bytes: int
    reserved_bytes: int


def may_upload_to(person: Person, owner_id: uuid.UUID) -> Owner:
    """The owner into whose directory `person` may upload: themselves, or anyone for an admin.

    Raises `NotFound` for everybody else, and where either account is disabled; `SignInRequired`
    where the session or token they came with has ended. Asks what holds now: a body can take
    hours, so it is asked before its first byte and again before anything of it is stored.
    """
    # Whoever acts for somebody, as the worker does, has neither.
    session_id = getattr(person, "session_id", None)
    token_id = getattr(person, "token_id", None)
    row = _MAY_UPLOAD_TO.ask(
        owner_id=owner_id,
        person_id=person.user_id,
        is_admin=person.is_admin,
        session_id=session_id,
        token_id=token_id,
        came_with_nothing=session_id is token_id is None,
    )
    if row is None:
        raise _denied(None)
    *owner, is_still_there = row
    if not is_still_there:
        raise SignInRequired
    return Owner(*owner)


@dataclass(frozen=True, slots=True)
class Sending:
    """An upload in pieces, as whoever sends it may know it."""

    id: int
    public_id: uuid.UUID
    owner_id: uuid.UUID
    created_by_id: int
    name: str
    upload_metadata: str
    #: The row of the folder it goes into, and the folders it was dropped with.
    folder_id: int | None
    path: str
    note: str
    same_name: str
    #: The document it is to be a new version of.
    version_of: uuid.UUID | None
    length_bytes: int
    blob: str
    synced_bytes: int
    boot_id: str
    checked_bytes: int | None
    expires_at: datetime
    #: The document it became.
    document_id: uuid.UUID | None


def upload_of(person: Person, upload_id: uuid.UUID) -> Sending:
    """An upload in pieces that `person` has begun; nobody else can see it or go on with it.

    Raises `NotFound`.
    """
    row = _UPLOAD_OF.ask(upload_id=upload_id, person_id=person.user_id)
    if row is None:
        raise _denied(None)
    return sending(row)


def sending(row: Sequence[Any]) -> Sending:
    """What a row of `SENDING_COLUMNS` says."""
    return Sending(*row)


def directory_for(admin: Person, owner_id: uuid.UUID) -> User:
    """The person whose directory an admin may see as names and sizes. Raises `NotFound`."""
    if not admin.is_admin:
        raise _denied(None)
    owner = db.session.execute(
        select(User).where(User.public_id == owner_id, User.deleted_at.is_(None))
    ).scalar_one_or_none()
    if owner is None:
        raise NotFound
    return owner


def own_account(person: Person) -> User:
    """The account of whoever is signed in."""
    return db.session.execute(select(User).where(User.id == person.user_id)).scalar_one()


def links_of(person: Person) -> ColumnElement[bool]:
    """The condition on `ShareLink` for the links `person` made."""
    return ShareLink.created_by_id == person.user_id


def manageable_links(person: Person) -> ColumnElement[bool]:
    """The condition on `ShareLink` for what `person` may end: their own, every one for an admin."""
    return or_(links_of(person), literal(person.is_admin))


def _one_document(condition: ColumnElement[bool], document_id: uuid.UUID) -> Document:
    query = select(Document).where(Document.public_id == document_id, condition)
    if database.in_transaction():
        # Of two who change it at once, the second one looks again after the first.
        query = query.with_for_update()
    document = db.session.execute(query).scalar_one_or_none()
    if document is None:
        raise _denied(document_id)
    return document


def document_to_use(person: Person, document_id: uuid.UUID) -> Document:
    """As `document_for`, for more than looking at it and deleting it.

    Raises `Infected` where malware was found in its newest version.
    """
    document = document_for(person, document_id)
    if db.session.scalar(
        select(Document.id).where(Document.id == document.id, _newest_is(Scan.INFECTED))
    ):
        raise Infected
    return document


def _one_folder(condition: ColumnElement[bool], folder_id: uuid.UUID) -> Folder:
    folder = db.session.execute(
        select(Folder).where(Folder.public_id == folder_id, condition)
    ).scalar_one_or_none()
    if folder is None:
        raise _folder_denied(folder_id)
    return folder


def _refuse_unscanned(
    scan: str, document_id: uuid.UUID, name: str, owner_email: str, link: OpenLink | None
) -> None:
    """Raise unless the bytes may leave. Every way to a grant leads through here."""
    if _may_leave(scan):
        return
    if scan == _DAMAGED:
        raise Damaged
    if scan_state(scan) is not Scan.INFECTED:
        raise BeingScanned
    if link is not None:
        raise gone(link, scan=Scan.INFECTED)
    audit.record_alone(
        audit.Action.DOWNLOAD_BLOCKED, document=document_id, owner=owner_email, name=name
    )
    raise Infected


def _grant(row: Sequence[Any], reason: Reason, link: OpenLink | None = None) -> Grant:
    document_id, name, owner_email, blob, size_bytes, sha256, media_type, scan = row
    _refuse_unscanned(scan, document_id, name, owner_email, link)
    return Grant(
        document_id=document_id,
        name=name,
        owner_email=owner_email,
        blob=blob,
        size_bytes=size_bytes,
        sha256=sha256,
        media_type=media_type,
        reason=reason,
        link_id=link.public_id if link else None,
        link_label=link.label if link else "",
    )


def _each(
    found: Mapping[uuid.UUID, _Thing],
    ids: Sequence[uuid.UUID],
    denied: Callable[[uuid.UUID], NotFound],
) -> Sequence[_Thing]:
    """What was found for each of `ids`, in that order, or none: the first one missing is denied."""
    for each in ids:
        if each not in found:
            raise denied(each)
    return [found[each] for each in ids]


def _denied(document_id: uuid.UUID | None) -> NotFound:
    audit.record_alone(audit.Action.ACCESS_DENIED, document=document_id)
    return NotFound()


def _folder_denied(folder_id: uuid.UUID) -> NotFound:
    audit.record_alone(audit.Action.ACCESS_DENIED, folder=str(folder_id))
    return NotFound()


_MAKER = aliased(User)

#: What may keep bytes from leaving: what is known of them and malware, or that they are not those
#: that were stored. The latter is no state of `Scan`, so that whoever does not know it says no.
_DAMAGED = "damaged"
_HINDRANCE = case(
    (and_(Version.damaged_at.is_not(None), Version.scan != Scan.INFECTED), literal(_DAMAGED)),
    else_=Version.scan,
)

#: What a grant is made of: plain columns, without the cost of whole objects.
_GRANT_COLUMNS = (
    select(
        Document.public_id,
        Document.name,
        User.email,
        Version.blob,
        Version.size_bytes,
        Version.sha256,
        Version.media_type,
        _HINDRANCE,
    )
    .join(User, User.id == Document.owner_id)
    .join(Version, Version.document_id == Document.id)
)

_NEWEST = _GRANT_COLUMNS.add_columns(Version.uploaded_at, Document.folder_id).where(
    Version.number == Document.version
)

_GRANT_TO_USER = Question(
    _GRANT_COLUMNS.where(
        Document.public_id == bindparam("document_id", type_=Uuid),
        _visible_to(bindparam("person_id", type_=Integer)),
        Version.number == func.coalesce(bindparam("version", type_=Integer), Document.version),
    )
)

_PICTURE = Question(
    select(Preview.blob, Preview.size_bytes, Preview.media_type, Preview.width, Preview.height)
    .join(Version, Version.id == Preview.version_id)
    .where(
        Version.blob == bindparam("blob", type_=String),
        Preview.size == bindparam("size", type_=String),
        Preview.page == bindparam("page", type_=Integer),
    )
)

_FOLDER_OF = Question(
    select(Folder.id, Folder.public_id, Folder.name).where(
        Folder.public_id == bindparam("folder_id", type_=Uuid),
        Folder.owner_id == bindparam("owner", type_=Integer),
        Folder.trashed_at.is_(None),
    )
)

_UPLOADER = aliased(User)
_MAY_UPLOAD_TO = Question(
    select(
        User.id,
        User.public_id,
        User.email,
        User.name,
        User.quota_bytes,
        User.used_bytes,
        User.reserved_bytes,
        or_(
            bindparam("came_with_nothing", type_=Boolean).is_(true()),
            exists().where(Session.id == bindparam("session_id", type_=Integer)),
            exists().where(ApiToken.id == bindparam("token_id", type_=Integer)),
        ),
    )
    .join(_UPLOADER, _UPLOADER.id == bindparam("person_id", type_=Integer))
    .where(
        User.public_id == bindparam("owner_id", type_=Uuid),
        or_(
            User.id == _UPLOADER.id,
            and_(bindparam("is_admin", type_=Boolean).is_(true()), _UPLOADER.role == Role.ADMIN),
        ),
        _UPLOADER.disabled_at.is_(None),
        User.disabled_at.is_(None),
    )
)

#: What a `Sending` is made of.
SENDING_COLUMNS = select(
    OpenUpload.id,
    OpenUpload.public_id,
    User.public_id,
    OpenUpload.created_by_id,
    OpenUpload.name,
    OpenUpload.upload_metadata,
    OpenUpload.folder_id,
    OpenUpload.path,
    OpenUpload.note,
    OpenUpload.same_name,
    OpenUpload.version_of,
    OpenUpload.length_bytes,
    OpenUpload.blob,
    OpenUpload.synced_bytes,
    OpenUpload.boot_id,
    OpenUpload.checked_bytes,
    OpenUpload.expires_at,
    OpenUpload.document_id,
).join(User, User.id == OpenUpload.owner_id)

_UPLOAD_OF = Question(
    SENDING_COLUMNS.where(
        OpenUpload.public_id == bindparam("upload_id", type_=Uuid),
        OpenUpload.created_by_id == bindparam("person_id", type_=Integer),
    )
)
