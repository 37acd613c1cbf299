"""Where one is signed in, and what happened to one's account and documents."""

from __future__ import annotations

from uuid import UUID

from flask import flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import access, browsers, sealing
from portal.accounts import devices
from portal.accounts.views import accounts
from portal.accounts.views.browser import settings
from portal.audit import reading
from portal.errors import BadRequest, NotFound
from portal.gate import check_fresh_proof, wants_json

_CURSOR = "activity cursor"


@accounts.get("/account/sessions")
def sessions() -> ResponseReturnValue:
    here = devices.of(current_user.user_id, settings(), this=current_user.session_id)
    return render_template("accounts/sessions.html", devices=here)


@accounts.post("/account/sessions")
def end_sessions() -> ResponseReturnValue:
    me = current_user._get_current_object()
    match request.form.get("action", ""):
        case "end":
            # Or whoever sits at an unlocked screen could throw its owner out everywhere else.
            check_fresh_proof()
            if devices.end(me, _asked_for()):
                session.clear()
                return ({"ended": 1}, 201) if wants_json() else _to_sign_in()
            ended, done = 1, "That device was signed out."
        case "end-others":
            check_fresh_proof()
            ended = devices.end_others(me)
            done = "You are signed in nowhere else."
        case _:
            raise BadRequest
    if wants_json():
        return {"ended": ended}, 201
    flash(done, "success")
    return redirect(url_for("accounts.sessions"), 303)


@accounts.get("/account/activity")
def activity() -> ResponseReturnValue:
    cursor = request.args.get("cursor", "")
    me = access.own_account(current_user)
    lines, older = reading.activity_of_account(me.email, me.created_at, _before(cursor))
    next_url = None
    if older is not None:
        # Sealed: how many events there are of other people is nobody's business.
        sealed = sealing.seal(str(older), _CURSOR, settings())
        next_url = url_for("accounts.activity", cursor=sealed)
    return render_template(
        "accounts/activity.html",
        lines=lines,
        in_words=browsers.in_words,
        first_url=url_for("accounts.activity") if cursor else None,
        next_url=next_url,
    )


def _asked_for() -> UUID:
    try:
        return UUID(request.form.get("id", ""))
    except ValueError as error:
        raise NotFound from error


def _to_sign_in() -> ResponseReturnValue:
    flash("You are signed out here.", "success")
    return redirect(url_for("accounts.login"), 303)


def _before(cursor: str) -> int | None:
    if not cursor:
        return None
    try:
        return int(sealing.unseal(cursor, _CURSOR, settings()))
    except sealing.NotOurs as error:
        raise BadRequest(
            "This page of the list is not there.", cure="Start again from the first page."
        ) from error
