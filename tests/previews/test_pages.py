"""PDF pages and text: as far as they are drawn, and what is not."""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from flask import Flask
from PIL import Image, ImageChops

from conftest import Browser, missing
from live.real_files import docx
from live.real_files import pdf as written_pdf
from portal.confinement import landlock
from portal.jobs import children
from portal.previews import kinds, office
from portal.previews.drawing.text import decoded
from previews.stage import draw, page, pdf, state_of, thumbnail, upload


def look(browser: Browser, document: dict[str, Any]) -> dict[str, Any]:
    answer = browser.get(f"{document['url']}/preview", headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def test_every_page_of_a_pdf_can_be_looked_at(app: Flask, alice: Browser) -> None:
    document = upload(alice, "deed.pdf", written_pdf("The deed", 3))
    assert draw(app) == 1
    assert thumbnail(alice, document).size == (848, 1200)
    assert thumbnail(alice, document, "small").size == (226, 320)
    assert max(page(alice, document, 3).size) == 1600
    # Something is written there.
    assert page(alice, document, 2).convert("L").getextrema()[0] < 100
    assert alice.get(f"{document['url']}/preview/pages/4").status_code == 404
    found = look(alice, document)
    assert (found["state"], found["kind"], found["page_count"]) == ("made", "pdf", 3)
    assert [each["url"] for each in found["pages"]] == [
        f"{document['url']}/preview/pages/{number}" for number in (1, 2, 3)
    ]


def test_list_says_how_far_each_picture_is(app: Flask, alice: Browser) -> None:
    def listed() -> dict[str, str]:
        answer = alice.get("/documents?preview=", headers={"Accept": "application/json"})
        return {each["name"]: each["preview"] for each in answer.get_json()["documents"]}

    upload(alice, "deed.pdf", written_pdf())
    upload(alice, "broken.pdf", b"%PDF-1.7\nnothing\n%%EOF\n")
    upload(alice, "program.exe", b"MZ" + bytes(200))
    unknown = {"program.exe": "impossible"}
    assert listed() == {"deed.pdf": "pending", "broken.pdf": "pending"} | unknown
    assert alice.get("/documents").text.count('data-preview="pending"') == 2
    draw(app)
    assert listed() == {"deed.pdf": "made", "broken.pdf": "impossible"} | unknown
    assert 'data-preview="pending"' not in alice.get("/documents").text


def test_of_a_thousand_pages_the_first_fifty_are_drawn(app: Flask, alice: Browser) -> None:
    document = upload(alice, "long.pdf", pdf(1000, 200, 200))
    draw(app)
    found = look(alice, document)
    assert (found["page_count"], len(found["pages"])) == (1000, 50)


@pytest.mark.parametrize(("width", "height"), [(14_400, 14_400), (3, 14_400), (1, 1)])
def test_pages_of_odd_sizes_stay_within_bounds(
    app: Flask, alice: Browser, width: int, height: int
) -> None:
    document = upload(alice, "plan.pdf", pdf(1, width, height))
    draw(app)
    assert max(thumbnail(alice, document).size) <= 1200
    assert max(page(alice, document).size) <= 1600


def encrypted() -> bytes:
    """A PDF that asks for a password: what stands in its dictionary is enough for that."""
    content = written_pdf("Secret", 1)
    at = content.index(b"/Root")
    locked = (
        b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -44 /O ("
        + b"A" * 32
        + b") /U ("
        + b"B" * 32
        + b") >> /ID [("
        + b"C" * 16
        + b") ("
        + b"C" * 16
        + b")] "
    )
    return content[:at] + locked + content[at:]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encrypted(), "encrypted"),
        (b"%PDF-1.7\nThe deed of the house.\n%%EOF\n", "damaged"),
        (b"%PDF-1.7\n" + bytes(2000), "damaged"),
    ],
)
def test_what_cannot_be_read_gives_an_icon(
    app: Flask, alice: Browser, data: bytes, reason: str
) -> None:
    document = upload(alice, "a.pdf", data)
    assert document["media_type"] == "application/pdf"
    assert draw(app) == 1
    state = state_of(app, document)
    assert state is not None
    assert (state.state, state.reason, state.tries) == ("impossible", reason, 1)
    assert look(alice, document)["reason"] == reason
    page = alice.get(f"{document['url']}/preview").get_data(as_text=True)
    assert "no preview" in page
    assert "Download" in page


POEM = "Ünder dem Äpfelbaum\n\tlag <b>ein</b> Brief & mehr.\n"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", POEM),
        ("utf-8-sig", POEM),
        ("utf-16", POEM),
        ("utf-16-le", POEM),
        ("utf-16-be", POEM),
        ("utf-32", POEM),
        ("cp1252", POEM),
        ("shift_jis", "賃貸借契約書です。署名してください。" * 8),
        ("gb18030", "房屋租赁合同,请签字后寄回给我们。" * 8),
        ("koi8-r", "Договор аренды квартиры, подписанный обеими сторонами. " * 8),
    ],
)
def test_text_is_read_in_many_encodings(encoding: str, text: str) -> None:
    assert decoded(text.encode(encoding)) == text


def test_text_may_end_in_the_middle_of_a_character() -> None:
    assert decoded("Äpfel und Birnen ü".encode()[:-1]) == "Äpfel und Birnen "
    assert decoded(b"") == ""


def test_text_is_shown_with_the_numbers_of_its_lines_and_never_runs(
    app: Flask, alice: Browser
) -> None:
    source = "<script>alert(1)</script>\n\n\tprint('\u202edrawkcab')\n" + "x" * 5000 + "\n"
    document = upload(alice, "a.py", source.encode())
    assert draw(app) == 1
    response = alice.get(f"{document['url']}/preview")
    shown = response.get_data(as_text=True)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "<script>alert" not in shown
    assert "\u202e" not in shown
    assert "x" * 1000 in shown
    assert "x" * 1001 not in shown
    assert shown.count('<li value="') == 4
    assert "    print" in shown
    assert thumbnail(alice, document).size == (900, 1200)
    assert thumbnail(alice, document).convert("L").getextrema()[0] < 100
    assert alice.get(f"{document['url']}/preview/pages/1").status_code == 404


def test_of_a_long_text_the_beginning_is_shown(app: Flask, alice: Browser) -> None:
    lines = "".join(f"line {number}\n" for number in range(300_000))
    document = upload(alice, "long.txt", lines.encode())
    draw(app)
    shown = alice.get(f"{document['url']}/preview").get_data(as_text=True)
    assert "line 1999" in shown
    assert "line 2000" not in shown
    assert "beginning" in shown


def test_html_is_shown_as_its_source(app: Flask, alice: Browser) -> None:
    document = upload(alice, "a.html", b"<!doctype html><h1 onclick=x>Hello</h1>")
    assert document["media_type"] == "text/html"
    draw(app)
    shown = alice.get(f"{document['url']}/preview").get_data(as_text=True)
    assert "&lt;h1 onclick=x&gt;" in shown


@pytest.mark.parametrize("is_walled", [True, False])
def test_without_libreoffice_or_walls_around_it_an_office_document_has_an_icon(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_walled: bool
) -> None:
    if is_walled:
        monkeypatch.setenv("PATH", "/nowhere")
    else:
        (tmp_path / "soffice").touch(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(landlock, "version", lambda: 0)
    kinds.soffice.cache_clear()
    try:
        document = upload(alice, "a.docx", docx("A letter"))
        assert draw(app) == 0
        response = alice.get(f"{document['url']}/thumbnail")
        assert response.headers["Preview-State"] == "impossible"
    finally:
        kinds.soffice.cache_clear()


def test_with_libreoffice_it_has_pages(app: Flask, alice: Browser) -> None:
    if shutil.which("soffice") is None:
        missing("LibreOffice", "apt-get install --no-install-recommends libreoffice-writer-nogui")
    kinds.soffice.cache_clear()
    document = upload(alice, "a.docx", docx("A letter"))
    assert draw(app) == 1
    assert thumbnail(alice, document).height == 1200
    assert look(alice, document)["kind"] == "office"
    assert list((app.extensions["settings"].instance_dir / "cache" / "office").iterdir()) == []


_ODT = "application/vnd.oasis.opendocument.text"
_OASIS = "urn:oasis:names:tc:opendocument:xmlns"


def odt_that_names(*addresses: str) -> bytes:
    """A letter whose pictures lie elsewhere: on their own, in a drawing, behind the text."""
    frame = (
        '<draw:frame text:anchor-type="as-char" svg:width="5cm" svg:height="5cm">{}</draw:frame>'
    )
    shown, styles = "", ""
    for number, address in enumerate(addresses):
        link = f'xlink:href="{address}" xlink:type="simple" xlink:actuate="onLoad"'
        drawing = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'width="99" height="99"><image width="99" height="99" xlink:href="{address}"/></svg>'
        )
        inside = base64.b64encode(drawing.encode()).decode()
        inside = f"<draw:image><office:binary-data>{inside}</office:binary-data></draw:image>"
        styles += (
            f'<style:style style:name="P{number}" style:family="paragraph">'
            f"<style:paragraph-properties><style:background-image {link}/>"
            "</style:paragraph-properties></style:style>"
        )
        shown += (
            f'<text:p text:style-name="P{number}">A letter{frame.format(f"<draw:image {link}/>")}'
            f"{frame.format(inside)}</text:p>"
        )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as parts:
        parts.writestr("mimetype", _ODT)
        parts.writestr(
            "META-INF/manifest.xml",
            f'<manifest:manifest xmlns:manifest="{_OASIS}:manifest:1.0"><manifest:file-entry '
            f'manifest:full-path="/" manifest:media-type="{_ODT}"/><manifest:file-entry '
            'manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>',
        )
        parts.writestr(
            "content.xml",
            f"<office:document-content {_namespaces()} office:version='1.2'>"
            f"<office:automatic-styles>{styles}</office:automatic-styles><office:body>"
            f"<office:text>{shown}</office:text></office:body></office:document-content>",
        )
    return packed.getvalue()


def _namespaces() -> str:
    known = {each: each for each in ("office", "text", "style")}
    known |= {"draw": "drawing", "svg": "svg-compatible"}
    spaces = [f'xmlns:{short}="{_OASIS}:{name}:1.0"' for short, name in known.items()]
    return " ".join([*spaces, 'xmlns:xlink="http://www.w3.org/1999/xlink"'])


def test_office_document_fetches_nothing_from_elsewhere(
    app: Flask, alice: Browser, tmp_path: Path
) -> None:
    """Neither a picture on this machine nor anything at an address that it can reach."""
    if shutil.which("soffice") is None:
        missing("LibreOffice", "apt-get install --no-install-recommends libreoffice-writer-nogui")
    kinds.soffice.cache_clear()
    asked: list[str] = []

    class Neighbour(BaseHTTPRequestHandler):
        def parse_request(self) -> bool:
            asked.append(self.raw_requestline.decode())
            return super().parse_request()

        def log_message(self, *args: Any) -> None:
            pass

    own = tmp_path / "of-somebody-else.png"
    Image.new("RGB", (200, 200), (255, 0, 0)).save(own)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Neighbour)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}/inside.png"
        letter = odt_that_names(own.as_uri(), address)
        document = upload(alice, "letter.odt", letter)
        assert document["media_type"] == _ODT
        assert draw(app) == 1
    finally:
        server.shutdown()
        server.server_close()
    assert asked == []
    red, green, _ = thumbnail(alice, document).convert("RGB").split()
    assert ImageChops.subtract(red, green).getextrema()[1] < 100


def test_program_that_draws_reaches_no_network_and_no_file_that_is_not_its_own(
    tmp_path: Path,
) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    other.write_text("of somebody else")
    script = """
import os, socket, sys
def tried(act, *what):
    try:
        act(*what)
    except PermissionError:
        return "refused"
    return "done"
print(
    *(tried(socket.socket, kind) for kind in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)),
    *(tried(open, each) for each in (sys.argv[1], "/proc/self/environ", "/etc/hostname")),
    tried(os.listdir, os.path.dirname(sys.argv[1])),
    tried(open, sys.argv[1], "w"),
    tried(os.truncate, sys.argv[1], 0),
    tried(open, os.environ["HOME"] + "/new", "w"),
)
"""
    python = ["/usr/bin/python3", "-I", "-c", script, str(other)]
    if not Path(python[0]).exists():
        missing("Python of the system", "apt-get install python3-minimal")
    command = office.command(python, str(own))
    environment = {"HOME": str(own)}
    with (
        open("/dev/null", "rb") as nothing,
        children.running(command, nothing.fileno(), environment, may_wait=False) as process,
    ):
        assert process.stdout is not None
        said = process.stdout.read().decode().split()
    assert said[:3] == ["refused", "refused", "done"]
    if landlock.version() < 1:
        missing("Landlock", "a kernel that has it")
    assert said[3:8] == ["refused"] * 5
    if landlock.version() >= 3:
        assert said[8] == "refused"
    assert said[9:] == ["done"]


def test_libreoffice_is_bounded(
    app: Flask, alice: Browser, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in its place that never ends, and one that fails."""
    program = tmp_path / "soffice"
    program.write_text("#!/bin/sh\nsleep 600\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(office, "WALL_SECONDS", 1.0)
    kinds.soffice.cache_clear()
    try:
        document = upload(alice, "a.docx", docx("A letter"))
        assert draw(app) == 0
        state = state_of(app, document)
        assert state is not None
        assert (state.state, state.tries) == ("pending", 1)
        program.write_text("#!/bin/sh\nexit 1\n")
        document = upload(alice, "b.docx", docx("Another"))
        assert draw(app) == 1
        state = state_of(app, document)
        assert state is not None
        assert (state.state, state.reason) == ("impossible", "damaged")
    finally:
        kinds.soffice.cache_clear()
    folder = app.extensions["settings"].instance_dir / "cache" / "office"
    assert list(folder.iterdir()) == []
    assert subprocess.run(["pgrep", "-f", str(folder)], capture_output=True).stdout == b""


def test_the_tests_pdf_is_one() -> None:
    assert len(pypdfium2.PdfDocument(io.BytesIO(pdf(2)))) == 2
