"""The pages that move documents and folders into a folder, or to the top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import access
from portal.access import Place
from portal.accounts.api_tokens import Scope
from portal.documents import bulk, folders, undo, uploads
from portal.documents.folder_json import facts_json
from portal.documents.folder_listing import inside
from portal.documents.folders import FolderThere, IntoItself, Moved
from portal.documents.receiving import as_json, id_in
from portal.errors import BadRequest, Invalid, NotFound, PortalError
from portal.gate import open_to_tokens, wants_json
from portal.request import PortalRequest

moving = Blueprint("moving", __name__)

#: The field that names folders on the move; `folder` is where everything goes.
MOVED_FOLDER = "moved_folder"
_REFUSALS = (FolderThere, IntoItself, Invalid)


@moving.get("/folders/<uuid:folder_id>/move")
def choose_for_folder(folder_id: UUID) -> ResponseReturnValue:
    return _choose_page(_folder_load(folder_id))


@moving.post("/folders/<uuid:folder_id>/move")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def move_folder(folder_id: UUID) -> ResponseReturnValue:
    access.folder_for(current_user, folder_id)
    try:
        moved = folders.move(current_user, folder_id, id_in(request.form.get("parent", "")))
    except _REFUSALS as refusal:
        if wants_json():
            raise
        return _choose_page(_folder_load(folder_id), refusal)
    if wants_json():
        return facts_json(folders.FolderFacts(folder_id, moved.name, moved.after)), 201
    return _moved_one(moved, "parent", url_for("moving.move_folder", folder_id=folder_id))


@moving.get("/documents/<uuid:document_id>/move")
def choose_for_document(document_id: UUID) -> ResponseReturnValue:
    document, lies_in = access.document_and_way(current_user, document_id)
    url = url_for("moving.move_document", document_id=document_id)
    return _choose_page(_Load(document.name, lies_in, url))


@moving.post("/documents/<uuid:document_id>/move")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def move_document(document_id: UUID) -> ResponseReturnValue:
    access.document_for(current_user, document_id)
    folder_id = id_in(request.form.get("folder", ""))
    moved = folders.move_document(current_user, document_id, folder_id)
    if wants_json():
        return as_json(uploads.as_stored(access.document_for(current_user, document_id))), 201
    return _moved_one(moved, "folder", url_for("moving.move_document", document_id=document_id))


@moving.get("/documents/move")
def choose_for_several() -> ResponseReturnValue:
    return _choose_page(
        _several_load(
            _ids_in(request.args.getlist("id")), _ids_in(request.args.getlist(MOVED_FOLDER))
        )
    )


@moving.post("/documents/move")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def move_several() -> ResponseReturnValue:
    here = cast(PortalRequest, request)
    document_ids, folder_ids = here.uuid_field("id"), here.uuid_field(MOVED_FOLDER)
    try:
        moved = bulk.move(current_user, document_ids, folder_ids, _target())
    except _REFUSALS as refusal:
        if wants_json() or not (document_ids or folder_ids):
            raise
        return _choose_page(_several_load(document_ids, folder_ids), refusal)
    if wants_json():
        person = current_user._get_current_object()
        documents = [access.document_for(person, each.public_id) for each in moved.documents]
        return {
            "documents": [as_json(uploads.as_stored(each)) for each in documents],
            "folders": [
                facts_json(folders.FolderFacts(each.public_id, each.name, each.after))
                for each in moved.folders
            ],
        }, 201
    every = [*moved.folders, *moved.documents]
    after = every[0].after
    how_many = undo.said_of(moved.documents, moved.folders)
    text = f"{how_many} {f'in “{after.name}”' if after else 'at the top'} now."
    came_from = {each.before for each in every}
    if len(came_from) == 1:
        before = came_from.pop()
        fields = {
            "id": undo.ids(moved.documents),
            MOVED_FOLDER: undo.ids(moved.folders),
            "folder": [str(before.public_id) if before else ""],
        }
        undo.offer(text, url_for("moving.move_several"), fields)
    else:
        flash(text, "success")
    return redirect(undo.list_before(), 303)


def _target() -> UUID | None:
    """The folder to move to; empty is the top, and none at all is a mistake."""
    match request.form.getlist("folder"):
        case [""]:
            return None
        case [_]:
            return cast(PortalRequest, request).uuid_field("folder")[0]
        case _:
            raise BadRequest


def _ids_in(texts: Sequence[str]) -> list[UUID]:
    return [each for each in map(id_in, texts) if each]


@dataclass(frozen=True, slots=True)
class _Load:
    """What is to be moved, and how the page that asks where to names it."""

    name: str
    #: The folders that lead to it, from the top.
    lies_in: Sequence[Place]
    #: Where the page is and where its answer goes, in which field, and what goes with it.
    url: str
    field: str = "folder"
    sent: Sequence[tuple[str, UUID]] = ()
    folder_ids: Sequence[UUID] = ()
    is_one_place: bool = True


def _folder_load(folder_id: UUID) -> _Load:
    way = access.way_to(current_user, folder_id)
    return _Load(
        way[-1].name,
        way[:-1],
        url_for("moving.move_folder", folder_id=folder_id),
        field="parent",
        folder_ids=[folder_id],
    )


def _several_load(document_ids: Sequence[UUID], folder_ids: Sequence[UUID]) -> _Load:
    if not document_ids and not folder_ids:
        raise NotFound
    # The page names each of them.
    chosen = bulk.choose(document_ids, folder_ids)
    document_ids, folder_ids = chosen.documents, chosen.folders
    documents = access.documents_for(current_user, document_ids)
    moved = access.folders_for(current_user, folder_ids)
    names = [each.name for each in moved] + [each.name for each in documents]
    if moved:
        lies_in = access.way_to(current_user, moved[0].public_id)[:-1]
    else:
        lies_in = access.way_to_document(current_user, documents[0])
    places = {each.folder_id for each in documents} | {each.parent_id for each in moved}
    return _Load(
        names[0] if len(names) == 1 else undo.counted(documents, moved),
        lies_in,
        url_for("moving.move_several"),
        sent=[
            *(("id", each) for each in document_ids),
            *((MOVED_FOLDER, each) for each in folder_ids),
        ],
        folder_ids=folder_ids,
        is_one_place=len(places) == 1,
    )


def _choose_page(load: _Load, refusal: PortalError | None = None) -> ResponseReturnValue:
    """The folders of one place to choose from, with the way up and the ways further in."""
    # Into which folder to look, or else which one the page with more of its folders was about.
    asked = request.args.get("at", request.args.get(load.field))
    if asked is None:
        way = load.lies_in
    else:
        at = id_in(asked)
        way = access.way_to(current_user, at) if at else []
    place = way[-1] if way else None
    lies_in = load.lies_in[-1] if load.lies_in else None
    rows, cursor = inside(current_user, place, request.args.get("cursor", ""))
    page = render_template(
        "documents/move.html",
        load=load,
        lies_here=load.is_one_place and place == lies_in,
        back=_list_of(lies_in),
        # Into itself it cannot go.
        folders=[row for row in rows if row.public_id not in load.folder_ids],
        cursor=cursor,
        way=way,
        target=place,
        refusal=refusal,
    )
    return page, refusal.status if refusal else 200


def _moved_one(moved: Moved, field: str, url: str) -> ResponseReturnValue:
    where = f"to “{moved.after.name}”" if moved.after else "to the top"
    before = str(moved.before.public_id) if moved.before else ""
    undo.offer(f"“{moved.name}” was moved {where}.", url, {field: [before]})
    return redirect(_list_of(moved.before), 303)


def _list_of(place: Place | None) -> str:
    return url_for("documents.index", folder=place.public_id if place else None)
