"""The admin pages of what must stay: one person's rules and holds, and everybody's holds."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import access, audit
from portal.accounts.api_tokens import Scope
from portal.admin.forms import HoldForm, ReleaseForm, RuleForm
from portal.documents import folder_listing, holds, listing, retention
from portal.documents.holds import Hold
from portal.documents.receiving import as_text
from portal.documents.retention import Rule, Terms
from portal.errors import BadRequest, Conflict
from portal.forms import Refused, check, filling
from portal.gate import check_fresh_proof, open_to_tokens, wants_json
from portal.models import User
from portal.request import PortalRequest

admin_retention = Blueprint("admin_retention", __name__, url_prefix="/admin")


@admin_retention.get("/users/<uuid:user_id>/retention")
@open_to_tokens(Scope.ADMIN)
def person(user_id: UUID) -> ResponseReturnValue:
    owner = access.directory_for(current_user, user_id)
    # Names of folders and documents are on it, as on the page of their documents.
    audit.record_alone(audit.Action.DIRECTORY_LISTED, owner=owner.email)
    if wants_json():
        found, _ = holds.live(owner)
        rules = [_rule_json(rule) for rule in retention.rules_of(owner)]
        return {"rules": rules, "holds": [_hold_json(hold) for hold in found]}
    hold_form = HoldForm(formdata=None, document=request.args.get("document", ""))
    return render_template(
        "admin/retention.html", **_person(owner, RuleForm(formdata=None), hold_form)
    )


@admin_retention.post("/users/<uuid:user_id>/retention")
@open_to_tokens(Scope.ADMIN)
def change(user_id: UUID) -> ResponseReturnValue:
    """`action`: `save-rule`, `remove-rule` or `place-hold`.

    A rule that is changed may set something free, so it takes a fresh proof; a hold does not.
    """
    owner = access.directory_for(current_user, user_id)
    action = request.form.get("action", "")
    form: RuleForm | HoldForm
    made: dict[str, Any] = {}
    match action:
        case "save-rule":
            check_fresh_proof()
            form = RuleForm()
            _offer_places(form, owner)
            with filling(form) as refused:
                check(form)
                _save_rule(owner, form)
            done = "The rule was saved. It is in force now."
        case "remove-rule":
            check_fresh_proof()
            retention.remove(current_user, owner, _one_id())
            form, refused, done = RuleForm(formdata=None), Refused(), "The rule was removed."
        case "place-hold":
            form = HoldForm()
            _offer_places(form, owner)
            with filling(form) as refused:
                check(form)
                made["id"] = str(_place(owner, form))
            done = "The hold is in force. Nobody can delete what it covers."
        case _:
            raise BadRequest
    if refused:
        is_rule = isinstance(form, RuleForm)
        forms = (form, HoldForm(formdata=None)) if is_rule else (RuleForm(formdata=None), form)
        return refused.page("admin/retention.html", **_person(owner, *forms))
    if wants_json():
        rules = [_rule_json(rule) for rule in retention.rules_of(owner)]
        return {**made, "rules": rules}, 201
    flash(done, "success")
    return redirect(url_for("admin_retention.person", user_id=user_id), 303)


@admin_retention.get("/holds")
@open_to_tokens(Scope.ADMIN)
def held() -> ResponseReturnValue:
    audit.record_alone(audit.Action.HOLDS_LISTED)
    found, older = holds.live(before=_before())
    if wants_json():
        return {"holds": [_hold_json(hold) for hold in found], "next": _next(found, older)}
    return render_template("admin/holds.html", **_holds(ReleaseForm(formdata=None), found, older))


@admin_retention.post("/holds")
def release() -> ResponseReturnValue:
    """`id` and `reason`: release that hold. What is set free can be deleted for ever."""
    check_fresh_proof()
    hold_id = _one_id()
    form = ReleaseForm()
    with filling(form, Conflict) as refused:
        check(form)
        holds.release(current_user, hold_id, form.reason.data or "")
    if refused:
        found, older = holds.live(before=_before())
        return refused.page("admin/holds.html", **_holds(form, found, older, hold_id))
    if wants_json():
        return {"id": str(hold_id)}, 201
    flash("The hold was released.", "success")
    return redirect(url_for("admin_retention.held"), 303)


def _save_rule(owner: User, form: RuleForm) -> None:
    terms = Terms(form.keep_days.data, form.keep_until.moment, form.delete_after_days.data)
    retention.decide(current_user, owner, _uuid(form.folder.data), terms)


def _place(owner: User, form: HoldForm) -> UUID:
    document_id = _uuid(form.document.data)
    return holds.place(
        current_user,
        owner,
        form.reason.data or "",
        document_id=document_id,
        folder_id=None if document_id else _uuid(form.folder.data),
    )


def _offer_places(form: RuleForm | HoldForm, owner: User) -> None:
    places = [(str(folder_id), path) for folder_id, path in folder_listing.to_choose_from(owner)]
    form.folder.choices = [("", "Everything they have"), *places]
    if form.folder.data is None:
        form.folder.data = ""


def _person(owner: User, rule_form: RuleForm | HoldForm, hold_form: Any) -> dict[str, Any]:
    for form in (rule_form, hold_form):
        _offer_places(form, owner)
    found, older = holds.live(owner)
    document_id = _uuid(hold_form.document.data)
    return {
        "user": owner,
        "rules": retention.rules_of(owner),
        "holds": found,
        "are_more": older,
        "rule_form": rule_form,
        "hold_form": hold_form,
        "to_hold": listing.name_in_directory(owner, document_id) if document_id else None,
    }


def _holds(
    form: ReleaseForm, found: list[Hold], older: bool, hold_id: UUID | None = None
) -> dict[str, Any]:
    return {
        "holds": found,
        "form": form,
        "refused_id": hold_id,
        "first_url": url_for("admin_retention.held") if request.args.get("before") else None,
        "next_url": _next(found, older),
    }


def _next(found: list[Hold], older: bool) -> str | None:
    return url_for("admin_retention.held", before=found[-1].public_id) if older else None


def _rule_json(rule: Rule) -> dict[str, Any]:
    until = rule.terms.keep_until
    return {
        "id": str(rule.public_id),
        "folder": str(rule.folder_id) if rule.folder_id else None,
        "folder_name": rule.folder_name,
        "keep_days": rule.terms.keep_days,
        "keep_until": as_text(until) if until else None,
        "delete_after_days": rule.terms.delete_after_days,
    }


def _hold_json(hold: Hold) -> dict[str, Any]:
    return {
        "id": str(hold.public_id),
        "owner": hold.owner_email,
        "place": hold.place,
        "reason": hold.reason,
        "placed_at": as_text(hold.placed_at),
        "placed_by": hold.placed_by,
    }


def _one_id() -> UUID:
    ids = cast(PortalRequest, request).uuid_field("id")
    if len(ids) != 1:
        raise BadRequest
    return ids[0]


def _before() -> UUID | None:
    return _uuid(request.args.get("before"))


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise BadRequest from error
