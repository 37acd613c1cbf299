"""One's own passkeys: adding, naming and removing them."""

from __future__ import annotations

import uuid
from typing import cast

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import site
from portal.accounts import passkeys, second_factor
from portal.accounts.forms import PasskeyForm, PasskeyNameForm
from portal.accounts.passkeys import PasskeyRefused
from portal.accounts.views import accounts
from portal.accounts.views.browser import (
    new_challenge,
    passkey_place,
    person,
    settings,
    take_challenge,
)
from portal.accounts.views.two_factor import show_codes
from portal.errors import BadRequest, Conflict, Invalid
from portal.forms import Refused, check, filling
from portal.gate import (
    check_fresh_proof,
    needs_fresh_proof,
    open_without_second_factor,
    wants_json,
)
from portal.request import PortalRequest


@accounts.route("/account/passkeys", methods=["GET", "POST"], endpoint="passkeys")
@open_without_second_factor
def own_passkeys() -> ResponseReturnValue:
    if request.method != "POST":
        return _page(PasskeyForm(formdata=None))
    match request.form.get("action", ""):
        case "add":
            return _add()
        case "rename":
            return _rename()
        case "remove":
            check_fresh_proof()
            passkeys.remove(person(), _chosen())
            return _done("The passkey was removed. It opens nothing here any more.")
        case _:
            raise BadRequest


@accounts.post("/account/passkeys/options")
@open_without_second_factor
@needs_fresh_proof
def new_passkey_options() -> ResponseReturnValue:
    """What the browser needs to make a passkey."""
    name = site.name(settings())
    return passkeys.creation_options(person(), new_challenge(), name, settings())


def _add() -> ResponseReturnValue:
    check_fresh_proof()
    form = PasskeyForm()
    with filling(form, PasskeyRefused, Conflict) as refused:
        check(form)
        answer = request.form.get("credential", "")
        if not answer:
            raise Invalid("The browser has made no passkey.", cure="Press the button once more.")
        codes = passkeys.add(person(), form.name.data or "", answer, take_challenge(), settings())
    if refused:
        return _page(form, refused=refused)
    if codes:
        message = "The passkey was added, and two-factor sign-in is on."
        return show_codes(codes, message)
    return _done("The passkey was added.")


def _rename() -> ResponseReturnValue:
    form = PasskeyNameForm()
    with filling(form) as refused:
        check(form)
        passkeys.rename(person(), _chosen(), form.name.data or "")
    if refused:
        return _page(PasskeyForm(formdata=None), refused=refused, name_form=form)
    return _done("The passkey has its new name.")


def _chosen() -> uuid.UUID:
    """The passkey that the form names. Raises `BadRequest`."""
    found = cast(PortalRequest, request).uuid_field("id")
    if len(found) != 1:
        raise BadRequest
    return found[0]


def _page(
    form: PasskeyForm,
    *,
    refused: Refused | None = None,
    name_form: PasskeyNameForm | None = None,
) -> ResponseReturnValue:
    page = {
        "form": form,
        "name_form": name_form,
        "passkeys": passkeys.listed(current_user.user_id),
        "factors": second_factor.of(current_user.user_id),
        **passkey_place(),
    }
    if refused:
        return refused.page("accounts/passkeys.html", **page)
    return render_template("accounts/passkeys.html", **page)


def _done(message: str) -> ResponseReturnValue:
    if wants_json():
        found = passkeys.listed(current_user.user_id)
        return {"passkeys": [{"id": str(each.public_id), "name": each.name} for each in found]}, 201
    flash(message, "success")
    return redirect(url_for("accounts.passkeys"), 303)
