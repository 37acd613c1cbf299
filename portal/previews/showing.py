"""What pages ask: the thumbnail of a document, its pages, its text, and how far they are.

Every answer begins with a grant to the newest version: whoever may not have its bytes sees
nothing of them, and gets the answer of something that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, func, select
from sqlalchemy.orm import aliased

from portal import access, audit
from portal.access import Grant, Person, Picture
from portal.errors import BeingScanned, Damaged, Infected, NotFound
from portal.extensions import db
from portal.models import Drawing, Preview, PreviewState, Size, Version
from portal.previews import icons, kinds, waiting
from portal.previews.kinds import Kind
from portal.storage import delivery

#: Why there is no picture, for people.
WHY_NOT = {
    "kind": "There is no preview for this kind of file.",
    "too_large": "It is too large for a preview.",
    "encrypted": "It is protected with a password, so there is no preview.",
    "damaged": "It could not be read, so there is no preview. It may be damaged.",
    "limits": "It is too complicated for a preview.",
    "failed": "No preview could be made of it.",
}


@dataclass(frozen=True, slots=True)
class Page:
    """One page that can be looked at large, its size in pixels."""

    number: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Look:
    """How far the pictures of a version are, and which there are."""

    state: Drawing
    kind: Kind | None
    reason: str = ""
    #: How many pages it has; fewer may be drawn.
    page_count: int = 0
    drawn_pages: int = 0
    #: The picture for the page of the document.
    large: Page | None = None

    @property
    def why_not(self) -> str:
        """Why there is no picture, in words; empty where there is one or will be."""
        if self.state is not Drawing.IMPOSSIBLE:
            return ""
        return WHY_NOT.get(self.reason, WHY_NOT["failed"])


@dataclass(frozen=True, slots=True)
class Image:
    """The bytes of a picture, or of an icon in its place."""

    data: bytes
    media_type: str
    state: Drawing


def with_pictures(versions: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    """A query of versions, with what `look_in` wants to know of each."""
    drawn_pages = (
        select(func.count())
        .where(Preview.version_id == Version.id, Preview.size == Size.PAGE)
        .correlate(Version)
        .scalar_subquery()
    )
    large = aliased(Preview)
    return (
        versions.outerjoin(PreviewState, PreviewState.version_id == Version.id)
        .outerjoin(
            large, and_(large.version_id == Version.id, large.size == Size.LARGE, large.page == 0)
        )
        .add_columns(
            PreviewState.state.label("drawing"),
            PreviewState.reason.label("why_not_drawn"),
            PreviewState.page_count,
            drawn_pages.label("drawn_pages"),
            large.width.label("large_width"),
            large.height.label("large_height"),
        )
    )


def look_in(row: Any, media_type: str) -> Look:
    """What a row of `with_pictures` says of a version of that type."""
    if row.drawing is None:
        kind = kinds.drawable(media_type)
        return Look(Drawing.PENDING, kind) if kind else Look(Drawing.IMPOSSIBLE, None, "kind")
    kind = kinds.kind_of(media_type)
    if row.drawing != Drawing.MADE:
        return Look(Drawing(row.drawing), kind, row.why_not_drawn)
    has_large = row.large_width is not None
    large = Page(0, row.large_width, row.large_height) if has_large else None
    return Look(Drawing.MADE, kind, "", row.page_count, row.drawn_pages, large)


def _look(grant: Grant) -> Look:
    """What there is of the granted bytes."""
    versions = select(Version.id).where(Version.blob == grant.blob)
    row = db.session.execute(with_pictures(versions)).one_or_none()
    if row is None:  # deleted for ever at this moment
        raise NotFound
    return look_in(row, grant.media_type)


def thumbnail(person: Person, document_id: UUID, size: Size) -> Image:
    """The thumbnail of a document that `person` may see, or an icon where there is none.

    What the scanner keeps waits as well; what it blocked has none. Raises `NotFound`.
    """
    try:
        grant = access.grant_to_user(person, document_id)
    except (BeingScanned, Damaged, Infected) as error:
        document = access.document_for(person, document_id)
        is_waiting = isinstance(error, BeingScanned)
        state = Drawing.PENDING if is_waiting else Drawing.IMPOSSIBLE
        return _icon(document.media_type, document.name, state)
    picture = access.picture(grant, size)
    if picture is None:
        return _icon(grant.media_type, grant.name, _look(grant).state)
    try:
        return Image(delivery.picture_bytes(picture), picture.media_type, Drawing.MADE)
    except Damaged:
        waiting.draw_again(grant.blob)
        return _icon(grant.media_type, grant.name, Drawing.PENDING)


def page(person: Person, document_id: UUID, number: int) -> Image:
    """One page to look at large, which goes into the audit log. Raises `NotFound`."""
    grant = access.grant_to_user(person, document_id)
    picture = access.picture(grant, Size.PAGE, number)
    if picture is None:
        raise NotFound
    image = Image(_bytes(grant, picture), picture.media_type, Drawing.MADE)
    _note(picture)
    return image


def preview(person: Person, document_id: UUID) -> tuple[Grant, Look]:
    """What there is to look at of a document. Raises what `access.grant_to_user` does."""
    grant = access.grant_to_user(person, document_id)
    return grant, _look(grant)


def pages(grant: Grant) -> Sequence[Page]:
    """The pages of the granted bytes that can be looked at large, from the first one on."""
    rows = db.session.execute(
        select(Preview.page, Preview.width, Preview.height)
        .join(Version, Version.id == Preview.version_id)
        .where(Version.blob == grant.blob, Preview.size == Size.PAGE)
        .order_by(Preview.page)
    )
    return [Page(*row) for row in rows]


def lines(grant: Grant) -> list[str] | None:
    """The first lines of a text, which goes into the audit log; None where there are none."""
    picture = access.picture(grant, Size.TEXT)
    if picture is None:
        return None
    text = _bytes(grant, picture).decode("utf-8")
    _note(picture)
    return text.split("\n")


def _bytes(grant: Grant, picture: Picture) -> bytes:
    try:
        return delivery.picture_bytes(picture)
    except Damaged:
        waiting.draw_again(grant.blob)
        raise NotFound from None


def _icon(media_type: str, name: str, state: Drawing) -> Image:
    return Image(icons.icon(media_type, name, state), icons.MEDIA_TYPE, state)


def _note(picture: Picture) -> None:
    audit.record_alone(
        audit.Action.PREVIEWED,
        document=picture.document_id,
        owner=picture.owner_email,
        name=picture.name,
        page=picture.page,
    )
