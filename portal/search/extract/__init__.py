"""What can be read out of a file, and by which reader. Knows nothing of the portal.

The readers run in a child process that is killed at its limits (`portal.search.reading`); this
package therefore imports the standard library and its parsers alone, and only what one file needs.
"""

from __future__ import annotations

#: The reader of a media type; what is not here has no text.
_READERS = {
    "application/pdf": "pdf",
    "message/rfc822": "mail",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/rtf": "rtf",
    "text/rtf": "rtf",
    "application/json": "text",
    "application/x-ndjson": "text",
    "application/javascript": "text",
    "application/xml": "text",
    "application/sql": "text",
    "application/toml": "text",
    "application/yaml": "text",
    "application/x-sh": "text",
    "application/x-shellscript": "text",
    "application/x-tex": "text",
    "image/svg+xml": "html",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.oasis.opendocument.text": "opendocument",
    "application/vnd.oasis.opendocument.spreadsheet": "opendocument",
    "application/vnd.oasis.opendocument.presentation": "opendocument",
}
#: Names decide where the content says no more than that it is text.
_ENDINGS = {"eml": "mail", "html": "html", "htm": "html", "xhtml": "html", "rtf": "rtf"}
#: Pictures that a program for reading scans understands.
_PICTURES = frozenset({"image/png", "image/jpeg", "image/tiff", "image/webp", "image/bmp"})


def reader_for(media_type: str, name: str, *, with_ocr: bool = False) -> str:
    """Which reader takes the text out of such a file; empty where there is none to take."""
    if media_type in _PICTURES:
        return "picture" if with_ocr else ""
    if reader := _READERS.get(media_type):
        return reader
    if media_type.startswith("text/"):
        return _ENDINGS.get(name.rpartition(".")[2].casefold(), "text")
    return ""
