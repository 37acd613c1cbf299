"""Set-up, sign-in, sign-out, invitations and one's own account."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from flask import (
    Blueprint,
    current_app,
    flash,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user

from portal import access
from portal.accounts import people, sessions, setup, sign_in
from portal.accounts.forms import (
    AccountForm,
    InvitationForm,
    PasswordForm,
    SetupForm,
    SignInForm,
)
from portal.accounts.people import quota_of
from portal.accounts.sign_in import SignInRefused
from portal.config import Settings
from portal.errors import PortalError, TooManyTries
from portal.forms import check, filling
from portal.gate import public, secret_address

accounts = Blueprint("accounts", __name__)


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
            settings=_settings(),
        )
    if refused:
        return refused.page("accounts/setup.html", form=form)
    _enter(session_token, remember=False)
    flash("Your portal is ready. Here is what to do next.", "success")
    return redirect(url_for("admin.overview"), 303)


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
            _settings(),
            remember=bool(form.remember.data),
        )
    if refused:
        return refused.page("accounts/login.html", form=form)
    _leave()
    _enter(token, remember=bool(form.remember.data))
    return redirect(safe_next(form.next.data), 303)


@accounts.post("/logout")
def logout() -> ResponseReturnValue:
    _leave()
    return redirect(url_for("accounts.login"), 303)


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
            token, form.name.data or "", form.password.data or "", _settings()
        )
    if refused:
        return refused.page("accounts/invitation.html", form=form, email=user.email)
    _leave()
    _enter(session_token, remember=False)
    flash("Welcome. This is where your documents will be.", "success")
    return redirect(url_for("documents.index"), 303)


@accounts.route("/account", methods=["GET", "POST"])
def account() -> ResponseReturnValue:
    form = AccountForm(name=current_user.name, timezone=current_user.timezone)
    if request.method != "POST":
        return render_template("accounts/account.html", **_account_page(form, _password_form()))
    with filling(form) as refused:
        check(form)
        people.save_own(
            current_user.user_id, name=form.name.data or "", timezone=form.timezone.data or ""
        )
    if refused:
        return refused.page("accounts/account.html", **_account_page(form, _password_form()))
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
            _settings(),
        )
    if refused:
        own = AccountForm(formdata=None, name=current_user.name, timezone=current_user.timezone)
        return refused.page("accounts/account.html", **_account_page(own, form))
    flash("Your password was changed. Every other device was signed out.", "success")
    return redirect(url_for("accounts.account"), 303)


def safe_next(target: str | None) -> str:
    """`target` if it is a path of this portal, else the front page.

    Browsers read `//host`, `/\\host` and tabs inside as another site's address.
    """
    home = url_for("documents.index")
    if not target or not target.startswith("/") or not target.isprintable():
        return home
    for read in (target, unquote(target)):
        if read.startswith(("//", "/\\")) or "\\" in read or not read.isprintable():
            return home
    parts = urlsplit(target)
    return home if parts.scheme or parts.netloc else target


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings


def _enter(token: str, *, remember: bool) -> None:
    """Put a new session into this browser; nothing from before sign-in stays (no fixation)."""
    kept_flashes = session.get("_flashes")
    session.clear()
    if kept_flashes:
        session["_flashes"] = kept_flashes
    person = sessions.load(token, _settings())
    if person is None:
        raise PortalError
    login_user(person)
    session.permanent = remember


def _leave() -> None:
    if current_user.is_authenticated:
        sessions.end(current_user._get_current_object())
    session.clear()


def _password_form() -> PasswordForm:
    return PasswordForm(formdata=None)


def _account_page(form: AccountForm, password_form: PasswordForm) -> dict[str, object]:
    user = access.own_account(current_user)
    return {
        "form": form,
        "password_form": password_form,
        "used_bytes": user.used_bytes,
        "quota_bytes": quota_of(user, _settings()),
    }
