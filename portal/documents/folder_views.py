"""The pages that make, rename and delete folders, and bring them back."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import access
from portal.access import Place
from portal.accounts.api_tokens import Scope
from portal.documents import folders
from portal.documents.folder_json import facts_json
from portal.documents.folders import FolderFacts, FolderThere
from portal.documents.forms import FolderForm
from portal.documents.receiving import id_in
from portal.forms import check, filling
from portal.gate import open_to_tokens, wants_json

folder_pages = Blueprint("folders", __name__)


@folder_pages.post("/folders")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def create() -> ResponseReturnValue:
    parent_id = id_in(request.form.get("parent", ""))
    form = FolderForm()
    with filling(form, FolderThere) as refused:
        check(form)
        made = folders.create(current_user, form.name.data or "", parent_id)
    if refused:
        way = access.way_to(current_user, parent_id) if parent_id else []
        return refused.page("documents/folder_form.html", form=form, way=way, folder=None)
    return _changed(made, f"The folder “{made.name}” is there.")


@folder_pages.get("/folders/<uuid:folder_id>/rename")
def rename_page(folder_id: UUID) -> ResponseReturnValue:
    way = access.way_to(current_user, folder_id)
    form = FolderForm(formdata=None, name=way[-1].name)
    return render_template("documents/folder_form.html", form=form, way=way[:-1], folder=way[-1])


@folder_pages.post("/folders/<uuid:folder_id>/rename")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def rename(folder_id: UUID) -> ResponseReturnValue:
    way = access.way_to(current_user, folder_id)
    form = FolderForm()
    with filling(form, FolderThere) as refused:
        check(form)
        renamed = folders.rename(current_user, folder_id, form.name.data or "")
    if refused:
        folder = {"form": form, "way": way[:-1], "folder": way[-1]}
        return refused.page("documents/folder_form.html", **folder)
    return _changed(renamed, f"Renamed to “{renamed.name}”.")


@folder_pages.post("/folders/<uuid:folder_id>/delete")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def delete(folder_id: UUID) -> ResponseReturnValue:
    gone = folders.trash(current_user, folder_id)
    if wants_json():
        return {"id": str(folder_id)}, 201
    undo = {
        "text": f"The folder “{gone.name}” is in the trash, with all that was in it.",
        "undo_url": url_for("folders.restore", folder_id=folder_id),
    }
    flash(undo, "undo")  # type: ignore[arg-type]
    return redirect(_list_of(gone.parent), 303)


@folder_pages.post("/folders/<uuid:folder_id>/restore")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def restore(folder_id: UUID) -> ResponseReturnValue:
    back = folders.restore(current_user, folder_id)
    return _changed(back, f"The folder “{back.name}” is back, with all that went with it.")


def _changed(folder: FolderFacts, said: str) -> ResponseReturnValue:
    """The folder for a program; for a person the list in which it lies, and what was done."""
    if wants_json():
        return facts_json(folder), 201
    flash(said, "success")
    return redirect(_list_of(folder.parent), 303)


def _list_of(place: Place | None) -> str:
    return url_for("documents.index", folder=place.public_id if place else None)
