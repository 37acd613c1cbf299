"""The page on which somebody says when what lies in a folder of theirs goes to the trash."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.accounts.api_tokens import Scope
from portal.documents import retention as rules
from portal.documents.forms import DeleteAfterForm
from portal.documents.receiving import as_text
from portal.errors import Conflict
from portal.forms import check, filling
from portal.gate import open_to_tokens, wants_json

retention = Blueprint("retention", __name__)


@retention.get("/folders/<uuid:folder_id>/retention")
@open_to_tokens(Scope.DOCUMENTS_READ)
def folder(folder_id: UUID) -> ResponseReturnValue:
    page = _page(folder_id)
    if wants_json():
        return _json(folder_id)
    return render_template("documents/retention.html", **page)


@retention.post("/folders/<uuid:folder_id>/retention")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def decide(folder_id: UUID) -> ResponseReturnValue:
    """`delete_after_days`; empty for never."""
    rules.own_rule(current_user, folder_id)
    form = DeleteAfterForm()
    with filling(form, Conflict) as refused:
        check(form)
        rules.decide_own(current_user, folder_id, form.delete_after_days.data)
    if refused:
        return refused.page("documents/retention.html", **_page(folder_id, form))
    if wants_json():
        return _json(folder_id), 201
    flash("The rule was saved. It is in force now.", "success")
    return redirect(url_for("retention.folder", folder_id=folder_id), 303)


def _page(folder_id: UUID, form: DeleteAfterForm | None = None) -> dict[str, Any]:
    folder, rule = rules.own_rule(current_user, folder_id)
    days = rule.terms.delete_after_days if rule else None
    return {
        "folder": {"public_id": folder.public_id, "name": folder.name},
        "rule": rule,
        "form": form or DeleteAfterForm(formdata=None, delete_after_days=days),
    }


def _json(folder_id: UUID) -> dict[str, Any]:
    _, rule = rules.own_rule(current_user, folder_id)
    until = rule.terms.keep_until if rule else None
    return {
        "id": str(folder_id),
        "keep_days": rule.terms.keep_days if rule else None,
        "keep_until": as_text(until) if until else None,
        "delete_after_days": rule.terms.delete_after_days if rule else None,
    }
