"""The download response: one function, the same headers for everybody, and only whole bytes."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update
from werkzeug.test import TestResponse

from audit.locking import locked_log
from conftest import DEED, Browser, Cast
from portal import database
from portal.database import transaction
from portal.models import Version
from portal.storage import CHUNK, delivery
from portal.storage.pace import SMALL_BYTES
from portal.storage.slots import Slots
from stage import at_once, database_dump, events, stored_files, twins

SIZE = len(DEED)
LONG = hashlib.shake_256(b"long").digest(SMALL_BYTES + 5 * CHUNK + 321)
SHA256 = hashlib.sha256(DEED).digest()
ETAG = f'"{SHA256.hex()}"'

#: CONTRACT, 4: the same on every download, whatever part of it.
ALWAYS = {
    "Content-Type": "application/pdf",
    "Content-Disposition": 'attachment; filename="deed.pdf"',
    "Accept-Ranges": "bytes",
    "ETag": ETAG,
    "Repr-Digest": f"sha-256=:{base64.b64encode(SHA256).decode()}:",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}

Get = Callable[..., TestResponse]


def ticket_for(browser: Browser, document: dict[str, Any]) -> str:
    """The address a share link's download leads to."""
    path = browser.share(document)["path"]
    location: str = browser.client.post(f"{path}/download").location
    return location


@pytest.fixture(params=["owner", "share link"])
def where(
    request: pytest.FixtureRequest, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> tuple[Browser, str]:
    """Who fetches the deed, and from where."""
    if request.param == "owner":
        return alice, deed["download_url"]
    return visitor, ticket_for(alice, deed)


def downloads(app: Flask) -> list[dict[str, Any]]:
    return [event.detail for event in events(app, "document.downloaded")]


# Headers


ANSWERS: list[tuple[str, dict[str, str], int, dict[str, str]]] = [
    ("GET", {}, 200, {"Content-Length": str(SIZE)}),
    ("HEAD", {}, 200, {"Content-Length": str(SIZE)}),
    (
        "GET",
        {"Range": "bytes=0-4"},
        206,
        {"Content-Length": "5", "Content-Range": f"bytes 0-4/{SIZE}"},
    ),
    ("HEAD", {"Range": "bytes=0-4"}, 200, {"Content-Length": str(SIZE)}),
    ("GET", {"If-None-Match": ETAG}, 304, {}),
    ("HEAD", {"If-None-Match": ETAG}, 304, {}),
    (
        "GET",
        {"Range": f"bytes={SIZE}-"},
        416,
        {"Content-Length": "0", "Content-Range": f"bytes */{SIZE}"},
    ),
]


def test_headers_are_these_to_the_letter(where: tuple[Browser, str]) -> None:
    browser, path = where
    for method, asked, status, more in ANSWERS:
        check_headers(browser, path, method, asked, status, more)


def check_headers(
    browser: Browser,
    path: str,
    method: str,
    asked: dict[str, str],
    status: int,
    more: dict[str, str],
) -> None:
    response = browser.client.open(path, method=method, headers=asked)
    assert response.status_code == status
    expected = {**ALWAYS, **more}
    if status == 304:  # Nothing comes that could have a type (RFC 9110, 15.4.5).
        del expected["Content-Type"]
    for name, value in expected.items():
        assert response.headers.getlist(name) == [value], name
    assert "Set-Cookie" not in response.headers
    for name in ("Content-Length", "Content-Range", "Last-Modified", "Expires"):
        assert (name in response.headers) == (name in more), name
    bodies = {200: DEED if method == "GET" else b"", 206: DEED[:5]}
    assert response.data == bodies.get(status, b"")


def test_head_has_the_headers_of_get(where: tuple[Browser, str]) -> None:
    browser, path = where
    assert sorted(browser.head(path).headers) == sorted(browser.get(path).headers)


def test_owner_and_holder_of_a_link_get_the_same_answer(
    alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    mine, theirs = alice.get(deed["download_url"]), visitor.get(ticket_for(alice, deed))
    assert mine.data == theirs.data
    differ = {key for key, _ in set(mine.headers) ^ set(theirs.headers)}
    assert differ <= {"X-Robots-Tag", "Vary"}


def test_no_cookie_is_set_and_no_session_written(app: Flask, alice: Browser, deed: Any) -> None:
    before = database_dump(app, "audit_events", "audit_head")
    for asked in ({}, {"Range": "bytes=0-1"}, {"If-None-Match": "*"}):
        response = alice.get(deed["download_url"], headers=asked)
        assert "Set-Cookie" not in response.headers
    assert database_dump(app, "audit_events", "audit_head") == before


RUNNABLE = [
    ("a.html", b"<!DOCTYPE html><html><script>alert(1)</script></html>"),
    ("a.pdf", b"<!DOCTYPE html><html><script>alert(1)</script></html>"),
    ("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
    (
        "a.svg",
        b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="1"></svg>',
    ),
    ("a.xml", b'<?xml version="1.0"?>\n<a><b/></a>\n'),
    ("a.xhtml", b'<?xml version="1.0"?>\n<html xmlns="http://www.w3.org/1999/xhtml"></html>'),
    ("a.eml", b"Return-Path: <a@example.org>\nReceived: from b\nSubject: c\nFrom: d\n\ne\n"),
    ("a.wasm", b"\0asm\x01\0\0\0"),
]


def test_what_a_browser_could_run_is_sent_as_plain_bytes(alice: Browser) -> None:
    for name, content in RUNNABLE:
        document = alice.upload(name, content)
        response = alice.get(document["download_url"])
        assert response.data == content
        assert response.content_type == "application/octet-stream", document["media_type"]


RUNNABLE_TYPES = [
    "text/html",
    "image/svg+xml",
    "application/xhtml+xml",
    "application/rss+xml",
    "text/xml",
    "application/xml",
    "text/javascript",
    "application/javascript",
    "application/x-javascript",
    "text/css",
    "message/rfc822",
    "multipart/related",
    "application/wasm",
]


def test_no_detected_type_that_runs_is_sent(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    for media_type in RUNNABLE_TYPES:
        with app.app_context(), transaction() as session:
            session.execute(update(Version).values(media_type=media_type))
        response = alice.get(deed["download_url"])
        assert response.content_type == "application/octet-stream", media_type


def test_harmless_type_is_said(alice: Browser) -> None:
    for name, content, media_type in (
        ("a.txt", b"Just words.\n", "text/plain"),
        ("a.pdf", DEED, "application/pdf"),
        ("a.zip", b"PK\x05\x06" + b"\0" * 18, "application/zip"),
    ):
        document = alice.upload(name, content)
        assert alice.get(document["download_url"]).content_type == media_type


def test_name_of_every_script_arrives_in_the_header(alice: Browser) -> None:
    document = alice.upload("Vertrag 日本.pdf")
    response = alice.get(document["download_url"])
    assert response.headers["Content-Disposition"] == (
        "attachment; filename=\"Vertrag.pdf\"; filename*=UTF-8''Vertrag%20%E6%97%A5%E6%9C%AC.pdf"
    )


# Parts


PARTS = [
    ("bytes=0-0", 0, 1),
    ("bytes=0-9", 0, 10),
    ("bytes=5-", 5, SIZE),
    ("bytes=0-", 0, SIZE),
    ("bytes=-1", SIZE - 1, SIZE),
    ("bytes=-10", SIZE - 10, SIZE),
    (f"bytes=-{SIZE}", 0, SIZE),
    (f"bytes=-{SIZE + 1}", 0, SIZE),
    ("bytes=-99999999999999999999", 0, SIZE),
    (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
    (f"bytes=3-{SIZE - 1}", 3, SIZE),
    (f"bytes=3-{SIZE}", 3, SIZE),
    ("bytes=3-99999999999999999999999", 3, SIZE),
    ("BYTES=0-4", 0, 5),
    ("bytes= 0-4 ", 0, 5),
]


def test_part_asked_for_is_sent(where: tuple[Browser, str]) -> None:
    browser, path = where
    for asked, start, stop in PARTS:
        response = browser.get(path, headers={"Range": asked})
        assert response.status_code == 206, asked
        assert response.data == DEED[start:stop], asked
        assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{SIZE}"
        assert response.headers["Content-Length"] == str(stop - start)


PAST_THE_END = [
    f"bytes={SIZE}-",
    f"bytes={SIZE}-{SIZE + 5}",
    "bytes=1000000-",
    "bytes=99999999999999999999-",
]


def test_part_past_the_end_is_416(app: Flask, where: tuple[Browser, str]) -> None:
    browser, path = where
    for asked in PAST_THE_END:
        response = browser.get(path, headers={"Range": asked})
        assert (response.status_code, response.data) == (416, b""), asked
        assert response.headers["Content-Range"] == f"bytes */{SIZE}"
    assert downloads(app) == []


NO_SINGLE_PART = [
    "bytes=0-1,3-4",
    "bytes=0-0,-1",
    "bytes=5-2",
    "bytes=a-b",
    "bytes=",
    "bytes",
    "bytes=1",
    "bytes=--1",
    "bytes=+1-2",
    "bytes=0-1_0",
    "bytes=٣-٤",
    "items=0-1",
    "seconds=1-2",
    "",
    "-",
    "bytes=0-1-2",
    "bytes=" + "9" * 5000 + "-",
    "bytes=0-" + "9" * 5000,
    "bytes=-0",
    ",".join(["bytes=0-1"] * 1000),
]


def test_what_is_no_single_part_gets_the_whole(where: tuple[Browser, str]) -> None:
    browser, path = where
    for asked in NO_SINGLE_PART:
        response = browser.get(path, headers={"Range": asked.encode().decode("latin-1")})
        assert (response.status_code, response.data) == (200, DEED), asked
        assert "Content-Range" not in response.headers


def test_empty_document_has_no_parts(alice: Browser) -> None:
    path = alice.upload("empty.txt", b"")["download_url"]
    for asked in ("bytes=0-", "bytes=0-0", "bytes=-1"):
        response = alice.get(path, headers={"Range": asked})
        assert (response.status_code, response.data) == (416, b"")
        assert response.headers["Content-Range"] == "bytes */0"
    assert alice.get(path).headers["Content-Length"] == "0"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.integers(0, len(LONG) + 10), last=st.integers(0, len(LONG) + 10) | st.none())
def test_any_two_numbers_give_the_right_bytes(
    app: Flask, alice: Browser, first: int, last: int | None
) -> None:
    path = _long_document(app, alice)
    asked = f"bytes={first}-{'' if last is None else last}"
    response = alice.get(path, headers={"Range": asked})
    if last is not None and last < first:
        assert (response.status_code, response.data) == (200, LONG)
    elif first >= len(LONG):
        assert response.status_code == 416
    else:
        stop = len(LONG) if last is None else min(last + 1, len(LONG))
        assert (response.status_code, response.data) == (206, LONG[first:stop])


def _long_document(app: Flask, alice: Browser) -> str:
    known: dict[str, str] = app.extensions.setdefault("long document", {})
    if "path" not in known:
        known["path"] = alice.upload("long.bin", LONG)["download_url"]
    return known["path"]


def test_parts_put_together_are_the_whole(alice: Browser) -> None:
    path = alice.upload("long.bin", LONG)["download_url"]
    joined = b""
    while len(joined) < len(LONG):
        part = alice.get(path, headers={"Range": f"bytes={len(joined)}-{len(joined) + 50_000}"})
        joined += part.data
    assert joined == LONG


# Conditions


IF_RANGE = [
    (ETAG, 206),
    (f" {ETAG} ", 206),
    (f"W/{ETAG}", 200),
    ('"another"', 200),
    (SHA256.hex(), 200),
    ("Wed, 21 Oct 2015 07:28:00 GMT", 200),
    ("*", 200),
    ("", 200),
]


def test_part_of_something_else_is_never_sent(where: tuple[Browser, str]) -> None:
    browser, path = where
    for if_range, status in IF_RANGE:
        response = browser.get(path, headers={"Range": "bytes=0-4", "If-Range": if_range})
        assert response.status_code == status, if_range
        assert response.data == (DEED[:5] if status == 206 else DEED)
        past = browser.get(path, headers={"Range": "bytes=9999-", "If-Range": if_range})
        assert past.status_code == (416 if status == 206 else 200)


IF_NONE_MATCH = [
    (ETAG, 304),
    (f"W/{ETAG}", 304),
    (f'"one", {ETAG}', 304),
    (f'"one",W/{ETAG} ,"two"', 304),
    ("*", 304),
    (" * ", 304),
    ('"another"', 200),
    (SHA256.hex(), 200),
    ('"*"', 200),
    ("", 200),
    (ETAG.upper(), 200),
]


def test_what_somebody_has_is_not_sent_again(where: tuple[Browser, str]) -> None:
    browser, path = where
    for tag, status in IF_NONE_MATCH:
        for method in ("GET", "HEAD"):
            response = browser.client.open(path, method=method, headers={"If-None-Match": tag})
            assert response.status_code == status, tag
        # It is looked at before the range (RFC 9110, 13.2.2).
        part = browser.get(path, headers={"If-None-Match": tag, "Range": "bytes=0-0"})
        assert part.status_code == (304 if status == 304 else 206)


def test_conditions_tell_a_stranger_nothing(
    bob: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    for asked in ({"If-None-Match": ETAG}, {"If-None-Match": "*"}, {"Range": "bytes=9999-"}):
        assert bob.get(deed["download_url"], headers=asked).status_code == 404
        assert bob.head(deed["download_url"], headers=asked).status_code == 404
        assert visitor.get(deed["download_url"], headers=asked).status_code == 302


# The audit log


def test_download_is_in_the_log_once(app: Flask, alice: Browser, deed: dict[str, Any]) -> None:
    alice.get(deed["download_url"])
    (event,) = events(app, "document.downloaded")
    assert (event.actor, event.owner) == ("alice@example.org", "alice@example.org")
    assert event.document == deed["id"]
    assert event.detail == {"name": "deed.pdf", "reason": "owner"}


def test_part_is_in_the_log_with_its_bytes(app: Flask, alice: Browser, deed: Any) -> None:
    for asked in ("bytes=0-4", "bytes=-5", "bytes=0-"):
        alice.get(deed["download_url"], headers={"Range": asked})
    parts = [detail["bytes"] for detail in downloads(app)]
    assert parts == ["0-4", f"{SIZE - 5}-{SIZE - 1}", f"0-{SIZE - 1}"]


def test_download_through_a_link_names_the_link(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed, label="For the bank")
    location = visitor.client.post(f"{link['path']}/download").location
    visitor.get(location)
    (event,) = events(app, "document.downloaded")
    assert (event.actor, event.owner) == ("visitor", "alice@example.org")
    assert event.detail == {
        "name": "deed.pdf",
        "reason": "share link",
        "link": link["id"],
        "label": "For the bank",
    }


def test_asking_without_fetching_is_no_download(app: Flask, where: tuple[Browser, str]) -> None:
    browser, path = where
    browser.head(path)
    browser.head(path, headers={"Range": "bytes=0-4"})
    browser.get(path, headers={"If-None-Match": ETAG})
    browser.get(path, headers={"Range": "bytes=9999-"})
    assert downloads(app) == []


def test_download_is_in_the_log_before_its_first_byte(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    response = alice.get(deed["download_url"], buffered=False)
    assert len(downloads(app)) == 1
    response.close()


# Damage


def _remove(path: Any) -> None:
    path.unlink()


def _shorten(path: Any) -> None:
    os.truncate(path, SIZE - 1)


def _empty(path: Any) -> None:
    os.truncate(path, 0)


def _lengthen(path: Any) -> None:
    os.truncate(path, SIZE + 1)


@pytest.mark.parametrize("damage", [_remove, _shorten, _empty, _lengthen])
def test_damaged_document_is_not_sent_and_has_a_reference(
    app: Flask, where: tuple[Browser, str], damage: Callable[[Any], None], caplog: Any
) -> None:
    browser, path = where
    (file,) = stored_files(app)
    damage(file)
    for asked in ({}, {"Range": "bytes=0-4"}):
        response = browser.get(path, headers=asked)
        assert response.status_code == 500
        assert DEED[:10] not in response.data
        assert "Content-Disposition" not in response.headers
        assert "damaged" in response.text
        reference = re.search(r"\b[0-9a-f]{12}\b", response.text)
        assert reference
        assert reference[0] in caplog.text
        for secret in ("Traceback", "SELECT", str(file.parent), file.name):
            assert secret not in response.text
    problem = browser.get(path, headers={"Accept": "application/json"})
    assert problem.status_code == 500
    if problem.is_json:
        assert re.fullmatch("[0-9a-f]{12}", problem.get_json()["reference"])
    assert downloads(app) == []
    assert free_slots() == delivery.TRANSFERS


def test_document_cut_while_it_is_sent_breaks_off(app: Flask, alice: Browser) -> None:
    path = alice.upload("long.bin", LONG)["download_url"]
    response = alice.get(path, buffered=False)
    pieces = iter(response.response)
    assert next(pieces) == LONG[:CHUNK]
    os.truncate(stored_files(app)[0], CHUNK + 1)
    assert next(pieces) == LONG[CHUNK : CHUNK + 1]
    with pytest.raises(Exception, match="shorter"):
        next(pieces)
    response.close()
    assert free_slots() == delivery.TRANSFERS


# Slots


def free_slots() -> int:
    """How many transfers could begin now."""
    return delivery._slots._total - delivery._slots.taken


@pytest.fixture
def three_slots(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Room for three transfers at once."""
    slots = Slots(3)
    slots._most = 3
    monkeypatch.setattr(delivery, "_slots", slots)
    yield
    assert free_slots() == 3


def test_memory_of_a_transfer_is_one_chunk(alice: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.storage.pace._QUICK_SECONDS", 0)
    path = alice.upload("long.bin", LONG)["download_url"]
    response = alice.get(path, buffered=False)
    lengths = [len(piece) for piece in response.response]
    assert lengths == [CHUNK] * (len(LONG) // CHUNK) + [321]
    response.close()


@pytest.mark.usefixtures("three_slots")
def test_small_part_is_read_at_once_and_needs_no_slot(alice: Browser) -> None:
    path = alice.upload("long.bin", LONG)["download_url"]
    running = [alice.get(path, buffered=False) for _ in range(3)]
    before = len(os.listdir("/proc/self/fd"))
    small = alice.get(path, headers={"Range": f"bytes=7-{SMALL_BYTES + 6}"}, buffered=False)
    assert small.status_code == 206
    assert list(small.response) == [LONG[7 : SMALL_BYTES + 7]]
    assert len(os.listdir("/proc/self/fd")) == before
    larger = {"Range": f"bytes=7-{SMALL_BYTES + 7}"}
    assert alice.get(path, headers=larger).status_code == 503
    for response in running:
        response.close()


@pytest.mark.usefixtures("three_slots")
def test_slot_is_given_back_at_the_end(alice: Browser, deed: dict[str, Any]) -> None:
    for asked in [{}, {"Range": "bytes=0-4"}, {"If-None-Match": "*"}, {"Range": "bytes=999-"}] * 3:
        alice.get(deed["download_url"], headers=asked).close()
        alice.head(deed["download_url"], headers=asked).close()
        assert free_slots() == 3


@pytest.mark.usefixtures("three_slots")
def test_slot_is_given_back_when_the_client_goes_away(alice: Browser) -> None:
    path = alice.upload("long.bin", LONG)["download_url"]
    before = len(os.listdir("/proc/self/fd"))
    unread = alice.get(path, buffered=False)
    assert free_slots() == 2
    unread.close()
    assert free_slots() == 3
    unread.close()
    assert free_slots() == 3
    half = alice.get(path, buffered=False)
    assert next(iter(half.response)) == LONG[:CHUNK]
    half.close()
    assert free_slots() == 3
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.usefixtures("three_slots")
def test_slot_is_given_back_when_a_transfer_is_forgotten(alice: Browser) -> None:
    path = alice.upload("long.bin", LONG)["download_url"]
    response = alice.get(path, buffered=False)
    next(iter(response.response))
    assert free_slots() == 2
    del response
    alice.get("/documents")
    assert free_slots() == 3


@pytest.mark.usefixtures("three_slots")
def test_too_many_transfers_wait_and_pages_do_not(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    path = alice.upload("long.bin", LONG)["download_url"]
    running = [alice.get(path, buffered=False) for _ in range(3)]
    before = len(downloads(app))
    refused = alice.get(path)
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert LONG[:99] not in refused.data
    assert "Content-Disposition" not in refused.headers
    assert len(downloads(app)) == before
    assert alice.get("/documents").status_code == 200
    assert alice.head(path).status_code == 200
    assert alice.get(path, headers={"If-None-Match": "*"}).status_code == 304
    assert alice.get(deed["download_url"]).data == DEED  # small: over as soon as it begins
    running[0].close()
    assert alice.get(path).data == LONG
    for response in running:
        response.close()


@pytest.mark.usefixtures("three_slots")
@pytest.mark.parametrize("content", [DEED, LONG], ids=["small", "long"])
def test_nothing_is_sent_while_the_log_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, make_app: Any, content: bytes
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 1)
    app = make_app()
    alice = Cast(app).person("alice@example.org", "Alice Archer")
    path = alice.upload("deed.pdf", content)["download_url"]
    with app.app_context(), locked_log():
        response = alice.get(path)
    assert response.status_code == 503
    assert content[:99] not in response.data
    assert int(response.headers["Retry-After"]) > 0
    assert free_slots() == 3
    assert alice.get(path).data == content
    assert len(downloads(app)) == 1


@pytest.mark.usefixtures("three_slots")
def test_many_at_once_get_whole_documents_or_503(alice: Browser) -> None:
    path = alice.upload("long.bin", LONG)["download_url"]
    browsers = twins(alice, 12)
    answers = at_once(12, lambda n: browsers[n].get(path))
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert all(answer.data == LONG for answer in answers if answer.status_code == 200)


@pytest.mark.usefixtures("three_slots")
def test_upload_waits_for_a_slot_too_and_gives_it_back(alice: Browser) -> None:
    path = alice.upload("long.bin", LONG)["download_url"]
    running = [alice.get(path, buffered=False) for _ in range(3)]
    refused = alice.post_json("/documents", {"file": (BytesIO(DEED), "deed.pdf")})
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    for response in running:
        response.close()
    alice.upload()
    without_token = {"file": (BytesIO(DEED), "deed.pdf")}
    assert alice.client.post("/documents", data=without_token).status_code == 400
    assert alice.post("/documents", {"file": (BytesIO(b"x"), "..")}).status_code == 422
    assert free_slots() == 3
