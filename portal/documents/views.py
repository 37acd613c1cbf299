"""The pages of one's own documents: list, upload, one document, trash, and the download."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import access
from portal.access import Place
from portal.accounts.api_tokens import Scope
from portal.accounts.people import quota_of
from portal.config import Settings
from portal.documents import keeping, lifecycle, listing, room, uploads, versions
from portal.documents.folder_json import row_json, trash_facts, trashed_json
from portal.documents.folder_listing import Contents, contents, in_trash
from portal.documents.forms import FolderForm, RenameForm, UploadForm, VersionForm
from portal.documents.keeping import Keeping
from portal.documents.listing import Query
from portal.documents.page import document_page, version_number
from portal.documents.receiving import (
    answer_json,
    as_json,
    flash_outcome,
    id_in,
    receive_all,
    refused_as,
    takes_files,
    versions_json,
)
from portal.errors import Invalid, NotFound, UploadRejected
from portal.forms import check, filling
from portal.gate import leaves_session_alone, open_to_tokens, wants_json
from portal.presentation import zone
from portal.search import asking, filters
from portal.storage import delivery

documents = Blueprint("documents", __name__)

#: What the address of a list says beside the cursor.
_FILTERS = ("q", "folder", "sort", "order", "view", *filters.NAMES)


@documents.get("/")
def home() -> ResponseReturnValue:
    return redirect(url_for("documents.index"), 302)


@documents.get("/documents")
@open_to_tokens(Scope.DOCUMENTS_READ)
def index() -> ResponseReturnValue:
    folder_id = id_in(request.args.get("folder", ""))
    way = access.way_to(current_user, folder_id) if folder_id else []
    query = Query(
        q=request.args.get("q", "")[: asking.LONGEST],
        sort=request.args.get("sort", "uploaded"),
        order=request.args.get("order", "desc"),
        cursor=request.args.get("cursor", ""),
        folder=way[-1] if way else None,
    )
    if query.sort == "trashed":
        raise NotFound
    try:
        query = replace(query, filters=filters.read(request.args, zone(current_user.timezone)))
    except Invalid as error:
        if wants_json():
            raise
        return _list_page(query, way, error.errors), error.status
    if wants_json():
        return _list_json(query)
    return _list_page(query, way)


@documents.post("/documents")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
@takes_files(into=lambda: current_user.public_id)
def upload() -> ResponseReturnValue:
    outcome = receive_all()
    if wants_json():
        return answer_json(outcome)
    flash_outcome(outcome)
    folder_id = id_in(request.form.get("folder", ""))
    if not outcome.stored:
        status, headers = refused_as(outcome)
        way = access.way_to(current_user, folder_id) if folder_id else []
        return _list_page(Query(folder=way[-1] if way else None), way), status, headers
    return redirect(url_for("documents.index", folder=folder_id), 303)


@documents.get("/documents/<uuid:document_id>")
@open_to_tokens(Scope.DOCUMENTS_READ)
def show(document_id: UUID) -> ResponseReturnValue:
    if wants_json():
        document = access.document_for(current_user, document_id)
        every = versions_json(document_id, versions.history(document))
        facts = as_json(uploads.as_stored(document))
        return {**facts, "note": document.note, "versions": every}
    return document_page(document_id)


@documents.get("/documents/<uuid:document_id>/download")
@open_to_tokens(Scope.DOCUMENTS_READ)
@leaves_session_alone
def download(document_id: UUID) -> ResponseReturnValue:
    grant = access.grant_to_user(current_user, document_id, _version())
    return delivery.send(grant, request)


@documents.post("/documents/<uuid:document_id>/versions")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
@takes_files(into=lambda document_id: access.owner_of(current_user, document_id))
def add_version(document_id: UUID) -> ResponseReturnValue:
    form = VersionForm(formdata=None)
    with filling(form, UploadRejected) as refused:
        outcome = receive_all(document_id=document_id)
        if wants_json():
            return answer_json(outcome)
        for _, refusal in outcome.rejected:
            raise refusal
    if refused:
        return document_page(document_id, version_form=form, refused=refused)
    flash(f"A new version of “{outcome.stored[0].name}” is there.", "success")
    return redirect(url_for("documents.show", document_id=document_id), 303)


@documents.post("/documents/<uuid:document_id>/rename")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def rename(document_id: UUID) -> ResponseReturnValue:
    access.document_for(current_user, document_id)
    form = RenameForm()
    with filling(form) as refused:
        check(form)
        document = lifecycle.rename(current_user, document_id, form.name.data or "", _settings())
    if refused:
        return document_page(document_id, rename_form=form, refused=refused)
    if wants_json():
        return as_json(uploads.as_stored(document)), 201
    flash(f"Renamed to “{document.name}”.", "success")
    return redirect(url_for("documents.show", document_id=document_id), 303)


@documents.post("/documents/<uuid:document_id>/delete")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def delete(document_id: UUID) -> ResponseReturnValue:
    document = lifecycle.trash(current_user, document_id)
    if wants_json():
        return {"id": str(document_id)}, 201
    undo = url_for("documents.restore", document_id=document_id)
    flash({"text": f"“{document.name}” is in the trash.", "undo_url": undo}, "undo")  # type: ignore[arg-type]
    way = access.way_to_document(current_user, document)
    return redirect(url_for("documents.index", folder=way[-1].public_id if way else None), 303)


@documents.post("/documents/<uuid:document_id>/restore")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def restore(document_id: UUID) -> ResponseReturnValue:
    document = lifecycle.restore(current_user, document_id)
    if wants_json():
        return as_json(uploads.as_stored(document)), 201
    flash(f"“{document.name}” is back in your documents.", "success")
    return redirect(url_for("documents.show", document_id=document_id), 303)


@documents.get("/trash")
@open_to_tokens(Scope.DOCUMENTS_READ)
def trash() -> ResponseReturnValue:
    here = in_trash(current_user, request.args.get("cursor", ""))
    keep = timedelta(days=_settings().trash_days)
    whys = keeping.of_several(current_user, [row.public_id for row in here.page.rows])
    folder_whys = keeping.of_folders(current_user, [row.id for row in here.folders])
    rows = [(row, whys.get(row.public_id, Keeping())) for row in here.page.rows]
    folders = [(row, folder_whys.get(row.id, Keeping())) for row in here.folders]
    page = _shown(rows, here.next_cursor)
    if wants_json():
        return {
            "folders": [trashed_json(row, keep, why) for row, why in folders],
            "documents": [_trashed_json(row, keep, why) for row, why in rows],
            "next": page["next_url"],
        }
    return render_template("documents/trash.html", page=page, folders=folders, keep=keep)


@documents.post("/trash/<uuid:document_id>/purge")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def purge(document_id: UUID) -> ResponseReturnValue:
    name = lifecycle.purge(current_user, document_id)
    if wants_json():
        return {"id": str(document_id)}, 201
    flash(f"“{name}” was deleted for ever.", "success")
    return redirect(url_for("documents.trash"), 303)


@documents.post("/trash/empty")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def empty_trash() -> ResponseReturnValue:
    emptied = lifecycle.empty_trash(current_user)
    if wants_json():
        return {"deleted": emptied.deleted, "left": emptied.left}, 201
    if emptied.left:
        stay = "1 document stays" if emptied.left == 1 else f"{emptied.left} documents stay"
        flash(f"{stay} in the trash, held or kept. The list says why.", "warning")
    else:
        flash("The trash is empty.", "success")
    return redirect(url_for("documents.trash"), 303)


def _trashed_json(row: listing.Row, keep: timedelta, why: Keeping) -> dict[str, Any]:
    """A document in the trash. Its addresses are those of what can be done with it there."""
    facts = as_json(listing.as_stored(row))
    del facts["url"], facts["download_url"]
    restore_url = url_for("documents.restore", document_id=row.public_id)
    return {**facts, **trash_facts(row.public_id, row.trashed_at, keep, why, restore_url)}


def _version() -> int | None:
    # To take an empty query apart costs as much as to read a small file.
    text = request.args.get("version") if request.query_string else None
    if text is None:
        return None
    number = version_number(text)
    if number is None:
        raise NotFound
    return number


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings


def _shown(rows: Sequence[Any], next_cursor: str | None) -> dict[str, Any]:
    """A page of a list with the addresses of its neighbours, the filters kept in them."""
    # No other: `_scheme` and its like would have `url_for` write what the visitor wants.
    arguments: dict[str, Any] = {key: request.args[key] for key in _FILTERS if key in request.args}
    had_cursor = request.args.get("cursor")
    here = request.endpoint or ""
    return {
        "rows": rows,
        "next_url": url_for(here, **arguments, cursor=next_cursor) if next_cursor else None,
        "first_url": url_for(here, **arguments) if had_cursor else None,
    }


def _list_json(query: Query) -> ResponseReturnValue:
    here = contents(current_user, query)
    found = [as_json(listing.as_stored(row)) for row in here.page.rows]
    if "preview" in request.args:
        for each, row in zip(found, here.page.rows, strict=True):
            each["preview"] = row.drawing.value
    answer: dict[str, Any] = {
        "folders": [row_json(each) for each in here.folders],
        "documents": found,
        "next": _shown([], here.next_cursor)["next_url"],
    }
    if query.q.strip():
        excerpts = {str(row.public_id): row.excerpt for row in here.page.rows}
        for each in found:
            pieces = excerpts[each["id"]]
            each["excerpt"] = [{"text": piece.text, "hit": piece.is_hit} for piece in pieces]
        answer["unreadable"] = here.page.unreadable
    return answer


def _list_page(
    query: Query, way: Sequence[Place] = (), filter_errors: Mapping[str, str] | None = None
) -> str:
    """The list; where filters cannot be understood, nothing but what is wrong with them."""
    settings = _settings()
    nothing = Contents([], listing.Page([], None), None)
    here = nothing if filter_errors else contents(current_user, query)
    # Who searches does not ask how much room is left.
    user = None if query.is_narrowed or filter_errors else access.own_account(current_user)
    return render_template(
        "documents/list.html",
        page=_shown(here.page.rows, here.next_cursor) | {"unreadable": here.page.unreadable},
        folders=here.folders,
        way=way,
        folder=query.folder,
        q=query.q,
        kept={name: request.args[name] for name in _FILTERS if request.args.get(name)},
        is_narrowed=bool(query.filters) or bool(filter_errors),
        filter_errors=filter_errors or {},
        types={name: words for name, (words, _) in filters.TYPES.items()},
        sort=query.sort,
        order=query.order,
        # A table is what anything else means.
        view="grid" if request.args.get("view") == "grid" else None,
        upload_form=UploadForm(formdata=None),
        folder_form=FolderForm(formdata=None),
        upload_rules=room.rules(settings),
        max_upload_bytes=settings.max_upload_bytes,
        usage=(user.used_bytes, quota_of(user, settings)) if user else None,
    )
