"""Uploads in pieces, as the tus protocol has them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, update
from werkzeug.http import parse_date

from api.tus import PIECE, Tus, metadata
from conftest import Browser, Cast, user_named
from portal.documents import pieces, resumable, uploads
from portal.errors import NoSpace
from portal.extensions import db
from portal.models import Document, Folder, OpenUpload, User, Version, utcnow
from stage import (
    NOTHING,
    at_once,
    events,
    program,
    settings_of,
    stored_files,
    twins,
    unfinished_files,
)

CONTENT = hashlib.shake_256(b"a long letter").digest(3_000_000)


@pytest.fixture
def tus(alice: Browser) -> Tus:
    return Tus(alice)


def download(browser: Browser, answer: Any) -> bytes:
    return browser.get(f"{answer.headers['Content-Location']}/download").get_data()


def room(app: Flask, email: str = "alice@example.org") -> tuple[int, int]:
    """What the documents of somebody take, and what is set aside for them."""
    with app.app_context():
        user = db.session.scalars(select(User).where(User.email == email)).one()
        return user.used_bytes, user.reserved_bytes


def open_uploads(app: Flask) -> int:
    with app.app_context():
        return len(
            db.session.scalars(select(OpenUpload).where(OpenUpload.document_id.is_(None))).all()
        )


def change_upload(app: Flask, **values: Any) -> None:
    """Make the one upload that there is look different in the database."""
    with app.app_context():
        db.session.execute(update(OpenUpload).values(**values))
        db.session.commit()


# -- The way through


def test_file_comes_in_pieces_and_is_stored_whole(app: Flask, alice: Browser, tus: Tus) -> None:
    address = tus.begin("letter.bin", len(CONTENT), path="Taxes/2026", note="as asked")
    assert room(app) == (0, len(CONTENT))
    offset = 0
    for size in (1, 70_000, 2_000_000):
        answer = tus.patch(address, offset, CONTENT[offset : offset + size])
        offset += size
        assert answer.status_code == 204
        assert answer.headers["Upload-Offset"] == str(offset)
        assert "Content-Location" not in answer.headers
        assert tus.offset(address) == offset
    answer = tus.patch(address, offset, CONTENT[offset:])
    assert answer.status_code == 204
    assert download(alice, answer) == CONTENT
    assert room(app) == (len(CONTENT), 0)
    assert tus.offset(address) == len(CONTENT)
    event = events(app, "document.uploaded")[-1]
    assert event.detail["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert event.actor == "alice@example.org"
    with app.app_context():
        document = db.session.scalars(select(Document)).one()
        folder = db.session.get_one(Folder, document.folder_id)
        assert (document.name, folder.name) == ("letter.bin", "2026")
        assert document.note == "as asked"
    assert len(stored_files(app)) == 1


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 1024 * 1024, 1024 * 1024 + 1])
def test_small_file_comes_with_its_announcement(
    app: Flask, alice: Browser, tus: Tus, size: int
) -> None:
    answer = tus.announce("a.bin", size, CONTENT[:size] if size else None)
    assert answer.status_code == 201
    assert answer.headers["Upload-Offset"] == str(size)
    assert download(alice, answer) == CONTENT[:size]
    assert tus.offset(answer.headers["Location"]) == size
    assert room(app) == (size, 0)
    assert open_uploads(app) == 0


def test_first_piece_may_come_with_the_announcement(app: Flask, alice: Browser, tus: Tus) -> None:
    answer = tus.announce("a.bin", len(CONTENT), CONTENT[:1000])
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "1000")
    done = tus.patch(answer.headers["Location"], 1000, CONTENT[1000:])
    assert download(alice, done) == CONTENT


def test_large_file_may_come_whole_with_its_announcement(
    app: Flask, alice: Browser, tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable, "SMALL_BYTES", 1000)
    answer = tus.announce("a.bin", len(CONTENT), CONTENT)
    assert answer.status_code == 201
    assert download(alice, answer) == CONTENT
    assert room(app) == (len(CONTENT), 0)


def test_what_was_said_of_a_file_is_told_again(tus: Tus) -> None:
    address = tus.begin("a.bin", 10, path="x")
    answer = tus.ask("HEAD", address)
    assert answer.headers["Upload-Length"] == "10"
    assert answer.headers["Upload-Metadata"] == metadata(filename="a.bin", path="x")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Upload-Expires" in answer.headers
    assert tus.ask("GET", address).get_json()["offset"] == 0


def test_hash_is_right_where_another_process_took_the_first_piece(
    app: Flask, alice: Browser, tus: Tus
) -> None:
    address = tus.begin("a.bin", len(CONTENT))
    tus.patch(address, 0, CONTENT[:1_500_000])
    app.extensions["storage"]._digests._known.clear()
    answer = tus.patch(address, 1_500_000, CONTENT[1_500_000:])
    assert download(alice, answer) == CONTENT
    digest = events(app, "document.uploaded")[-1].detail["sha256"]
    assert digest == hashlib.sha256(CONTENT).hexdigest()


def test_program_uploads_with_its_token(app: Flask, alice: Browser) -> None:
    script = program(alice, "documents:write")
    headers = {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": "3",
        "Upload-Metadata": metadata(filename="a.txt"),
    }
    answer = script.post("/api/v1/uploads", headers=headers)
    assert answer.status_code == 201
    address = answer.headers["Location"]
    piece = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0"}
    done = script.open(address, "PATCH", data=b"abc", headers=piece, content_type=PIECE)
    assert done.status_code == 204
    assert download(alice, done) == b"abc"
    reader = program(alice, "documents:read")
    assert reader.post("/api/v1/uploads", headers=headers).status_code == 403


def test_admin_sends_into_somebodys_directory(app: Flask, alice: Browser, ada: Browser) -> None:
    alice_id = str(user_named(app, "alice@example.org").public_id)
    answer = Tus(ada).announce("a.txt", 3, b"abc", owner=alice_id)
    assert answer.status_code == 201
    assert download(alice, answer) == b"abc"
    assert ada.get(f"{answer.headers['Content-Location']}/download").status_code == 404
    assert room(app, "alice@example.org") == (3, 0)


# -- Interruptions


def test_what_came_of_a_cut_piece_is_kept(app: Flask, alice: Browser, tus: Tus) -> None:
    address = tus.begin("a.bin", len(CONTENT))
    answer = tus.cut(address, 0, CONTENT[:1_234_567], len(CONTENT))
    assert (answer.status_code, answer.get_json()["reason"]) == (400, "incomplete")
    assert tus.offset(address) == 1_234_567
    assert download(alice, tus.patch(address, 1_234_567, CONTENT[1_234_567:])) == CONTENT


def test_small_file_cut_on_its_way_leaves_nothing(app: Flask, tus: Tus, alice: Browser) -> None:
    import io

    for length in (1000, len(CONTENT)):
        answer = alice.client.post(
            "/api/v1/uploads",
            input_stream=io.BytesIO(CONTENT[:500]),
            content_type=PIECE,
            headers={
                "Tus-Resumable": "1.0.0",
                "X-CSRFToken": tus.token,
                "Upload-Length": str(length),
                "Upload-Metadata": metadata(filename="a.bin"),
            },
            environ_overrides={"CONTENT_LENGTH": "900" if length > 1000 else "1000"},
        )
        assert answer.status_code == 400
    assert (open_uploads(app), stored_files(app), room(app)) == (0, [], (0, 0))


def test_piece_that_begins_elsewhere_is_refused(tus: Tus) -> None:
    address = tus.begin("a.bin", 100)
    tus.patch(address, 0, b"x" * 10)
    for offset in (0, 9, 11, 100):
        answer = tus.patch(address, offset, b"y")
        assert (answer.status_code, answer.get_json()["reason"]) == (409, "offset")
    assert tus.offset(address) == 10


def test_piece_that_goes_too_far_is_refused(tus: Tus) -> None:
    address = tus.begin("a.bin", 100)
    assert tus.patch(address, 0, b"x" * 101).status_code == 400
    assert tus.offset(address) == 0


def test_of_the_same_piece_sent_twice_at_once_one_is_taken(
    app: Flask, alice: Browser, tus: Tus
) -> None:
    address = tus.begin("a.bin", len(CONTENT))
    senders = [Tus(twin) for twin in twins(alice, 4)]
    answers = at_once(4, lambda number: senders[number].patch(address, 0, CONTENT))
    assert sorted(answer.status_code for answer in answers) == [204, 409, 409, 409]
    done = next(answer for answer in answers if answer.status_code == 204)
    assert download(alice, done) == CONTENT
    assert len(events(app, "document.uploaded")) == 1


def test_whoever_is_overtaken_is_told(app: Flask, alice: Browser, tus: Tus) -> None:
    address = tus.begin("a.bin", len(CONTENT))
    with app.app_context():
        blob = db.session.scalars(select(OpenUpload.blob)).one()
        stale = app.extensions["storage"].grow(blob)
    stale.write(CONTENT[:1000])
    tus.patch(address, 1000, CONTENT[1000:2000])
    from portal.storage import Overtaken

    with pytest.raises(Overtaken):
        stale.write(b"z" * 1000)
    stale.close()
    assert tus.offset(address) == 2000
    assert download(alice, tus.patch(address, 2000, CONTENT[2000:])) == CONTENT


@pytest.mark.parametrize("is_renamed", [False, True])
@pytest.mark.parametrize("by", ["head", "worker", "piece"])
def test_kill_between_last_byte_and_storing_is_made_good(
    app: Flask, alice: Browser, tus: Tus, monkeypatch: pytest.MonkeyPatch, by: str, is_renamed: bool
) -> None:
    address = tus.begin("a.bin", len(CONTENT))

    class Killed(BaseException):
        pass

    def die(*_arguments: Any, **_named: Any) -> None:
        raise Killed

    where = "_store" if is_renamed else "_examine"
    with monkeypatch.context() as patched:
        patched.setattr(uploads, where, die)
        with pytest.raises(Killed):
            tus.patch(address, 0, CONTENT)
    assert alice.get("/documents").get_data(as_text=True).count("a.bin") == 0
    assert bool(unfinished_files(app)) is not is_renamed
    if by == "worker":
        with app.app_context():
            assert resumable.finish_whole(settings_of(app)) == 1
            assert resumable.finish_whole(settings_of(app)) == 0
    if by == "piece":
        assert tus.patch(address, len(CONTENT), b"").status_code == 204
    answer = tus.ask("HEAD", address)
    assert answer.headers["Upload-Offset"] == str(len(CONTENT))
    assert download(alice, answer) == CONTENT
    uploaded = events(app, "document.uploaded")
    assert [event.actor for event in uploaded] == ["alice@example.org"]
    assert (room(app), len(stored_files(app))) == ((len(CONTENT), 0), 1)


def test_two_who_finish_at_once_store_one_document(
    app: Flask, alice: Browser, tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = tus.begin("a.bin", 1000)
    with monkeypatch.context() as patched:
        patched.setattr(resumable, "_finish", lambda *_a: (_ for _ in ()).throw(NoSpace()))
        assert tus.patch(address, 0, CONTENT[:1000]).status_code == 507
    senders = [Tus(twin) for twin in twins(alice, 4)]
    answers = at_once(4, lambda number: senders[number].ask("HEAD", address))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["Content-Location"] for answer in answers}) == 1
    assert len(events(app, "document.uploaded")) == 1


def test_after_a_power_loss_only_what_was_synced_counts(
    app: Flask, alice: Browser, tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = tus.begin("a.bin", len(CONTENT))
    tus.patch(address, 0, CONTENT[:1000])
    path = unfinished_files(app)[0]
    with path.open("ab") as file:  # what was in the memory of the system, and came out as zeros
        file.write(b"\0" * 500)
    assert tus.offset(address) == 1500
    monkeypatch.setattr(pieces, "boot_id", lambda: "another life")
    assert tus.offset(address) == 1000
    assert tus.patch(address, 1500, CONTENT[1500:]).status_code == 409
    tus.cut(address, 1000, CONTENT[1000:2000], 5000)
    assert tus.offset(address) == 2000
    assert download(alice, tus.patch(address, 2000, CONTENT[2000:])) == CONTENT


def test_long_piece_is_durable_on_its_way(
    app: Flask, tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "_SYNC_EVERY", 1_000_000)
    noted: list[int] = []
    note = pieces._note

    def listening(sending: Any, size: int, *rest: Any) -> None:
        noted.append(size)
        note(sending, size, *rest)

    monkeypatch.setattr(pieces, "_note", listening)
    tus.patch(tus.begin("a.bin", len(CONTENT) + 1), 0, CONTENT)
    assert len(noted) >= 3
    assert noted == sorted(noted)


def test_full_disk_keeps_what_came(
    app: Flask, alice: Browser, tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    address = tus.begin("a.bin", len(CONTENT))
    tus.patch(address, 0, CONTENT[:1000])
    with monkeypatch.context() as patched:
        patched.setattr(
            os, "pwrite", lambda *_a: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full"))
        )
        assert tus.patch(address, 1000, CONTENT[1000:]).status_code == 507
    assert tus.offset(address) == 1000
    assert download(alice, tus.patch(address, 1000, CONTENT[1000:])) == CONTENT


def test_bytes_that_may_be_lost_are_sent_again(
    app: Flask, alice: Browser, tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    address = tus.begin("a.bin", len(CONTENT))
    with monkeypatch.context() as patched:
        patched.setattr(
            os, "fdatasync", lambda *_a: (_ for _ in ()).throw(OSError(errno.EIO, "broken"))
        )
        assert tus.patch(address, 0, CONTENT[:1000]).status_code == 503
    assert tus.offset(address) == 0
    assert download(alice, tus.patch(address, 0, CONTENT)) == CONTENT


# -- Checksums


def checksum(piece: bytes, algorithm: str = "sha256") -> str:
    digest = hashlib.new(algorithm, piece).digest()
    return f"{algorithm} {base64.b64encode(digest).decode()}"


@pytest.mark.parametrize("algorithm", ["sha256", "sha1"])
def test_piece_is_compared_with_its_checksum(
    app: Flask, alice: Browser, tus: Tus, algorithm: str
) -> None:
    address = tus.begin("a.bin", 2000)
    good, rest = CONTENT[:1000], CONTENT[1000:2000]
    answer = tus.patch(address, 0, good, Upload_Checksum=checksum(good, algorithm))
    assert answer.status_code == 204
    answer = tus.patch(address, 1000, rest, Upload_Checksum=checksum(good, algorithm))
    assert (answer.status_code, answer.get_json()["reason"]) == (460, "checksum")
    assert tus.offset(address) == 1000
    answer = tus.patch(address, 1000, rest, Upload_Checksum=checksum(rest, algorithm))
    assert download(alice, answer) == CONTENT[:2000]


def test_hash_is_that_of_the_bytes_that_were_sent_again(
    app: Flask, alice: Browser, tus: Tus
) -> None:
    address = tus.begin("a.bin", 2000)
    tus.patch(address, 0, CONTENT[:1000])
    rest = CONTENT[1000:2000]
    damaged = tus.patch(address, 1000, b"x" + rest[1:], Upload_Checksum=checksum(rest))
    assert damaged.status_code == 460
    answer = tus.patch(address, 1000, rest, Upload_Checksum=checksum(rest))
    assert download(alice, answer) == CONTENT[:2000]
    digest = events(app, "document.uploaded")[-1].detail["sha256"]
    assert digest == hashlib.sha256(CONTENT[:2000]).hexdigest()


def test_unchecked_bytes_do_not_count(app: Flask, alice: Browser, tus: Tus) -> None:
    address = tus.begin("a.bin", 2000)
    tus.patch(address, 0, CONTENT[:1000])
    with unfinished_files(app)[0].open("ab") as file:  # a piece that is still coming
        file.write(b"z" * 300)
    change_upload(app, checked_bytes=1000)
    assert tus.offset(address) == 1000
    assert download(alice, tus.patch(address, 1000, CONTENT[1000:2000])) == CONTENT[:2000]


def test_of_a_cut_piece_with_a_checksum_nothing_is_kept(tus: Tus) -> None:
    address = tus.begin("a.bin", 2000)
    answer = tus.browser.client.patch(
        address,
        input_stream=__import__("io").BytesIO(CONTENT[:500]),
        content_type=PIECE,
        headers={
            "Tus-Resumable": "1.0.0",
            "X-CSRFToken": tus.token,
            "Upload-Offset": "0",
            "Upload-Checksum": checksum(CONTENT[:1000]),
        },
        environ_overrides={"CONTENT_LENGTH": "1000"},
    )
    assert answer.status_code == 400
    assert tus.offset(address) == 0


def test_small_file_is_compared_with_its_checksum(app: Flask, tus: Tus) -> None:
    answer = tus.ask(
        "POST",
        "/api/v1/uploads",
        b"abc",
        Upload_Length=3,
        Upload_Metadata=metadata(filename="a.txt"),
        Upload_Checksum=checksum(b"abd"),
    )
    assert answer.status_code == 460
    assert (stored_files(app), room(app)) == ([], (0, 0))


def test_unknown_checksums_are_refused(tus: Tus) -> None:
    address = tus.begin("a.bin", 3)
    for wrong in ("md5 abcd", "sha256", "sha256 ???", "sha256 YWJj"):
        assert tus.patch(address, 0, b"abc", Upload_Checksum=wrong).status_code == 400
    assert tus.offset(address) == 0


# -- Rules


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.get_json().get("reason", "")


def test_rules_are_told_before_anything_comes(make_app: Callable[..., Flask]) -> None:
    app = make_app(
        max_upload_bytes=1000, default_quota_bytes=1500, blocked_extensions=frozenset({"exe"})
    )
    alice = Cast(app).person("alice@example.org", "Alice")
    tus = Tus(alice)
    assert refused(tus.announce("a.bin", 1001)) == (413, "too_large")
    assert refused(tus.announce("a.EXE", 10)) == (415, "type_refused")
    assert refused(tus.announce("", 10)) == (422, "name")
    assert refused(tus.announce("a" * 256, 10)) == (422, "name")
    assert refused(tus.announce("a.bin", 10, path="x/" * 40 + "y")) == (422, "name")
    tus.announce("a.bin", 900, CONTENT[:900])
    assert refused(tus.announce("b.bin", 601)) == (413, "over_quota")
    refusals = [event.detail["reason"] for event in events(app, "upload.refused")]
    assert refusals == ["too_large", "type_refused", "name", "name", "name", "over_quota"]
    assert (open_uploads(app), room(app)) == (0, (900, 0))
    ability = tus.ask("OPTIONS", "/api/v1/uploads")
    assert ability.headers["Tus-Max-Size"] == "1000"
    assert "checksum" in ability.headers["Tus-Extension"]


@pytest.mark.parametrize(("policy", "status"), [("refuse", 415), ("correct", 204)])
def test_beginning_that_contradicts_the_name_is_refused_before_the_rest_comes(
    make_app: Callable[..., Flask], policy: str, status: int
) -> None:
    app = make_app(type_mismatch=policy)
    alice = Cast(app).person("alice@example.org", "Alice")
    tus = Tus(alice)
    content = b"MZ" + bytes(9000)
    first = tus.begin("report.pdf", len(content) * 2)
    assert tus.patch(first, 0, content[:4000]).status_code == 204, "too little to tell"
    answer = tus.patch(first, 4000, content[4000:])
    assert answer.status_code == status
    if policy == "refuse":
        assert refused(answer) == (415, "type_refused")
        assert tus.ask("HEAD", first).status_code == 404
        assert (open_uploads(app), room(app), stored_files(app)) == (0, (0, 0), [])
        (event,) = events(app, "upload.refused")
        assert event.detail["reason"] == "type_refused"
    else:
        assert tus.patch(first, len(content), content).status_code == 204
        assert room(app) == (len(content) * 2, 0)
    # What is what it says goes on.
    second = tus.begin("program.exe", len(content) * 2)
    assert tus.patch(second, 0, content).status_code == 204
    assert tus.offset(second) == len(content)


def test_room_is_set_aside_once_however_many_ask_at_once(make_app: Callable[..., Flask]) -> None:
    app = make_app(default_quota_bytes=10_000)
    alice = Cast(app).person("alice@example.org", "Alice")
    senders = [Tus(twin) for twin in twins(alice, 8)]
    answers = at_once(8, lambda number: senders[number].announce("a.bin", 3000))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [413] * 5
    assert room(app) == (0, 9000)
    # A form finds that room taken too, and so does a small file that comes whole.
    form = alice.post_json("/documents", {"file": (__import__("io").BytesIO(b"x" * 2000), "b.bin")})
    assert form.status_code == 413
    assert refused(senders[0].announce("c.bin", 2000, b"x" * 2000)) == (413, "over_quota")
    for answer in answers:
        if answer.status_code == 201:
            assert senders[0].ask("DELETE", answer.headers["Location"]).status_code == 204
    assert room(app) == (0, 0)
    assert senders[0].announce("d.bin", 10_000).status_code == 201


def test_nobody_has_more_open_uploads_than_allowed(
    app: Flask, tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable, "MOST_OPEN", 2)
    addresses = [tus.begin("a.bin", 10) for _ in range(2)]
    answer = tus.announce("a.bin", 10)
    assert refused(answer) == (429, "too_many_uploads")
    assert answer.headers["Retry-After"]
    assert room(app) == (0, 20)
    tus.patch(addresses[0], 0, b"x" * 10)
    assert tus.announce("a.bin", 10).status_code == 201


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upload_Length": ""}, 400),
        ({"Upload_Length": "-1"}, 400),
        ({"Upload_Length": "1" * 30}, 400),
        ({"Upload_Length": "٣"}, 400),
        ({"Upload_Length": 3, "Upload_Defer_Length": 1}, 400),
        ({"Upload_Length": 3, "Upload_Concat": "partial"}, 400),
        ({"Upload_Length": 3, "Upload_Metadata": "filename ???"}, 400),
        ({"Upload_Length": 3, "Upload_Metadata": "filename /w=="}, 400),
        ({"Upload_Length": 3, "Upload_Metadata": "x" * 9000}, 400),
        ({"Upload_Length": 3, "Upload_Metadata": ""}, 422),
        ({"Upload_Length": 3, "Upload_Metadata": metadata(filename="a", folder="x")}, 404),
        ({"Upload_Length": 3, "Upload_Metadata": metadata(filename="a", same_name="x")}, 422),
        ({"Upload_Length": 3, "Upload_Metadata": metadata(filename="a", owner="x")}, 404),
        ({"Upload_Length": 3, "Tus_Resumable": ""}, 412),
        ({"Upload_Length": 3, "Tus_Resumable": "0.2.2"}, 412),
    ],
)
def test_announcement_that_is_not_understood_is_refused(
    app: Flask, tus: Tus, headers: dict[str, Any], status: int
) -> None:
    headers = {"Upload_Metadata": metadata(filename="a.txt"), **headers}
    if not str(headers.get("Upload_Length", "")).isascii():
        headers["Upload_Length"] = headers["Upload_Length"].encode().decode("latin-1")
    answer = tus.ask("POST", "/api/v1/uploads", **headers)
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert answer.content_type == "application/problem+json"
    if status == 412:
        assert answer.headers["Tus-Version"] == "1.0.0"
    assert (open_uploads(app), room(app)) == (0, (0, 0))


def test_abilities_are_told_to_whoever_speaks_another_version(tus: Tus) -> None:
    for path in ("/api/v1/uploads", tus.begin("a.bin", 3), f"/api/v1/uploads/{NOTHING}"):
        answer = tus.ask("OPTIONS", path, Tus_Resumable="0.2.2")
        assert (answer.status_code, answer.headers["Tus-Version"]) == (204, "1.0.0")
        assert "termination" in answer.headers["Tus-Extension"]


def test_piece_must_say_what_it_is(tus: Tus) -> None:
    address = tus.begin("a.bin", 3)
    answer = tus.browser.client.patch(
        address,
        data=b"abc",
        headers={"Tus-Resumable": "1.0.0", "X-CSRFToken": tus.token, "Upload-Offset": "0"},
    )
    assert answer.status_code == 415
    assert tus.patch(address, "x", b"abc").status_code == 400  # type: ignore[arg-type]
    assert tus.offset(address) == 0


def test_method_may_be_named_in_a_header(app: Flask, alice: Browser, tus: Tus) -> None:
    address = tus.begin("a.bin", 3)
    headers = {"Upload_Offset": 0, "X_HTTP_Method_Override": "PATCH"}
    assert download(alice, tus.ask("POST", address, b"abc", **headers)) == b"abc"
    other = tus.begin("b.bin", 3)
    assert tus.ask("POST", other).status_code == 400
    assert tus.ask("POST", other, X_HTTP_Method_Override="DELETE").status_code == 204
    assert tus.ask("HEAD", other).status_code == 404


def test_scripts_of_other_sites_change_nothing(app: Flask, tus: Tus) -> None:
    address = tus.begin("a.bin", 3)
    tus.token = ""
    assert tus.patch(address, 0, b"abc").status_code == 400
    assert tus.announce("b.bin", 3).status_code == 400
    assert tus.ask("DELETE", address).status_code == 400
    assert tus.offset(address) == 0


# -- Not yours


def test_stranger_is_told_that_an_upload_does_not_exist(
    app: Flask, tus: Tus, bob: Browser, ada: Browser, visitor: Browser
) -> None:
    address = tus.begin("a.bin", 3)
    nowhere = "/api/v1/uploads/00000000-0000-4000-8000-000000000000"
    for other in (Tus(bob), Tus(ada)):
        for method in ("HEAD", "GET", "DELETE"):
            told = other.ask(method, address)
            assert told.status_code == 404
            assert told.get_data() == other.ask(method, nowhere).get_data()
        assert other.patch(address, 0, b"abc").status_code == 404
    assert visitor.get(address).status_code == 401
    assert tus.offset(address) == 0
    bobs = Tus(bob)
    alice_id = str(user_named(app, "alice@example.org").public_id)
    assert bobs.announce("a.bin", 3, owner=alice_id).status_code == 404
    assert bobs.announce("a.bin", 3, b"abc", owner=alice_id).status_code == 404


def test_who_may_no_longer_send_there_cannot_go_on(
    app: Flask, alice: Browser, ada: Browser
) -> None:
    alice_id = str(user_named(app, "alice@example.org").public_id)
    adas = Tus(ada)
    address = adas.begin("a.bin", 3, owner=alice_id)
    with app.app_context():
        db.session.execute(update(User).where(User.email == "ada@example.org").values(role="user"))
        db.session.commit()
    assert adas.patch(address, 0, b"abc").status_code == 404
    assert room(app) == (0, 3)


@pytest.mark.parametrize("whose", ["sender", "owner", "former admin"])
def test_uploads_of_who_may_not_send_them_now_are_not_finished(
    app: Flask, alice: Browser, ada: Browser, whose: str
) -> None:
    alice_id = str(user_named(app, "alice@example.org").public_id)
    Tus(ada).begin("a.bin", 3, owner=alice_id)
    email = "alice@example.org" if whose == "owner" else "ada@example.org"
    somebody = update(User).where(User.email == email)
    with app.app_context():
        blob = db.session.scalars(select(OpenUpload.blob)).one()
        growing = app.extensions["storage"].grow(blob)
        growing.write(b"abc")
        growing.sync()
        growing.close()
        change = {"role": "user"} if whose == "former admin" else {"disabled_at": utcnow()}
        db.session.execute(somebody.values(**change))
        db.session.commit()
        before = len(events(app))
        assert resumable.finish_whole(settings_of(app)) == 0
        assert len(events(app)) == before
        db.session.execute(somebody.values(disabled_at=None, role="admin"))
        db.session.commit()
        assert resumable.finish_whole(settings_of(app)) == 1
    assert room(app) == (3, 0)


# -- The end of an upload


def test_upload_given_up_leaves_nothing(app: Flask, tus: Tus) -> None:
    address = tus.begin("a.bin", 2000)
    tus.patch(address, 0, CONTENT[:1000])
    assert tus.ask("DELETE", address).status_code == 204
    assert tus.ask("HEAD", address).status_code == 404
    assert tus.patch(address, 1000, CONTENT[1000:2000]).status_code == 404
    assert (stored_files(app), room(app), open_uploads(app)) == ([], (0, 0), 0)


def test_upload_whose_file_cannot_be_removed_is_given_up_all_the_same(app: Flask, tus: Tus) -> None:
    address = tus.begin("a.bin", 2000)
    tus.patch(address, 0, CONTENT[:1000])
    [path] = unfinished_files(app)
    path.unlink()
    path.mkdir()
    assert tus.ask("DELETE", address).status_code == 204
    assert (room(app), open_uploads(app)) == ((0, 0), 0)


def test_document_stays_when_its_upload_is_forgotten(app: Flask, alice: Browser, tus: Tus) -> None:
    done = tus.announce("a.txt", 3, b"abc")
    assert tus.ask("DELETE", done.headers["Location"]).status_code == 204
    assert tus.ask("HEAD", done.headers["Location"]).status_code == 404
    assert download(alice, done) == b"abc"
    assert room(app) == (3, 0)


def test_upload_left_alone_ends(app: Flask, alice: Browser, tus: Tus) -> None:
    address = tus.begin("a.bin", 2000)
    tus.patch(address, 0, CONTENT[:1000])
    stored = tus.announce("b.txt", 3, b"abc")
    change_upload(app, expires_at=utcnow() - timedelta(seconds=1))
    assert tus.ask("HEAD", address).status_code == 410
    assert tus.patch(address, 1000, CONTENT[1000:2000]).status_code == 410
    with app.app_context():
        assert resumable.expire() == 2
        assert resumable.expire() == 0
    assert tus.ask("HEAD", address).status_code == 404
    assert room(app) == (3, 0)
    assert unfinished_files(app) == []
    assert download(alice, stored) == b"abc"


def test_each_piece_puts_the_end_off_and_says_so(app: Flask, tus: Tus) -> None:
    address = tus.begin("a.bin", 2000)
    change_upload(app, expires_at=utcnow() + timedelta(minutes=1))
    answer = tus.patch(address, 0, CONTENT[:1000])
    with app.app_context():
        expires_at = db.session.scalars(select(OpenUpload.expires_at)).one()
    assert expires_at > utcnow() + timedelta(days=2)
    told = parse_date(answer.headers["Upload-Expires"])
    assert told is not None
    assert timedelta(0) <= expires_at - told < timedelta(seconds=5)


def test_upload_does_not_end_under_a_piece_that_comes_slowly(
    app: Flask, tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = tus.begin("a.bin", 2000)
    change_upload(app, expires_at=utcnow() + timedelta(minutes=1))
    write = pieces._write

    def slowly(*arguments: Any) -> int:
        with time_machine.travel(utcnow() + timedelta(hours=1)), app.app_context():
            assert resumable.expire() == 0
        return write(*arguments)

    monkeypatch.setattr(pieces, "_write", slowly)
    assert tus.patch(address, 0, CONTENT[:1000]).status_code == 204
    assert tus.offset(address) == 1000


def test_upload_put_off_while_old_ones_are_removed_stays(
    app: Flask, tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = tus.begin("a.bin", 2000)
    change_upload(app, expires_at=utcnow() - timedelta(seconds=1))
    forget = resumable._forget

    def late(*arguments: Any) -> bool:
        change_upload(app, expires_at=utcnow() + timedelta(days=1))
        return forget(*arguments)

    monkeypatch.setattr(resumable, "_forget", late)
    with app.app_context():
        assert resumable.expire() == 0
    assert tus.offset(address) == 0
    assert room(app) == (0, 2000)


# -- The same name again


def test_second_document_of_a_name_can_be_refused(app: Flask, alice: Browser, tus: Tus) -> None:
    first = tus.announce("a.txt", 3, b"abc", same_name="refuse")
    assert first.status_code == 201
    for content in (None, b"abd"):
        answer = tus.announce("a.txt", 3, content, same_name="refuse")
        assert refused(answer) == (409, "same_name")
        assert answer.get_json()["document"] == first.headers["Content-Location"]
    assert tus.announce("a.txt", 3, b"abd", same_name="refuse", path="x").status_code == 201
    assert tus.announce("a.txt", 3, b"abd").status_code == 201
    assert events(app, "upload.refused") == []


def test_name_taken_meanwhile_is_refused_at_the_end(app: Flask, tus: Tus) -> None:
    address = tus.begin("a.txt", 3, same_name="refuse")
    tus.announce("a.txt", 3, b"abc")
    assert refused(tus.patch(address, 0, b"abd")) == (409, "same_name")
    assert tus.ask("HEAD", address).status_code == 404
    assert (room(app), len(stored_files(app))) == ((3, 0), 1)


def test_same_name_becomes_a_new_version(app: Flask, alice: Browser, tus: Tus) -> None:
    first = tus.announce("a.txt", 3, b"abc")
    second = tus.announce("a.txt", 5, b"defgh", same_name="new-version")
    assert second.headers["Content-Location"] == first.headers["Content-Location"]
    address = tus.begin("a.txt", 4, same_name="new-version")
    third = tus.patch(address, 0, b"ijkl")
    path = f"{first.headers['Content-Location']}/download"
    assert download(alice, third) == b"ijkl"
    for number, content in ((1, b"abc"), (2, b"defgh"), (3, b"ijkl")):
        assert alice.get(f"{path}?version={number}").get_data() == content
    assert alice.get(f"{path}?version=4").status_code == 404
    assert room(app) == (12, 0)
    with app.app_context():
        numbers = db.session.scalars(select(Version.number).order_by(Version.number)).all()
        assert numbers == [1, 2, 3]
    assert [event.detail["size_bytes"] for event in events(app, "document.version_added")] == [5, 4]
    listed = alice.get("/documents", headers={"Accept": "application/json"}).get_json()
    assert [(row["name"], row["size"]) for row in listed["documents"]] == [("a.txt", 4)]


def test_upload_outlives_the_document_it_was_a_new_version_of(
    app: Flask, alice: Browser, tus: Tus, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tus.announce("a.txt", 3, b"abc")
    address = tus.begin("a.txt", 4, same_name="new-version")
    examine = uploads._examine

    def slowly(*arguments: Any) -> Any:
        found = examine(*arguments)
        twins(alice, 1)[0].post(f"{first.headers['Content-Location']}/delete")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(uploads, "_examine", slowly)
        assert tus.patch(address, 0, b"ijkl").status_code == 409
    answer = tus.ask("HEAD", address)
    assert answer.headers["Content-Location"] != first.headers["Content-Location"]
    assert download(alice, answer) == b"ijkl"


def test_new_version_of_nothing_is_a_new_document(app: Flask, alice: Browser, tus: Tus) -> None:
    done = tus.announce("a.txt", 3, b"abc", same_name="new-version")
    alice.post(f"{done.headers['Content-Location']}/delete")
    again = tus.announce("a.txt", 3, b"abd", same_name="new-version")
    assert again.headers["Content-Location"] != done.headers["Content-Location"]
