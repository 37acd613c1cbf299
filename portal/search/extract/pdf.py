"""PDF: page by page, by PDFium. Pages without text are read like scans, where that is possible."""

from __future__ import annotations

import pypdfium2

from . import ocr
from .collected import Collected, NoText

_MOST_PAGES = 5000
#: Pages that are read as pictures: each takes seconds.
_MOST_SCANS = 50
#: Of a page that is read as a picture: 200 dots an inch, but never more points than these.
_SCALE = 200 / 72
_MOST_POINTS = 25_000_000


def read(data: bytes, out: Collected) -> None:
    try:
        document = pypdfium2.PdfDocument(data)
        pages = len(document)
    except pypdfium2.PdfiumError as error:
        is_locked = getattr(error, "err_code", None) == pypdfium2.raw.FPDF_ERR_PASSWORD
        raise NoText("It is locked with a password." if is_locked else "It is damaged.") from error
    scans = _MOST_SCANS if ocr.program() else 0
    broken = 0
    for number in range(min(pages, _MOST_PAGES)):
        try:
            page = document[number]
            text = page.get_textpage().get_text_bounded()
        except pypdfium2.PdfiumError:
            broken += 1
            continue
        if not text.strip() and scans:
            scans -= 1
            text = _scanned(page)
        out.add(f"{text}\n")
        page.close()
    if broken and not out:
        raise NoText("It is damaged.")


def _scanned(page: pypdfium2.PdfPage) -> str:
    width, height = page.get_size()
    scale = min(_SCALE, (_MOST_POINTS / max(1.0, width * height)) ** 0.5)
    bitmap = page.render(scale=scale, grayscale=True)
    rows = bytes(bitmap.buffer)
    lines = (
        rows[start : start + bitmap.width]
        for start in range(0, bitmap.stride * bitmap.height, bitmap.stride)
    )
    return ocr.words(b"P5 %d %d 255\n" % (bitmap.width, bitmap.height) + b"".join(lines))
