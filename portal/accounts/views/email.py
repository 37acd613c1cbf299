"""Another e-mail address: asked for on the account page, agreed to from both addresses."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.accounts import email_change
from portal.accounts.forms import EmailForm
from portal.accounts.views import accounts
from portal.accounts.views.account import own_page
from portal.accounts.views.browser import settings
from portal.errors import BadRequest, TooManyTries
from portal.forms import check, filling
from portal.gate import public, secret_address, wants_json


@accounts.post("/account/email")
def change_email() -> ResponseReturnValue:
    if request.form.get("action") == "cancel":
        email_change.cancel(current_user.user_id)
        return _answer("Your address stays as it is.", {"cancelled": True})
    form = EmailForm()
    with filling(form, TooManyTries) as refused:
        check(form)
        email_change.ask(
            current_user._get_current_object(),
            form.new_email.data or "",
            form.current_password.data or "",
            settings(),
        )
    if refused:
        return refused.page("accounts/account.html", **own_page(email_form=form))
    return _answer("Now open the two mails, one at each address, and agree.", {"asked": True})


@accounts.route("/account/email/<token>", methods=["GET", "POST"])
@public
@secret_address
def agree_email(token: str) -> ResponseReturnValue:
    if request.method != "POST":
        # Programs that look at the links in mails come by here: they agree to nothing.
        change = email_change.look(token)
        return render_template("accounts/email_change.html", change=change)
    match request.form.get("action", "agree"):
        case "agree":
            change = email_change.agree(token)
            if not change.is_done and not wants_json():
                return redirect(url_for("accounts.agree_email", token=token), 303)
            said = f"The address is {change.new_email} now. Both addresses are told by mail."
            return _answer(said, {"agreed": True, "changed": change.is_done})
        case "refuse":
            email_change.refuse(token)
            said = "The change is stopped: the address stays as it was."
            return _answer(said, {"agreed": False, "changed": False})
        case _:
            raise BadRequest


def _answer(said: str, facts: dict[str, bool]) -> ResponseReturnValue:
    if wants_json():
        return facts, 201
    flash(said, "success")
    return redirect(url_for("accounts.account"), 303)
