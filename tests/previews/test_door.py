"""Pictures leave through the door of the bytes: whoever may not have these sees nothing of them."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from conftest import Browser
from live.clamd import EICAR, Clamd
from portal.config import Scanner
from portal.extensions import db
from portal.models import DiscardedBlob, Drawing, Scan
from portal.scanning import scanner, waiting
from portal.storage.delivery import _PRIVATE
from previews.stage import corners, draw, page, pictures, saved, state_of, thumbnail, upload
from scanning.stage import put
from stage import (
    NOTHING,
    Program,
    events,
    facts,
    make_token,
    program,
    settings_of,
    stored_files,
)

PICTURES = ("thumbnail?size=small", "thumbnail?size=large", "preview/pages/1")
EVERYTHING = (*PICTURES, "thumbnail", "thumbnail?size=huge", "preview", "preview/pages/x")


@pytest.fixture
def photo(app: Flask, alice: Browser) -> dict[str, Any]:
    """Alice's photo, drawn."""
    document = upload(alice, "photo.jpg", saved(corners(), "JPEG"))
    draw(app)
    return document


@pytest.mark.parametrize("path", PICTURES)
def test_owner_gets_a_picture_that_nothing_keeps_or_runs(
    alice: Browser, photo: dict[str, Any], path: str
) -> None:
    answer = alice.get(f"{photo['url']}/{path}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "image/webp"
    assert answer.headers["Preview-State"] == "made"
    for name, value in _PRIVATE:
        assert answer.headers.getlist(name) == [value]
    assert "Set-Cookie" not in answer.headers
    head = alice.head(f"{photo['url']}/{path}")
    assert head.data == b""
    assert sorted(head.headers) == sorted(answer.headers)


def test_each_document_shows_its_own_picture(
    app: Flask, alice: Browser, bob: Browser, photo: dict[str, Any]
) -> None:
    other = upload(alice, "other.png", saved(corners(70, 70), "PNG"))
    bobs = upload(bob, "bobs.png", saved(corners(50, 50), "PNG"))
    draw(app)
    for somebody, document, size in (
        (alice, photo, (120, 80)),
        (alice, other, (70, 70)),
        (bob, bobs, (50, 50)),
    ):
        assert thumbnail(somebody, document).size == size
        assert page(somebody, document).size == size
    # What was not drawn shows nothing of what was.
    late = upload(bob, "late.png", saved(corners(30, 30), "PNG"))
    assert bob.get(f"{late['url']}/thumbnail").headers["Preview-State"] == "pending"


def test_original_bytes_are_in_no_answer(alice: Browser, photo: dict[str, Any]) -> None:
    original = alice.get(photo["download_url"]).data
    for path in EVERYTHING:
        assert original not in alice.get(f"{photo['url']}/{path}").data


@pytest.mark.parametrize("path", EVERYTHING)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_stranger_is_told_it_does_not_exist(
    bob: Browser, ada: Browser, photo: dict[str, Any], path: str, method: str
) -> None:
    for somebody in (bob, ada):
        for accept in ("text/html", "application/json", "image/webp"):
            ask = {"method": method, "headers": {"Accept": accept}}
            theirs = somebody.client.open(f"{photo['url']}/{path}", **ask)
            missing = somebody.client.open(f"/documents/{NOTHING}/{path}", **ask)
            assert theirs.status_code in {404, 400}
            assert (theirs.status_code == 400) == (path == "thumbnail?size=huge")
            assert facts(theirs) == facts(missing)


@pytest.mark.parametrize("path", EVERYTHING)
def test_visitor_is_sent_to_sign_in(visitor: Browser, photo: dict[str, Any], path: str) -> None:
    answer = visitor.get(f"{photo['url']}/{path}")
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/login")


def test_in_the_trash_there_is_nothing_to_see(alice: Browser, photo: dict[str, Any]) -> None:
    alice.post(f"{photo['url']}/delete")
    for path in PICTURES:
        answer = alice.get(f"{photo['url']}/{path}")
        assert facts(answer) == facts(alice.get(f"/documents/{NOTHING}/{path}"))
    alice.post(f"{photo['url']}/restore")
    assert thumbnail(alice, photo).size == (120, 80)


def test_token_needs_the_right_to_read(app: Flask, alice: Browser, photo: dict[str, Any]) -> None:
    reader = program(alice, "documents:read")
    writer = Program(app, make_token(alice, "documents:write", name="writes")["token"])
    for path in (*PICTURES, "preview"):
        assert reader.open(f"{photo['url']}/{path}").status_code == 200
        assert writer.open(f"{photo['url']}/{path}").status_code == 403


def test_wrong_size_is_told(alice: Browser, photo: dict[str, Any]) -> None:
    answer = alice.get(f"{photo['url']}/thumbnail?size=huge")
    assert answer.status_code == 400
    assert "small or large" in answer.text


@pytest.mark.parametrize("number", ["0", "2", "-1", "x", "١", "1.0", "99999999"])
def test_page_that_is_not_there_is_a_404(
    alice: Browser, photo: dict[str, Any], number: str
) -> None:
    assert alice.get(f"{photo['url']}/preview/pages/{number}").status_code == 404
    assert alice.get(f"{photo['url']}/preview?page={number}").status_code == 404


def test_looking_at_it_large_is_in_the_log(
    app: Flask, alice: Browser, photo: dict[str, Any]
) -> None:
    alice.get(f"{photo['url']}/thumbnail?size=large")
    assert events(app, "document.previewed") == []
    page(alice, photo)
    (event,) = events(app, "document.previewed")
    assert (event.actor, event.document) == ("alice@example.org", photo["id"])
    assert event.detail == {"name": "photo.jpg", "page": 1}
    text = upload(alice, "a.txt", b"Some lines\n")
    draw(app)
    alice.get(f"{text['url']}/preview")
    assert events(app, "document.previewed")[1].document == text["id"]


# What the scanner says


@pytest.fixture
def scanned_app(make_app: Any) -> Flask:
    """An app with a scanner at which nobody listens: here it counts that the setting is made."""
    app: Flask = make_app(clamd_url=Scanner(path="/nowhere/clamd.sock"))
    return app


@pytest.fixture
def scanned_alice(scanned_app: Flask, alice: Browser) -> Browser:
    browser = Browser(scanned_app)
    assert browser.sign_in(alice.email).status_code == 303
    return browser


@pytest.mark.parametrize("scan", ["", "waiting", "doubtful"])
def test_what_is_not_known_to_be_clean_is_not_drawn(
    scanned_app: Flask, scanned_alice: Browser, scan: str
) -> None:
    document = upload(scanned_alice, "photo.png", saved(corners(), "PNG"))
    put(scanned_app, document, scan=scan)
    assert draw(scanned_app) == 0
    answer = scanned_alice.get(f"{document['url']}/thumbnail")
    assert answer.headers["Preview-State"] == "pending"
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert scanned_alice.get(f"{document['url']}/preview").status_code == 409
    assert scanned_alice.get(f"{document['url']}/preview/pages/1").status_code == 409
    put(scanned_app, document, scan=Scan.CLEAN)
    assert draw(scanned_app) == 1
    assert thumbnail(scanned_alice, document).size == (120, 80)


def test_pictures_of_what_waits_again_do_not_leave(
    scanned_app: Flask, scanned_alice: Browser, photo: dict[str, Any]
) -> None:
    """Drawn before there was a scanner."""
    answer = scanned_alice.get(f"{photo['url']}/thumbnail")
    assert answer.headers["Preview-State"] == "pending"
    assert scanned_alice.get(f"{photo['url']}/preview/pages/1").status_code == 409


def test_what_is_infected_has_no_picture(app: Flask, alice: Browser, photo: dict[str, Any]) -> None:
    put(app, photo, scan=Scan.INFECTED, threat="Bad.Thing")
    answer = alice.get(f"{photo['url']}/thumbnail")
    assert answer.headers["Preview-State"] == "impossible"
    assert answer.headers["Content-Type"] == "image/svg+xml"
    for path in ("preview", "preview/pages/1"):
        assert alice.get(f"{photo['url']}/{path}").status_code == 403
    shown = alice.get(photo["url"]).text
    assert "/thumbnail" not in shown
    assert "/thumbnail" not in alice.get("/documents").text


def test_pictures_go_when_malware_is_found_later(
    app: Flask, make_app: Any, alice: Browser, clamd: Clamd
) -> None:
    """Drawn before there was a scanner, which then looks at what is there."""
    document = upload(alice, "notes.txt", b"Some harmless words.\n" * 9 + EICAR + b"\n")
    assert draw(app) == 1
    assert len(pictures(app)) == 3
    scanned = make_app(clamd_url=clamd.server)
    with scanned.app_context():
        waiting.enqueue_older(0)
        assert scanner.scan_due(settings_of(scanned)) == 1
        assert len(db.session.scalars(select(DiscardedBlob)).all()) == 3
    assert pictures(app) == []
    assert state_of(app, document) is None
    assert draw(scanned) == 0


def test_what_is_infected_is_never_drawn(app: Flask, alice: Browser) -> None:
    seen = upload(alice, "seen.png", saved(corners(), "PNG"))
    with app.app_context():
        from portal.previews import making

        making.Looker().look()
    unseen = upload(alice, "unseen.png", saved(corners(90, 90), "PNG"))
    for each in (seen, unseen):
        put(app, each, scan=Scan.INFECTED, threat="Bad.Thing")
    assert draw(app) == 0
    assert state_of(app, unseen) is None
    assert pictures(app) == []


# While there is none


def test_until_it_is_drawn_there_is_an_icon_that_says_so(app: Flask, alice: Browser) -> None:
    document = upload(alice, "photo.png", saved(corners(), "PNG"))
    other = upload(alice, "film.bin", b"\0\1\2\3" * 50)
    pending = alice.get(f"{document['url']}/thumbnail")
    impossible = alice.get(f"{other['url']}/thumbnail")
    assert pending.headers["Preview-State"] == "pending"
    assert impossible.headers["Preview-State"] == "impossible"
    assert pending.data != impossible.data
    for answer in (pending, impossible):
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "image/svg+xml"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert answer.data.startswith(b"<svg")
    accept = {"Accept": "application/json"}
    assert alice.get(f"{document['url']}/preview", headers=accept).json["state"] == "pending"
    found = alice.get(f"{other['url']}/preview", headers=accept).json
    assert (found["state"], found["reason"]) == ("impossible", "kind")
    assert "being made" in alice.get(f"{document['url']}/preview").text
    assert "being made" in alice.get(document["url"]).text
    assert draw(app) == 1


def test_picture_that_is_gone_is_made_again(
    app: Flask, alice: Browser, photo: dict[str, Any]
) -> None:
    small = next(each for each in pictures(app) if each.size == "small")
    (path,) = (each for each in stored_files(app) if each.name == small.blob.partition("/")[2])
    path.unlink()
    answer = alice.get(f"{photo['url']}/thumbnail?size=small")
    assert answer.headers["Preview-State"] == "pending"
    state = state_of(app, photo)
    assert state is not None
    assert state.state == Drawing.PENDING
    assert draw(app) == 1
    assert thumbnail(alice, photo, "small").size == (120, 80)
    assert len(pictures(app)) == 3
