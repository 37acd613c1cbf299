"""From a request to stored documents: shared by everyone's upload and the admin's on behalf."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast
from uuid import UUID

from flask import current_app, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import access
from portal.config import Settings
from portal.documents import names, uploads
from portal.documents.intake import Intent, Stored
from portal.documents.room import Reception
from portal.documents.versions import Entry
from portal.errors import Invalid, NotFound, PortalError, UploadRejected
from portal.models import SameName, User
from portal.request import PortalRequest
from portal.storage import delivery

#: Refusals that a page tells one by one: they travel in the cookie, which browsers cut at 4 kB.
_MOST_TOLD = 4

View = TypeVar("View", bound=Callable[..., ResponseReturnValue])


def takes_files(into: Callable[..., UUID]) -> Callable[[View], View]:
    """Let a view take files, into the directory of the owner whose id `into` answers.

    The right to do so, and the room left, are checked before a byte of the body is read.
    """

    def decorate(view: View) -> View:
        def prepare(**arguments: UUID) -> None:
            if request.method != "POST":
                return
            here = cast(PortalRequest, request)
            settings: Settings = current_app.extensions["settings"]
            owner = access.may_upload_to(current_user, into(**arguments))
            reception = Reception(owner, settings)
            reception.expect(here.content_length)
            # A body may take its time, like a download: neither may take every thread.
            here.on_close = delivery.take_slot()
            here.file_sink = reception

        view.prepare_files = prepare  # type: ignore[attr-defined]
        return view

    return decorate


@dataclass
class Outcome:
    """What became of the files of one form."""

    stored: list[Stored] = field(default_factory=list)
    rejected: list[tuple[str, PortalError]] = field(default_factory=list)


def receive_all(note: str = "", document_id: UUID | None = None) -> Outcome:
    """Store every file of the form of a view that `takes_files`; one refused stops no other.

    With `document_id`, as new versions of that document. Raises `Invalid` when the form brought
    none, or says something else for `same_name` than is possible.
    """
    here = cast(PortalRequest, request)
    settings: Settings = current_app.extensions["settings"]
    files = here.uploaded_files("file")
    if not files:
        problem = "Choose at least one file."
        raise Invalid(problem, errors={"file": problem})
    same_name = same_name_in(here.form.get("same_name", ""))
    reception = here.file_sink
    if not isinstance(reception, Reception):
        raise TypeError("a view that takes files without saying so")
    actor = current_user._get_current_object()
    access.may_upload_to(actor, reception.owner.public_id)  # the body may have taken hours
    folder_id = None if document_id else id_in(here.form.get("folder", ""))
    folder = access.folder_of(reception.owner, folder_id) if folder_id else None
    outcome = Outcome()
    for file in files:
        try:
            if file.refusal is not None or file.incoming is None:
                raise file.refusal or UploadRejected()
            intent = Intent(
                reception.owner,
                file.filename,
                note=note,
                same_name=same_name,
                document_id=document_id,
                folder=folder,
            )
            document = uploads.receive(actor, intent, file.incoming, settings)
            outcome.stored.append(document)
        except PortalError as refusal:
            file.close()
            uploads.note_refusal(reception.owner.email, file.filename, refusal)
            outcome.rejected.append((file.filename, refusal))
    return outcome


def answer_json(outcome: Outcome) -> ResponseReturnValue:
    """201 with what was stored, or the status of the first rejection where nothing was."""
    body = {
        "documents": [as_json(document) for document in outcome.stored],
        "rejected": [
            {
                "name": name,
                "reason": getattr(refusal, "reason", "unavailable"),
                "detail": f"{refusal.what} {refusal.cure}",
            }
            for name, refusal in outcome.rejected
        ],
    }
    if outcome.stored:
        return body, 201
    return body, *refused_as(outcome)


def refused_as(outcome: Outcome) -> tuple[int, dict[str, str]]:
    """The status and headers of an answer after which nothing was stored: the first refusal's."""
    refusal = outcome.rejected[0][1]
    wait = refusal.retry_after
    return refusal.status, {} if wait is None else {"Retry-After": str(wait)}


def flash_outcome(outcome: Outcome, for_whom: User | None = None) -> None:
    """Say on the next page what was stored and what was not, and why."""
    stored, whose = outcome.stored, f" for {for_whom.name}" if for_whom else ""
    if len(stored) == 1:
        flash(f"“{stored[0].name}” was uploaded{whose}.", "success")
    elif stored:
        flash(f"{len(stored)} files were uploaded{whose}.", "success")
    for name, refusal in outcome.rejected[:_MOST_TOLD]:
        shown = names.shown(name)
        which = f"“{shown}”" if shown else "A file without a name"
        flash(f"{which} was not taken. {refusal.what} {refusal.cure}", "danger")
    if more := len(outcome.rejected[_MOST_TOLD:]):
        files = "One more file was" if more == 1 else f"{more:,} more files were"
        flash(f"{files} not taken. Upload fewer at a time to see why.", "danger")


def id_in(text: str) -> UUID | None:
    """The id that a field holds, or None for an empty one. Raises `NotFound` for what is no id."""
    try:
        return UUID(text) if text else None
    except ValueError:
        raise NotFound from None


def same_name_in(text: str) -> SameName:
    """What becomes of a name that is taken, both being kept where nothing is said.

    Raises `Invalid` for what is none of the choices.
    """
    try:
        return SameName(text or SameName.KEEP_BOTH)
    except ValueError:
        problem = f"Choose one of {', '.join(SameName)}."
        raise Invalid(problem, errors={"same_name": problem}) from None


def as_text(moment: datetime) -> str:
    """A moment as programs see it: ISO 8601 in UTC."""
    return moment.isoformat().replace("+00:00", "Z")


def versions_json(document_id: UUID, found: Sequence[Entry]) -> list[dict[str, Any]]:
    """The versions of a document as programs see them."""
    return [
        {
            "number": each.number,
            "size": each.size_bytes,
            "sha256": each.sha256.hex(),
            "media_type": each.media_type,
            "uploaded_at": as_text(each.uploaded_at),
            "uploaded_by": each.uploaded_by_name,
            "scan": each.scan.value,
            "verified_at": as_text(each.verified_at) if each.verified_at else None,
            "damaged_at": as_text(each.damaged_at) if each.damaged_at else None,
            "download_url": url_for(
                "documents.download", document_id=document_id, version=each.number
            ),
        }
        for each in found
    ]


def as_json(document: Stored) -> dict[str, Any]:
    """A document as programs see it."""
    return {
        "id": str(document.public_id),
        "name": document.name,
        "size": document.size_bytes,
        "sha256": document.sha256.hex(),
        "media_type": document.media_type,
        "uploaded_at": as_text(document.uploaded_at),
        "folder": str(document.folder) if document.folder else None,
        "scan": document.scan.value,
        "url": url_for("documents.show", document_id=document.public_id),
        "download_url": url_for("documents.download", document_id=document.public_id),
    }
