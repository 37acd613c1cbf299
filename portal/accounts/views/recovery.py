"""A forgotten password: asking for a mail, and choosing a new one by the address in it."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.accounts import recovery
from portal.accounts.forms import ForgotForm, ResetForm
from portal.accounts.views import accounts
from portal.accounts.views.browser import leave, settings
from portal.errors import TooManyTries
from portal.forms import check, filling
from portal.gate import public, secret_address, wants_json


@accounts.route("/forgot-password", methods=["GET", "POST"])
@public
def forgot_password() -> ResponseReturnValue:
    form = ForgotForm()
    if request.method != "POST":
        was_asked = "asked" in request.args
        return render_template("accounts/forgot_password.html", form=form, was_asked=was_asked)
    with filling(form, TooManyTries) as refused:
        check(form)
        recovery.ask(form.email.data or "", settings())
    if refused:
        return refused.page("accounts/forgot_password.html", form=form, was_asked=False)
    if wants_json():
        return {"asked": True}, 201
    return redirect(url_for("accounts.forgot_password", asked=1), 303)


@accounts.route("/reset-password/<token>", methods=["GET", "POST"])
@public
@secret_address
def reset_password(token: str) -> ResponseReturnValue:
    email = recovery.whose(token).email
    form = ResetForm()
    if request.method != "POST":
        return render_template("accounts/reset_password.html", form=form, email=email)
    with filling(form) as refused:
        check(form)
        recovery.reset(token, form.password.data or "", settings())
    if refused:
        return refused.page("accounts/reset_password.html", form=form, email=email)
    leave()
    if wants_json():
        return {"changed": True}, 201
    flash("Your password was changed, and every device was signed out. Sign in with it.", "success")
    return redirect(url_for("accounts.login"), 303)
