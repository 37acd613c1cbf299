"""How an account begins: the set-up of the portal, and invitations."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal.accounts import people, setup
from portal.accounts.forms import InvitationForm, SetupForm
from portal.accounts.views import accounts
from portal.accounts.views.browser import enter, leave, settings
from portal.forms import check, filling
from portal.gate import public, secret_address


@accounts.route("/setup", methods=["GET", "POST"], endpoint="setup")
@public
@secret_address
def set_up() -> ResponseReturnValue:
    token = request.form.get("token", "") or request.args.get("token", "")
    setup.check(token)
    form = SetupForm(token=token)
    if request.method != "POST":
        return render_template("accounts/setup.html", form=form)
    with filling(form) as refused:
        check(form)
        session_token = setup.complete(
            token,
            name=form.name.data or "",
            email=form.email.data or "",
            password=form.password.data or "",
            site_name=form.site_name.data or "",
            settings=settings(),
        )
    if refused:
        return refused.page("accounts/setup.html", form=form)
    enter(session_token, remember=False)
    flash("Your portal is ready. Here is what to do next.", "success")
    return redirect(url_for("admin.overview"), 303)


@accounts.route("/invitations/<token>", methods=["GET", "POST"])
@public
@secret_address
def invitation(token: str) -> ResponseReturnValue:
    user = people.invited(token)
    form = InvitationForm(name=user.name)
    if request.method != "POST":
        return render_template("accounts/invitation.html", form=form, email=user.email)
    with filling(form) as refused:
        check(form)
        session_token = people.accept_invitation(
            token, form.name.data or "", form.password.data or "", settings()
        )
    if refused:
        return refused.page("accounts/invitation.html", form=form, email=user.email)
    leave()
    enter(session_token, remember=False)
    flash("Welcome. This is where your documents will be.", "success")
    return redirect(url_for("documents.index"), 303)
