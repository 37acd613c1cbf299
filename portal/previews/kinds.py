"""Of what there can be pictures, told from the detected media type alone."""

from __future__ import annotations

import shutil
from enum import StrEnum
from functools import cache

from portal.confinement import landlock

MIB = 1024 * 1024


class Kind(StrEnum):
    """How a document is drawn."""

    IMAGE = "image"
    PDF = "pdf"
    TEXT = "text"
    OFFICE = "office"


#: Those that Pillow reads by itself.
_IMAGES = frozenset(
    {
        "image/jpeg",
        "image/png",
        "image/gif",
        "image/webp",
        "image/avif",
        "image/tiff",
        "image/bmp",
        "image/x-ms-bmp",
    }
)
_TEXTS = frozenset(
    {
        "application/json",
        "application/xml",
        "application/javascript",
        "application/x-ndjson",
        "application/x-shellscript",
        "application/x-subrip",
        "application/x-wine-extension-ini",
        "application/yaml",
        "application/toml",
        "application/sql",
    }
)
_OFFICE = (
    "application/vnd.openxmlformats-officedocument.",
    "application/vnd.oasis.opendocument.",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
    "application/rtf",
    "text/rtf",
)

#: Larger ones are not looked at. Of a text, the beginning is enough.
LARGEST_BYTES = {
    Kind.IMAGE: 128 * MIB,
    Kind.PDF: 128 * MIB,
    Kind.OFFICE: 32 * MIB,
}
TEXT_BYTES = MIB


def kind_of(media_type: str) -> Kind | None:
    """How something of that type would be drawn; None where nothing could."""
    essence = media_type.partition(";")[0].strip().lower()
    if essence in _IMAGES:
        return Kind.IMAGE
    if essence == "application/pdf":
        return Kind.PDF
    if essence.startswith(_OFFICE):
        return Kind.OFFICE
    if essence.startswith("text/") or essence in _TEXTS or essence.endswith(("+xml", "+json")):
        return Kind.TEXT
    return None


def drawable(media_type: str) -> Kind | None:
    """As `kind_of`, as far as this machine has the programs for it."""
    kind = kind_of(media_type)
    return None if kind is Kind.OFFICE and soffice() is None else kind


@cache
def soffice() -> str | None:
    """Where LibreOffice is, if there is one that can be kept from files; looked for once.

    It opens what a document names, and its settings against that have holes.
    """
    return shutil.which("soffice") if landlock.version() > 0 else None
