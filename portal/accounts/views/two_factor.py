"""One's own second factor: the authenticator app and the recovery codes."""

from __future__ import annotations

import segno
from flask import flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import sealing, shown_once, site
from portal.accounts import proof, second_factor
from portal.accounts.forms import AuthenticatorForm
from portal.accounts.second_factor import SetUp
from portal.accounts.views import accounts
from portal.accounts.views.browser import passkey_place, person, settings
from portal.errors import BadRequest, Conflict, TooManyTries
from portal.forms import Refused, check, filling
from portal.gate import check_fresh_proof, open_without_second_factor, wants_json

#: Under which name the cookie keeps the sealed secret of an authenticator being set up: another
#: session of the same person, perhaps a thief's, never gets to know it.
_BEING_SET_UP = "authenticator"
#: About what the page shows new recovery codes once.
CODES = "recovery codes"


@accounts.route("/account/two-factor", methods=["GET", "POST"])
@open_without_second_factor
def two_factor() -> ResponseReturnValue:
    if request.method != "POST":
        return _page(AuthenticatorForm(formdata=None))
    match request.form.get("action", ""):
        case "enable":
            return _turn_on()
        case "disable":
            _prove("password", "code")
            second_factor.turn_off(person())
            return _done("The authenticator app was removed.")
        case "new-codes":
            _prove("password", "code")
            codes = second_factor.new_codes(person())
            return show_codes(codes, "Here are your new recovery codes.")
        case _:
            raise BadRequest


def show_codes(codes: list[str], message: str) -> ResponseReturnValue:
    """Answer a form that has made recovery codes: they are shown once."""
    if wants_json():
        return {"recovery_codes": codes}, 201
    shown_once.keep(CODES, codes=" ".join(codes))
    flash(message, "success")
    return redirect(url_for("accounts.two_factor"), 303)


def _turn_on() -> ResponseReturnValue:
    _prove("password")  # the code of the form is the new authenticator's
    form = AuthenticatorForm()
    sealed = session.get(_BEING_SET_UP)
    if sealed is None:  # the page was never shown in this session
        if wants_json():
            raise Conflict("No key was shown yet.", cure="Open the page first.")
        return redirect(url_for("accounts.two_factor"), 303)
    with filling(form, TooManyTries) as refused:
        check(form)
        codes = second_factor.turn_on(person(), sealed, form.code.data or "", settings())
    if refused:
        return _page(form, refused)
    session.pop(_BEING_SET_UP)
    return show_codes(codes, "Two-factor sign-in is on. From now on you sign in with a code too.")


def _page(form: AuthenticatorForm, refused: Refused | None = None) -> ResponseReturnValue:
    factors = second_factor.of(current_user.user_id)
    codes = shown_once.take(CODES).get("codes", "")
    app = None
    if factors.authenticator_since is None and current_user.is_freshly_proved:
        app = _being_set_up()
    page = {
        "form": form,
        "factors": factors,
        "codes": codes.split(),
        "app": app,
        "qr": _picture(app) if app else None,
        **passkey_place(),
    }
    if refused:
        return refused.page("accounts/two_factor.html", **page)
    return render_template("accounts/two_factor.html", **page)


def _being_set_up() -> SetUp:
    """What this browser's person tells their app; the same until it is on."""
    name = site.name(settings())
    try:
        return second_factor.set_up(
            session.get(_BEING_SET_UP, ""), current_user.email, name, settings()
        )
    except sealing.NotOurs:
        session[_BEING_SET_UP] = second_factor.new_secret(settings())
    return second_factor.set_up(session[_BEING_SET_UP], current_user.email, name, settings())


def _picture(app: SetUp) -> str:
    code = segno.make(app.uri, error="m")
    return code.svg_data_uri(scale=4, border=2, dark="#1c2430")


def _prove(*fields: str) -> None:
    """Take the proof that came with the form, or ask for one that is not older than minutes."""
    given = {field: request.form.get(field, "") for field in fields}
    if not current_user.is_freshly_proved:
        if given.get("password"):
            proof.by_password(person(), given["password"], settings())
            return
        if given.get("code"):
            proof.by_code(person(), given["code"], settings())
            return
    check_fresh_proof()


def _done(message: str) -> ResponseReturnValue:
    if wants_json():
        return {"is_on": second_factor.of(current_user.user_id).is_on}, 201
    flash(message, "success")
    return redirect(url_for("accounts.two_factor"), 303)
