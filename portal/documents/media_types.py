"""What a file is, told from its content; what the client says of it is not asked."""

from __future__ import annotations

import threading
from codecs import getincrementaldecoder
from functools import cache

import pylibmagic  # noqa: F401 - makes the bundled libmagic found, so it comes first

# isort: split
import magic

from portal.config import Settings
from portal.documents import claims, names
from portal.errors import TypeRefused

_UNKNOWN = "application/octet-stream"
_lock = threading.Lock()

#: Formats of which libmagic sees only the container; the name decides within its family.
_INSIDE = {
    "application/zip": {
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "odt": "application/vnd.oasis.opendocument.text",
        "ods": "application/vnd.oasis.opendocument.spreadsheet",
        "odp": "application/vnd.oasis.opendocument.presentation",
        "epub": "application/epub+zip",
    },
    "text/plain": {"csv": "text/csv", "md": "text/markdown"},
    # Prose with as many commas in each line looks like a table.
    "text/csv": {"txt": "text/plain", "md": "text/markdown"},
}
#: How files begin that libmagic fails to tell when what follows is unusual, such as a
#: Word document whose first entries are long.
_BEGINNINGS = (
    (b"PK\x03\x04", "application/zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
)
#: Readers look for the beginning of a PDF in so many bytes (ISO 32000-1, annex H).
_BEFORE_PDF = 1024
#: Control characters that stand in no text.
_NOT_TEXT = frozenset(range(32)) - frozenset(b"\t\n\v\f\r\x1a\x1b")


def decide(name: str, head: bytes, settings: Settings) -> str:
    """The media type of a file with that clean name that begins with `head`.

    Raises `TypeRefused` where name and content contradict each other and the portal refuses
    that; otherwise the content is believed.
    """
    media_type = detect(head, names.extension(name))
    check(name, media_type, len(head), settings)
    return media_type


def check(name: str, media_type: str, size_bytes: int, settings: Settings) -> None:
    """Raise `TypeRefused` for a name that the content contradicts, where that is refused."""
    if settings.type_mismatch != "refuse":
        return
    if problem := claims.mismatch(name, media_type, size_bytes):
        raise TypeRefused(
            problem,
            cure="Names have to say what a file is here: give it the right ending, or send"
            " the file you meant.",
        )


def detect(head: bytes, ending: str) -> str:
    """The media type of a file that begins with `head`; `ending` only refines a container.

    Never fails: what cannot be told is `application/octet-stream`.
    """
    if not head:
        return _UNKNOWN
    with _lock:  # libmagic's cookie is not made for several threads
        found = _magic().from_buffer(head)
    if "/" not in found or not found.isascii() or not found.isprintable():
        return _UNKNOWN
    found = _corrected(found, head, ending)
    return _INSIDE.get(found, {}).get(ending, found)


def _corrected(found: str, head: bytes, ending: str) -> str:
    """What libmagic found, but where it is known to err."""
    if found == "application/x-dosexec" and not head.startswith(b"MZ"):
        found = _UNKNOWN  # it takes one in a hundred files of noise for an old DOS program
    if found == _UNKNOWN:
        found = next((kind for start, kind in _BEGINNINGS if head.startswith(start)), found)
    if found in {_UNKNOWN, "text/plain"} and ending == "pdf" and b"%PDF-" in head[:_BEFORE_PDF]:
        return "application/pdf"
    if claims.of_text(ending) and claims.is_unmistakable(found) and _is_plain(head):
        return "text/plain"  # such as notes that begin with the word %PDF
    return found


def _is_plain(head: bytes) -> bool:
    """Whether a file begins as UTF-8 text; it may be cut in the middle of a character."""
    try:
        getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not _NOT_TEXT & set(head)


@cache
def _magic() -> magic.Magic:
    return magic.Magic(mime=True)
