"""Signing in with a provider: on the way there, and back."""

from __future__ import annotations

from flask import current_app, redirect, request, session, url_for
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue

from portal.accounts import provider as providers
from portal.accounts.openid import Attempt, AttemptRefused, Provider
from portal.accounts.views import accounts
from portal.accounts.views.browser import safe_next, settings
from portal.accounts.views.sign_in import go_on
from portal.errors import NotFound
from portal.gate import public, secret_address

#: Under which name the attempt stands in the browser's cookie.
_KEY = "provider"
#: A cookie has room for so much of where somebody was going.
_LONGEST_NEXT = 1000


@accounts.record
def _remember_provider(state: BlueprintSetupState) -> None:
    found = state.app.extensions["settings"]
    state.app.extensions["provider"] = Provider(found) if found.oidc_issuer else None


@accounts.context_processor
def _provider_button() -> dict[str, str]:
    return {"provider_host": settings().oidc_host}


@accounts.get("/login/oidc")
@public
def provider() -> ResponseReturnValue:
    found = _provider()
    target = safe_next(request.args.get("next"))
    here = settings()
    if request.host.lower() != here.host:
        # The way back ends at the portal's own address, and only there the cookie is sent.
        return redirect(here.base_url + url_for("accounts.provider", next=target), 302)
    address, attempt = providers.begin(
        found, target if len(target) <= _LONGEST_NEXT else safe_next(None)
    )
    session[_KEY] = attempt.to_dict()
    return redirect(address, 302)


@accounts.get("/login/oidc/callback")
@public
@secret_address
def provider_callback() -> ResponseReturnValue:
    found = _provider()
    try:
        attempt = Attempt.returned(session.get(_KEY), request.args.get("state", ""))
    except AttemptRefused as error:
        raise providers.refuse(error) from None
    session.pop(_KEY)
    entry = providers.finish(found, attempt, request.args.to_dict(), settings())
    return go_on(entry, attempt.next, status=302)


def _provider() -> Provider:
    found: Provider | None = current_app.extensions["provider"]
    if found is None:
        raise NotFound
    return found
