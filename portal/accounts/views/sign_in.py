"""Signing in, in one step or two, and out."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.accounts import passkeys, pending, proof, second_step, sign_in
from portal.accounts.forms import SecondStepForm, SignInForm
from portal.accounts.passkeys import PasskeyRefused
from portal.accounts.second_factor import CodeRefused
from portal.accounts.second_step import Admitted, NobodyWaits
from portal.accounts.sign_in import Entry, SignInRefused
from portal.accounts.views import accounts
from portal.accounts.views.browser import (
    enter,
    leave,
    new_challenge,
    passkey_place,
    safe_next,
    settings,
    take_challenge,
)
from portal.errors import TooManyTries
from portal.forms import check, filling
from portal.gate import open_without_second_factor, public, wants_json

#: Under which name the cookie keeps the token of a sign-in that waits for the second factor.
_WAITS = "waits_for_second_factor"


@accounts.route("/login", methods=["GET", "POST"])
@public
def login() -> ResponseReturnValue:
    form = SignInForm(next=request.args.get("next", ""))
    if request.method != "POST":
        if current_user.is_authenticated:
            return redirect(safe_next(form.next.data), 302)
        return render_template("accounts/login.html", form=form, **passkey_place())
    if answer := request.form.get("credential"):
        return _with_passkey_alone(form, answer)
    with filling(form, SignInRefused, TooManyTries) as refused:
        check(form)
        entry = sign_in.sign_in(
            form.email.data or "",
            form.password.data or "",
            settings(),
            remember=bool(form.remember.data),
        )
    if refused:
        return refused.page("accounts/login.html", form=form, **passkey_place())
    return go_on(entry, form.next.data, remember=bool(form.remember.data))


def go_on(
    entry: Entry, next_page: str | None, *, remember: bool = False, status: int = 303
) -> ResponseReturnValue:
    """Go where a right first proof leads: in, or to the second step."""
    leave()
    if not entry.is_complete:
        session[_WAITS] = entry.token
        return redirect(url_for("accounts.second_step", next=next_page or None), status)
    enter(entry.token, remember=remember)
    return redirect(safe_next(next_page), status)


@accounts.route("/login/two-factor", methods=["GET", "POST"], endpoint="second_step")
@public
def finish() -> ResponseReturnValue:
    """The second half of a sign-in: a code, or a passkey."""
    form = SecondStepForm(next=request.args.get("next", ""))
    token = session.get(_WAITS, "")
    waiting = pending.find(token)
    if waiting is None:
        return _start_again(form)
    ways = proof.ways(waiting.user_id)
    if request.method != "POST":
        return render_template("accounts/second_step.html", form=form, ways=ways, **passkey_place())
    answer = request.form.get("credential")
    try:
        with filling(form, CodeRefused, PasskeyRefused, TooManyTries) as refused:
            if answer:
                admitted = second_step.with_passkey(token, answer, take_challenge(), settings())
            else:
                check(form)
                admitted = second_step.with_code(token, form.code.data or "", settings())
    except NobodyWaits:
        return _start_again(form)
    if refused:
        return refused.page("accounts/second_step.html", form=form, ways=ways, **passkey_place())
    return _let_in(admitted, form.next.data)


@accounts.post("/login/passkey-options")
@public
def passkey_options() -> ResponseReturnValue:
    """What the browser needs to use a passkey here: to sign in, to finish that, or to prove."""
    waiting = pending.find(session.get(_WAITS, ""))
    user_id = waiting.user_id if waiting else None
    if current_user.is_authenticated:
        user_id = current_user.user_id
    return passkeys.request_options(user_id, new_challenge(), settings())


@accounts.post("/logout")
@open_without_second_factor
def logout() -> ResponseReturnValue:
    leave()
    return redirect(url_for("accounts.login"), 303)


def _with_passkey_alone(form: SignInForm, answer: str) -> ResponseReturnValue:
    with filling(form, PasskeyRefused, TooManyTries) as refused:
        admitted = second_step.with_passkey_alone(
            answer, take_challenge(), settings(), remember=bool(form.remember.data)
        )
    if refused:
        return refused.page("accounts/login.html", form=form, **passkey_place())
    return _let_in(admitted, form.next.data)


def _let_in(admitted: Admitted, target: str | None) -> ResponseReturnValue:
    leave()
    enter(admitted.token, remember=admitted.is_remembered)
    return redirect(safe_next(target), 303)


def _start_again(form: SecondStepForm) -> ResponseReturnValue:
    if wants_json():
        raise NobodyWaits
    session.pop(_WAITS, None)
    if request.method == "POST":
        flash(f"{NobodyWaits.what} {NobodyWaits.cure}", "warning")
    status = 303 if request.method == "POST" else 302
    return redirect(url_for("accounts.login", next=form.next.data or None), status)
