"""One's own account: name, language, time zone, password."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import access
from portal.accounts import email_change, people, sign_in
from portal.accounts.forms import AccountForm, EmailForm, PasswordForm
from portal.accounts.people import quota_of
from portal.accounts.views import accounts
from portal.accounts.views.browser import settings
from portal.errors import TooManyTries
from portal.forms import check, filling


@accounts.route("/account", methods=["GET", "POST"])
def account() -> ResponseReturnValue:
    form = _account_form()
    if request.method != "POST":
        return render_template("accounts/account.html", **own_page(form))
    with filling(form) as refused:
        check(form)
        people.save_own(
            current_user.user_id,
            name=form.name.data or "",
            timezone=form.timezone.data or "",
            language=form.language.data or "",
        )
    if refused:
        return refused.page("accounts/account.html", **own_page(form))
    flash("Your account was saved.", "success")
    return redirect(url_for("accounts.account"), 303)


@accounts.post("/account/password")
def change_password() -> ResponseReturnValue:
    form = PasswordForm()
    with filling(form, TooManyTries) as refused:
        check(form)
        sign_in.change_password(
            current_user._get_current_object(),
            form.current_password.data or "",
            form.new_password.data or "",
            settings(),
        )
    if refused:
        own = _account_form(formdata=None)
        return refused.page("accounts/account.html", **own_page(own, password_form=form))
    flash(
        "Your password was changed. Every other device was signed out, and every token ended.",
        "success",
    )
    return redirect(url_for("accounts.account"), 303)


def _account_form(**kwargs: None) -> AccountForm:
    return AccountForm(
        name=current_user.name,
        timezone=current_user.timezone,
        language=current_user.language,
        **kwargs,
    )


def own_page(
    form: AccountForm | None = None,
    password_form: PasswordForm | None = None,
    email_form: EmailForm | None = None,
) -> dict[str, object]:
    """What the page of one's account shows: the forms that were sent, the others anew."""
    user = access.own_account(current_user)
    return {
        "form": form or _account_form(formdata=None),
        "password_form": password_form or PasswordForm(formdata=None),
        "email_form": email_form or EmailForm(formdata=None),
        "email_change": email_change.pending(current_user.user_id),
        "used_bytes": user.used_bytes,
        "quota_bytes": quota_of(user, settings()),
    }
