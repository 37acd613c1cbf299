"""The gate: every request needs a signed-in user unless its view says `@public`.

Before a view runs: the Host is ours, the person is known, an unsafe request comes from our
own pages and carries its token. Signing in is asked for before the body is read.

A program comes with a token of somebody's in `Authorization: Bearer` instead. Then cookies,
CSRF tokens and where the request comes from count for nothing: no browser sends such a header
by itself. It reaches only the views that say which scope they need.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from flask import Flask, Request, Response, current_app, g, redirect, request, session
from flask.typing import ResponseReturnValue
from flask_login import current_user
from flask_wtf.csrf import CSRFError, validate_csrf
from wtforms import ValidationError

from portal import audit
from portal.accounts import api_tokens, sessions
from portal.accounts.api_tokens import Holder, MissingScope, Scope
from portal.accounts.sessions import SignedIn
from portal.config import Settings, is_loopback
from portal.cookie import is_with_token
from portal.errors import (
    BadRequest,
    NotFound,
    ProofRequired,
    SecondFactorRequired,
    SignInRequired,
)
from portal.extensions import csrf, login_manager
from portal.models import Role
from portal.request import PortalRequest
from portal.tokens import bearer_token

View = TypeVar("View", bound=Callable[..., ResponseReturnValue])

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Blueprints whose every view needs an admin.
ADMIN_BLUEPRINTS = frozenset({"admin", "admin_retention"})


def public(view: View) -> View:
    """Let visitors in: the one way for a view to be reached without signing in."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def address_is_authority(view: View) -> View:
    """Spare a POST its CSRF token because only who knows the secret address can make it."""
    view.needs_no_csrf_token = True  # type: ignore[attr-defined]
    return view


def secret_address(view: View) -> View:
    """Say that the address of a page is a secret: no answer of it lets a Referer out."""
    view.has_secret_address = True  # type: ignore[attr-defined]
    return view


def leaves_session_alone(view: View) -> View:
    """Do not note this request as activity: downloads write no session."""
    view.leaves_session_alone = True  # type: ignore[attr-defined]
    return view


def open_to_tokens(scope: Scope) -> Callable[[View], View]:
    """Let in programs whose token has `scope`; without this, no token reaches a view.

    Such a view answers JSON, or bytes, where it otherwise answers a page.
    """

    def decorate(view: View) -> View:
        view.token_scope = scope  # type: ignore[attr-defined]
        return view

    return decorate


def open_without_second_factor(view: View) -> View:
    """Let in somebody who owes a second factor: what it takes to set one up, and to leave."""
    view.is_open_without_second_factor = True  # type: ignore[attr-defined]
    return view


def needs_fresh_proof(view: View) -> View:
    """Ask for a proof of the last ten minutes before this view, whatever the method.

    Where only some of what a view does is sensitive, it calls `check_fresh_proof` instead.
    """
    view.needs_fresh_proof = True  # type: ignore[attr-defined]
    return view


def check_fresh_proof() -> None:
    """Raise `ProofRequired` unless the person has proved themselves in the last ten minutes.

    A page leads to `/account/prove` and from there back to the form; JSON gets the 403.
    """
    person = current_user._get_current_object()
    if not (isinstance(person, SignedIn) and person.is_freshly_proved):
        raise ProofRequired


def to_proof() -> ResponseReturnValue:
    """The way to the page where the person proves themselves, and from there back here."""
    status = 302 if request.method in SAFE_METHODS else 303
    return redirect(f"/account/prove?{urlencode({'next': _page_of_form()})}", status)


def wants_json() -> bool:
    """Whether the present request asks for JSON rather than a page; one with a token does."""
    if request.path.startswith("/api/") or is_with_token(request):
        return True
    accepted = request.accept_mimetypes
    return accepted.best_match(["text/html", "application/json"]) == "application/json" and (
        accepted["application/json"] > accepted["text/html"]
    )


def init_app(app: Flask, settings: Settings) -> None:
    """Put the gate in front of every view of `app`."""
    own_hosts, own_origins = _own_addresses(settings)

    @login_manager.user_loader  # type: ignore[untyped-decorator]
    def load(token: str) -> SignedIn | None:
        return sessions.load(token, settings)

    @login_manager.request_loader  # type: ignore[untyped-decorator]
    def load_holder(request: Request) -> Holder:
        _remember_origin(request, None)
        return api_tokens.with_token(bearer_token(request.headers["Authorization"]) or "")

    device_cookie = app.config["DEVICE_COOKIE_NAME"]

    @app.before_request
    def gate() -> ResponseReturnValue | None:
        sessions.renewed.set(("", ""))
        here = request._get_current_object()  # type: ignore[attr-defined] # found once
        view = app.view_functions.get(here.endpoint or "")
        _check_host(own_hosts, is_probe=here.path in {"/healthz", "/readyz"})
        person = current_user._get_current_object()
        known = person if isinstance(person, SignedIn | Holder) else None
        _remember_origin(here, known, here.cookies.get(device_cookie, ""))
        if known is None and not getattr(view, "is_public", False):
            return _to_sign_in()
        if here.blueprint in ADMIN_BLUEPRINTS and not (known and known.role == Role.ADMIN):
            audit.record_alone(audit.Action.ACCESS_DENIED, place=here.endpoint)
            raise NotFound
        if isinstance(known, Holder):
            _let_program_in(here, known, view)
            return None
        return _let_browser_in(here, known, view, own_origins)

    @app.after_request
    def keep_renewed_session(response: Response) -> Response:
        old, new = sessions.renewed.get()
        # What was undone together with the change around it leaves the browser as it is.
        if old and session.get("_user_id") == old and sessions.load(new, settings):
            session["_user_id"] = new
        return response

    @app.after_request
    def keep_address_secret(response: Response) -> Response:
        view = app.view_functions.get(request.endpoint or "")
        if getattr(view, "has_secret_address", False):
            response.headers["Referrer-Policy"] = "no-referrer"
        return response


def _own_addresses(settings: Settings) -> tuple[set[str], set[str]]:
    """The hosts and the origins under which the portal is known."""
    base = urlsplit(settings.base_url)
    origins, hosts = {settings.base_url.lower()}, {settings.host}
    if is_loopback(base.hostname or ""):
        # On one's own machine the three names of loopback are the same place.
        port = f":{base.port}" if base.port else ""
        hosts |= {f"127.0.0.1{port}", f"localhost{port}", f"[::1]{port}"}
        origins |= {f"{base.scheme}://{host}" for host in hosts}
    return hosts, origins


def _let_browser_in(
    request: Request, person: SignedIn | None, view: object, own_origins: set[str]
) -> ResponseReturnValue | None:
    """Let a request in that our own pages made, or answer what comes first for `person`."""
    if person is not None and (elsewhere := _owes_first(person, view)):
        return elsewhere
    if request.method not in SAFE_METHODS:
        _check_origin(request, own_origins, view)
        if not getattr(view, "needs_no_csrf_token", False) and request.routing_exception is None:
            _prepare_files(request, view)
            _check_csrf_token(request)
    if person is not None and not getattr(view, "leaves_session_alone", False):
        sessions.touch(person)
    return None


def _check_csrf_token(request: Request) -> None:
    """Refuse a request without the token of this session. Raises `CSRFError`.

    One in the header counts before one in the form, so that a wrong one is refused with the
    body unread. A body that the view reads by itself is no form, and may be of any length.
    """
    token = request.headers.get("X-CSRFToken")
    if token is None and not cast(PortalRequest, request).is_read_by_view:
        csrf.protect()
        return
    try:
        validate_csrf(token)
    except ValidationError as error:
        raise CSRFError from error
    g.csrf_valid = True  # as `protect` leaves it for the forms


def _let_program_in(request: Request, holder: Holder, view: object) -> None:
    """Let a program in that has the scope of `view`.

    Raises `MissingScope`, and `SecondFactorRequired` while its owner owes one.
    """
    if holder.owes_second_factor:
        raise SecondFactorRequired
    if request.routing_exception is None:
        scope: Scope | None = getattr(view, "token_scope", None)
        if scope is None or scope not in holder.scopes:
            audit.record_alone(
                audit.Action.TOKEN_REFUSED,
                owner=holder.email,
                reason=f"it lacks {scope}" if scope else "no token works there",
                place=request.endpoint,
            )
            raise MissingScope(scope)
        if request.method not in SAFE_METHODS:
            _prepare_files(request, view)
        # What `csrf.protect()` leaves for the forms, which would ask for a token of their own.
        g.csrf_valid = True
    api_tokens.touch(holder)


def _prepare_files(request: Request, view: object) -> None:
    if prepare := getattr(view, "prepare_files", None):
        arguments: dict[str, UUID] = dict(request.view_args or {})
        prepare(**arguments)


def _check_host(own_hosts: set[str], *, is_probe: bool) -> None:
    if request.host.lower() not in own_hosts and not is_probe:
        raise BadRequest(
            "This portal is not known under this address.",
            cure="Use the address you were given; whoever runs the portal sets PORTAL_BASE_URL.",
        )


def _check_origin(request: Request, own_origins: set[str], view: object) -> None:
    """Refuse what another site sends (ASVS 5.0, 3.5.1), whether or not it holds a token."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin")
    foreign = origin is not None and origin.lower() not in own_origins
    if origin == "null" and getattr(view, "has_secret_address", False):
        # Such pages send no referrer, and browsers then hide the origin of their forms too.
        foreign = False
    if site not in {"same-origin", "none"} or foreign:
        raise BadRequest(
            "This request came from another site, so nothing was changed.",
            cure="Open the portal itself and try again there.",
        )


def _remember_origin(request: Request, person: SignedIn | Holder | None, device: str = "") -> None:
    audit.origin.set(
        audit.Origin(
            actor=person.email if person else "visitor",
            address=request.remote_addr or "",
            user_agent=request.headers.get("User-Agent", ""),
            device=device,
            token=person.token_name if isinstance(person, Holder) else "",
        )
    )


def _owes_first(person: SignedIn, view: object) -> ResponseReturnValue | None:
    """What comes before `view`, if anything: a second factor to set up, or a fresh proof."""
    is_open = getattr(view, "is_open_without_second_factor", False)
    if person.owes_second_factor and not is_open and not getattr(view, "is_public", False):
        if wants_json():
            raise SecondFactorRequired
        return redirect("/account/two-factor", 302 if request.method in SAFE_METHODS else 303)
    if getattr(view, "needs_fresh_proof", False):
        check_fresh_proof()
    return None


def _page_of_form() -> str:
    """The page to come back to: this one, or for an address without a page where it came from."""
    if request.method in SAFE_METHODS:
        return request.full_path if request.query_string else request.path
    adapter = current_app.create_url_adapter(request)
    if adapter is not None and adapter.test(request.path, method="GET"):
        return request.path
    came_from = urlsplit(request.headers.get("Referer", ""))
    return came_from.path if came_from.netloc == request.host else "/account"


def _to_sign_in() -> ResponseReturnValue:
    if wants_json():
        raise SignInRequired
    path = request.full_path if request.query_string else request.path
    return redirect(f"/login?{urlencode({'next': path})}", 302)
