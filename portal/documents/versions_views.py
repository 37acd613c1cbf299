"""What is done with one version of a document: made the newest one again, or deleted."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, current_app, flash, redirect, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.accounts.api_tokens import Scope
from portal.config import Settings
from portal.documents import page
from portal.documents import versions as service
from portal.documents.receiving import as_json
from portal.errors import NotFound
from portal.gate import open_to_tokens, wants_json
from portal.storage import delivery

versions = Blueprint("versions", __name__, url_prefix="/documents/<uuid:document_id>/versions")


@versions.post("/<number>/restore")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def restore(document_id: UUID, number: str) -> ResponseReturnValue:
    settings: Settings = current_app.extensions["settings"]
    # Like an upload it may take its time, and must not take every thread.
    give_slot_back = delivery.take_slot()
    try:
        stored = service.restore(current_user, document_id, _number(number), settings)
    finally:
        give_slot_back()
    if wants_json():
        return as_json(stored), 201
    flash(f"Version {number} is the newest one again. Nothing else was changed.", "success")
    return _back(document_id)


@versions.post("/<number>/delete")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def delete(document_id: UUID, number: str) -> ResponseReturnValue:
    service.delete_one(current_user, document_id, _number(number))
    if wants_json():
        return {"id": str(document_id), "version": int(number)}, 201
    flash(f"Version {number} was deleted for ever.", "success")
    return _back(document_id)


def _number(text: str) -> int:
    number = page.version_number(text)
    if number is None:
        raise NotFound
    return number


def _back(document_id: UUID) -> ResponseReturnValue:
    return redirect(url_for("documents.show", document_id=document_id, _anchor="versions"), 303)
