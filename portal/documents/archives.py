"""Several documents, or whole folders, as one ZIP that is made while it is sent."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Flask, current_app

from portal import access, audit
from portal.access import Below, Chosen, FolderBelow, Grant, Person
from portal.database import transaction
from portal.errors import Invalid
from portal.models import Scan, utcnow
from portal.storage import archive, delivery
from portal.storage.archive import Member, Paths
from portal.storage.pace import Pace

#: More would keep too much in memory, and whoever waits for it wants parts.
MOST_DOCUMENTS = 10_000
#: What may not leave is named in a file of this name, with the reason.
NOT_INCLUDED = "NOT-INCLUDED.txt"

_HELD_BACK = {
    Scan.WAITING: "it is still being checked for malware; it can be downloaded after that",
    Scan.INFECTED: "malware was found in it",
}
_DAMAGED = "its stored file is missing or damaged"
#: While a ZIP is being sent, the right to it is asked for again after so many documents.
_BATCH = 100
#: Events written in one transaction, so that others get their turn.
_NOTED = 500


class Ended(Exception):
    """The right to what a ZIP holds ended while it was on its way, which ends in the middle."""


def why_not(scan: Scan) -> str:
    """Why the bytes of a version are left out of an archive, in words."""
    return _HELD_BACK.get(scan, _DAMAGED)


def not_included(missing: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """The lines of `NOT_INCLUDED`, for what is called so and missing for that reason."""
    yield b"These documents are not in this archive.\r\n\r\n"
    for name, reason in missing:
        # Some programs end lines at U+2028 too: a name must not add any of its own.
        yield f"{' '.join(name.splitlines())}: {reason}.\r\n".encode()


@dataclass(frozen=True, slots=True)
class _File:
    """A document, and where it lies in the archive."""

    path: str
    grant: Grant
    uploaded_at: datetime


class Archive:
    """A ZIP that can be sent: its name and its length are known, its bytes come when asked for."""

    def __init__(
        self,
        person: Person,
        name: str,
        files: Sequence[_File],
        empty_folders: Sequence[str],
        missing: Sequence[tuple[str, Chosen]],
    ) -> None:
        self.name = name
        self._person = person
        self._files = files
        self._folders = [f"{path}/" for path in empty_folders]
        self._missing = missing
        self._said = b""
        if missing:
            lines = ((called, why_not(_reason(each))) for called, each in missing)
            self._said = b"".join(not_included(lines))
        self._made_at = utcnow()
        self._app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]

    @property
    def size_bytes(self) -> int:
        """How long it is, exactly."""
        files = [(file.path, file.grant.size_bytes) for file in self._files]
        said = [(NOT_INCLUDED, len(self._said))] if self._said else []
        return archive.length_of([*files, *((path, 0) for path in self._folders), *said])

    def note(self) -> None:
        """Put every document that leaves, and every one that is blocked, into the audit log."""
        for start in range(0, len(self._files), _NOTED):
            with transaction():
                for file in self._files[start : start + _NOTED]:
                    grant = file.grant
                    audit.record(
                        audit.Action.DOWNLOADED,
                        document=grant.document_id,
                        owner=grant.owner_email,
                        name=grant.name,
                        reason=grant.reason.value,
                        zip=self.name,
                    )
        blocked = [each for _, each in self._missing if each.scan is Scan.INFECTED]
        for start in range(0, len(blocked), _NOTED):
            with transaction():
                for each in blocked[start : start + _NOTED]:
                    audit.record(
                        audit.Action.DOWNLOAD_BLOCKED,
                        document=each.document_id,
                        owner=each.owner_email,
                        name=each.name,
                        zip=self.name,
                    )

    def pieces(self) -> Iterator[bytes]:
        """Its bytes, each document's as it was uploaded; they are read on after the request ended.

        Raises, and so ends in the middle, what `delivery.checked` raises for a document that
        turns out damaged, and `Ended` once the person may not have one of them any more.
        """
        return archive.stream(self._members())

    def _members(self) -> Iterator[Member]:
        pace = Pace()
        for start in range(0, len(self._files), _BATCH):
            batch = self._files[start : start + _BATCH]
            with self._app.app_context():
                if not access.still_granted(self._person, [file.grant for file in batch]):
                    raise Ended("a document, or the account, may not be had any more")
            for file in batch:
                with self._app.app_context():
                    pieces = delivery.checked(file.grant, delivery.pieces(file.grant, pace))
                yield Member(file.path, file.uploaded_at, pieces, file.grant.size_bytes)
        for path in self._folders:
            yield Member(path, self._made_at, (), 0)
        if self._said:
            yield Member(NOT_INCLUDED, self._made_at, (self._said,), len(self._said))


def of(
    person: Person, document_ids: Sequence[uuid.UUID], folder_ids: Sequence[uuid.UUID]
) -> Archive:
    """A ZIP of those documents, and of those folders with whatever lies below them.

    A document that is also in one of the folders comes once, there. What is being checked for
    malware, blocked or damaged is left out, and named in `NOT_INCLUDED`. Raises `NotFound`
    where one of them is not theirs to have, and `Invalid` for none or for more than
    `MOST_DOCUMENTS`.
    """
    document_ids, folder_ids = list(dict.fromkeys(document_ids)), list(dict.fromkeys(folder_ids))
    if not document_ids and not folder_ids:
        problem = "Choose at least one document."
        raise Invalid(problem, cure="", errors={"id": problem})
    _check_count(len(document_ids) + len(folder_ids))
    below = Below([], [])
    if folder_ids:
        below = access.documents_below(person, folder_ids, MOST_DOCUMENTS + 1)
    _check_count(len(below.documents))
    single = access.grants_to_several(person, document_ids)
    there = {each.document_id for each in below.documents}
    single = [each for each in single if each.document_id not in there]
    _check_count(len(single) + len(below.documents))
    return _arranged(person, single, below)


def _check_count(count: int) -> None:
    if count > MOST_DOCUMENTS:
        problem = f"One ZIP holds at most {MOST_DOCUMENTS:,} documents."
        cure = "Choose fewer, or one folder after the other."
        raise Invalid(problem, cure=cure, errors={"id": f"{problem} {cure}"})


def _arranged(person: Person, single: Sequence[Chosen], below: Below) -> Archive:
    paths = Paths()
    paths.take("", NOT_INCLUDED)  # nothing else may be taken for it
    folders = _folder_paths(paths, below.places)
    files: list[_File] = []
    missing: list[tuple[str, Chosen]] = []
    lying: set[int | None] = {place.parent_id for place in below.places}
    for each, folder in [
        *((each, "") for each in single),
        *((each, folders[each.folder_id]) for each in below.documents if each.folder_id),
    ]:
        if each.grant is not None and delivery.is_whole(each.grant):
            path = paths.take(folder, each.name)
            files.append(_File(path, each.grant, each.uploaded_at))
            lying.add(each.folder_id)
        else:
            missing.append((f"{folder}/{each.name}" if folder else each.name, each))
    empty = [path for folder_id, path in folders.items() if folder_id not in lying]
    return Archive(person, _name(single, below), files, empty, missing)


def _folder_paths(paths: Paths, places: Sequence[FolderBelow]) -> dict[int, str]:
    """Where each folder lies in the archive, by its row; those above come first."""
    inside: dict[int | None, list[FolderBelow]] = defaultdict(list)
    known = {place.id for place in places}
    for place in places:
        inside[place.parent_id if place.parent_id in known else None].append(place)
    found: dict[int, str] = {}
    waiting = [("", place) for place in reversed(inside[None])]
    while waiting:
        above, place = waiting.pop()
        path = paths.take_folder(above, place.name)
        found[place.id] = path
        waiting += [(path, each) for each in reversed(inside[place.id])]
    return found


def _name(single: Sequence[Chosen], below: Below) -> str:
    known = {place.id for place in below.places}
    chosen = [place for place in below.places if place.parent_id not in known]
    if len(chosen) == 1 and not single:
        return f"{chosen[0].name}.zip"
    return f"Documents {utcnow():%Y-%m-%d}.zip"


def _reason(each: Chosen) -> Scan:
    """What keeps a document back; `NONE` where its bytes are not whole."""
    return Scan.NONE if each.grant is not None else each.scan
