"""Taking all of one's data away, and leaving for good."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import access, site
from portal.accounts import deletion, own_data
from portal.accounts.forms import DeletionForm
from portal.accounts.views import accounts
from portal.accounts.views.browser import settings
from portal.errors import BadRequest, TooManyTries
from portal.forms import Refused, check, filling
from portal.gate import (
    check_fresh_proof,
    leaves_session_alone,
    needs_fresh_proof,
    wants_json,
)
from portal.models import utcnow
from portal.storage import delivery


@accounts.get("/account/data", endpoint="own_data")
def data() -> ResponseReturnValue:
    me = access.own_account(current_user)
    return render_template(
        "accounts/own_data.html",
        extent=own_data.extent_of(current_user),
        deletion_from=deletion.possible_from(me),
    )


@accounts.post("/account/data")
@needs_fresh_proof
@leaves_session_alone
def download_data() -> ResponseReturnValue:
    me = current_user._get_current_object()
    site_name = site.name(settings())
    name = f"{site_name} {utcnow():%Y-%m-%d}.zip"
    return delivery.send_archive(name, own_data.export(me, site_name, settings()))


@accounts.route("/account/delete", methods=["GET", "POST"], endpoint="deletion")
def delete_account() -> ResponseReturnValue:
    form = DeletionForm()
    if request.method != "POST":
        return _page(DeletionForm(formdata=None))
    match request.form.get("action", ""):
        case "ask":
            password = None
            if access.own_account(current_user).password_hash is None:
                del form.password
                check_fresh_proof()
            with filling(form, TooManyTries) as refused:
                check(form)
                if form.password is not None:
                    password = form.password.data or ""
                deletion.ask(current_user._get_current_object(), password, settings())
            if refused:
                return _page(form, refused)
            done = "Your wish was noted. You can take it back here for 14 days."
        case "withdraw":
            deletion.withdraw(current_user._get_current_object())
            done = "Your account stays."
        case _:
            raise BadRequest
    if wants_json():
        possible_from = deletion.possible_from(access.own_account(current_user))
        return {"possible_from": possible_from and possible_from.isoformat()}, 201
    flash(done, "success")
    return redirect(url_for("accounts.deletion"), 303)


def _page(form: DeletionForm, refused: Refused | None = None) -> ResponseReturnValue:
    me = access.own_account(current_user)
    if me.password_hash is None:
        del form.password
    context = {
        "form": form,
        "asked_at": me.deletion_asked_at,
        "possible_from": deletion.possible_from(me),
        "days": deletion.GRACE.days,
    }
    if refused:
        return refused.page("accounts/deletion.html", **context)
    return render_template("accounts/deletion.html", **context)
