"""How strong a password is, told while it is typed. Nothing of it is kept or logged."""

from __future__ import annotations

from flask import current_app, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import site
from portal.accounts import passwords
from portal.accounts.pace import Pace
from portal.accounts.sessions import SignedIn
from portal.accounts.views import accounts
from portal.accounts.views.browser import settings
from portal.gate import leaves_session_alone, public


@accounts.post("/account/password/strength")
@public
@leaves_session_alone
def password_strength() -> ResponseReturnValue:
    """Judge `password`, for the person signed in or for the `name` and `email` of a form.

    For visitors too: who sets up, accepts an invitation or chooses anew has no session yet.
    It tells nothing that the rules do not tell.
    """
    # Somebody who types asks about once a second: the script waits for pauses.
    pace: Pace = current_app.extensions.setdefault("strength_pace", Pace(60, per_second=2))
    pace.take(request.remote_addr or "")
    about = [request.form.get(field, "")[:300] for field in ("name", "email", "site_name")]
    person = current_user._get_current_object()
    if isinstance(person, SignedIn):
        about += [person.name, person.email]
    verdict = passwords.judge(request.form.get("password", ""), [*about, site.name(settings())])
    return {"score": verdict.score, "taken": verdict.problem is None, "words": verdict.words}
