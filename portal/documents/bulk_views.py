"""What is done with several documents at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast
from uuid import UUID

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import access
from portal.accounts.api_tokens import Scope
from portal.documents import archives, uploads
from portal.documents import bulk as service
from portal.documents.folders import FolderFacts
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
    archive = archives.of(person, _ids(), _folders())
    return delivery.send_archive(archive.name, archive.pieces(), archive.size_bytes, archive.note)


@bulk.post("/documents/delete")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def delete_several() -> ResponseReturnValue:
    documents, folders = service.trash(current_user, _ids(), _folders())
    named: list[_Named] = [*documents, *folders]
    if wants_json():
        return {"ids": [str(each.public_id) for each in named]}, 201
    undo = {"id": _hex(documents), "folder": _hex(folders)}
    _offer_undo(f"{_called(named)} in the trash.", "bulk.restore_several", undo)
    return redirect(_back(), 303)


@bulk.post("/documents/restore")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def restore_several() -> ResponseReturnValue:
    documents, folders = service.restore(current_user, _ids(), _folders())
    if wants_json():
        return _documents([each.public_id for each in documents])
    named: list[_Named] = [*documents, *folders]
    flash(f"{_called(named)} back in your documents.", "success")
    return redirect(_back(), 303)


@bulk.post("/documents/move")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def move_several() -> ResponseReturnValue:
    moved = service.move(current_user, _ids(), _folder())
    if wants_json():
        return _documents([each.public_id for each in moved])
    after = moved[0].after
    text = f"{_called(moved)} {f'in “{after.name}”' if after else 'at the top'} now."
    came_from = {each.before for each in moved}
    if len(came_from) == 1:
        before = came_from.pop()
        undo = {"id": _hex(moved), "folder": [str(before.public_id) if before else ""]}
        _offer_undo(text, "bulk.move_several", undo)
    else:
        flash(text, "success")
    return redirect(_back(), 303)


def _ids(field: str = "id") -> list[UUID]:
    return cast(PortalRequest, request).uuid_field(field)


def _folders() -> list[UUID]:
    """Folders that are chosen; an empty field is none."""
    return _ids("folder") if any(request.form.getlist("folder")) else []


def _folder() -> UUID | None:
    """The folder to move to; empty is the top, and none at all is a mistake."""
    match request.form.getlist("folder"):
        case [""]:
            return None
        case [_]:
            return _ids("folder")[0]
        case _:
            raise BadRequest


def _documents(ids: Sequence[UUID]) -> ResponseReturnValue:
    person = current_user._get_current_object()
    found = (uploads.as_stored(access.document_for(person, each)) for each in ids)
    return {"documents": [as_json(each) for each in found]}, 201


class _Named(Protocol):
    @property
    def public_id(self) -> UUID: ...
    @property
    def name(self) -> str: ...


def _hex(things: Sequence[_Named]) -> list[str]:
    return [each.public_id.hex for each in things]


def _called(things: Sequence[_Named]) -> str:
    if len(things) == 1:
        return f"“{things[0].name}” is"
    return f"{len(things)} things are" if _has_folders(things) else f"{len(things)} documents are"


def _has_folders(things: Sequence[_Named]) -> bool:
    return any(isinstance(each, FolderFacts) for each in things)


def _offer_undo(text: str, endpoint: str, fields: dict[str, list[str]]) -> None:
    if sum(map(len, fields.values())) > _MOST_UNDONE:
        flash(text, "success")
        return
    undo = {"text": text, "undo_url": url_for(endpoint), "undo_fields": fields}
    flash(undo, "undo")  # type: ignore[arg-type]


def _back() -> str:
    """The list from which the form came, with its filters."""
    place: dict[str, Any] = {key: request.form[key] for key in _PLACE if request.form.get(key)}
    # `folder` says what is chosen, or where it goes.
    if came_from := request.form.get("from"):
        place["folder"] = came_from
    return url_for("documents.index", **place)
