"""Tokens and app passwords: seeing one's own, making one, ending one.

No token opens these pages: a program cannot make itself another key.
"""

from __future__ import annotations

from typing import Any, cast

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import access, shown_once
from portal.accounts import api_tokens
from portal.accounts.api_tokens import Scope
from portal.accounts.forms import TokenForm
from portal.accounts.views import accounts
from portal.documents.receiving import as_text
from portal.errors import BadRequest, NotFound
from portal.forms import check, filling
from portal.gate import check_fresh_proof, wants_json
from portal.models import utcnow
from portal.request import PortalRequest

_KINDS = {"token": False, "app-password": True}

#: What each scope means to a person.
_SCOPES_IN_WORDS = {
    Scope.DOCUMENTS_READ: "See and download documents",
    Scope.DOCUMENTS_WRITE: "Upload, rename and delete documents",
    Scope.SHARES_WRITE: "See, make and end share links",
    Scope.ADMIN: "Do what an admin does",
    Scope.METRICS_READ: "Read the portal’s figures",
}


@accounts.route("/account/tokens", methods=["GET", "POST"])
def tokens() -> ResponseReturnValue:
    if request.method != "POST":
        if wants_json():
            return {"tokens": [_as_json(each) for each in api_tokens.of_user(current_user.user_id)]}
        form = TokenForm(formdata=None, scope=[Scope.DOCUMENTS_READ.value])
        made = shown_once.take(_subject())
        return render_template("accounts/tokens.html", **_page(form), made=made)
    match request.form.get("action"):
        case "create":
            return _create()
        case "revoke":
            return _revoke()
        case _:
            raise BadRequest


def _create() -> ResponseReturnValue:
    check_fresh_proof()
    form = TokenForm()
    with filling(form) as refused:
        check(form)
        token, text = api_tokens.create(
            current_user.user_id,
            name=form.name.data or "",
            scopes=form.scope.data or [],
            days=_number(form.days.data or ""),
            is_app_password=_KINDS[form.kind.data],
        )
    if refused:
        return refused.page("accounts/tokens.html", **_page(form), made={})
    if wants_json():
        return {**_as_json(token), "token": text}, 201
    kind = "app password" if token.is_app_password else "token"
    shown_once.keep(_subject(), name=token.name, text=text, kind=kind)
    return redirect(url_for("accounts.tokens"), 303)


def _revoke() -> ResponseReturnValue:
    chosen = cast(PortalRequest, request).uuid_field("id")
    if len(chosen) != 1:
        raise NotFound
    name = api_tokens.revoke(access.own_account(current_user), chosen[0])
    if wants_json():
        return {"id": str(chosen[0])}, 201
    flash(f"“{name}” stopped working.", "success")
    return redirect(url_for("accounts.tokens"), 303)


def _page(form: TokenForm) -> dict[str, Any]:
    offered = [
        (scope.value, words)
        for scope, words in _SCOPES_IN_WORDS.items()
        if current_user.is_admin or scope not in api_tokens.ADMINS_SCOPES
    ]
    return {
        "form": form,
        "tokens": api_tokens.of_user(current_user.user_id),
        "offered": offered,
        "in_words": {scope.value: words for scope, words in _SCOPES_IN_WORDS.items()},
        "now": utcnow(),
    }


def _as_json(token: Any) -> dict[str, Any]:
    return {
        "id": str(token.public_id),
        "name": token.name,
        "kind": "app-password" if token.is_app_password else "token",
        "scopes": token.scopes.split(),
        "created_at": as_text(token.created_at),
        "expires_at": as_text(token.expires_at),
        "last_used_at": as_text(token.last_used_at) if token.last_used_at else None,
        "last_address": token.last_address or None,
    }


def _number(text: str) -> int:
    """The number that a text is; 0, which is never enough, where it is none."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _subject() -> str:
    # Whose it is: another person in the same browser must not be shown it.
    return f"token of {current_user.public_id}"
