"""Downloading: the bytes, the headers to the letter, and nothing that could run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import DEED, Browser, Cast
from portal import access, audit
from portal.documents import media_types
from portal.extensions import db
from portal.models import Document, Version
from portal.storage import delivery
from stage import NOTHING, database_dump, events, file_part, form, send_form, stored_files

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def book(alice: Browser) -> dict[str, Any]:
    """Something long enough to have parts."""
    return alice.upload("book.bin", CONTENT)


def test_every_header_is_there_to_the_letter(alice: Browser, deed: dict[str, Any]) -> None:
    response = alice.get(deed["download_url"])
    digest = hashlib.sha256(DEED)
    assert response.status_code == 200
    assert response.data == DEED
    assert dict(response.headers) == {
        "Content-Type": "application/pdf",
        "Content-Disposition": 'attachment; filename="deed.pdf"',
        "Content-Length": str(len(DEED)),
        "Accept-Ranges": "bytes",
        "ETag": f'"{digest.hexdigest()}"',
        "Repr-Digest": f"sha-256=:{base64.b64encode(digest.digest()).decode()}:",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
        # Who is signed in decides what one gets.
        "Vary": "Cookie",
    }


def test_head_has_the_headers_of_get_and_is_no_download(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    get = alice.get(deed["download_url"])
    before = database_dump(app)
    head = alice.head(deed["download_url"])
    assert (head.status_code, head.data) == (200, b"")
    assert dict(head.headers) == dict(get.headers)
    assert database_dump(app) == before


def test_no_cookie_is_set_and_no_session_written(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    before = database_dump(app, "audit_events", "audit_head")
    for headers in ({}, {"Range": "bytes=0-3"}, {"If-None-Match": "*"}):
        assert "Set-Cookie" not in alice.get(deed["download_url"], headers=headers).headers
    assert database_dump(app, "audit_events", "audit_head") == before


def test_download_is_in_the_audit_log_before_its_first_byte(
    app: Flask, alice: Browser, book: dict[str, Any]
) -> None:
    response = alice.get(book["download_url"], buffered=False)
    (event,) = events(app, "document.downloaded")
    assert (event.actor, event.owner) == ("alice@example.org", "alice@example.org")
    assert event.document == book["id"]
    assert event.detail == {"name": "book.bin", "reason": "owner"}
    response.close()


def test_part_of_a_document_says_which_in_the_audit_log(
    app: Flask, alice: Browser, book: dict[str, Any]
) -> None:
    alice.get(book["download_url"], headers={"Range": "bytes=5-9"})
    assert events(app, "document.downloaded")[0].detail["bytes"] == "5-9"


# What a browser could run

RUNNABLE = {
    "page.html": b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>",
    "picture.svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="x()"/>',
    "data.xml": b'<?xml version="1.0"?><?xml-stylesheet href="x"?><a/>',
    "page.xhtml": b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"></html>',
    "innocent.pdf": b"<html><script>alert(1)</script></html>",
    "innocent.png": b'<svg xmlns="http://www.w3.org/2000/svg"><script>x()</script></svg>',
}


@pytest.mark.parametrize("name", RUNNABLE)
def test_what_could_run_is_sent_as_plain_bytes(alice: Browser, name: str) -> None:
    document = alice.upload(name, RUNNABLE[name])
    assert document["media_type"] != "application/octet-stream"
    response = alice.get(document["download_url"])
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Content-Disposition"].startswith("attachment; ")
    assert response.data == RUNNABLE[name]


@pytest.mark.parametrize(
    "media_type",
    [
        "text/html",
        "text/xml",
        "text/css",
        "text/javascript",
        "application/javascript",
        "application/ecmascript",
        "application/x-javascript",
        "application/xml",
        "application/xhtml+xml",
        "application/rss+xml",
        "application/mathml+xml",
        "image/svg+xml",
        "application/wasm",
        "application/x-shockwave-flash",
        "multipart/related",
        "message/rfc822",
    ],
)
def test_runnable_type_never_leaves(
    app: Flask, alice: Browser, deed: dict[str, Any], media_type: str
) -> None:
    with app.app_context():
        db.session.query(Version).one().media_type = media_type
        db.session.commit()
    response = alice.get(deed["download_url"])
    assert response.headers["Content-Type"] == "application/octet-stream"


def test_other_types_are_told(alice: Browser) -> None:
    for name, content in (("a.txt", b"words\n"), ("a.csv", b"a,b\n1,2\n"), ("a.pdf", DEED)):
        document = alice.upload(name, content)
        response = alice.get(document["download_url"])
        assert response.headers["Content-Type"] == document["media_type"]


@given(st.binary(max_size=2000), st.sampled_from(["", "pdf", "html", "docx", "csv", "exe"]))
def test_type_is_always_one_a_header_can_carry(head: bytes, ending: str) -> None:
    found = media_types.detect(head, ending)
    assert found.isascii()
    assert found.isprintable()
    assert found.count("/") == 1


# Parts (RFC 9110, 14)

SIZE = len(CONTENT)
SATISFIABLE = [
    ("bytes=0-0", 0, 1),
    ("bytes=0-", 0, SIZE),
    ("bytes=5-9", 5, 10),
    ("bytes=65535-65536", 65535, 65537),
    (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
    (f"bytes=10-{SIZE + 500}", 10, SIZE),
    ("bytes=-1", SIZE - 1, SIZE),
    ("bytes=-500", SIZE - 500, SIZE),
    (f"bytes=-{SIZE + 10}", 0, SIZE),
    ("bytes = 5-9", 5, 10),
]


@pytest.mark.parametrize(("header", "start", "stop"), SATISFIABLE)
def test_range_gives_exactly_that_part(
    alice: Browser, book: dict[str, Any], header: str, start: int, stop: int
) -> None:
    response = alice.get(book["download_url"], headers={"Range": header})
    assert response.status_code == 206
    assert response.data == CONTENT[start:stop]
    assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert response.headers["Content-Length"] == str(stop - start)
    assert response.headers["ETag"] == f'"{book["sha256"]}"'


@pytest.mark.parametrize("header", [f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}"])
def test_range_past_the_end_cannot_be_satisfied(
    app: Flask, alice: Browser, book: dict[str, Any], header: str
) -> None:
    response = alice.get(book["download_url"], headers={"Range": header})
    assert (response.status_code, response.data) == (416, b"")
    assert response.headers["Content-Range"] == f"bytes */{SIZE}"
    assert response.headers["Content-Length"] == "0"
    assert events(app, "document.downloaded") == []


@pytest.mark.parametrize(
    "header",
    [
        "bytes=0-1,5-9",
        "bytes=-5,0-3",
        "bytes=9-5",
        "bytes=",
        "bytes=a-b",
        "bytes=5",
        "bytes=--5",
        "lines=0-5",
        "nonsense",
        "bytes=0-1-2",
        "bytes=\u0661-\u0662",
    ],
)
def test_range_that_is_not_one_part_is_answered_with_the_whole_or_refused(
    alice: Browser, book: dict[str, Any], header: str
) -> None:
    value = header.encode().decode("latin-1")
    response = alice.get(book["download_url"], headers={"Range": value})
    if response.status_code == 416:
        assert response.data == b""
    else:
        assert response.status_code == 200
        assert response.data == CONTENT


def test_range_of_an_empty_document_cannot_be_satisfied(alice: Browser) -> None:
    (empty,) = send_form(alice, form([file_part(b"", "empty")])).get_json()["documents"]
    for header in ("bytes=0-", "bytes=0-5", "bytes=-5"):
        assert alice.get(empty["download_url"], headers={"Range": header}).status_code == 416


def test_range_on_head_is_ignored(alice: Browser, book: dict[str, Any]) -> None:
    response = alice.head(book["download_url"], headers={"Range": "bytes=0-4"})
    assert (response.status_code, response.headers["Content-Length"]) == (200, str(SIZE))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_range_is_that_slice(
    app: Flask, alice: Browser, book: dict[str, Any], data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, SIZE - 1))
    last = data.draw(st.integers(start, SIZE + 10))
    response = alice.get(book["download_url"], headers={"Range": f"bytes={start}-{last}"})
    assert response.status_code == 206
    assert response.data == CONTENT[start : last + 1]


def test_if_range_gives_the_part_only_of_the_same_content(
    alice: Browser, book: dict[str, Any]
) -> None:
    etag = f'"{book["sha256"]}"'
    for if_range, status in (
        (etag, 206),
        (f"W/{etag}", 200),
        ('"other"', 200),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 200),
        ("", 200),
        (book["sha256"], 200),
    ):
        headers = {"Range": "bytes=0-4", "If-Range": if_range}
        response = alice.get(book["download_url"], headers=headers)
        assert response.status_code == status, if_range
        assert response.data == (CONTENT[:5] if status == 206 else CONTENT)


def test_what_one_has_already_is_not_sent_again(
    app: Flask, alice: Browser, book: dict[str, Any]
) -> None:
    etag = f'"{book["sha256"]}"'
    for value in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = alice.get(book["download_url"], headers={"If-None-Match": value})
        assert (response.status_code, response.data) == (304, b""), value
        assert response.headers["ETag"] == etag
        assert "Content-Length" not in response.headers
    assert events(app, "document.downloaded") == []
    response = alice.get(book["download_url"], headers={"If-None-Match": '"other"'})
    assert response.status_code == 200


def test_a_strangers_conditions_change_nothing(bob: Browser, book: dict[str, Any]) -> None:
    etag = f'"{book["sha256"]}"'
    for headers in (
        {"If-None-Match": etag},
        {"If-None-Match": "*"},
        {"Range": "bytes=0-4", "If-Range": etag},
        {"Range": f"bytes={SIZE}-"},
    ):
        assert bob.get(book["download_url"], headers=headers).status_code == 404


# Versions


def test_version_that_is_there_is_sent_and_another_is_not_found(
    alice: Browser, deed: dict[str, Any]
) -> None:
    assert alice.get(f"{deed['download_url']}?version=1").data == DEED
    missing = alice.get(f"/documents/{NOTHING}/download")
    for version in ("0", "2", "-1", "", "x", "1.0", "01x", "9" * 9, "9" * 30, "²", "１"):
        response = alice.get(deed["download_url"], query_string={"version": version})
        assert response.status_code == 404, version
        assert response.data == missing.data


def test_older_version_keeps_its_own_bytes(app: Flask, alice: Browser) -> None:
    first = alice.upload("a.txt", b"first")
    second = alice.upload("b.txt", b"second!")
    with app.app_context():
        documents = {str(each.public_id): each for each in db.session.query(Document)}
        moved = db.session.query(Version).filter_by(document_id=documents[second["id"]].id).one()
        moved.document_id, moved.number = documents[first["id"]].id, 2
        documents[first["id"]].version = 2
        documents[first["id"]].size_bytes = 7
        db.session.commit()
    assert alice.get(first["download_url"]).data == b"second!"
    assert alice.get(f"{first['download_url']}?version=2").data == b"second!"
    assert alice.get(f"{first['download_url']}?version=1").data == b"first"
    assert alice.get(second["download_url"]).status_code == 404
    page = alice.get(first["url"]).text.partition('id="facts-title"')[2]
    assert f'title="{second["sha256"]}"' in page
    assert f'title="{first["sha256"]}"' not in page


# When something is wrong


@pytest.mark.parametrize("damage", ["missing", "shorter", "longer", "a folder", "a link"])
def test_damaged_document_is_an_error_before_the_first_byte(
    app: Flask, alice: Browser, book: dict[str, Any], damage: str
) -> None:
    (file,) = stored_files(app)
    if damage == "shorter":
        file.write_bytes(CONTENT[:-1])
    elif damage == "longer":
        file.write_bytes(CONTENT + b"x")
    else:
        whole = file.rename(file.with_name("elsewhere"))
        if damage == "a folder":
            file.mkdir()
        elif damage == "a link":
            file.symlink_to(whole)
    for headers in ({}, {"Range": "bytes=0-4"}):
        response = alice.get(book["download_url"], headers=headers)
        assert response.status_code in {500, 503}
        assert "attachment" not in response.headers.get("Content-Disposition", "")
        assert CONTENT[:100] not in response.data
        assert "ETag" not in response.headers
    assert events(app, "document.downloaded") == []


def test_slot_of_a_refused_download_is_given_back(
    app: Flask, alice: Browser, book: dict[str, Any]
) -> None:
    (file,) = stored_files(app)
    whole = file.rename(file.with_name("elsewhere"))
    for _ in range(delivery.TRANSFERS + 5):
        assert alice.get(book["download_url"]).status_code == 500
    whole.rename(file)
    assert alice.get(book["download_url"]).status_code == 200


@pytest.fixture
def all_slots_taken(app: Flask, alice: Browser, book: dict[str, Any]) -> Iterator[list[Any]]:
    """Every slot of this process carries a download that nobody reads on."""
    with app.test_request_context("/"):
        person = type("Person", (), {"user_id": 1, "email": alice.email, "is_admin": False})()
        grant = access.grant_to_user(person, access.uuid.UUID(book["id"]))
        responses = []
        for number in range(delivery.TRANSFERS):  # of several people: none may have them all
            with audit.acting(audit.Origin(actor=f"person {number % 4}")):
                responses.append(delivery.send(grant, request))
    yield responses
    for response in responses:
        response.close()


def test_one_download_too_many_is_told_to_come_back(
    app: Flask, alice: Browser, book: dict[str, Any], all_slots_taken: list[Any]
) -> None:
    response = alice.get(book["download_url"])
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert alice.get("/documents").status_code == 200
    assert alice.head(book["download_url"]).status_code == 200
    assert len(events(app, "document.downloaded")) == delivery.TRANSFERS
    all_slots_taken.pop().close()
    response = alice.get(book["download_url"])
    assert (response.status_code, response.data) == (200, CONTENT)
    response.close()


def test_slot_comes_back_however_a_download_ends(
    app: Flask, alice: Browser, book: dict[str, Any], all_slots_taken: list[Any]
) -> None:
    # Closed twice, read to the end and closed, forgotten.
    first, second = all_slots_taken.pop(), all_slots_taken.pop()
    first.close()
    first.close()
    assert b"".join(second.response) == CONTENT
    second.close()
    del second, first
    all_slots_taken.pop()
    taken = [alice.get(book["download_url"], buffered=False) for _ in range(4)]
    assert [each.status_code for each in taken] == [200, 200, 200, 503]
    for each in taken:
        each.close()


def test_name_of_every_kind_comes_back_in_the_header(cast: Cast, app: Flask) -> None:
    alice = cast.person("alice@example.org", "Alice")
    for name in ("日本語.pdf", "Übersicht – März 2026.pdf", "👩‍👩‍👧.jpg", "100% 'ok' (1).txt"):
        (document,) = send_form(alice, form([file_part(b"x", name)])).get_json()["documents"]
        header = alice.get(document["download_url"]).headers["Content-Disposition"]
        assert "filename*=UTF-8''" in header
        header.encode("ascii")
