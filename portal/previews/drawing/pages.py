"""Pages of a PDF, as far as they are drawn."""

from __future__ import annotations

from typing import BinaryIO

import pypdfium2
import pypdfium2.raw as pdfium

from .emitting import PAGE, Impossible, end, picture, thumbnails

#: The first ones; the others are to be read in the document itself.
MOST_PAGES = 50
#: The longer edge of a page that is looked at large, and the most that a tiny one is magnified.
EDGE = 1600
MOST_SCALE = 4.0


def draw(file: BinaryIO, _media_type: str) -> None:
    """Draw the first pages, and thumbnails of the first of all.

    Each is handed over as soon as it is drawn: what comes before a page of death is kept.
    """
    document = _opened(file)
    count = len(document)
    if not count:
        raise Impossible("damaged")
    document.init_forms()
    for number in range(min(count, MOST_PAGES)):
        try:
            _draw_page(document, number)
        except pypdfium2.PdfiumError as error:
            if not number:
                raise Impossible("damaged") from error
            break
    end(pages=count)


def _opened(file: BinaryIO) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(file)
    except pypdfium2.PdfiumError as error:
        is_locked = getattr(error, "err_code", None) == pdfium.FPDF_ERR_PASSWORD
        raise Impossible("encrypted" if is_locked else "damaged") from error


def _draw_page(document: pypdfium2.PdfDocument, number: int) -> None:
    page = document[number]
    try:
        longest = max(page.get_size())
        if longest <= 0:
            raise pypdfium2.PdfiumError("a page without a size")
        image = page.render(scale=min(EDGE / longest, MOST_SCALE)).to_pil().convert("RGB")
    finally:
        page.close()
    picture(image, PAGE, number + 1)
    if number == 0:
        thumbnails(image)
