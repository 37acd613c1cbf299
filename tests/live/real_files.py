"""Real files of real kinds, under names in many scripts; and one that is larger than memory."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from live.client import CHUNK

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MIB = 1024 * 1024


@dataclass(frozen=True)
class RealFile:
    """A file as somebody has it, and what the portal must say of it."""

    name: str
    data: bytes
    media_type: str
    #: The name the portal keeps; NFC of `name` where it is not given.
    kept_name: str = ""

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def expected_name(self) -> str:
        return self.kept_name or unicodedata.normalize("NFC", self.name)

    def pieces(self) -> Iterator[bytes]:
        for start in range(0, len(self.data), CHUNK):
            yield self.data[start : start + CHUNK]


class Large:
    """Pseudo-random bytes made while they are sent: no file, little memory, no pattern to press.

    One random block, its number written into the beginning of every repetition.
    """

    def __init__(self, size: int, seed: int = 1) -> None:
        self.size = size
        self._block = random.Random(seed).randbytes(MIB)

    def pieces(self) -> Iterator[bytes]:
        block = bytearray(self._block)
        for number in range(0, self.size, MIB):
            block[:8] = struct.pack(">Q", number)
            yield bytes(block[: min(MIB, self.size - number)])

    def sha256(self) -> str:
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()


def pdf(title: str = "The deed of the house", pages: int = 1, lines: Sequence[str] = ()) -> bytes:
    """A whole PDF that every viewer opens, with its table of objects; `lines` on every page."""
    kids = " ".join(f"{4 + 2 * page} 0 R" for page in range(pages))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for page in range(pages):
        more = "".join(f" /F1 10 Tf 0 -14 Td ({line}) Tj" for line in lines)
        text = f"BT /F1 24 Tf 72 720 Td ({title}, page {page + 1}) Tj{more} ET"
        fonts = "/Resources << /Font << /F1 3 0 R >> >>"
        frame = f"/Parent 2 0 R /MediaBox [0 0 595 842] /Contents {5 + 2 * page} 0 R"
        objects += [
            f"<< /Type /Page {frame} {fonts} >>",
            f"<< /Length {len(text)} >>\nstream\n{text}\nendstream",
        ]
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, each in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{each}\nendobj\n".encode("latin-1")
    table = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    for place in places:
        out += f"{place:010} 00000 n \n".encode()
    out += (
        f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n".encode()
    )
    return bytes(out)


def png(width: int = 64, height: int = 48) -> bytes:
    """A picture with a gradient."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    rows = b"".join(
        b"\0" + b"".join(bytes((x * 4 % 256, y * 5 % 256, 128)) for x in range(width))
        for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def jpeg() -> bytes:
    """The smallest picture a camera could have made: one grey point."""
    return base64.b64decode(
        "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////"
        "////////////////////////////////////wgALCAABAAEBAREA/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/a"
        "AAgBAQABPxA="
    )


def mp4(seconds_of_noise: int = 2) -> bytes:
    """A film as its beginning tells it: `ftyp`, a `moov`, and data."""

    def box(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", 8 + len(data)) + kind + data

    noise = random.Random(4).randbytes(seconds_of_noise * 300_000)
    return (
        box(b"ftyp", b"isom\0\0\x02\0isomiso2avc1mp41")
        + box(b"moov", box(b"mvhd", bytes(100)))
        + box(b"mdat", noise)
    )


def zipped(entries: dict[str, str]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in entries.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 3, 3, 12, 0, 0)), text)
    return held.getvalue()


_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"


def _office(main: str, kind: str, body: str) -> bytes:
    return zipped(
        {
            "[Content_Types].xml": f'<?xml version="1.0"?><Types xmlns="{_PACKAGE}/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
            f'relationships+xml"/><Override PartName="/{main}" ContentType="{kind}.main+xml"/>'
            "</Types>",
            "_rels/.rels": f'<?xml version="1.0"?><Relationships xmlns="{_PACKAGE}/relationships">'
            f'<Relationship Id="rId1" Type="{_OFFICE}" Target="{main}"/></Relationships>',
            main: body,
        }
    )


def docx(text: str = "Minutes of the meeting") -> bytes:
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = (
        f'<?xml version="1.0"?><w:document xmlns:w="{space}"><w:body><w:p><w:r>'
        f"<w:t>{text}</w:t></w:r></w:p></w:body></w:document>"
    )
    return _office("word/document.xml", DOCX, body)


def xlsx() -> bytes:
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return _office(
        "xl/workbook.xml",
        XLSX,
        f'<?xml version="1.0"?><workbook xmlns="{space}"><sheets/></workbook>',
    )


def files() -> list[RealFile]:
    """One of each kind, each under a name of another script or with a difficult character."""
    text, film, portable = "text/plain", "video/mp4", "application/pdf"
    accents = "Déjà vu à la crème brûlée, señor\n".encode("latin-1") * 9
    decomposed = unicodedata.normalize("NFD", "Résumé naïve Ångström.pdf")
    overridden = "report.pdf\u202efdp.exe"
    japanese = "これは契約書です。署名のうえご返送ください。\n" * 20
    return [
        RealFile("契約書（最終版）.pdf", pdf(), portable),
        RealFile("صورة العائلة.jpg", jpeg(), "image/jpeg"),
        RealFile("תמונה מהחופשה.png", png(), "image/png"),
        RealFile("बैठक का कार्यवृत्त.docx", docx(), DOCX),
        RealFile("รายรับรายจ่าย ๒๕๖๙.xlsx", xlsx(), XLSX),
        RealFile("Αρχείο εγγράφων.zip", zipped({"α.txt": "άλφα"}), "application/zip"),
        RealFile("Видео с праздника.mp4", mp4(), film),
        RealFile("Grüße aus Köln.txt", "Grüße aus Köln, žluťoučký kůň\n".encode() * 9, text),
        RealFile("UTF-16 notes.txt", "\ufeffNotes — ありがとう\r\n".encode("utf-16-le") * 9, text),
        RealFile("latin-1 café.txt", accents, text),
        RealFile("シフトJIS.txt", japanese.encode("shift_jis"), text),
        RealFile("empty", b"", "application/octet-stream"),
        RealFile("one byte.bin", b"\xff", "application/octet-stream"),
        RealFile("family 👨‍👩‍👧 2026 🏖️.png", png(8, 8), "image/png"),
        RealFile(decomposed, pdf("CV"), portable),
        RealFile('the "final" one; really.pdf', pdf("Final"), portable),
        RealFile("100% done, it's 50%25 off.pdf", pdf("Done"), portable),
        RealFile(".hidden settings", b"colour = blue\n" * 9, text),
        RealFile("x" * 251 + ".pdf", pdf("Long"), portable),
        RealFile("長" * 251 + ".pdf", pdf("Longer"), portable),
        RealFile("한국어 계약서.pdf", pdf("Korean"), portable),
        RealFile("../../etc/passwd", b"root\n" * 9, text, kept_name="passwd"),
        RealFile("C:\\Users\\Alice\\deed.pdf", pdf("Windows"), portable, kept_name="deed.pdf"),
        RealFile(overridden, b"MZ not really\n", text, kept_name="report.pdffdp.exe"),
        RealFile("spaces  inside .txt", b"two spaces inside\n", text),
        RealFile("a&b=c#d?e+f@g!$~`^{}[].txt", b"punctuation in a name\n", text),
        RealFile("<script>alert(1)<", b"a name like markup\n", text),
    ]
