"""What tests of previews share: documents of every kind, and doing what the worker does."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pypdfium2
from flask import Flask
from PIL import Image, ImageDraw
from sqlalchemy import select, update

from conftest import Browser
from portal.extensions import db
from portal.models import Document, Preview, PreviewState, Version, utcnow
from portal.previews import child, making
from portal.previews.child import Frame
from portal.previews.kinds import Kind
from stage import file_part, form, send_form, settings_of

#: Colours of the corners of `corners`, clockwise from the upper left one.
CORNERS = ((200, 30, 30), (30, 160, 30), (30, 30, 200), (240, 240, 40))


def draw(app: Flask, stop: threading.Event | None = None) -> int:
    """Do what the worker does every second."""
    with app.app_context():
        try:
            making.Looker().look()
            return making.draw_due(settings_of(app), stop)
        finally:
            db.session.remove()


def upload(browser: Browser, name: str, content: bytes) -> dict[str, Any]:
    """Upload a file of any size: Flask's client would leave large ones in temporary files."""
    answer = send_form(browser, form([file_part(content, name)]))
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.get_json()["documents"][0]
    return document


@contextmanager
def given(data: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("document")
    os.write(descriptor, data)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def drawn(kind: str, media_type: str, data: bytes) -> list[Frame]:
    with given(data) as descriptor:
        answer = child.draw(Kind(kind), media_type, descriptor, threading.Event())
        return list(answer.frames)


def state_of(app: Flask, document: dict[str, Any]) -> PreviewState | None:
    """The row of the newest version, detached."""
    with app.app_context():
        state = db.session.scalars(
            select(PreviewState)
            .join(Version, Version.id == PreviewState.version_id)
            .join(Document, Document.id == Version.document_id)
            .where(Document.public_id == UUID(document["id"]), Version.number == Document.version)
        ).one_or_none()
        if state is not None:
            db.session.expunge(state)
        return state


def pictures(app: Flask) -> list[Preview]:
    """Every row of a picture, detached."""
    with app.app_context():
        found = list(db.session.scalars(select(Preview).order_by(Preview.id)))
        db.session.expunge_all()
        return found


def make_due(app: Flask) -> None:
    with app.app_context():
        waits = PreviewState.next_try_at.is_not(None)
        db.session.execute(update(PreviewState).where(waits).values(next_try_at=utcnow()))
        db.session.commit()


def thumbnail(browser: Browser, document: dict[str, Any], size: str = "large") -> Image.Image:
    """The thumbnail as a browser gets it; it must be a picture that was made."""
    response = browser.get(f"{document['url']}/thumbnail?size={size}")
    assert response.status_code == 200, response.text
    assert response.headers["Preview-State"] == "made"
    assert response.headers["Content-Type"] == "image/webp"
    return opened(response.data)


def page(browser: Browser, document: dict[str, Any], number: int = 1) -> Image.Image:
    response = browser.get(f"{document['url']}/preview/pages/{number}")
    assert response.status_code == 200, response.text
    return opened(response.data)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert image.format == "WEBP"
    image.load()
    return image


def corners(width: int = 120, height: int = 80, mode: str = "RGB") -> Image.Image:
    """An image whose four quarters have four colours."""
    image = Image.new("RGB", (width, height))
    canvas = ImageDraw.Draw(image)
    for (left, top), colour in zip(((0, 0), (1, 0), (1, 1), (0, 1)), CORNERS, strict=True):
        x, y = left * width // 2, top * height // 2
        canvas.rectangle((x, y, x + width // 2, y + height // 2), fill=colour)
    return image.convert(mode)


def seen_corners(image: Image.Image) -> tuple[tuple[int, ...], ...]:
    """The colours in the middle of the quarters, as `CORNERS` has them."""
    width, height = image.size
    places = ((1, 1), (3, 1), (3, 3), (1, 3))
    return tuple(
        image.convert("RGB").getpixel((x * width // 4, y * height // 4)) for x, y in places
    )


def is_like(one: tuple[tuple[int, ...], ...], other: Any, within: int = 24) -> bool:
    """Whether two rows of colours are the same, but for what encoders do."""
    pairs = [(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True)]
    return all(abs(a - b) <= within for a, b in pairs)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    into = io.BytesIO()
    image.save(into, form, **options)
    return into.getvalue()


def pdf(pages: int, width: float = 595, height: float = 842) -> bytes:
    """A PDF with empty pages of that size in points."""
    document = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        document.new_page(width, height).close()
    into = io.BytesIO()
    document.save(into)
    document.close()
    return into.getvalue()
