"""Scanning what waits: every verdict, every trouble, and who is told."""

from __future__ import annotations

import random
import signal
import socket
import threading
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from admin.test_overview import the_deed
from conftest import DEED, Browser, Cast, user_named
from live.clamd import EICAR, MIB, THREAT, Clamd, pdf, zipped
from portal.database import transaction
from portal.extensions import db
from portal.jobs import holding
from portal.mail import notices
from portal.models import Role, Scan, User, Version, utcnow
from portal.scanning import scanner, waiting
from portal.scanning.clamd import ScannerAway
from post_office import html_of, mails_to, outbox, text_of
from scanning.peer import heard, peer, says
from scanning.stage import make_due, put, scan, upload, version_of
from stage import (
    at_once,
    database_dump,
    events,
    file_part,
    form,
    send_form,
    settings_of,
    stored_files,
)

ALICE, ADA, BOB = "alice@example.org", "ada@example.org", "bob@example.org"
NOISE = random.Random(11)
CLEAN = {
    "deed.pdf": DEED,
    "whole.pdf": pdf(b"BT (Hello) Tj ET"),
    "empty.txt": b"",
    "text.txt": "Grüße\n".encode() * 5000,
    "archive.zip": zipped(b"nothing bad"),
    "picture.png": b"\x89PNG\r\n\x1a\n" + NOISE.randbytes(4000),
    "noise.bin": NOISE.randbytes(3 * MIB),
}
MALWARE = {
    "raw.com": EICAR,
    "zipped.zip": zipped(EICAR),
    "in.pdf": pdf(EICAR),
    "large.bin": NOISE.randbytes(2 * MIB) + EICAR + NOISE.randbytes(MIB),
}


@pytest.fixture
def app(make_app: Any, request: pytest.FixtureRequest) -> Flask:
    """A portal with the session's clamd, or with the test's own."""
    name = "own_clamd" if "own_clamd" in request.fixturenames else "clamd"
    app: Flask = make_app(clamd_url=request.getfixturevalue(name).server)
    return app


def state_of(app: Flask, document: dict[str, Any]) -> tuple[str, int, bool]:
    """State, tries, and whether it is in the queue."""
    version = version_of(app, document)
    return version.scan, version.scan_tries, version.next_scan_at is not None


def test_upload_waits_until_it_was_called_clean(app: Flask, alice: Browser) -> None:
    for name, content in CLEAN.items():
        document = upload(alice, name, content)
        assert document["scan"] == "waiting"
        assert state_of(app, document) == (Scan.WAITING, 0, True)
        assert alice.get(document["download_url"]).status_code == 409
        assert scan(app) == 1
        version = version_of(app, document)
        assert state_of(app, document) == (Scan.CLEAN, 0, False)
        assert version.scanned_at is not None
        assert version.threat == ""
        assert alice.get(document["download_url"]).data == content
        seen = alice.get(document["url"], headers={"Accept": "application/json"}).get_json()
        assert seen["scan"] == "clean"
    assert scan(app) == 0
    assert outbox(app) == []


@pytest.mark.parametrize("name", MALWARE)
def test_malware_is_blocked(app: Flask, alice: Browser, name: str) -> None:
    document = upload(alice, name, MALWARE[name])
    assert scan(app) == 1
    version = version_of(app, document)
    assert state_of(app, document) == (Scan.INFECTED, 0, False)
    assert version.threat == THREAT
    assert alice.get(document["download_url"]).status_code == 403
    (event,) = events(app, "document.infected")
    assert (event.actor, event.owner, event.document) == ("system", ALICE, document["id"])
    assert event.detail["name"] == name
    assert event.detail["threat"] == THREAT
    assert event.detail["sha256"] == document["sha256"]
    assert scan(app) == 0


def test_new_version_waits_too_and_a_clean_one_releases_the_document(
    app: Flask, alice: Browser
) -> None:
    document = alice.upload("raw.com", EICAR)
    scan(app)
    path = f"{document['url']}/versions"
    answer = send_form(alice, form([file_part(b"clean", "raw.com")]), path)
    assert answer.status_code == 201, answer.text
    assert alice.get(document["download_url"]).status_code == 409
    assert scan(app) == 1
    assert alice.get(document["download_url"]).data == b"clean"
    assert alice.get(document["download_url"] + "?version=1").status_code == 403


# Who is told


def test_owner_uploader_and_every_admin_are_told_once(
    app: Flask, alice: Browser, bob: Browser, ada: Browser, cast: Cast
) -> None:
    cast.person("zoe@example.org", "Zoe Admin", Role.ADMIN)
    gone = cast.person("gone@example.org", "Gone Admin", Role.ADMIN)
    with app.app_context(), transaction():
        db.session.execute(
            update(User).where(User.email == gone.email).values(disabled_at=utcnow())
        )
    before = len(outbox(app))
    path = f"/admin/users/{user_named(app, ALICE).public_id}/documents"
    answer = ada.post_json(path, {"file": (BytesIO(EICAR), "für <Alice>.com")})
    assert answer.status_code == 201
    scan(app)
    assert len(outbox(app)) == before + 3
    owners, uploaders, others = (
        mails_to(app, address)[-1] for address in (ALICE, ADA, "zoe@example.org")
    )
    for mail in (owners, uploaders, others):
        assert mail["Subject"] == "Document Portal: malware was found in a document"
        for text in (text_of(mail), html_of(mail)):
            assert THREAT in text
            assert "nobody can download it" in text
        assert "für <Alice>.com" in text_of(mail)
        assert "für &lt;Alice&gt;.com" in html_of(mail)
    assert "one of your documents" in text_of(owners)
    assert "/documents/" in text_of(owners)
    for mail in (uploaders, others):
        assert "a document of Alice Archer" in text_of(mail)
        assert path in text_of(mail)
    assert mails_to(app, BOB) == []


def test_disabled_owner_is_sent_nothing(app: Flask, alice: Browser) -> None:
    document = alice.upload("raw.com", EICAR)
    with app.app_context(), transaction():
        db.session.execute(update(User).values(disabled_at=utcnow()))
    scan(app)
    assert version_of(app, document).scan == Scan.INFECTED
    assert mails_to(app, ALICE) == []


def test_many_infected_files_do_not_fill_a_mailbox(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "MOST_MALWARE_MAILS", 3)
    for number in range(5):
        alice.upload(f"{number}.com", EICAR)
    assert scan(app) == 5
    mails = [mail for mail in mails_to(app, ALICE) if "malware" in mail["Subject"]]
    assert len(mails) == 3
    assert ["no further mail" in " ".join(text_of(mail).split()) for mail in mails].count(True) == 1
    assert len(events(app, "document.infected")) == 5


def test_verdict_event_and_mails_are_kept_together_or_not_at_all(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = alice.upload("raw.com", EICAR)
    monkeypatch.setattr(notices.post, "put", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        scan(app)
    assert version_of(app, document).scan == Scan.WAITING
    assert events(app, "document.infected") == []
    monkeypatch.undo()
    make_due(app, document)
    scan(app)
    assert version_of(app, document).scan == Scan.INFECTED
    assert len(events(app, "document.infected")) == 1


# A scanner in trouble


def test_while_the_scanner_is_away_nothing_is_tried_and_then_everything_at_once(
    app: Flask, own_clamd: Clamd, alice: Browser
) -> None:
    documents = [alice.upload(f"{number}.txt", b"x%d" % number) for number in range(5)]
    own_clamd.kill(signal.SIGTERM)
    before = database_dump(app)
    for _ in range(3):
        with pytest.raises(ScannerAway):
            scan(app)
    assert database_dump(app) == before
    assert alice.get(documents[0]["download_url"]).status_code == 409
    own_clamd.start()
    assert scan(app) == 5
    assert {state_of(app, each) for each in documents} == {(Scan.CLEAN, 0, False)}


def test_hanging_scanner_calls_nothing_clean(
    app: Flask, own_clamd: Clamd, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.scanning.clamd.ANSWER_SECONDS", 0.3)
    document = alice.upload()
    own_clamd.hang()
    with pytest.raises(ScannerAway):
        scan(app)
    assert state_of(app, document) == (Scan.WAITING, 0, True)


def test_file_that_is_too_large_waits_and_is_tried_again_after_growing_pauses(
    app: Flask, alice: Browser
) -> None:
    document = upload(alice, "large.bin", bytes(9 * MIB))
    pauses = []
    for tries in range(1, 8):
        assert scan(app) == 0
        version = version_of(app, document)
        assert state_of(app, document) == (Scan.WAITING, tries, True)
        assert version.next_scan_at is not None
        pauses.append(round((version.next_scan_at - utcnow()).total_seconds()))
        assert scan(app) == 0, "it was tried before its time"
        assert version_of(app, document).scan_tries == tries
        make_due(app, document)
    assert pauses == sorted(pauses)
    assert pauses[0] < 10
    assert 60 < pauses[-1] <= 600
    assert alice.get(document["download_url"]).status_code == 409


def test_large_file_keeps_no_other_waiting(app: Flask, alice: Browser) -> None:
    upload(alice, "large.bin", bytes(9 * MIB))
    small = alice.upload("small.txt", b"x")
    assert scan(app) == 1
    assert version_of(app, small).scan == Scan.CLEAN


@pytest.mark.parametrize("answer", [b"", b"stream: OK", b"nonsense\0", b"stream: x ERROR\0"])
def test_answer_that_is_not_understood_leaves_it_waiting(
    make_app: Any, alice: Browser, answer: bytes
) -> None:
    document = alice.upload()

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"PONG\0" if heard(connection) == b"zPING\0" else answer)

    with peer(talk) as liar:
        app = make_app(clamd_url=liar)
        assert scan(app) == 0
        assert state_of(app, document) == (Scan.WAITING, 1, True)


def test_peer_that_is_no_scanner_is_given_no_document(make_app: Any, alice: Browser) -> None:
    document = alice.upload()
    given: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        given.append(heard(connection))
        connection.sendall(b"stream: OK\0")

    with peer(talk) as stranger:
        app = make_app(clamd_url=stranger)
        with pytest.raises(ScannerAway):
            scan(app)
    assert given == [b"zPING\0"]
    assert state_of(app, document) == (Scan.WAITING, 0, True)


def test_scanner_that_goes_away_between_two_files_costs_no_try(
    make_app: Any, alice: Browser
) -> None:
    documents = [alice.upload(f"{number}.txt", b"x") for number in range(2)]
    with peer(says(b"PONG\0")) as dying:
        app = make_app(clamd_url=dying)
    with app.app_context():
        claim = waiting.claim()
        assert claim
        with pytest.raises(ScannerAway):
            scanner._scan(claim, dying, threading.Event())
    assert {state_of(app, each) for each in documents} == {(Scan.WAITING, 0, True)}
    version = version_of(app, documents[0])
    assert version.next_scan_at is not None
    assert version.next_scan_at <= utcnow()


def talks(during: Any) -> Any:
    """A scanner that has something happen while it looks at a file, and then calls it clean."""

    def talk(connection: socket.socket) -> None:
        if heard(connection) == b"zPING\0":
            connection.sendall(b"PONG\0")
            return
        during()
        connection.sendall(b"stream: OK\0")

    return talk


def test_document_that_is_deleted_for_ever_in_the_meantime_is_no_error(
    make_app: Any, alice: Browser
) -> None:
    document = alice.upload()

    def delete() -> None:
        alice.post(f"{document['url']}/delete")
        alice.post(f"/trash/{document['id']}/purge")

    with peer(talks(delete)) as server:
        app = make_app(clamd_url=server)
        assert scan(app) == 0
    with app.app_context():
        assert db.session.scalars(select(Version)).all() == []


def test_malware_in_a_document_that_was_deleted_for_ever_is_no_error(
    app: Flask, alice: Browser
) -> None:
    document = alice.upload("raw.com", EICAR)
    with app.app_context():
        claim = waiting.claim()
    alice.post(f"{document['url']}/delete")
    alice.post(f"/trash/{document['id']}/purge")
    with app.app_context():
        assert claim
        with pytest.raises(waiting.Lost):
            scanner._scan(claim, settings_of(app).clamd_url, threading.Event())  # type: ignore[arg-type]
    assert events(app, "document.infected") == []


def test_document_in_the_trash_is_scanned_too(app: Flask, alice: Browser) -> None:
    document = alice.upload("raw.com", EICAR)
    alice.post(f"{document['url']}/delete")
    assert scan(app) == 1
    alice.post(f"{document['url']}/restore")
    assert alice.get(document["download_url"]).status_code == 403


def test_missing_file_is_not_clean(app: Flask, alice: Browser, deed: dict[str, Any]) -> None:
    the_deed(app).unlink()
    assert scan(app) == 0
    assert state_of(app, deed) == (Scan.WAITING, 1, True)


def test_cut_file_is_not_clean(app: Flask, alice: Browser, deed: dict[str, Any]) -> None:
    path = the_deed(app)
    path.write_bytes(path.read_bytes()[:-1])
    assert scan(app) == 0
    assert state_of(app, deed) == (Scan.WAITING, 1, True)
    assert len(stored_files(app)) == 1


# Several workers, and workers that die


def test_workers_share_the_work_and_none_scans_what_another_has(
    make_app: Any, alice: Browser
) -> None:
    documents = [alice.upload(f"{number}.txt", b"x") for number in range(12)]
    asked = []
    with peer(talks(lambda: asked.append(1))) as server:
        app = make_app(clamd_url=server)
        assert sum(at_once(4, lambda _: scan(app))) == 12
    assert len(asked) == 12
    assert {state_of(app, each) for each in documents} == {(Scan.CLEAN, 0, False)}


def test_what_a_killed_worker_had_in_hand_is_scanned_after_its_lease(
    app: Flask, deed: dict[str, Any]
) -> None:
    with app.app_context():
        claim = waiting.claim()  # and then nothing is heard of it
    assert claim
    assert claim.lease - utcnow() <= timedelta(minutes=1)
    assert scan(app) == 0
    make_due(app, deed)
    assert scan(app) == 1
    assert version_of(app, deed).scan == Scan.CLEAN


def test_lease_is_renewed_while_a_scan_goes_on(
    make_app: Any, deed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "_RENEWED_AFTER", 0.0)
    leases = []
    with peer(talks(lambda: leases.append(version_of(app, deed).next_scan_at))) as server:
        app = make_app(clamd_url=server)
        with app.app_context():
            claim = waiting.claim()
            assert claim
            assert scanner._scan(claim, server, threading.Event())
    assert leases[0] > claim.lease
    assert version_of(app, deed).scan == Scan.CLEAN


def test_worker_that_was_too_slow_leaves_the_verdict_to_whoever_has_it_now(
    make_app: Any, deed: dict[str, Any]
) -> None:
    elsewhere = utcnow() + timedelta(seconds=30)
    with peer(talks(lambda: put(app, deed, next_scan_at=elsewhere))) as server:
        app = make_app(clamd_url=server)
        assert scan(app) == 0
    version = version_of(app, deed)
    assert (version.scan, version.next_scan_at) == (Scan.WAITING, elsewhere)


@pytest.mark.parametrize("state", [Scan.WAITING, Scan.CLEAN])
def test_malware_counts_whoever_has_the_document_by_now(
    app: Flask, alice: Browser, state: Scan
) -> None:
    document = alice.upload("raw.com", EICAR)
    with app.app_context():
        claim = waiting.claim()
        assert claim
        put(app, document, scan=state, next_scan_at=None)
        scanner._scan(claim, settings_of(app).clamd_url, threading.Event())  # type: ignore[arg-type]
    assert version_of(app, document).scan == Scan.INFECTED


def test_malware_that_two_found_is_told_once(app: Flask, alice: Browser) -> None:
    document = alice.upload("raw.com", EICAR)
    with app.app_context():
        claim = waiting.claim()
        assert claim
        put(app, document, scan=Scan.INFECTED)
        with pytest.raises(waiting.Lost):
            scanner._scan(claim, settings_of(app).clamd_url, threading.Event())  # type: ignore[arg-type]
    assert events(app, "document.infected") == []
    assert mails_to(app, ALICE) == []


@pytest.mark.parametrize("state", [Scan.CLEAN, Scan.INFECTED, Scan.NONE])
def test_only_what_waits_is_scanned(app: Flask, deed: dict[str, Any], state: Scan) -> None:
    put(app, deed, scan=state, next_scan_at=utcnow())
    with app.app_context():
        assert not waiting.is_due()
        assert waiting.claim() is None
    assert scan(app) == 0
    assert version_of(app, deed).scan == state


def test_what_was_found_is_not_called_clean_by_a_slower_worker(
    make_app: Any, deed: dict[str, Any]
) -> None:
    with peer(talks(lambda: put(app, deed, scan=Scan.INFECTED))) as server:
        app = make_app(clamd_url=server)
        assert scan(app) == 0
    assert version_of(app, deed).scan == Scan.INFECTED


def test_worker_that_is_told_to_stop_gives_back_what_it_has(
    make_app: Any, deed: dict[str, Any]
) -> None:
    stop = threading.Event()

    def talk(connection: socket.socket) -> None:
        if heard(connection) == b"zPING\0":
            connection.sendall(b"PONG\0")
        else:
            stop.set()
            connection.recv(1)  # until the other side leaves

    with peer(talk) as slow:
        app = make_app(clamd_url=slow)
        assert scan(app, stop) == 0
    version = version_of(app, deed)
    assert (version.scan, version.scan_tries) == (Scan.WAITING, 0)
    assert version.next_scan_at is not None
    assert version.next_scan_at <= utcnow()


# From the time before


def test_what_was_stored_before_there_was_a_scanner_is_scanned(make_app: Any, clamd: Clamd) -> None:
    before = make_app()
    alice = Cast(before).person(ALICE, "Alice Archer")
    documents = [alice.upload(f"{number}.txt", b"x") for number in range(3)]
    bad = alice.upload("raw.com", EICAR)
    assert bad["scan"] == ""
    assert scan(before) == 0
    app = make_app(clamd_url=clamd.server)
    with app.app_context():
        last = waiting.enqueue_older(0)
        assert last is not None
        assert waiting.enqueue_older(last) is None
        assert waiting.enqueue_older(0) is None
    assert scan(app) == 4
    assert {state_of(app, each) for each in documents} == {(Scan.CLEAN, 0, False)}
    assert version_of(app, bad).scan == Scan.INFECTED


def test_older_ones_are_put_into_the_queue_in_small_numbers(
    make_app: Any, clamd: Clamd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_BATCH", 2)
    before = make_app()
    alice = Cast(before).person(ALICE, "Alice Archer")
    for number in range(5):
        alice.upload(f"{number}.txt", b"x")
    app = make_app(clamd_url=clamd.server)
    taken, last = [], 0
    with app.app_context():
        while (following := waiting.enqueue_older(last)) is not None:
            last = following
            taken.append(scan(app))
    assert taken == [2, 2, 1]


def test_nothing_is_scanned_without_the_setting(make_app: Any, deed: dict[str, Any]) -> None:
    app = make_app(clamd_url=None)
    make_due(app, deed)
    assert scan(app) == 0


def test_files_that_failed_before_let_others_go_first(app: Flask, alice: Browser) -> None:
    slow, fresh = alice.upload("slow.zip", b"slow"), alice.upload("fresh.txt", b"fresh")
    put(app, slow, scan_tries=1, next_scan_at=utcnow() - timedelta(hours=1))
    with app.app_context():
        first, second = waiting.claim(), waiting.claim()
    assert first is not None
    assert second is not None
    assert [str(first.document_id), str(second.document_id)] == [fresh["id"], slow["id"]]
