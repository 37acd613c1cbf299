"""Text and source code, in whatever encoding."""

from __future__ import annotations

import codecs
import unicodedata

from .collected import Collected

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, which begins the same
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: How much is looked at to guess an encoding.
_SAMPLE = 32 * 1024
#: By far the most common of what is not Unicode.
_WESTERN = "cp1252"


def read(data: bytes, out: Collected) -> None:
    out.add(decode(data))


def decode(data: bytes, declared: str = "") -> str:
    """`data` as text; what the file itself says of its encoding comes first.

    Never fails: bytes that stand for nothing become the replacement character.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if declared:
        try:
            return data.decode(declared, "replace")
        except (LookupError, ValueError):  # an encoding nobody knows, or none of text
            pass
    if wide := _wide(data[:_SAMPLE]):
        return data.decode(wide, "replace")
    try:
        # The end may be in the middle of a character.
        return codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return data.decode(_guess(data[:_SAMPLE]), "replace")


def _wide(sample: bytes) -> str:
    """UTF-16 without a mark: every other byte of much text in it is zero, of no other text any."""
    if sample.count(0) * 5 <= len(sample):
        return ""
    return "utf-16-be" if sample[::2].count(0) > sample[1::2].count(0) else "utf-16-le"


def _guess(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    if best is None:
        return _WESTERN
    letters = {char for char in str(best) if char.isalpha()}
    # The code pages of Latin letters cannot be told apart by a few accents.
    is_latin = all("LATIN" in unicodedata.name(char, "") for char in letters)
    return _WESTERN if is_latin else best.encoding
