"""What a file is, told from its content; what the client says of it is not asked."""

from __future__ import annotations

import threading
from functools import cache

import pylibmagic  # noqa: F401 - makes the bundled libmagic found, so it comes first

# isort: split
import magic

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


def detect(head: bytes, ending: str) -> str:
    """The media type of a file that begins with `head`; `ending` only refines a container.

    Never fails: what cannot be told is `application/octet-stream`.
    """
    if not head:
        return "application/octet-stream"
    with _lock:  # libmagic's cookie is not made for several threads
        found = _magic().from_buffer(head)
    if "/" not in found or not found.isascii() or not found.isprintable():
        return "application/octet-stream"
    return _INSIDE.get(found, {}).get(ending, found)


@cache
def _magic() -> magic.Magic:
    return magic.Magic(mime=True)
