"""Text and source: its first lines in UTF-8, and a picture of the very first of them."""

from __future__ import annotations

import codecs
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageDraw, ImageFont

from .emitting import TEXT, end, frame, thumbnails

#: So much is shown on the page.
MOST_LINES, LONGEST_LINE = 2000, 1000
#: The sheet of which the thumbnails are made, in pixels, and what is written on it.
_WIDTH, _HEIGHT, _MARGIN, _POINTS = 900, 1200, 48, 19
_LINES, _COLUMNS = 46, 72
_INK = (28, 36, 48)
_FONTS = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf",
    "/usr/share/fonts/dejavu-sans-mono-fonts/DejaVuSansMono.ttf",
    "/usr/share/fonts/TTF/DejaVuSansMono.ttf",
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: What would turn the order of a line around and show another text than there is.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNKNOWN = "\ufffd"
#: With more of its bytes beyond ASCII than this, a text is hardly in a Latin alphabet.
_MOSTLY_LATIN = 0.3


def draw(file: BinaryIO, _media_type: str) -> None:
    """Hand over the lines, and a sheet with the first of them as thumbnails."""
    whole = decoded(file.read())
    lines = [_cleaned(line) for line in whole.splitlines()]
    shown = [line[:LONGEST_LINE] for line in lines[:MOST_LINES]]
    text = "\n".join(shown).encode()
    frame(text, size=TEXT, page=0, width=0, height=0, media_type="text/plain; charset=utf-8")
    thumbnails(_sheet(shown))
    end(pages=len(shown))


def decoded(data: bytes) -> str:
    """The text of some bytes, which may end in the middle of a character. Never fails."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    with suppress(UnicodeDecodeError):
        return codecs.getincrementaldecoder("utf-8")().decode(data)
    if encoding := _wide(data):
        return data.decode(encoding, "replace")
    beyond = sum(byte > 127 for byte in data[:65536])
    if beyond > _MOSTLY_LATIN * min(len(data), 65536):
        from charset_normalizer import from_bytes

        if (best := from_bytes(data[:65536]).best()) is not None:
            return data.decode(best.encoding, "replace")
    return data.decode("cp1252", "replace")


def _wide(data: bytes) -> str:
    """UTF-16 without a mark: every other byte of most texts is then zero."""
    some = data[:4096]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if some[first::2].count(0) > len(some) / 4:
            return encoding
    return ""


def _cleaned(line: str) -> str:
    line = line.rstrip().expandtabs(4)
    return "".join(
        _UNKNOWN if char in _TURNING or (ord(char) < 32 or 127 <= ord(char) < 160) else char
        for char in line
    )


def _sheet(lines: list[str]) -> Image.Image:
    sheet = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    some = "\n".join(line[:_COLUMNS] for line in lines[:_LINES])
    ImageDraw.Draw(sheet).multiline_text((_MARGIN, _MARGIN), some, _INK, _font(), spacing=5)
    return sheet


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    path = next((each for each in _FONTS if Path(each).is_file()), None)
    return ImageFont.truetype(path, _POINTS) if path else ImageFont.load_default(_POINTS)
