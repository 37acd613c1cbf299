"""Who is signed in in this browser: entering, leaving, and where to go next."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from flask import Response, after_this_request, current_app, request, session, url_for
from flask_login import current_user, login_user

from portal import audit
from portal.accounts import known_devices, passkeys, sessions
from portal.accounts.sessions import SignedIn
from portal.config import Settings
from portal.errors import PortalError


def enter(token: str, *, remember: bool) -> None:
    """Put a new session into this browser; nothing from before sign-in stays (no fixation)."""
    kept_flashes = session.get("_flashes")
    session.clear()
    if kept_flashes:
        session["_flashes"] = kept_flashes
    person = sessions.load(token, settings())
    if person is None:
        raise PortalError
    login_user(person)
    session.permanent = remember
    _be_known_again(person.user_id)


def _be_known_again(user_id: int) -> None:
    """Let this browser be known to the account: the next sign-in from here is nothing new."""
    token = known_devices.remember(user_id, audit.origin.get().device)

    @after_this_request
    def keep(response: Response) -> Response:
        response.set_cookie(
            current_app.config["DEVICE_COOKIE_NAME"],
            token,
            max_age=known_devices.KEPT,
            secure=settings().is_https,
            httponly=True,
            samesite="Lax",
        )
        return response


def leave() -> None:
    if current_user.is_authenticated:
        sessions.end(current_user._get_current_object())
    session.clear()


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


def settings() -> Settings:
    """The settings of the present app."""
    found: Settings = current_app.extensions["settings"]
    return found


def new_challenge() -> str:
    """A question for a passkey, put to this browser alone; the one before is forgotten."""
    challenge = passkeys.new_challenge()
    session["passkey_challenge"] = challenge
    return challenge


def take_challenge() -> str | None:
    """The question that this browser was asked, once."""
    taken: str | None = session.pop("passkey_challenge", None)
    return taken


def passkey_place() -> dict[str, object]:
    """For a page: whether passkeys work at the address it is looked at, or else at which."""
    place = passkeys.place(settings())
    if place is None:
        return {"passkeys_work": False, "passkeys_work_at": ""}
    works = urlsplit(request.host_url).hostname == place.domain
    return {"passkeys_work": works, "passkeys_work_at": place.origins[0]}


def person() -> SignedIn:
    """Whoever is signed in, as services take them."""
    found: SignedIn = current_user._get_current_object()
    return found
