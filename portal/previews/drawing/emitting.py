"""How the child answers: frames on its standard output, one after the other, as they are made."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

from PIL import Image

SMALL, LARGE, PAGE, TEXT = "small", "large", "page", "text"
#: The longer edge of a thumbnail in a list or grid, of the picture on a document's page, and of
#: what is looked at large, in pixels.
EDGES = {SMALL: 320, LARGE: 1200}
WEBP = "image/webp"
#: Steps of the encoder between quickest (0) and smallest (6), and how faithful it is.
_EFFORT, _QUALITY = 3, 80


class Impossible(Exception):
    """There will never be a picture of this; the word says why."""


def frame(data: bytes, **facts: Any) -> None:
    """Hand over some bytes and what they are."""
    line = json.dumps({**facts, "bytes": len(data)})
    sys.stdout.buffer.write(line.encode() + b"\n" + data)
    sys.stdout.buffer.flush()


def end(**facts: Any) -> None:
    """Say that this is all."""
    frame(b"", end=True, **facts)


def picture(image: Image.Image, size: str, page: int = 0) -> None:
    """Hand over `image` (RGB, and smaller than it need be for nobody) as a picture."""
    image = plain(image)
    into = io.BytesIO()
    image.save(into, "WEBP", quality=_QUALITY, method=_EFFORT)
    frame(
        into.getvalue(),
        size=size,
        page=page,
        width=image.width,
        height=image.height,
        media_type=WEBP,
    )


def thumbnails(image: Image.Image) -> None:
    """Hand over the large and the small thumbnail of `image`."""
    for size, edge in EDGES.items():
        smaller = image.copy()
        smaller.thumbnail((edge, edge), Image.Resampling.LANCZOS, reducing_gap=2.0)
        picture(smaller, size)


def plain(image: Image.Image) -> Image.Image:
    """The pixels of an image on white, and nothing else that came with it."""
    sheet = Image.new("RGB", image.size, "white")
    if image.mode == "RGBA":
        sheet.paste(image, mask=image.getchannel("A"))
    else:
        sheet.paste(image.convert("RGB"))
    return sheet
