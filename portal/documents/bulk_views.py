"""What is done with several documents at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast
from uuid import UUID

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import access
from portal.accounts.api_tokens import Scope
from portal.documents import archives, undo, uploads
from portal.documents import bulk as service
from portal.documents.receiving import as_json
from portal.gate import leaves_session_alone, open_to_tokens, wants_json
from portal.request import PortalRequest
from portal.storage import delivery

bulk = Blueprint("bulk", __name__)


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
    if wants_json():
        named: list[undo.Named] = [*documents, *folders]
        return {"ids": [str(each.public_id) for each in named]}, 201
    undo.offer(
        f"{undo.said_of(documents, folders)} in the trash.",
        url_for("bulk.restore_several"),
        {"id": undo.ids(documents), "folder": undo.ids(folders)},
    )
    return redirect(undo.list_before(), 303)


@bulk.post("/documents/restore")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def restore_several() -> ResponseReturnValue:
    documents, folders = service.restore(current_user, _ids(), _folders())
    if wants_json():
        return _documents([each.public_id for each in documents])
    flash(f"{undo.said_of(documents, folders)} back in your documents.", "success")
    return redirect(undo.list_before(), 303)


def _ids(field: str = "id") -> list[UUID]:
    return cast(PortalRequest, request).uuid_field(field)


def _folders() -> list[UUID]:
    """Folders that are chosen; an empty field is none."""
    return _ids("folder") if any(request.form.getlist("folder")) else []


def _documents(ids: Sequence[UUID]) -> ResponseReturnValue:
    person = current_user._get_current_object()
    found = (uploads.as_stored(access.document_for(person, each)) for each in ids)
    return {"documents": [as_json(each) for each in found]}, 201
