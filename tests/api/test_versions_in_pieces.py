"""Uploads in pieces that become a new version of a document."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from api.test_uploads import change_upload, download, open_uploads, refused, room
from api.tus import Tus
from conftest import DEED, Browser, Cast, user_named
from portal.documents import housekeeping, resumable, uploads
from portal.extensions import db
from portal.models import DiscardedBlob, Document, Folder, OpenUpload, User, Version, utcnow
from stage import NOTHING, events, program, settings_of, stored_files, twins, unfinished_files

CONTENT = b"%PDF-1.7\n" + hashlib.shake_256(b"the deed once more").digest(20_000)


@pytest.fixture
def tus(alice: Browser) -> Tus:
    return Tus(alice)


def whole(tus: Tus, deed: dict[str, Any], content: bytes = CONTENT, **said: str) -> Any:
    """Send a new version in the one request that announces it."""
    return tus.announce("scan.pdf", len(content), content, document=deed["id"], **said)


def begin(tus: Tus, deed: dict[str, Any], **said: str) -> str:
    return tus.begin("scan.pdf", len(CONTENT), document=deed["id"], **said)


def in_pieces(tus: Tus, deed: dict[str, Any], **said: str) -> Any:
    address = begin(tus, deed, **said)
    assert tus.patch(address, 0, CONTENT[:9000]).status_code == 204
    return tus.patch(address, 9000, CONTENT[9000:])


def versions(app: Flask) -> list[tuple[int, bytes]]:
    with app.app_context():
        rows = db.session.execute(
            select(Version.number, Version.sha256).order_by(Version.number)
        ).all()
        return [(number, digest) for number, digest in rows]


DEED_ALONE = [(1, hashlib.sha256(DEED).digest())]
BOTH = [*DEED_ALONE, (2, hashlib.sha256(CONTENT).digest())]


def delete(browser: Browser, deed: dict[str, Any], *, for_ever: bool = False) -> None:
    browser.post(f"{deed['url']}/delete")
    if for_ever:
        browser.post(f"/trash/{deed['id']}/purge")


def nothing_is_left(app: Flask) -> bool:
    return (open_uploads(app), unfinished_files(app), room(app)[1]) == (0, [], 0)


# -- The way through


@pytest.mark.parametrize("send", [whole, in_pieces])
def test_document_gets_a_version_and_keeps_its_name_and_place(
    app: Flask, alice: Browser, tus: Tus, deed: dict[str, Any], send: Callable[..., Any]
) -> None:
    folder = alice.post_json("/folders", {"name": "Taxes"}).get_json()
    alice.post(f"{deed['url']}/move", {"folder": folder["id"]})
    answer = send(tus, deed)
    assert answer.headers["Content-Location"] == deed["url"]
    assert download(alice, answer) == CONTENT
    assert alice.get(f"{deed['url']}/download?version=1").get_data() == DEED
    assert versions(app) == BOTH
    facts = alice.get(deed["url"], headers={"Accept": "application/json"}).get_json()
    assert (facts["name"], facts["size"], facts["folder"], facts["media_type"]) == (
        "deed.pdf",
        len(CONTENT),
        folder["id"],
        "application/pdf",
    )
    assert room(app) == (len(DEED) + len(CONTENT), 0)
    (event,) = events(app, "document.version_added")
    assert (event.actor, event.owner, event.document) == (alice.email, alice.email, deed["id"])
    assert (event.detail["name"], event.detail["given_name"]) == ("deed.pdf", "scan.pdf")
    assert event.detail["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert len(events(app, "document.uploaded")) == 1
    assert nothing_is_left(app)


@pytest.mark.parametrize("same_name", ["keep-both", "new-version", "refuse"])
def test_what_is_wanted_for_a_taken_name_says_nothing_about_a_version(
    app: Flask, tus: Tus, deed: dict[str, Any], same_name: str
) -> None:
    answer = tus.announce("deed.pdf", 3, b"one", document=deed["id"], same_name=same_name)
    assert (answer.status_code, answer.headers["Content-Location"]) == (201, deed["url"])
    address = tus.begin("deed.pdf", 3, document=deed["id"], same_name=same_name)
    assert tus.patch(address, 0, b"two").headers["Content-Location"] == deed["url"]
    assert [number for number, _ in versions(app)] == [1, 2, 3]


def test_program_sends_a_version_with_its_token(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    class OfProgram(Tus):
        def __init__(self, browser: Browser) -> None:
            script = program(browser, "documents:write")
            self.browser, self.token = browser, ""
            self.bearer = f"Bearer {script.token}"

        def ask(self, method: str, path: str, body: bytes | None = None, **headers: Any) -> Any:
            self.browser = Browser(app)
            return super().ask(method, path, body, Authorization=self.bearer, **headers)

    script = OfProgram(alice)
    assert whole(script, deed).status_code == 201
    assert in_pieces(script, deed).headers["Content-Location"] == deed["url"]
    assert [number for number, _ in versions(app)] == [1, 2, 3]


@pytest.mark.parametrize("by", ["head", "worker"])
def test_kill_before_the_version_is_stored_is_made_good(
    app: Flask,
    alice: Browser,
    tus: Tus,
    deed: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    by: str,
) -> None:
    address = begin(tus, deed)

    class Killed(BaseException):
        pass

    def die(*_arguments: Any, **_named: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(uploads, "_store", die)
        with pytest.raises(Killed):
            tus.patch(address, 0, CONTENT)
    assert versions(app) == DEED_ALONE
    if by == "worker":
        with app.app_context():
            assert resumable.finish_whole(settings_of(app)) == 1
            assert resumable.finish_whole(settings_of(app)) == 0
    answer = tus.ask("HEAD", address)
    assert answer.headers["Content-Location"] == deed["url"]
    assert download(alice, answer) == CONTENT
    assert versions(app) == BOTH
    (event,) = events(app, "document.version_added")
    assert event.actor == "alice@example.org"
    assert room(app) == (len(DEED) + len(CONTENT), 0)


# -- Whose it is, and what may not be said with it


@pytest.mark.parametrize("content", [None, CONTENT])
def test_not_yours_in_the_trash_and_never_there_are_the_same(
    app: Flask,
    alice: Browser,
    bob: Browser,
    ada: Browser,
    deed: dict[str, Any],
    content: bytes | None,
) -> None:
    trashed = alice.upload("old.pdf")
    delete(alice, trashed)
    alice_id = str(user_named(app, alice.email).public_id)
    before = (stored_files(app), room(app), room(app, bob.email))
    denied = len(events(app, "access.denied"))
    answers = [
        Tus(who).announce("scan.pdf", len(CONTENT), content, document=which, **said)
        for who, which, said in [
            (bob, deed["id"], {}),
            (ada, deed["id"], {}),
            (ada, deed["id"], {"owner": alice_id}),
            (bob, NOTHING, {}),
            (alice, trashed["id"], {}),
            (alice, NOTHING, {}),
            (bob, "no id", {}),
        ]
    ]
    assert {(answer.status_code, answer.get_data()) for answer in answers} == {
        (404, answers[0].get_data())
    }
    assert (stored_files(app), room(app), room(app, bob.email)) == before
    assert open_uploads(app) == 0
    assert versions(app)[0] == DEED_ALONE[0]
    assert len(events(app, "access.denied")) == denied + 6  # what is no id names nothing


def test_version_is_said_to_go_nowhere_else(
    app: Flask, alice: Browser, bob: Browser, tus: Tus, deed: dict[str, Any]
) -> None:
    folder = alice.post_json("/folders", {"name": "Taxes"}).get_json()
    bob_id = str(user_named(app, bob.email).public_id)
    for said in ({"folder": folder["id"]}, {"path": "a/b"}, {"note": "x"}, {"owner": bob_id}):
        for content in (None, CONTENT):
            answer = tus.announce("s.pdf", len(CONTENT), content, document=deed["id"], **said)
            assert answer.status_code == 422
            (key,) = said
            assert "Leave" in answer.get_json()["errors"][key]
    assert versions(app) == DEED_ALONE
    assert nothing_is_left(app)
    alice_id = str(user_named(app, alice.email).public_id)
    assert whole(tus, deed, owner=alice_id, folder="", path="").status_code == 201


# -- The rules


def test_rules_are_told_before_a_version_comes(make_app: Callable[..., Flask]) -> None:
    app = make_app(
        max_upload_bytes=1000, default_quota_bytes=1500, blocked_extensions=frozenset({"exe"})
    )
    alice = Cast(app).person("alice@example.org", "Alice")
    deed = alice.upload()
    tus = Tus(alice)
    assert refused(tus.announce("a.pdf", 1001, document=deed["id"])) == (413, "too_large")
    assert refused(tus.announce("a.exe", 10, document=deed["id"])) == (415, "type_refused")
    assert refused(tus.announce("", 10, document=deed["id"])) == (422, "name")
    assert tus.announce("a.pdf", 900, b"x" * 900, document=deed["id"]).status_code == 201
    left = 1500 - 900 - len(DEED)
    assert refused(tus.announce("a.pdf", left + 1, document=deed["id"])) == (413, "over_quota")
    tus.begin("a.pdf", left, document=deed["id"])
    assert refused(tus.announce("a.pdf", 1, document=deed["id"])) == (413, "over_quota")
    assert room(app) == (900 + len(DEED), left)


@pytest.mark.parametrize("is_whole", [True, False])
def test_type_is_judged_by_the_name_of_the_document(
    make_app: Callable[..., Flask], is_whole: bool
) -> None:
    app = make_app(type_mismatch="refuse")
    alice = Cast(app).person("alice@example.org", "Alice")
    deed = alice.upload()
    tus = Tus(alice)

    def send(name: str, content: bytes) -> Any:
        """Only the beginning, unless it is to go at once."""
        if is_whole:
            return tus.announce(name, len(content), content, document=deed["id"])
        address = tus.begin(name, len(content), document=deed["id"])
        return tus.patch(address, 0, content[:5000])

    # The deed is a PDF, whatever the file was called on somebody's disk.
    assert refused(send("notes.txt", b"Plain words.\n" * 800)) == (415, "type_refused")
    assert refused(send("setup.bin", b"MZ" + bytes(9000))) == (415, "type_refused")
    assert nothing_is_left(app)
    assert versions(app) == DEED_ALONE
    assert send("notes.txt", CONTENT).status_code in (201, 204)


def test_renamed_meanwhile_it_keeps_the_new_name(
    app: Flask, alice: Browser, tus: Tus, deed: dict[str, Any]
) -> None:
    address = begin(tus, deed)
    alice.post(f"{deed['url']}/rename", {"name": "house.pdf"})
    assert tus.patch(address, 0, CONTENT).status_code == 204
    (event,) = events(app, "document.version_added")
    assert event.detail["name"] == "house.pdf"
    assert versions(app) == BOTH


# -- The document goes away meanwhile


def test_in_the_trash_it_waits_until_the_document_is_restored(
    app: Flask, alice: Browser, tus: Tus, deed: dict[str, Any]
) -> None:
    address = begin(tus, deed)
    delete(alice, deed)
    assert tus.patch(address, 0, CONTENT[:9000]).status_code == 204
    for offset in (9000, len(CONTENT)):
        answer = tus.patch(address, offset, CONTENT[offset:])
        assert refused(answer) == (409, "document_trashed")
        assert "Restore the document" in answer.get_json()["detail"]
    answer = tus.ask("HEAD", address)
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (200, str(len(CONTENT)))
    assert "Content-Location" not in answer.headers
    assert room(app) == (len(DEED), len(CONTENT))
    alice.post(f"{deed['url']}/restore")
    assert tus.ask("HEAD", address).headers["Content-Location"] == deed["url"]
    assert versions(app) == BOTH
    assert room(app) == (len(DEED) + len(CONTENT), 0)


def test_worker_stores_what_waited_once_the_document_is_back(
    app: Flask, alice: Browser, tus: Tus, deed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = begin(tus, deed)
    delete(alice, deed)
    assert tus.patch(address, 0, CONTENT).status_code == 409
    with app.app_context():
        with monkeypatch.context() as patched:  # it does not read all of it again each minute
            patched.delattr(uploads, "receive_reserved")
            assert resumable.finish_whole(settings_of(app)) == 0
        assert versions(app) == DEED_ALONE
        alice.post(f"{deed['url']}/restore")
        assert resumable.finish_whole(settings_of(app)) == 1
    assert versions(app) == BOTH
    assert tus.ask("HEAD", address).headers["Content-Location"] == deed["url"]


def test_what_waited_in_vain_is_given_up_and_in_the_log(
    app: Flask, alice: Browser, tus: Tus, deed: dict[str, Any]
) -> None:
    address = begin(tus, deed)
    half = begin(tus, deed)
    delete(alice, deed)
    assert tus.patch(half, 0, CONTENT[:9000]).status_code == 204
    assert tus.patch(address, 0, CONTENT).status_code == 409
    change_upload(app, expires_at=utcnow() - timedelta(seconds=1))
    assert tus.ask("HEAD", address).status_code == 410
    with app.app_context():
        assert resumable.expire() == 2
    (event,) = events(app, "upload.refused")
    assert (event.owner, event.detail["reason"]) == (alice.email, "document_trashed")
    assert nothing_is_left(app)
    assert len(stored_files(app)) == 1


@pytest.mark.parametrize("when", ["before a piece", "before the last one"])
def test_deleted_for_ever_it_is_given_up_at_once(
    app: Flask, alice: Browser, tus: Tus, deed: dict[str, Any], when: str
) -> None:
    address = begin(tus, deed)
    other = begin(tus, deed)
    tus.patch(address, 0, CONTENT[:9000])
    delete(alice, deed, for_ever=True)
    end = 10_000 if when == "before a piece" else len(CONTENT)
    answer = tus.patch(address, 9000, CONTENT[9000:end])
    assert refused(answer) == (410, "document_gone")
    assert "new document" in answer.get_json()["detail"]
    assert tus.ask("HEAD", address).status_code == 404
    (event,) = events(app, "upload.refused")
    assert (event.owner, event.detail["reason"]) == (alice.email, "document_gone")
    assert (open_uploads(app), room(app)) == (1, (0, len(CONTENT)))
    assert tus.ask("DELETE", other).status_code == 204
    assert nothing_is_left(app)


@pytest.mark.parametrize("by", ["head", "worker"])
def test_deleted_for_ever_what_is_whole_is_given_up(
    app: Flask, alice: Browser, tus: Tus, deed: dict[str, Any], by: str
) -> None:
    address = begin(tus, deed)
    delete(alice, deed)
    assert tus.patch(address, 0, CONTENT).status_code == 409
    alice.post(f"/trash/{deed['id']}/purge")
    if by == "worker":
        with app.app_context():
            assert resumable.finish_whole(settings_of(app)) == 0
            assert resumable.finish_whole(settings_of(app)) == 0
    else:
        assert tus.ask("HEAD", address).status_code == 410
    (event,) = events(app, "upload.refused")
    assert (event.actor, event.detail["reason"]) == (alice.email, "document_gone")
    assert tus.ask("HEAD", address).status_code == 404
    assert nothing_is_left(app)
    with app.app_context():
        blobs = db.session.scalars(select(DiscardedBlob.blob)).all()
        assert len(blobs) == 1  # the deed's own
        assert db.session.scalars(select(Document)).all() == []


@pytest.mark.parametrize("for_ever", [False, True])
@pytest.mark.parametrize("is_whole", [False, True])
def test_deleted_at_the_last_moment_nothing_is_half_done(
    app: Flask,
    alice: Browser,
    tus: Tus,
    deed: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    is_whole: bool,
    for_ever: bool,
) -> None:
    """Between the look at the document and the change that renews it."""
    examine = uploads._examine
    other = twins(alice, 1)[0]

    def slowly(*arguments: Any) -> Any:
        found = examine(*arguments)
        delete(other, deed, for_ever=for_ever)
        return found

    address = "" if is_whole else begin(tus, deed)
    with monkeypatch.context() as patched:
        patched.setattr(uploads, "_examine", slowly)
        answer = whole(tus, deed) if is_whole else tus.patch(address, 0, CONTENT)
    if is_whole:
        assert answer.status_code == 404
    else:
        reason = (410, "document_gone") if for_ever else (409, "document_trashed")
        assert refused(answer) == reason
    assert events(app, "document.version_added") == []
    if not is_whole and not for_ever:
        alice.post(f"{deed['url']}/restore")
        assert tus.ask("HEAD", address).headers["Content-Location"] == deed["url"]
        assert versions(app) == BOTH
    else:
        assert versions(app) == ([] if for_ever else DEED_ALONE)
    assert nothing_is_left(app)
    with app.app_context():
        housekeeping.purge(settings_of(app))
    assert room(app)[0] == sum(path.stat().st_size for path in stored_files(app)) or for_ever


def test_stored_version_can_be_asked_about_after_its_document_is_gone(
    app: Flask, alice: Browser, tus: Tus, deed: dict[str, Any]
) -> None:
    address = begin(tus, deed)
    assert tus.patch(address, 0, CONTENT).status_code == 204
    delete(alice, deed, for_ever=True)
    assert refused(tus.patch(address, 0, CONTENT)) == (409, "offset")
    answer = tus.ask("HEAD", address)
    assert (answer.status_code, answer.headers["Content-Location"]) == (200, deed["url"])
    assert events(app, "upload.refused") == []


def test_folder_of_the_document_is_no_place_of_the_upload(
    app: Flask, alice: Browser, tus: Tus, deed: dict[str, Any]
) -> None:
    folder = alice.post_json("/folders", {"name": "Taxes"}).get_json()
    alice.post(f"{deed['url']}/move", {"folder": folder["id"]})
    address = begin(tus, deed)
    with app.app_context():
        assert db.session.scalars(select(OpenUpload.folder_id)).one() is None
    alice.post(f"/folders/{folder['id']}/delete")
    assert refused(tus.patch(address, 0, CONTENT)) == (409, "document_trashed")
    alice.post(f"/folders/{folder['id']}/restore")
    assert tus.patch(address, len(CONTENT), b"").headers["Content-Location"] == deed["url"]
    with app.app_context():
        assert db.session.scalars(select(Folder.trashed_at)).one() is None


def test_document_of_somebody_else_renews_nothing_wherever_it_lies(
    app: Flask, alice: Browser, bob: Browser, deed: dict[str, Any]
) -> None:
    """The last look, where the first one was passed by."""
    address = begin(Tus(alice), deed)
    with app.app_context():
        theirs = db.session.scalars(select(User.id).where(User.email == bob.email)).one()
        db.session.execute(update(Document).values(owner_id=theirs))
        db.session.commit()
    assert refused(Tus(alice).patch(address, 0, CONTENT)) == (410, "document_gone")
    assert versions(app) == DEED_ALONE
    assert nothing_is_left(app)
