"""The pages that make, rename, move and delete folders, and move documents between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import access
from portal.access import Place
from portal.accounts.api_tokens import Scope
from portal.documents import folders, uploads
from portal.documents.folder_json import facts_json
from portal.documents.folder_listing import inside
from portal.documents.folders import FolderFacts, FolderThere, IntoItself, Moved
from portal.documents.forms import FolderForm
from portal.documents.receiving import as_json, id_in
from portal.errors import Invalid, NotFound, PortalError
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


@folder_pages.get("/folders/<uuid:folder_id>/move")
def choose_place(folder_id: UUID) -> ResponseReturnValue:
    return _choose_page(folder_id=folder_id)


@folder_pages.post("/folders/<uuid:folder_id>/move")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def move(folder_id: UUID) -> ResponseReturnValue:
    access.folder_for(current_user, folder_id)
    try:
        moved = folders.move(current_user, folder_id, id_in(request.form.get("parent", "")))
    except (FolderThere, IntoItself, Invalid) as refusal:
        if wants_json():
            raise
        return _choose_page(folder_id=folder_id, refusal=refusal)
    if wants_json():
        return facts_json(FolderFacts(folder_id, moved.name, moved.after)), 201
    _offer_undo(moved, url_for("folders.move", folder_id=folder_id), "parent")
    return redirect(_list_of(moved.before), 303)


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


@folder_pages.get("/documents/<uuid:document_id>/move")
def choose_place_of_document(document_id: UUID) -> ResponseReturnValue:
    return _choose_page(document_id=document_id)


@folder_pages.post("/documents/<uuid:document_id>/move")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def move_document(document_id: UUID) -> ResponseReturnValue:
    access.document_for(current_user, document_id)
    folder_id = id_in(request.form.get("folder", ""))
    moved = folders.move_document(current_user, document_id, folder_id)
    if wants_json():
        return as_json(uploads.as_stored(access.document_for(current_user, document_id))), 201
    _offer_undo(moved, url_for("folders.move_document", document_id=document_id), "folder")
    return redirect(_list_of(moved.before), 303)


@folder_pages.get("/documents/move")
def choose_place_of_several() -> ResponseReturnValue:
    chosen = [id_in(text) for text in request.args.getlist("id")]
    return _choose_page(document_ids=[each for each in chosen if each])


def _choose_page(
    *,
    folder_id: UUID | None = None,
    document_id: UUID | None = None,
    document_ids: Sequence[UUID] = (),
    refusal: PortalError | None = None,
) -> ResponseReturnValue:
    """The folders of one place to choose from, with the way up and the ways further in."""
    is_one_place = True
    if folder_id is not None:
        own_way = access.way_to(current_user, folder_id)
        name, lies_in = own_way[-1].name, own_way[:-1]
        here, action = "folders.choose_place", url_for("folders.move", folder_id=folder_id)
        which: dict[str, Any] = {"folder_id": folder_id}
    elif document_id is None:
        documents = access.documents_for(current_user, document_ids)
        if not documents:
            raise NotFound
        name = documents[0].name if len(documents) == 1 else f"{len(documents)} documents"
        lies_in = access.way_to_document(current_user, documents[0])
        is_one_place = len({each.folder_id for each in documents}) == 1
        here, action = "folders.choose_place_of_several", url_for("bulk.move_several")
        which = {"id": [str(each) for each in document_ids]}
    else:
        document, lies_in = access.document_and_way(current_user, document_id)
        name = document.name
        here = "folders.choose_place_of_document"
        action = url_for("folders.move_document", document_id=document_id)
        which = {"document_id": document_id}
    if "at" in request.args:
        at = id_in(request.args["at"])
        way = access.way_to(current_user, at) if at else []
    else:
        way = lies_in
    place = way[-1] if way else None
    rows, cursor = inside(current_user, place, request.args.get("cursor", ""))
    page = render_template(
        "documents/move.html",
        name=name,
        is_folder=folder_id is not None,
        field="parent" if folder_id else "folder",
        ids=document_ids,
        lies_here=is_one_place and place == (lies_in[-1] if lies_in else None),
        back=_list_of(lies_in[-1] if lies_in else None),
        # Into itself it cannot go.
        folders=[row for row in rows if row.public_id != folder_id],
        next_url=url_for(here, **which, at=place.public_id if place else "", cursor=cursor)
        if cursor
        else None,
        way=way,
        target=place,
        endpoint=here,
        which=which,
        action=action,
        refusal=refusal,
    )
    return page, refusal.status if refusal else 200


def _changed(folder: FolderFacts, said: str) -> ResponseReturnValue:
    """The folder for a program; for a person the list in which it lies, and what was done."""
    if wants_json():
        return facts_json(folder), 201
    flash(said, "success")
    return redirect(_list_of(folder.parent), 303)


def _offer_undo(moved: Moved, url: str, field: str) -> None:
    where = f"to “{moved.after.name}”" if moved.after else "to the top"
    before = str(moved.before.public_id) if moved.before else ""
    undo = {"text": f"“{moved.name}” was moved {where}.", "undo_url": url}
    flash({**undo, "undo_fields": {field: before}}, "undo")  # type: ignore[arg-type]


def _list_of(place: Place | None) -> str:
    return url_for("documents.index", folder=place.public_id if place else None)
