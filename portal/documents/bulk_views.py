"""What is done with several documents at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.accounts.api_tokens import Scope
from portal.documents import archives, uploads
from portal.documents import bulk as service
from portal.documents.intake import Stored
from portal.documents.receiving import as_json
from portal.errors import BadRequest
from portal.gate import leaves_session_alone, open_to_tokens, wants_json
from portal.request import PortalRequest
from portal.storage import delivery

bulk = Blueprint("bulk", __name__)

#: How many a cookie can hold, for the button that takes it back.
_MOST_UNDONE = 60
#: What leads back to the list as it was.
_PLACE = ("q", "sort", "order")


@bulk.post("/documents/zip")
@open_to_tokens(Scope.DOCUMENTS_READ)
@leaves_session_alone
def zip_several() -> ResponseReturnValue:
    person = current_user._get_current_object()
    archive = archives.of(person, _ids(), _ids("folder"))
    return delivery.send_archive(archive.name, archive.pieces(), archive.size_bytes, archive.note)


@bulk.post("/documents/delete")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def delete_several() -> ResponseReturnValue:
    deleted = list(map(uploads.as_stored, service.trash(current_user, _ids())))
    if wants_json():
        return {"ids": [str(each.public_id) for each in deleted]}, 201
    _offer_undo(f"{_called(deleted)} in the trash.", "bulk.restore_several", deleted)
    return redirect(_back(), 303)


@bulk.post("/documents/restore")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def restore_several() -> ResponseReturnValue:
    restored = list(map(uploads.as_stored, service.restore(current_user, _ids())))
    if wants_json():
        return _documents(restored)
    flash(f"{_called(restored)} back in your documents.", "success")
    return redirect(_back(), 303)


@bulk.post("/documents/move")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def move_several() -> ResponseReturnValue:
    moved = service.move(current_user, _ids(), _folder())
    stored = list(map(uploads.as_stored, moved.documents))
    if wants_json():
        return _documents(stored)
    where = f"in “{moved.place}”" if moved.place else "at the top"
    text = f"{_called(stored)} {where} now."
    if moved.before is None:
        flash(text, "success")
    else:
        _offer_undo(text, "bulk.move_several", stored, folder=moved.before)
    return redirect(_back(), 303)


def _ids(field: str = "id") -> list[UUID]:
    return cast(PortalRequest, request).uuid_field(field)


def _folder() -> UUID | None:
    """The folder to move to; empty is the top, and none at all is a mistake."""
    match request.form.getlist("folder"):
        case [""]:
            return None
        case [_]:
            return _ids("folder")[0]
        case _:
            raise BadRequest


def _documents(documents: Sequence[Stored]) -> ResponseReturnValue:
    return {"documents": [as_json(each) for each in documents]}, 201


def _called(documents: Sequence[Stored]) -> str:
    if len(documents) == 1:
        return f"“{documents[0].name}” is"
    return f"{len(documents)} documents are"


def _offer_undo(text: str, endpoint: str, documents: Sequence[Stored], **fields: str) -> None:
    if len(documents) > _MOST_UNDONE:
        flash(text, "success")
        return
    undo_fields = {"id": [each.public_id.hex for each in documents], **fields}
    undo = {"text": text, "undo_url": url_for(endpoint), "undo_fields": undo_fields}
    flash(undo, "undo")  # type: ignore[arg-type]


def _back() -> str:
    """The list from which the form came, with its filters."""
    place: dict[str, Any] = {key: request.form[key] for key in _PLACE if request.form.get(key)}
    # `folder` says what is chosen, or where it goes.
    if came_from := request.form.get("from"):
        place["folder"] = came_from
    return url_for("documents.index", **place)
