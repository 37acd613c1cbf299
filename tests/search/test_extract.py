"""The text of files of every kind, as the child takes it out."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import Browser, missing
from live import real_files
from portal.search import reading
from portal.search.extract import docx, html, mail, opendocument, plain, pptx, reader_for, rtf, xlsx
from portal.search.extract.collected import Collected, Full, NoText
from portal.search.reading import Limits, Unreadable
from search import made
from search.stage import index, names, put


def text_of(reader: str, data: bytes, limits: Limits | None = None) -> str:
    return reading.read(reader, iter([data]), limits or Limits()).text


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def test_plain_text_is_understood_in_whatever_encoding() -> None:
    japanese = "これは契約書です。署名のうえご返送ください。\n" * 20
    for words, encodings in {
        "Grüße aus Köln, žluťoučký kůň": ("utf-8", "utf-8-sig", "utf-16", "utf-32"),
        "An apple a day keeps the doctor away.": ("utf-16-le", "utf-16-be"),
        japanese: ("shift_jis", "utf-16-le"),
        "Déjà vu à la crème brûlée, señor\n" * 9: ("latin-1", "cp1252"),
        "Договор аренды квартиры и прочего имущества\n" * 20: ("cp1251", "koi8-r"),
    }.items():
        for encoding in encodings:
            assert plain.decode(words.encode(encoding)) == words, encoding


def test_text_that_ends_in_the_middle_of_a_character_is_still_utf_8() -> None:
    assert plain.decode("Grüße ü".encode()[:-1]) == "Grüße "


def test_word_documents_with_notes_and_headers_and_without_what_was_deleted() -> None:
    assert lines(text_of("docx", made.docx())) == ["haystack & needle", "footnoted", "letterhead"]


def test_spreadsheets_cell_by_cell() -> None:
    found = lines(text_of("xlsx", made.xlsx()))
    assert found == ["Budget", "needle haystack 4711.5 inline computed"]


def test_slides_in_their_order_with_notes() -> None:
    assert lines(text_of("pptx", made.pptx())) == ["needle1", "needle2", "needle10", "whispered"]


def test_opendocument_texts_and_tables() -> None:
    assert lines(text_of("opendocument", made.opendocument())) == ["Title", "needle haystack"]
    found = lines(text_of("opendocument", made.opendocument("spreadsheet")))
    assert found == ["Budget", "Title", "needle haystack", "Title", "needle haystack"]


def test_pages_of_a_pdf() -> None:
    found = text_of("pdf", real_files.pdf("Needle", pages=3))
    assert lines(found) == [f"Needle, page {number}" for number in (1, 2, 3)]


def test_mail_with_who_what_and_the_names_of_attachments() -> None:
    found = lines(text_of("mail", made.mail()))
    assert found[:3] == [
        "Der Schlüssel zum Büro",
        "Alice Archer <alice@example.org>",
        "bob@example.org",
    ]
    assert found[3:] == ["The needle is in the haystack.", "As HTML", "plan.pdf"]


def test_html_as_it_is_seen() -> None:
    assert lines(text_of("html", made.html())) == ["The title", "needle café été a picture", "next"]


def test_rich_text() -> None:
    assert lines(text_of("rtf", made.rtf())) == ["needle 日本 žlu", "next"]


def test_each_kind_is_found_after_its_upload(alice: Browser) -> None:
    files = {
        "a.docx": made.docx(),
        "b.xlsx": made.xlsx(),
        "d.odt": made.opendocument(),
        "e.ods": made.opendocument("spreadsheet"),
        "f.odp": made.opendocument("presentation"),
        "g.pdf": real_files.pdf("needle"),
        "h.eml": made.mail(),
        "i.html": made.html(),
        "j.rtf": made.rtf(),
        "k.txt": b"a needle in a haystack",
        "l.py": b"#!/usr/bin/env python3\nimport os\n\n\ndef needle():\n    return os.sep\n",
        "m.json": b'{"needle": 1}',
        "n.csv": b"needle,hay\n1,2\n3,4\n",
        "o.md": b"# A needle\n\nin a haystack\n",
        "p.xml": b'<?xml version="1.0"?><a><b>needle</b></a>',
    }
    for name, data in files.items():
        alice.upload(name, data)
    alice.upload("q.pptx", made.pptx())
    index(alice.app)
    assert names(alice, '"needle"') == sorted(files)
    assert names(alice, "needle10") == ["q.pptx"]


def test_films_and_archives_are_not_even_tried(alice: Browser) -> None:
    for file in (real_files.mp4(1), real_files.zipped({"a.txt": "needle"})):
        alice.upload("x", file)
    assert index(alice.app) == 0


@pytest.mark.parametrize(
    ("reader", "data", "why"),
    [
        ("pdf", made.locked_pdf(), "password"),
        ("docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "password"),
        ("pdf", made.broken_pdf(), "damaged"),
        ("pdf", b"%PDF-1.7\n", "damaged"),
        ("docx", made.docx()[:-300], "damaged"),
        ("docx", made.opendocument(), "no Word document"),
        ("xlsx", made.docx(), "no spreadsheet"),
        ("pptx", made.docx(), "no slides"),
        ("opendocument", made.docx(), "no OpenDocument"),
        ("docx", real_files.zipped({"word/document.xml": "<a><b></a>"}), "damaged"),
    ],
)
def test_what_cannot_be_read_says_why(reader: str, data: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        text_of(reader, data)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.binary(max_size=400), place=st.integers(0, 2000))
def test_readers_of_damaged_files_say_so_or_read_what_is_left(data: bytes, place: int) -> None:
    wholes = {
        docx: made.docx(),
        xlsx: made.xlsx(),
        pptx: made.pptx(),
        opendocument: made.opendocument(),
        mail: made.mail(),
        html: made.html(),
        rtf: made.rtf(),
        plain: b"",
    }
    for reader, whole in wholes.items():
        spoilt = whole[:place] + data + whole[place + len(data) :]
        with suppress(NoText, Full):
            reader.read(spoilt, Collected(10_000))


def test_more_than_is_kept_is_cut() -> None:
    found = reading.read("text", iter([b"word " * 1000]), Limits(characters=100))
    assert found.text == "word " * 20
    assert found.is_cut


def test_of_a_long_text_only_the_beginning_is_asked_for() -> None:
    asked = 0

    def pieces() -> Iterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            yield b"x" * 1024 * 1024

    assert reading.read("text", pieces(), Limits()).is_cut
    assert asked < 20


def test_reader_is_chosen_by_what_a_file_is() -> None:
    assert reader_for("text/plain", "a.txt") == "text"
    assert reader_for("text/x-python", "a.py") == "text"
    assert reader_for("text/plain", "a.eml") == "mail"
    assert reader_for("image/png", "scan.png") == ""
    assert reader_for("image/png", "scan.png", with_ocr=True) == "picture"
    assert reader_for("application/octet-stream", "a.docx") == ""


def test_scans_are_read_where_the_program_for_it_is_installed(alice: Browser) -> None:
    if shutil.which("tesseract") is None:
        missing("tesseract", "apt-get install tesseract-ocr")
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("L", (1240, 400), 255)
    font = ImageFont.load_default(64)
    ImageDraw.Draw(picture).text((80, 120), "The needle is in the haystack", font=font)

    for kind in ("PNG", "PDF"):
        held = io.BytesIO()
        picture.save(held, kind, resolution=150)
        put(alice, f"scan.{kind.lower()}", held.getvalue())
    assert names(alice, "haystack") == ["scan.pdf", "scan.png"]
