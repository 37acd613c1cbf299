"""Links for several documents on the same terms: one form, and their addresses shown once."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import access, shown_once
from portal.accounts.api_tokens import Scope
from portal.config import Settings
from portal.documents.receiving import as_text
from portal.errors import NotFound
from portal.forms import filling
from portal.gate import open_to_tokens, wants_json
from portal.request import PortalRequest
from portal.sharing import links
from portal.sharing.forms import LinkForm, terms_of

sharing_several = Blueprint("sharing_several", __name__)

_SUBJECT = "links for several"


@sharing_several.get("/documents/share-links")
def form() -> ResponseReturnValue:
    """The form for the documents the address names; without any, the links just made."""
    if not request.args.getlist("id"):
        return _made()
    try:
        chosen = [UUID(text) for text in request.args.getlist("id")]
    except ValueError as error:
        raise NotFound from error
    links.check_count(chosen)
    return _page(chosen, LinkForm(formdata=None))


@sharing_several.post("/documents/share-links")
@open_to_tokens(Scope.SHARES_WRITE)
def create() -> ResponseReturnValue:
    chosen = list(dict.fromkeys(cast(PortalRequest, request).uuid_field("id")))
    links.check_count(chosen)
    access.documents_for(current_user, chosen)
    link_form = LinkForm()
    with filling(link_form) as refused:
        made = links.create_many(current_user, chosen, terms_of(link_form), _settings())
    if refused:
        return _page(chosen, link_form), refused.error.status if refused.error else 422
    if wants_json():
        return {
            "links": [
                {
                    "id": str(link.public_id),
                    "document": str(document_id),
                    "url": _address(token),
                    "label": link.label,
                    "expires_at": as_text(link.expires_at),
                    "max_downloads": link.max_downloads,
                }
                for document_id, (link, token) in zip(chosen, made, strict=True)
            ]
        }, 201
    shown_once.keep(_SUBJECT, tokens=" ".join(token for _, token in made))
    return redirect(url_for("sharing_several.form"), 303)


def _made() -> ResponseReturnValue:
    tokens = shown_once.take(_SUBJECT).get("tokens", "").split()
    made = links.just_made(current_user, tokens)
    if not made:
        return redirect(url_for("sharing.index"), 302)
    shown = [{"name": name, "url": _address(token)} for _, name, token in made]
    first = made[0][0]
    return render_template(
        "sharing/several_created.html",
        links=shown,
        sentence=links.sentence(first, has_password=first.password_hash is not None),
        all_of_them="\n".join(f"{each['name']}: {each['url']}" for each in shown),
    )


def _page(chosen: list[UUID], link_form: LinkForm) -> str:
    settings = _settings()
    link_form.password.flags.required = settings.share_password_required
    return render_template(
        "sharing/several.html",
        several=access.documents_for(current_user, list(dict.fromkeys(chosen))),
        link_form=link_form,
        max_days=settings.share_max_days,
    )


def _address(token: str) -> str:
    # Never from the Host header: whoever sends the request chooses that one.
    return _settings().base_url + url_for("sharing.landing", token=token)


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings
