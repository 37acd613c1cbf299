"""`Content-Disposition` for downloads, after RFC 6266 and RFC 8187."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

#: RFC 8187 `attr-char`: what stands in an extended value as itself.
_ATTR_CHARS = "!#$&+-.^_`|~"
#: What a quoted string can hold that every browser and program reads the same way.
_UNSAFE_IN_QUOTES = frozenset('"\\%/')
_FALLBACK_STEM = "document"


def attachment(name: str) -> str:
    """The header for saving a file as `name`, any Unicode without control characters.

    `filename*` carries the whole name and is left out only when the name is plain ASCII
    that needs no escaping; `filename` is for programs that do not know it.
    """
    fallback = ascii_fallback(name)
    if fallback == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{quote(name, _ATTR_CHARS)}"


def ascii_fallback(name: str) -> str:
    """`name` in ASCII: its extension kept, never empty, never beginning with a dot."""
    if _is_plain(name) and not name.startswith(".") and name == name.strip():
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot:
        stem, extension = name, ""
    stem = _ascii(stem).strip("._ -") or _FALLBACK_STEM
    extension = _ascii(extension).strip("_ ")
    return f"{stem}.{extension}" if extension else stem


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and not _UNSAFE_IN_QUOTES & set(text)


def _ascii(text: str) -> str:
    if _is_plain(text):
        return text
    # Accents go, letters stay: "Übersicht" becomes "Ubersicht", what has no likeness "_".
    plain = unicodedata.normalize("NFKD", text)
    kept = (
        char if char.isascii() and char.isprintable() and char not in _UNSAFE_IN_QUOTES else "_"
        for char in plain
        if not unicodedata.combining(char)
    )
    return "".join(kept)
