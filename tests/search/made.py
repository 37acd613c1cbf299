"""Files of every kind that is read, and some that are made to do harm."""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from email.message import EmailMessage

from live.real_files import pdf, zipped

_ODF = "urn:oasis:names:tc:opendocument:xmlns"
_A = "http://schemas.openxmlformats.org/drawingml/2006/main"
_P = "http://schemas.openxmlformats.org/presentationml/2006/main"
_S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'


def docx() -> bytes:
    def run(text: str) -> str:
        return f"<w:p><w:r><w:t>{text[:3]}</w:t></w:r><w:r><w:t>{text[3:]}</w:t></w:r></w:p>"

    def part(root: str, text: str) -> str:
        return f'{_HEAD}<w:{root} xmlns:w="{_W}">{run(text)}</w:{root}>'

    gone = "<w:p><w:del><w:r><w:delText>withdrawn</w:delText></w:r></w:del></w:p>"
    body = f'{_HEAD}<w:document xmlns:w="{_W}"><w:body>{run("haystack &amp; needle")}{gone}'
    return zipped(
        {
            "word/document.xml": f"{body}</w:body></w:document>",
            "word/footnotes.xml": part("footnotes", "footnoted"),
            "word/header1.xml": part("hdr", "letterhead"),
            "word/settings.xml": part("settings", "hidden"),
        }
    )


def xlsx() -> bytes:
    shared = (
        f'{_HEAD}<sst xmlns="{_S}"><si><t>needle</t><rPh><t>reading</t></rPh></si>'
        "<si><r><t>hay</t></r><r><t>stack</t></r></si></sst>"
    )
    cells = (
        '<c t="s"><v>0</v></c><c t="s"><v>1</v></c><c><v>4711.5</v></c>'
        '<c t="inlineStr"><is><t>inline</t></is></c><c t="str"><v>computed</v></c>'
        '<c t="s"><v>99999999999</v></c>'
    )
    return zipped(
        {
            "xl/workbook.xml": f'{_HEAD}<workbook xmlns="{_S}"><sheets><sheet name="Budget"/>'
            "</sheets></workbook>",
            "xl/sharedStrings.xml": shared,
            "xl/worksheets/sheet1.xml": f'{_HEAD}<worksheet xmlns="{_S}"><sheetData><row>{cells}'
            "</row></sheetData></worksheet>",
        }
    )


def pptx() -> bytes:
    def slide(root: str, text: str) -> str:
        return (
            f'{_HEAD}<p:{root} xmlns:p="{_P}" xmlns:a="{_A}"><a:p><a:r><a:t>{text}</a:t></a:r>'
            f"</a:p></p:{root}>"
        )

    slides = {f"ppt/slides/slide{n}.xml": slide("sld", f"needle{n}") for n in (10, 2, 1)}
    return zipped({**slides, "ppt/notesSlides/notesSlide1.xml": slide("notes", "whispered")})


def opendocument(kind: str = "text") -> bytes:
    names = f'xmlns:office="{_ODF}:office:1.0" xmlns:text="{_ODF}:text:1.0"'
    names += f' xmlns:table="{_ODF}:table:1.0"'
    text = "<text:h>Title</text:h><text:p>nee<text:span>dle</text:span><text:s/>haystack</text:p>"
    cell = f"<table:table-cell>{text}</table:table-cell>"
    table = f'<table:table table:name="Budget"><table:table-row>{cell}{cell}</table:table-row>'
    body = text if kind != "spreadsheet" else f"{table}</table:table>"
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
        archive.writestr(
            "content.xml",
            f"{_HEAD}<office:document-content {names}><office:body><office:{kind}>{body}"
            f"</office:{kind}></office:body></office:document-content>",
        )
    return held.getvalue()


def mail() -> bytes:
    message = EmailMessage()
    message["Subject"] = "Der Schlüssel zum Büro"
    message["From"] = "Alice Archer <alice@example.org>"
    message["To"] = "bob@example.org"
    message.set_content("The needle is in the haystack.\n")
    message.add_alternative("<p>As <b>HTML</b> <style>p{}</style></p>", subtype="html")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="plan.pdf")
    return message.as_bytes()


def html() -> bytes:
    return (
        "<!doctype html><html><head><meta charset='iso-8859-15'><title>The title</title>"
        "<style>.silent { }</style><script>var silent;</script></head><body><p>nee<b>dle</b> caf"
        "é &eacute;t&#233; <img alt='a picture'></p><p>next</p></body></html>"
    ).encode("iso-8859-15")


def rtf() -> bytes:
    return (
        rb"{\rtf1\ansi\ansicpg1250{\fonttbl{\f0 Silent;}}{\*\generator Silent}\f0 needle "
        rb"\u26085?\u26412? \'9elu\par next}"
    )


# Made to do harm


def zip_bomb() -> bytes:
    """320 MB of spaces where the text of a Word document stands."""
    held = io.BytesIO()
    with (
        zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("word/document.xml", "w") as part,
    ):
        part.write(b"<w>")
        for _ in range(320):
            part.write(b" " * 1024 * 1024)
    return held.getvalue()


def xml_bomb() -> bytes:
    """A billion laughs."""
    entities = "".join(
        f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' if n else '<!ENTITY l0 "lol">' for n in range(10)
    )
    return zipped({"word/document.xml": f"<!DOCTYPE w [{entities}]><w><t>&l9;</t></w>"})


def outside_entity() -> bytes:
    """Wants a file of the server's in its text."""
    head = '<!DOCTYPE w [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
    return zipped({"word/document.xml": f"{head}<w><t>&x;</t></w>"})


def deep_xml() -> bytes:
    """Half a million elements in each other."""
    return zipped({"word/document.xml": "<a>" * 500_000})


def wide_xml() -> bytes:
    """One element with a name, and an attribute, of many megabytes."""
    return zipped({"word/document.xml": f'<a b="{"x" * 20_000_000}"/>'})


def pdf_of_endless_pages() -> bytes:
    """A tree of pages that is its own child, and says it has two thousand million."""
    return (
        b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
        b"2 0 obj\n<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2000000000 >>\nendobj\n"
        b"trailer\n<< /Size 3 /Root 1 0 R >>\n%%EOF\n"
    )


def pdf_that_unpacks() -> bytes:
    """A page whose contents unpack to 400 MB, in two steps."""
    piece = zlib.compress(b" " * 400_000_000, 1)
    stream = zlib.compress(piece, 9)
    head = b"4 0 obj\n<< /Length %d /Filter [/FlateDecode /FlateDecode] >>\nstream\n" % len(stream)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>"
    return (
        b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
        b"2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n"
        b"3 0 obj\n" + page + b"\nendobj\n"
        + head + stream + b"\nendstream\nendobj\ntrailer\n<< /Size 5 /Root 1 0 R >>\n%%EOF\n"
    )  # fmt: skip


def locked_pdf() -> bytes:
    """One that asks for a password (revision 2, 40 bits): nobody knows it."""
    from reportlab.lib import pdfencrypt
    from reportlab.pdfgen.canvas import Canvas

    held = io.BytesIO()
    lock = pdfencrypt.StandardEncryption("somebody's", "nobody's", strength=128)
    canvas = Canvas(held, encrypt=lock)
    canvas.drawString(72, 720, "needle")
    canvas.save()
    return held.getvalue()


def mail_of_mails() -> bytes:
    """Mails in mails, a thousand deep."""
    inner = b"Subject: needle\n\nhay\n"
    for _ in range(1000):
        inner = b"Subject: x\nContent-Type: message/rfc822\n\n" + inner
    return inner


def broken_pdf() -> bytes:
    whole = pdf(pages=3)
    return whole[: len(whole) // 2].replace(b"obj", b"jbo")


def noise(size: int = 100_000) -> bytes:
    return base64.b85encode(zlib.compress(bytes(range(256)) * (size // 256)))
