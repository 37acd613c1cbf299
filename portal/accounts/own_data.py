"""Everything the portal keeps of somebody, as one ZIP made while it is sent."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from flask import Flask, current_app
from sqlalchemy import func, select

from portal import access, audit, browsers
from portal.access import Kept
from portal.accounts import devices
from portal.accounts.sessions import SignedIn
from portal.audit import reading
from portal.audit.reading import EventLine
from portal.config import Settings
from portal.extensions import db
from portal.models import (
    ApiToken,
    Document,
    Identity,
    Passkey,
    Scan,
    ShareLink,
    Version,
    utcnow,
)
from portal.storage import archive, delivery
from portal.storage.archive import Member, Paths

_BATCH = 200
#: For people, and for programs.
_INDEX = tuple(f"index.{ending}" for ending in ("html", "json"))
_NOT_INCLUDED = "NOT-INCLUDED.txt"
_DAMAGED = "its stored file is missing or damaged"
#: Why bytes may not leave.
_HELD_BACK = {
    Scan.WAITING: "it is still being checked for malware; it can be downloaded after that",
    Scan.INFECTED: "malware was found in it",
}
_DOCUMENTS, _OLDER, _TRASH = "Documents", "Older versions", "Trash"


class Ended(Exception):
    """The account was disabled while the archive was on its way, which ends in the middle."""


@dataclass(frozen=True, slots=True)
class Filed:
    """One version of a document, and where it lies in the archive."""

    document_id: uuid.UUID
    name: str
    note: str
    number: int
    is_newest: bool
    #: Empty where it is not in the archive.
    path: str
    #: Why it is not, in words; empty where it is.
    missing: str
    size_bytes: int
    sha256: str
    media_type: str
    uploaded_at: datetime
    uploaded_by_name: str
    trashed_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Facts:
    """What there is besides documents, read before the first byte."""

    site_name: str
    made_at: datetime
    account: dict[str, Any]
    links: list[dict[str, Any]]
    sessions: list[dict[str, Any]]
    tokens: list[dict[str, Any]]
    passkeys: list[dict[str, Any]]
    identities: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is to take away."""

    documents: int
    size_bytes: int


def extent_of(person: SignedIn) -> Extent:
    """How many documents `person` has, trash included, and how large all their versions are."""
    documents, size_bytes = db.session.execute(
        select(func.count(Document.id.distinct()), func.coalesce(func.sum(Version.size_bytes), 0))
        .join(Version, Version.document_id == Document.id)
        .where(Document.owner_id == person.user_id)
    ).one()
    return Extent(documents, int(size_bytes))


def export(person: SignedIn, site_name: str, settings: Settings) -> Iterator[bytes]:
    """The ZIP of everything of `person`; the bytes are read on after the request has ended.

    Every document under its own name in the folders it lies in (within `Documents`, `Trash`,
    `Older versions`), `index.html` for
    people and `index.json` for programs, and last `SHA256SUMS` of all of them. A document whose
    stored bytes are damaged, or may not leave because of malware, does not keep the others back:
    the index and `NOT-INCLUDED.txt` name it and say why. That it was made is in the audit log,
    once, with the number of documents.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    facts = _facts(person, site_name, settings)
    ids = access.everything_of(person)
    since = access.own_account(person).created_at
    activity = _Activity(person.email, since)
    places = _Places(person)
    extent = extent_of(person)
    audit.record_alone(
        audit.Action.DATA_EXPORTED,
        owner=person.email,
        documents=extent.documents,
        size_bytes=extent.size_bytes,
    )
    return archive.stream(_members(app, person, ids, facts, activity, places))


class _Places:
    """Where documents lie in the archive: in folders of the names of theirs."""

    def __init__(self, person: SignedIn) -> None:
        self._paths = Paths()
        self._folders = access.own_folders(person)
        self._made: dict[tuple[str, int], str] = {}

    def at_top(self, name: str) -> str:
        return self._paths.take("", name)

    def of(self, kept: Kept) -> str:
        """A path that no other has, for a version of a document."""
        start = _TRASH if kept.trashed_at else _DOCUMENTS
        if not kept.is_newest:
            start = f"{_OLDER}/{start}/{kept.number}"
        return self._paths.take(self._folder(start, kept.folder_id), kept.name)

    def _folder(self, start: str, row: int | None) -> str:
        """The folder of that row within `start`, named once for all that is in it."""
        way: list[int] = []
        while row in self._folders and (start, row) not in self._made:
            way.append(row)
            row = self._folders[row].parent_id
        path = self._made.get((start, row), start) if row is not None else start
        for each in reversed(way):
            path = self._paths.take(path, self._folders[each].name)
            self._made[start, each] = path
        return path


class _Activity:
    """The activity of an account, as often as it is gone through."""

    def __init__(self, email: str, since: datetime) -> None:
        self._app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        self._email, self._since = email, since

    def __iter__(self) -> Iterator[EventLine]:
        with self._app.app_context():
            return reading.whole_activity_of_account(self._email, self._since)


def _members(
    app: Flask,
    person: SignedIn,
    ids: Sequence[int],
    facts: _Facts,
    activity: _Activity,
    places: _Places,
) -> Iterator[Member]:
    sums, filed = _Sums(), list[Filed]()
    index = {name: places.at_top(name) for name in (*_INDEX, _NOT_INCLUDED, "SHA256SUMS")}
    for start in range(0, len(ids), _BATCH):
        with app.app_context():
            batch = access.grants_to_everything(person, ids[start : start + _BATCH])
            if not access.own_account(person).is_active:
                raise Ended("the account was disabled")
        for kept in batch:
            pieces = _open(app, kept)
            path = "" if pieces is None else places.of(kept)
            filed.append(_filed(kept, path))
            if pieces is not None:
                sums.add(path, kept.sha256.hex())
                yield Member(path, kept.uploaded_at, pieces, kept.size_bytes)
    if missing := [each for each in filed if not each.path]:
        pieces = sums.of(index[_NOT_INCLUDED], _not_included(missing))
        yield Member(index[_NOT_INCLUDED], facts.made_at, pieces)
    with app.app_context():
        page = app.jinja_env.get_template("accounts/own_data_index.html").generate(
            facts=facts, documents=filed, activity=activity, browser=browsers.in_words
        )
    for name, texts in zip(_INDEX, (page, _json(facts, filed, activity)), strict=True):
        pieces = sums.of(index[name], (text.encode() for text in texts))
        yield Member(index[name], facts.made_at, pieces)
    yield Member(index["SHA256SUMS"], facts.made_at, sums.lines())


def _open(app: Flask, kept: Kept) -> Iterator[bytes] | None:
    """The bytes of a version, or None where they may not leave or are not whole."""
    if kept.grant is None:
        return None
    try:
        with app.app_context():
            return delivery.pieces(kept.grant)
    except delivery.Damaged:
        return None


def _filed(kept: Kept, path: str) -> Filed:
    return Filed(
        document_id=kept.document_id,
        name=kept.name,
        note=kept.note,
        number=kept.number,
        is_newest=kept.is_newest,
        path=path,
        missing="" if path else _HELD_BACK.get(kept.scan, _DAMAGED),
        size_bytes=kept.size_bytes,
        sha256=kept.sha256.hex(),
        media_type=kept.media_type,
        uploaded_at=kept.uploaded_at,
        uploaded_by_name=kept.uploaded_by_name,
        trashed_at=kept.trashed_at,
    )


def _not_included(missing: Sequence[Filed]) -> Iterator[bytes]:
    yield b"These documents are not in this archive.\r\n\r\n"
    for each in missing:
        which = "" if each.is_newest else f", version {each.number}"
        where = " (in the trash)" if each.trashed_at else ""
        yield f"{each.name}{which}{where}: {each.missing}.\r\n".encode()


class _Sums:
    """The lines of `SHA256SUMS`, as `sha256sum --check` reads them."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, path: str, sha256: str) -> None:
        self._lines.append(f"{sha256}  {path}\n")

    def of(self, path: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Pass `pieces` on, and note their hash at the end."""
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(piece)
            yield piece
        self.add(path, digest.hexdigest())

    def lines(self) -> Iterator[bytes]:
        for line in self._lines:
            yield line.encode()


# -- The index -----------------------------------------------------------------------------------


def _facts(person: SignedIn, site_name: str, settings: Settings) -> _Facts:
    user = access.own_account(person)
    here = devices.of(person.user_id, settings, this=person.session_id)
    return _Facts(
        site_name=site_name,
        made_at=utcnow(),
        account={
            "name": user.name,
            "email": user.email,
            "language": user.language,
            "timezone": user.timezone,
            "created_at": user.created_at,
            "deletion_asked_at": user.deletion_asked_at,
            "used_bytes": user.used_bytes,
        },
        links=_links(person),
        sessions=[
            {
                "browser": each.browser,
                "address": each.address,
                "first_used_at": each.first_used_at,
                "last_used_at": each.last_used_at,
            }
            for each in here
        ],
        tokens=[
            {
                "name": each.name,
                "scopes": each.scopes.split(),
                "created_at": each.created_at,
                "expires_at": each.expires_at,
                "last_used_at": each.last_used_at,
            }
            for each in db.session.scalars(
                select(ApiToken).where(ApiToken.user_id == user.id).order_by(ApiToken.id)
            )
        ],
        passkeys=[
            {
                "name": each.name,
                "created_at": each.created_at,
                "last_used_at": each.last_used_at,
            }
            for each in db.session.scalars(
                select(Passkey).where(Passkey.user_id == user.id).order_by(Passkey.id)
            )
        ],
        identities=[
            {"issuer": each.issuer, "subject": each.subject, "created_at": each.created_at}
            for each in db.session.scalars(
                select(Identity).where(Identity.user_id == user.id).order_by(Identity.id)
            )
        ],
    )


def _links(person: SignedIn) -> list[dict[str, Any]]:
    found = db.session.execute(
        select(ShareLink, Document.name)
        .outerjoin(Document, Document.id == ShareLink.document_id)
        .where(access.links_of(person))
        .order_by(ShareLink.id)
    )
    return [
        {
            "label": link.label,
            "document": name,
            "created_at": link.created_at,
            "expires_at": link.expires_at,
            "revoked_at": link.revoked_at,
            "has_password": link.password_hash is not None,
            "download_count": link.download_count,
            "max_downloads": link.max_downloads,
        }
        for link, name in found
    ]


def _json(facts: _Facts, filed: list[Filed], activity: Iterable[EventLine]) -> Iterator[str]:
    """One JSON object, written bit by bit: an array may be longer than memory."""
    yield f'{{"portal": {_text(facts.site_name)},\n"made_at": {_text(facts.made_at)},\n'
    yield f'"account": {_text(facts.account)}'
    for key, values in (
        ("documents", _documents(filed)),
        ("share_links", facts.links),
        ("sessions", facts.sessions),
        ("tokens", facts.tokens),
        ("passkeys", facts.passkeys),
        ("identities", facts.identities),
        ("activity", map(_event, activity)),
    ):
        yield f',\n"{key}": ['
        for number, value in enumerate(values):
            yield (",\n" if number else "\n") + _text(value)
        yield "]"
    yield "}\n"


def _documents(filed: list[Filed]) -> Iterator[dict[str, Any]]:
    for document_id, group in groupby(filed, key=lambda each: each.document_id):
        versions = list(group)
        newest = versions[-1]
        yield {
            "id": str(document_id),
            "name": newest.name,
            "note": newest.note,
            "trashed_at": newest.trashed_at,
            "versions": [
                {
                    "number": each.number,
                    "path": each.path or None,
                    "not_included": each.missing or None,
                    "size": each.size_bytes,
                    "sha256": each.sha256,
                    "media_type": each.media_type,
                    "uploaded_at": each.uploaded_at,
                    "uploaded_by": each.uploaded_by_name,
                }
                for each in versions
            ],
        }


def _event(line: EventLine) -> dict[str, Any]:
    return {
        "at": line.at,
        "who": line.actor,
        "what": line.sentence,
        "action": line.action,
        "document": line.document or None,
    }


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_moment)


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
