"""Names and contents that contradict each other are noticed; real files never are."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from conftest import Browser, Cast
from live import real_files
from portal.config import Settings
from portal.documents import claims, media_types
from portal.errors import TypeRefused
from stage import events, file_part, form, send_form, stored_files

NOISE = random.Random(2).randbytes(5000)
STRICT = replace(Settings(), type_mismatch="refuse")


def zipped(entries: Iterable[tuple[str, str]]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, text in entries:
            archive.writestr(name, text)
    return held.getvalue()


def windows_program() -> bytes:
    stub = b"MZ" + bytes(58) + struct.pack("<I", 128)
    said = (
        b"\x0e\x1f\xba\x0e\0\xb4\t\xcd!\xb8\x01L\xcd!This program cannot be run in DOS mode.\r\r\n$"
    )
    head = struct.pack("<HHIIIHHH", 0x8664, 3, 0, 0, 0, 240, 0x22, 0x20B)
    return (stub + said).ljust(128, b"\0") + b"PE\0\0" + head + bytes(640)


def old_office() -> bytes:
    return (
        bytes.fromhex("d0cf11e0a1b11ae1")
        + bytes(16)
        + bytes.fromhex("3e000300feff0900")
        + bytes(12)
        + struct.pack("<9I", 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0, 0)
        + b"\xff" * 2436
    )


def film(brand: bytes) -> bytes:
    return struct.pack(">I", 20) + b"ftyp" + brand + b"\0\0\2\0" + brand + bytes(300)


EXE = windows_program()
OLE = old_office()
PDF, PNG, JPEG = real_files.pdf(), real_files.png(), real_files.jpeg()
DOCX, XLSX, ZIP = real_files.docx(), real_files.xlsx(), real_files.zipped({"a": "b"})
ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 3, 62, 1) + bytes(100)
MP3 = (b"\xff\xfb\x90\x64" + bytes(413)) * 9
HTML = b"<!DOCTYPE html><html><body>Hello</body></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>'
#: A Word document whose first entries fill all that is looked at.
LONG_DOCX = zipped(
    [
        ("[Content_Types].xml", "y" * 3000),
        ("_rels/.rels", "z" * 600),
        ("customXml/item1.xml", "x" * 600),
        ("word/document.xml", "x"),
    ]
)
ODD_DOCX = zipped([("docProps/app.xml", "x"), ("_rels/.rels", "x"), ("word/document.xml", "x")])

CONTRADICTIONS = [
    ("invoice.pdf", EXE, "is a Windows program"),
    ("invoice.PDF. ", EXE, "is a Windows program"),
    ("invoice.ｐｄｆ", EXE, "is a Windows program"),
    ("invoice.pdf", HTML, "is a web page"),
    ("invoice.pdf", JPEG, "is a picture"),
    ("invoice.pdf", NOISE, "is not a PDF"),
    ("invoice.pdf", b"only words\n", "is text"),
    ("minutes.docx", PDF, "is a PDF"),
    ("minutes.docx", HTML, "is a web page"),
    ("minutes.docx", NOISE, "is not a text document"),
    ("minutes.docx", XLSX, "is an Excel spreadsheet"),
    ("sums.xlsx", DOCX, "is a Word document"),
    ("sums.xlsx", EXE, "is a Windows program"),
    ("photo.jpg", NOISE, "is not a picture"),
    ("photo.jpg", SVG, "is an SVG drawing"),
    ("photo.png", HTML, "is a web page"),
    ("photo.jpeg", ELF, "is a Linux program"),
    ("photo.jpg", ZIP, "is an archive"),
    ("files.zip", NOISE, "is not an archive"),
    ("files.zip", EXE, "is a Windows program"),
    ("files.rar", PDF, "is a PDF"),
    ("notes.txt", EXE, "is a Windows program"),
    ("notes.txt", ZIP, "is an archive"),
    ("table.csv", OLE, "is an Office document"),
    ("table.csv", XLSX, "is an Excel spreadsheet"),
    ("song.mp3", EXE, "is a Windows program"),
    ("film.mp4", ELF, "is a Linux program"),
    ("letter.doc", EXE, "is a Windows program"),
    ("mail.eml", EXE, "is a Windows program"),
    ("page.html", EXE, "is a Windows program"),
    ("setup.exe", PDF, "is a PDF"),
]

FITTING = [
    *((file.name, file.data) for file in real_files.files()),
    # Many pictures were given the ending of another kind of picture.
    ("really a png.jpg", PNG),
    ("really a jpeg.png", JPEG),
    ("from a phone.jpg", film(b"heic")),
    ("from a phone.heic", film(b"heic")),
    ("from a phone.heif", film(b"mif1")),
    ("of an unknown brand.heic", film(b"xyz1")),
    ("moving.gif", film(b"mp42")),
    ("picture.webp", b"RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0" + bytes(24)),
    ("for apple.png", b"\x89PNG\r\n\x1a\n\0\0\0\4CgBI" + bytes(60)),
    ("scan.tif", b"II*\0\x08\0\0\0" + bytes(50)),
    ("scan.tiff", NOISE),
    ("drawing.svg", SVG),
    ("drawing.svg", b'<?xml version="1.0"?><!--' + b"x" * 5000 + b"--><svg/>"),
    ("plan.dwg", b"AC1032" + bytes(60)),
    ("logo.ai", PDF),
    ("logo.psd", b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\1\0\0\0\1\0\0\x08\0\3"),
    # PDFs with something in front: mail gateways, printers, old programs.
    ("late.pdf", NOISE[:700] + PDF),
    ("late.pdf", b"Some words before\n" * 20 + PDF),
    ("printed.pdf", b"\x1b%-12345X@PJL\r\n" + PDF),
    # Office: any order of entries, any age, with and without a password.
    ("long.docx", LONG_DOCX),
    ("odd.docx", ODD_DOCX),
    ("odd.xlsx", ODD_DOCX),
    ("with a password.docx", OLE),
    ("with a password.xlsx", OLE),
    ("old.doc", OLE),
    ("old.xls", OLE),
    ("old.ppt", OLE),
    ("damaged beyond the beginning.doc", OLE[:8] + NOISE),
    ("very old.doc", NOISE),
    ("really new.doc", DOCX),
    ("really new.xls", XLSX),
    ("really rich text.doc", b"{\\rtf1\\ansi hello}"),
    ("from a web page.xls", b"<html><table><tr><td>1</td></tr></table></html>"),
    ("from a program.xls", b"a\tb\n1\t2\n"),
    ("from a program.doc", b"MIME-Version: 1.0\r\nContent-Type: multipart/related\r\n\r\n"),
    ("really a docx.odt", DOCX),
    ("mail.msg", OLE),
    ("mail.eml", b"From: a@example.org\r\nTo: b@example.org\r\nSubject: x\r\n\r\nhello\r\n"),
    ("mail.eml", b"X-Odd: 1\r\nSubject: x\r\n\r\nhello\r\n"),
    ("signed.p7m", bytes.fromhex("3082045006092a864886f70d010702a0820441") + NOISE),
    # Archives, and what is one inside.
    ("files.zip", DOCX),
    ("empty.zip", zipped([])),
    ("program.jar", zipped([("META-INF/MANIFEST.MF", "x")])),
    ("program.apk", zipped([("AndroidManifest.xml", "x")])),
    ("letter.pages", zipped([("Index/Document.iwa", "x")])),
    ("sums.numbers", zipped([("Index/Document.iwa", "x")])),
    ("files.tar.gz", gzip.compress(b"x", mtime=0)),
    ("files.tgz", gzip.compress(b"x", mtime=0)),
    ("unpacked on the way.gz", b"a,b\n1,2\n"),
    ("files.7z", b"7z\xbc\xaf\x27\x1c\0\4" + bytes(50)),
    ("files.rar", b"Rar!\x1a\x07\1\0" + bytes(50)),
    ("really a zip.rar", ZIP),
    # Sound and film, whose beginnings say little.
    ("song.mp3", MP3),
    ("without a header.mp3", NOISE),
    ("with a large cover.mp3", b"ID3\x03\0\0\0\x01\x00\x0a" + bytes(20_000)),
    ("song.m4a", film(b"M4A ")),
    ("song.m4a", film(b"isom")),
    ("song.ogg", b"OggS\0\2" + bytes(22) + b"\x01\x1e\x01vorbis" + bytes(30)),
    ("film.mp4", film(b"qt  ")),
    ("film.mov", film(b"isom")),
    ("film.mov", struct.pack(">I", 8) + b"wide" + NOISE),
    ("unknown brand.mp4", film(b"XAVC")),
    ("film.avi", b"RIFF\0\1\0\0AVI LIST" + bytes(50)),
    # Text is text.
    ("notes.txt", HTML),
    ("notes.md", b"# Title\n\n<html>\n"),
    ("table.csv", b"a;b\n1;2\n"),
    ("table.csv", b"a,b\n1,2\n"),
    ("data.json", b'{"a": 1}'),
    ("invoice.xml", '\ufeff<?xml version="1.0"?><a/>'.encode("utf-16-le")),
    ("invoice.xml", b'<a xmlns="urn:x"><b/></a>'),
    ("script.py", b"#!/usr/bin/env python3\nimport os\n"),
    ("script.js", b"import x from 'y';\nexport default x;\n"),
    ("without a mark.txt", "hello world, hello".encode("utf-16-be")),
    ("with a nul.log", b"hello\0world\n"),
    ("ended as in DOS.txt", b"hello\r\n\x1a"),
    ("about pdf.txt", b"%PDF-1.4 is how a PDF begins\n"),
    ("about bzip.txt", b"BZh9 is how it begins\n"),
    ("about drawings.md", b"AC1015 is a version of it\n"),
    ("about films.txt", b"Loreftypmp42 text is here\n"),
    ("noise.txt", NOISE),
    # No claim.
    ("no ending", EXE),
    ("something.bin", EXE),
    ("something.p12", EXE),
    ("something.unheard-of", PDF),
    (".pdf", EXE),
    ("key.key", b"-----BEGIN PRIVATE KEY-----\n"),
    ("setup.exe", EXE),
    ("setup.msi", OLE),
    ("font.ttf", b"\0\1\0\0\0\x0c\0\x80\0\3\0\x40OS/2" + bytes(80)),
    ("empty.pdf", b""),
    ("empty.docx", b""),
]


def found(name: str, content: bytes) -> str:
    head = content[:4096]
    media_type = media_types.decide(name, head, Settings())
    return claims.mismatch(name, media_type, len(head))


@pytest.mark.parametrize(
    ("name", "content", "words"), CONTRADICTIONS, ids=[case[0] for case in CONTRADICTIONS]
)
def test_contradiction_is_noticed_and_put_into_words(name: str, content: bytes, words: str) -> None:
    assert found(name, content) == f"This file is called {name} and {words}."
    with pytest.raises(TypeRefused) as refused:
        media_types.decide(name, content[:4096], STRICT)
    assert refused.value.what == f"This file is called {name} and {words}."
    assert "right ending" in refused.value.cure


@pytest.mark.parametrize(("name", "content"), FITTING, ids=[case[0] for case in FITTING])
def test_real_file_is_never_refused(name: str, content: bytes) -> None:
    assert found(name, content) == ""
    media_types.decide(name, content[:4096], STRICT)


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("long.docx", LONG_DOCX, real_files.DOCX),
        ("long.zip", LONG_DOCX, "application/zip"),
        ("late.pdf", NOISE[:700] + PDF, "application/pdf"),
        ("late.bin", NOISE[:700] + PDF, "application/octet-stream"),
        ("about pdf.txt", b"%PDF-1.4 is how a PDF begins\n", "text/plain"),
        ("really a pdf.txt", PDF, "application/pdf"),
        ("noise.bin", b"\xe9\x10\x20" + NOISE, "application/octet-stream"),
    ],
)
def test_what_libmagic_misses_is_told(name: str, content: bytes, media_type: str) -> None:
    assert media_types.decide(name, content[:4096], Settings()) == media_type


def test_noise_is_never_taken_for_something_unmistakable() -> None:
    chance = random.Random(3)
    for _ in range(1500):
        noise = b"\xe9" + chance.randbytes(2000)  # as old programs for DOS begin
        assert found("noise.mp3", noise) == found("noise.doc", noise) == ""
        assert found("noise.jpg", noise)


def test_by_default_the_content_is_believed_and_the_mismatch_is_told(
    app: Flask, alice: Browser
) -> None:
    document = alice.upload("invoice.pdf", EXE)
    assert document["media_type"] == "application/x-dosexec"
    (event,) = events(app, "document.uploaded")
    assert event.detail["type_mismatch"] == "application/x-dosexec"
    page = alice.get(document["url"]).text
    assert "This file is called invoice.pdf and is a Windows program." in page
    assert "something else by its content: application/x-dosexec" in page
    assert "<dt>Kind</dt><dd>File</dd>" in page
    alice.post(f"{document['url']}/rename", {"name": "invoice.exe"})
    assert "This file is called" not in alice.get(document["url"]).text


def test_what_fits_is_not_remarked_on(app: Flask, alice: Browser) -> None:
    document = alice.upload("invoice.pdf", PDF)
    (event,) = events(app, "document.uploaded")
    assert "type_mismatch" not in event.detail
    assert "This file is called" not in alice.get(document["url"]).text
    assert "This file is called" not in alice.get(alice.upload("empty.pdf", b"")["url"]).text


@pytest.fixture
def strict_alice(make_app: Any) -> Browser:
    return Cast(make_app(type_mismatch="refuse")).person("alice@example.org", "Alice")


def test_where_it_is_refused_nothing_stays_and_the_others_are_taken(
    strict_alice: Browser,
) -> None:
    body = form([file_part(EXE, "invoice.pdf"), file_part(PDF, "good.pdf")])
    response = send_form(strict_alice, body)
    assert response.status_code == 201
    (rejected,) = response.get_json()["rejected"]
    assert (rejected["name"], rejected["reason"]) == ("invoice.pdf", "type_refused")
    assert rejected["detail"].startswith(
        "This file is called invoice.pdf and is a Windows program. "
    )
    assert len(stored_files(strict_alice.app)) == 1
    (event,) = events(strict_alice.app, "upload.refused")
    assert event.detail["reason"] == "type_refused"
    alone = send_form(strict_alice, form([file_part(EXE, "invoice.pdf")]))
    assert alone.status_code == 415


def test_where_it_is_refused_no_detour_by_another_name_helps(strict_alice: Browser) -> None:
    document = strict_alice.upload("anything.bin", EXE)
    response = strict_alice.post_json(f"{document['url']}/rename", {"name": "invoice.pdf"})
    assert response.status_code == 422
    assert "is a Windows program" in response.get_json()["errors"]["name"]
    assert strict_alice.get("/documents").text.count("invoice.pdf") == 0
    empty = strict_alice.upload("empty.bin", b"")
    assert strict_alice.post_json(f"{empty['url']}/rename", {"name": "a.pdf"}).status_code == 201
