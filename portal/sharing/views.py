"""Share links: making and ending them, and the pages a stranger sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, cast
from uuid import UUID

import segno
from flask import (
    Blueprint,
    Response,
    current_app,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import access, shown_once
from portal.access import OpenLink
from portal.accounts.api_tokens import Scope
from portal.config import Settings
from portal.documents.page import document_page
from portal.documents.receiving import as_text
from portal.errors import BadRequest, BeingScanned, Gone, Invalid, NotFound, TooManyTries
from portal.forms import check, filling
from portal.gate import (
    address_is_authority,
    leaves_session_alone,
    open_to_tokens,
    public,
    secret_address,
    wants_json,
)
from portal.models import Scan
from portal.presentation import media_kind
from portal.request import PortalRequest
from portal.sharing import links
from portal.sharing.forms import LinkForm, UnlockForm, terms_of
from portal.sharing.links import LinkRow, WrongPassword
from portal.storage import delivery

sharing = Blueprint("sharing", __name__)

#: How many unlocked links one browser remembers; a cookie has little room.
_MOST_UNLOCKED = 20


@sharing.post("/documents/<uuid:document_id>/share-links")
@open_to_tokens(Scope.SHARES_WRITE)
def create(document_id: UUID) -> ResponseReturnValue:
    access.document_for(current_user, document_id)
    form = LinkForm()
    with filling(form) as refused:
        terms = terms_of(form)
        link, token = links.create(current_user, document_id, terms, _settings())
    if refused:
        return document_page(document_id, link_form=form, refused=refused)
    # Never from the Host header: whoever sends the request chooses that one.
    url = _settings().base_url + url_for("sharing.landing", token=token)
    if wants_json():
        return {
            "id": str(link.public_id),
            "url": url,
            "label": link.label,
            "expires_at": as_text(link.expires_at),
            "max_downloads": link.max_downloads,
        }, 201
    allows = links.sentence(link, has_password=bool(terms.password))
    shown_once.keep(f"link for {document_id}", url=url, sentence=allows)
    return redirect(url_for("sharing.created", document_id=document_id), 303)


@sharing.get("/documents/<uuid:document_id>/share-links")
def created(document_id: UUID) -> ResponseReturnValue:
    """The address of a link that was just made; any other time, the document."""
    document = access.document_for(current_user, document_id)
    made = shown_once.take(f"link for {document_id}")
    if not made:
        return redirect(url_for("documents.show", document_id=document_id), 302)
    code = segno.make(made["url"], error="m")
    return render_template(
        "sharing/created.html",
        url=made["url"],
        qr=code.svg_data_uri(scale=4, border=2, dark="#1c2430"),
        sentence=made["sentence"],
        document=document,
    )


@sharing.route("/share-links", methods=["GET", "POST"])
@open_to_tokens(Scope.SHARES_WRITE)
def index() -> ResponseReturnValue:
    if request.method == "POST":
        return revoke_many(url_for("sharing.index"))
    if wants_json():
        return links_json(links.live(current_user))
    return render_template("sharing/index.html", links=links.live(current_user))


@sharing.post("/share-links/<uuid:link_id>/revoke")
@open_to_tokens(Scope.SHARES_WRITE)
def revoke(link_id: UUID) -> ResponseReturnValue:
    ended = links.revoke(current_user, [link_id])
    return _revoked(ended, url_for("sharing.index"))


def revoke_many(back: str) -> ResponseReturnValue:
    """Answer a form with `action=revoke` and any number of `id`."""
    if request.form.get("action") != "revoke":
        raise BadRequest
    chosen = cast(PortalRequest, request).uuid_field("id")
    if not chosen:
        problem = "Choose at least one link."
        raise Invalid(problem, errors={"id": problem})
    return _revoked(links.revoke(current_user, chosen), back)


def links_json(rows: Sequence[LinkRow]) -> ResponseReturnValue:
    """Answer with live links as programs see them; their addresses are kept nowhere."""
    found = [
        {
            "id": str(row.public_id),
            "label": row.label,
            "document": {"id": str(row.document_id), "name": row.document_name},
            "owner": row.owner_name,
            "created_at": as_text(row.created_at),
            "expires_at": as_text(row.expires_at),
            "download_count": row.download_count,
            "max_downloads": row.max_downloads,
            "has_password": row.has_password,
        }
        for row in rows
    ]
    return {"links": found}


def _to_stranger(view: Callable[..., ResponseReturnValue]) -> Callable[..., ResponseReturnValue]:
    """Find the link, and show the page of one that has ended or never was."""

    @wraps(view)
    def answer(token: str, **arguments: Any) -> Response:
        try:
            link = access.open_link(token)
            response = make_response(view(link, token=token, **arguments))
        except (Gone, NotFound) as error:
            sentence = f"{error.what} {error.cure}"
            title = "No such link" if error.status == 404 else error.title
            page = render_template("sharing/gone.html", title=title, sentence=sentence)
            response = make_response(page, error.status)
        except BeingScanned as error:
            page = render_template(
                "sharing/gone.html",
                title="Not ready yet",
                sentence=f"{error.what} {error.cure}",
                again_url=url_for("sharing.landing", token=token),
            )
            response = make_response(page, error.status)
            response.headers["Retry-After"] = str(error.retry_after)
        response.headers["X-Robots-Tag"] = "noindex, nofollow"
        return response

    return answer


@sharing.route("/s/<token>", methods=["GET", "POST"])
@public
@secret_address
@_to_stranger
def landing(link: OpenLink, token: str) -> ResponseReturnValue:
    if link.is_used_up:
        raise access.gone(link)
    form = UnlockForm()
    if request.method != "POST":
        return _landing_page(link, token, form)
    with filling(form, WrongPassword, TooManyTries) as refused:
        if link.password_hash is not None:
            check(form)
            links.unlock(link, form.password.data or "", _settings())
            _remember_unlocked(link)
    if refused:
        page = _landing_page(link, token, form)
        headers = {}
        if refused.error and refused.error.retry_after is not None:
            headers["Retry-After"] = str(refused.error.retry_after)
        return page, refused.error.status if refused.error else 200, headers
    return redirect(url_for("sharing.landing", token=token), 303)


@sharing.post("/s/<token>/download")
@public
@address_is_authority
@secret_address
@_to_stranger
def download(link: OpenLink, token: str) -> ResponseReturnValue:
    if _is_locked(link):
        return redirect(url_for("sharing.landing", token=token), 303)
    ticket = links.use(link, links.signer(_settings()))
    return redirect(url_for("sharing.file", token=token, ticket=ticket), 303)


@sharing.get("/s/<token>/file/<ticket>")
@public
@leaves_session_alone
@secret_address
@_to_stranger
def file(link: OpenLink, ticket: str, **_address: str) -> ResponseReturnValue:
    return delivery.send(links.redeem(link, ticket, links.signer(_settings())), request)


def _landing_page(link: OpenLink, token: str, form: UnlockForm) -> str:
    left = None if link.max_downloads is None else link.max_downloads - link.download_count
    return render_template(
        "sharing/landing.html",
        sender_name=link.sender_name,
        document_name=link.document_name,
        size_bytes=link.size_bytes,
        kind=media_kind(link.media_type, link.document_name),
        expires_at=link.expires_at,
        downloads_left=left,
        is_being_scanned=link.scan is Scan.WAITING,
        again_url=url_for("sharing.landing", token=token),
        needs_password=_is_locked(link),
        form=form,
        download_url=url_for("sharing.download", token=token),
    )


def _is_locked(link: OpenLink) -> bool:
    if link.password_hash is None:
        return False
    return str(link.public_id) not in session.get("unlocked", [])


def _remember_unlocked(link: OpenLink) -> None:
    others = [each for each in session.get("unlocked", []) if each != str(link.public_id)]
    session["unlocked"] = [*others, str(link.public_id)][-_MOST_UNLOCKED:]


def _revoked(ended: int, back: str) -> ResponseReturnValue:
    if wants_json():
        return {"revoked": ended}, 201
    flash("The link was ended." if ended == 1 else f"{ended} links were ended.", "success")
    return redirect(back, 303)


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings
