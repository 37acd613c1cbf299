"""Signing in and out."""

from __future__ import annotations

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.accounts import sign_in
from portal.accounts.forms import SignInForm
from portal.accounts.sign_in import SignInRefused
from portal.accounts.views import accounts
from portal.accounts.views.browser import enter, leave, safe_next, settings
from portal.errors import TooManyTries
from portal.forms import check, filling
from portal.gate import public


@accounts.route("/login", methods=["GET", "POST"])
@public
def login() -> ResponseReturnValue:
    form = SignInForm(next=request.args.get("next", ""))
    if request.method != "POST":
        if current_user.is_authenticated:
            return redirect(safe_next(form.next.data), 302)
        return render_template("accounts/login.html", form=form)
    with filling(form, SignInRefused, TooManyTries) as refused:
        check(form)
        token = sign_in.sign_in(
            form.email.data or "",
            form.password.data or "",
            settings(),
            remember=bool(form.remember.data),
        )
    if refused:
        return refused.page("accounts/login.html", form=form)
    leave()
    enter(token, remember=bool(form.remember.data))
    return redirect(safe_next(form.next.data), 303)


@accounts.post("/logout")
def logout() -> ResponseReturnValue:
    leave()
    return redirect(url_for("accounts.login"), 303)
