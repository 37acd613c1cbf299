"""Pictures of documents: thumbnails, pages, and the page to look at them large."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.accounts.api_tokens import Scope
from portal.errors import BadRequest, NotFound
from portal.gate import leaves_session_alone, open_to_tokens, wants_json
from portal.models import Size
from portal.previews import kinds, showing
from portal.previews.kinds import Kind
from portal.previews.showing import Image, Look, Page
from portal.storage import delivery

previews = Blueprint("previews", __name__)


@previews.app_template_test("drawable")
def is_drawable(media_type: str) -> bool:
    """Whether documents of that type have a picture as a rule."""
    return kinds.drawable(media_type) is not None


_THUMBNAILS = {"small": Size.SMALL, "large": Size.LARGE}


@previews.get("/documents/<uuid:document_id>/thumbnail")
@open_to_tokens(Scope.DOCUMENTS_READ)
@leaves_session_alone
def thumbnail(document_id: UUID) -> ResponseReturnValue:
    size = _THUMBNAILS.get(request.args.get("size", "small"))
    if size is None:
        raise BadRequest("A thumbnail is small or large.")
    return _send(showing.thumbnail(current_user, document_id, size))


@previews.get("/documents/<uuid:document_id>/preview/pages/<n>")
@open_to_tokens(Scope.DOCUMENTS_READ)
@leaves_session_alone
def page(document_id: UUID, n: str) -> ResponseReturnValue:
    return _send(showing.page(current_user, document_id, _number(n)))


@previews.get("/documents/<uuid:document_id>/preview")
@open_to_tokens(Scope.DOCUMENTS_READ)
def show(document_id: UUID) -> ResponseReturnValue:
    grant, look = showing.preview(current_user, document_id)
    if wants_json():
        return _as_json(document_id, look, showing.pages(grant))
    number = _number(request.args.get("page", "1"))
    pages = showing.pages(grant)
    if number > max(len(pages), 1):
        raise NotFound
    return render_template(
        "previews/show.html",
        document={"public_id": document_id, "name": grant.name, "media_type": grant.media_type},
        look=look,
        sheet=pages[number - 1] if pages else None,
        lines=showing.lines(grant) if look.kind is Kind.TEXT else None,
    )


def _as_json(document_id: UUID, look: Look, pages: Sequence[Page]) -> ResponseReturnValue:
    return {
        "state": look.state.value,
        "kind": look.kind.value if look.kind else None,
        "reason": look.reason or None,
        "page_count": look.page_count,
        "pages": [
            {
                "number": each.number,
                "width": each.width,
                "height": each.height,
                "url": url_for("previews.page", document_id=document_id, n=each.number),
            }
            for each in pages
        ],
        "thumbnail_url": url_for("previews.thumbnail", document_id=document_id, size="large"),
    }


def _send(image: Image) -> ResponseReturnValue:
    return delivery.send_picture(image.data, image.media_type, image.state.value)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 7 and int(text)):
        raise NotFound
    return int(text)
