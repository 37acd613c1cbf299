"""Stored bytes are hashed again by the clock; what is damaged is told, and never handed out."""

from __future__ import annotations

import hashlib
import os
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import select

from conftest import DEED, PASSWORD, Browser, Cast
from portal import config
from portal.admin import checks
from portal.admin.checks import Check
from portal.cli import Commands, upkeep
from portal.documents import housekeeping, integrity
from portal.documents.integrity import LEASE, Stopped
from portal.errors import StorageUnavailable
from portal.extensions import db
from portal.mail import notices
from portal.models import Mail, Role, Scan, Version, utcnow
from scanning.stage import put, upload, version_of
from stage import at_once, events, program, settings_of, stored_files

Travel = Callable[[timedelta], None]
DAY = timedelta(days=1)
ADA = "ada@example.org"


@pytest.fixture
def later(time_machine: Any) -> Travel:
    """Go to a moment so long after the beginning of the test."""
    start = utcnow()
    time_machine.move_to(start, tick=False)
    return lambda span: time_machine.move_to(start + span, tick=False)


def no_rest(_seconds: float) -> None:
    pass


def verify(app: Flask, rest: Callable[[float], None] = no_rest, **settings: Any) -> int:
    """Do what the worker does until nothing is due; answers how many were verified."""
    with app.app_context():
        total = 0
        while done := integrity.verify_some(replace(settings_of(app), **settings), rest):
            total += done
        return total


def make_due(app: Flask, document: dict[str, Any]) -> None:
    put(app, document, verified_at=utcnow() - 31 * DAY)


def flip(path: Path) -> bytes:
    """Change one byte; answers what was there before."""
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    return content


SPOIL: dict[str, tuple[Callable[[Path], object], str]] = {
    "flip": (flip, "was changed"),
    "cut": (lambda path: path.write_bytes(DEED[:-1]), "bytes long instead of"),
    "longer": (lambda path: path.write_bytes(DEED + b"x"), "bytes long instead of"),
    "remove": (lambda path: path.unlink(), "is missing"),
    "link": (
        lambda path: (path.rename(path.with_name("aside")), path.symlink_to("aside")),
        "cannot be read",
    ),
}


@pytest.fixture
def damaged(app: Flask, ada: Browser, alice: Browser, deed: dict[str, Any]) -> dict[str, Any]:
    """Alice's deed, one byte of which was found to be another."""
    make_due(app, deed)
    flip(stored_files(app)[0])
    assert verify(app) == 1
    return deed


# The schedule


def test_upload_counts_as_verified(app: Flask, alice: Browser, deed: dict[str, Any]) -> None:
    version = version_of(app, deed)
    assert version.verified_at == version.uploaded_at
    assert verify(app) == 0


def test_everything_is_verified_once_within_the_days(app: Flask, later: Travel, cast: Cast) -> None:
    deed = cast.person("alice@example.org", "Alice").upload()
    uploaded_at = version_of(app, deed).verified_at
    later(30 * DAY)
    assert verify(app) == 0
    later(30 * DAY + timedelta(seconds=1))
    assert verify(app, verify_days=31) == 0
    assert verify(app) == 1
    version = version_of(app, deed)
    assert (version.verified_at, version.next_verify_at) == (utcnow(), None)
    assert version.verified_at != uploaded_at
    assert verify(app) == 0


def test_nothing_is_verified_where_the_setting_is_nought(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    put(app, deed, verified_at=None)
    with app.app_context():
        assert integrity.verify_some(replace(settings_of(app), verify_days=0), no_rest) == 0
    assert verify(app) == 1


def test_never_verified_ones_go_first_then_those_verified_longest_ago(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "_BATCH", 1)
    documents = {days: alice.upload(f"{days}.txt", f"{days}".encode()) for days in (40, 90, 0, 60)}
    for days, document in documents.items():
        put(app, document, verified_at=utcnow() - days * DAY if days else None)
    order = []
    with app.app_context():
        while integrity.verify_some(settings_of(app), no_rest):
            newest = db.session.scalars(
                select(Version).order_by(Version.verified_at.desc()).limit(1)
            ).one()
            order.append(newest.sha256)
    assert order == [hashlib.sha256(f"{days}".encode()).digest() for days in (0, 90, 60, 40)]


def test_trash_and_older_versions_are_verified_too(app: Flask, alice: Browser) -> None:
    document = alice.upload()
    alice.upload("b.txt", b"b")
    alice.post_json("/documents", {"file": (another(), "deed.pdf"), "same_name": "new-version"})
    alice.post(f"{document['url']}/delete")
    put(app, document, verified_at=None)
    assert verify(app) == 2


def another() -> BytesIO:
    return BytesIO(DEED + b"again")


def test_rest_is_seven_times_the_work(app: Flask, alice: Browser) -> None:
    document = upload(alice, "long.bin", bytes(3_500_000))
    put(app, document, verified_at=None)
    rests: list[float] = []
    assert verify(app, rests.append) == 1
    assert len(rests) >= 4  # after each block, and after what was written down
    assert all(seconds > 0 for seconds in rests)
    assert integrity.REST == 7


def test_batches_are_bounded_in_bytes(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "_BATCH_BYTES", 10)
    for number in range(5):
        put(app, alice.upload(f"{number}.txt", b"12345"), verified_at=None)
    with app.app_context():
        sizes = []
        while done := integrity.verify_some(settings_of(app), no_rest):
            sizes.append(done)
    assert sizes == [2, 2, 1]


def test_workers_at_once_share_the_work(app: Flask, alice: Browser) -> None:
    for number in range(6):
        put(app, alice.upload(f"{number}.txt", b"x%d" % number), verified_at=None)
    assert sum(at_once(4, lambda _: verify(app))) == 6


def test_what_one_was_killed_over_is_done_when_its_lease_is_over(
    app: Flask, later: Travel, cast: Cast
) -> None:
    deed = cast.person("alice@example.org", "Alice").upload()
    put(app, deed, verified_at=None)

    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    with app.app_context():
        with pytest.MonkeyPatch.context() as patched:
            # As kill -9 leaves it: nothing is given back.
            patched.setattr(integrity, "_write_down", die)
            patched.setattr(integrity._Held, "give_back", die)
            with pytest.raises(Killed):
                integrity.verify_some(settings_of(app), no_rest)
        db.session.remove()
    later(LEASE)
    assert version_of(app, deed).verified_at is None
    later(LEASE - timedelta(seconds=1))
    assert verify(app) == 0
    later(LEASE + timedelta(seconds=1))
    assert verify(app) == 1


def test_lease_is_renewed_while_it_takes_long(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "_RENEW_SECONDS", 0)
    document = upload(alice, "long.bin", bytes(2_500_000))
    put(app, document, verified_at=None)
    seen: list[Any] = []
    with app.app_context():

        def look(_seconds: float) -> None:
            seen.append(db.session.scalar(select(Version.next_verify_at)))
            db.session.commit()

        assert integrity.verify_some(settings_of(app), look) == 1
    leases = [each for each in seen if each is not None]
    assert leases == sorted(leases)
    assert len(set(leases)) >= 3


def test_worker_that_is_stopped_keeps_what_it_knows_and_gives_the_rest_back(
    app: Flask, alice: Browser
) -> None:
    for number in range(3):
        put(app, alice.upload(f"{number}.txt", b"x"), verified_at=None)
    stop = threading.Event()

    def rest(_seconds: float) -> None:
        if stop.is_set():
            raise Stopped
        stop.set()

    with app.app_context(), pytest.raises(Stopped):
        integrity.verify_some(settings_of(app), rest)
    with app.app_context():
        verified = [
            row.verified_at is not None for row in db.session.query(Version).order_by(Version.id)
        ]
    assert verified.count(True) in {0, 1}
    assert verify(app) == 3 - verified.count(True)


# What is found


@pytest.mark.parametrize("kind", SPOIL)
def test_damage_is_recorded_and_the_bytes_are_handed_out_no_more(
    app: Flask, ada: Browser, alice: Browser, visitor: Browser, deed: dict[str, Any], kind: str
) -> None:
    link = alice.share(deed, max_downloads="1")
    spoil, words = SPOIL[kind]
    (file,) = stored_files(app)
    spoil(file)
    make_due(app, deed)
    assert verify(app) == 1
    (event,) = events(app, "document.damaged")
    assert (event.actor, event.document, event.owner) == ("system", deed["id"], "alice@example.org")
    assert words in event.detail["problem"]
    assert event.detail["version"] == 1
    assert version_of(app, deed).damaged_at is not None
    for reader in (alice, program(alice, "documents:read")):
        ask = reader.get if isinstance(reader, Browser) else reader.open
        answer = ask(deed["download_url"], headers={"Accept": "application/json"})
        assert (answer.status_code, answer.get_json()["reason"]) == (500, "damaged")
    assert alice.head(deed["download_url"]).status_code == 500
    etag = f'"{deed["sha256"]}"'
    ranged = alice.get(deed["download_url"], headers={"If-None-Match": etag, "Range": "bytes=0-1"})
    assert ranged.status_code == 500
    # A link counts nothing, and works again with the bytes.
    assert visitor.client.post(f"{link['path']}/download").status_code == 500
    assert not events(app, "share_link.used")
    assert not events(app, "document.downloaded")


def test_ticket_of_a_link_fetches_no_damaged_bytes(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    ticket = visitor.client.post(f"{alice.share(deed)['path']}/download").location
    put(app, deed, damaged_at=utcnow())
    assert visitor.get(ticket).status_code == 500


def test_malware_is_worse_than_damage(app: Flask, alice: Browser, deed: dict[str, Any]) -> None:
    put(app, deed, damaged_at=utcnow(), scan=Scan.INFECTED)
    assert alice.get(deed["download_url"]).status_code == 403


def test_version_that_is_whole_is_handed_out_beside_a_damaged_one(
    app: Flask, alice: Browser, damaged: dict[str, Any]
) -> None:
    alice.post_json(f"{damaged['url']}/versions", {"file": (another(), "deed.pdf")})
    assert alice.get(damaged["download_url"]).data == DEED + b"again"
    assert alice.get(f"{damaged['download_url']}?version=1").status_code == 500


def test_own_data_leaves_damaged_bytes_out_and_says_so(
    alice: Browser, damaged: dict[str, Any]
) -> None:
    alice.post("/account/prove", {"password": PASSWORD})
    answer = alice.post("/account/data")
    assert answer.status_code == 200, answer.text
    archive = zipfile.ZipFile(BytesIO(answer.data))
    (left_out,) = (name for name in archive.namelist() if "NOT" in name.upper())
    assert "its stored file is missing or damaged" in archive.read(left_out).decode()
    assert not [name for name in archive.namelist() if name.endswith("deed.pdf")]


def test_finding_is_told_to_every_admin_once(app: Flask, later: Travel, cast: Cast) -> None:
    for number in range(2):
        cast.person(f"ada{number}@example.org", "Ada", Role.ADMIN)
    deed = cast.person("alice@example.org", "Alice").upload()
    (file,) = stored_files(app)
    content = flip(file)
    make_due(app, deed)
    assert verify(app) == 1
    later(integrity.AGAIN + timedelta(minutes=1))
    assert verify(app) == 1
    assert sorted(told(app)) == ["ada0@example.org", "ada1@example.org"]
    assert len(events(app, "document.damaged")) == 1
    file.write_bytes(content)
    later(2 * integrity.AGAIN + timedelta(minutes=2))
    assert verify(app) == 1
    flip(file)
    later(33 * DAY)
    assert verify(app) == 1
    assert len(told(app)) == 4
    assert len(events(app, "document.damaged")) == 2


def told(app: Flask) -> list[str]:
    with app.app_context():
        return list(db.session.scalars(select(Mail.recipient).where(Mail.kind == "damage")))


def test_broken_disk_fills_nobodys_mailbox(
    app: Flask, ada: Browser, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "MOST_DAMAGE_MAILS", 2)
    for number in range(4):
        put(app, alice.upload(f"{number}.txt", b"abc"), verified_at=None)
    for file in stored_files(app):
        flip(file)
    assert verify(app) == 4
    assert len(told(app)) == 2
    assert len(events(app, "document.damaged")) == 4


def test_bytes_that_were_put_back_are_handed_out_again(
    app: Flask, later: Travel, cast: Cast
) -> None:
    alice = cast.person("alice@example.org", "Alice")
    deed = alice.upload()
    (file,) = stored_files(app)
    content = flip(file)
    make_due(app, deed)
    assert verify(app) == 1
    file.write_bytes(content)
    assert verify(app) == 0
    later(integrity.AGAIN + timedelta(minutes=1))
    assert verify(app) == 1
    (event,) = events(app, "document.mended")
    assert (event.document, event.detail["version"]) == (deed["id"], 1)
    assert alice.get(deed["url"]).status_code == 302  # signed out by then
    alice.sign_in("alice@example.org")
    assert alice.get(deed["download_url"]).data == DEED
    version = version_of(app, deed)
    assert (version.damaged_at, version.verified_at) == (None, utcnow())


def test_what_was_read_wrongly_once_is_no_finding(
    app: Flask, alice: Browser, deed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_due(app, deed)
    kind = type(app.extensions["storage"])
    real, tries = kind.digest, [0]

    def err_once(self: Any, *arguments: Any) -> bytes:
        tries[0] += 1
        right: bytes = real(self, *arguments)
        return bytes(32) if tries[0] == 1 else right

    monkeypatch.setattr(kind, "digest", err_once)
    assert verify(app) == 1
    assert version_of(app, deed).damaged_at is None
    assert not events(app, "document.damaged")


def test_store_that_is_away_is_no_damage(
    app: Flask, alice: Browser, deed: dict[str, Any], later: Travel
) -> None:
    make_due(app, deed)
    folder = settings_of(app).files_dir
    (owner,) = (path for path in folder.iterdir() if path.is_dir())
    owner.rename(folder.parent / "unmounted")
    with app.app_context(), pytest.raises(StorageUnavailable):
        integrity.verify_some(settings_of(app), no_rest)
    assert not events(app, "document.damaged")
    (folder.parent / "unmounted").rename(owner)
    later(integrity.AGAIN + timedelta(minutes=1))
    assert verify(app) == 1
    assert version_of(app, deed).damaged_at is None


def test_one_that_cannot_be_asked_for_keeps_no_other(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (alice.upload(f"{n}.txt", b"%d" % n) for n in range(2))
    blob = version_of(app, first).blob
    for document in (first, second):
        put(app, document, verified_at=None)
    kind = type(app.extensions["storage"])
    real = kind.digest

    def fail(self: Any, name: str, *arguments: Any) -> Any:
        if name == blob:
            raise StorageUnavailable
        return real(self, name, *arguments)

    monkeypatch.setattr(kind, "digest", fail)
    with app.app_context(), pytest.raises(StorageUnavailable):
        integrity.verify_some(settings_of(app), no_rest)
    assert verify(app) == 1
    assert version_of(app, second).verified_at is not None


# Races


@pytest.mark.parametrize("is_damaged", [False, True])
def test_version_deleted_while_it_is_read_is_no_finding(
    app: Flask, alice: Browser, deed: dict[str, Any], is_damaged: bool
) -> None:
    make_due(app, deed)
    (file,) = stored_files(app)
    if is_damaged:
        flip(file)
    gone = threading.Event()

    def delete(_seconds: float) -> None:
        if not gone.is_set():
            gone.set()
            thread = threading.Thread(target=forget)
            thread.start()
            thread.join()

    def forget() -> None:
        alice.post(f"{deed['url']}/delete")
        alice.post(f"/trash/{deed['id']}/purge")

    assert verify(app, delete) == 1
    assert gone.is_set()
    assert not events(app, "document.damaged")
    with app.app_context():
        assert db.session.query(Version).count() == 0


def test_bytes_that_purge_removes_are_nobodys(app: Flask, later: Travel, cast: Cast) -> None:
    alice = cast.person("alice@example.org", "Alice")
    deed = alice.upload()
    alice.post(f"{deed['url']}/delete")
    alice.post(f"/trash/{deed['id']}/purge")
    later(2 * housekeeping.BLOB_GRACE)
    with app.app_context():
        assert housekeeping.purge(settings_of(app)).blobs == 1
    assert verify(app) == 0
    assert not events(app, "document.damaged")


def test_finding_by_several_is_written_down_once(
    app: Flask, ada: Browser, alice: Browser, deed: dict[str, Any]
) -> None:
    flip(stored_files(app)[0])

    def everything(_: int) -> int:
        with app.app_context():
            return len(list(integrity.verify_everything(lambda _length: None)))

    assert at_once(4, everything) == [1, 1, 1, 1]
    assert len(events(app, "document.damaged")) == 1
    assert told(app) == [ADA]


# What people see


def test_page_says_when_it_was_verified(alice: Browser, deed: dict[str, Any]) -> None:
    page = alice.get(deed["url"]).text
    assert "<dt>Verified</dt><dd><time" in page
    assert "damaged" not in page


def test_page_says_what_to_do_about_damage(alice: Browser, damaged: dict[str, Any]) -> None:
    page = alice.get(damaged["url"]).text
    assert "The stored file is damaged." in page
    assert "upload it as a new version" in page
    assert "restore an older one" not in page
    assert damaged["download_url"] not in page
    json = alice.get(damaged["url"], headers={"Accept": "application/json"}).get_json()
    assert json["versions"][0]["damaged_at"]
    alice.post_json(f"{damaged['url']}/versions", {"file": (another(), "deed.pdf")})
    page = alice.get(damaged["url"]).text
    assert "The stored file is damaged." not in page
    assert f"{damaged['url']}/versions/1/restore" not in page


def test_overview_names_what_is_damaged(ada: Browser, damaged: dict[str, Any]) -> None:
    page = ada.get("/admin").text
    assert "Stored files are damaged." in page
    assert "deed.pdf" in page
    assert "Alice Archer" in page


def test_overview_says_nothing_where_all_is_well(ada: Browser, deed: dict[str, Any]) -> None:
    assert "Stored files are damaged." not in ada.get("/admin").text


@pytest.mark.parametrize("everything", [False, True])
def test_check_says_how_far_the_round_is(
    app: Flask, alice: Browser, deed: dict[str, Any], everything: bool
) -> None:
    old = alice.upload("old.txt", b"old")
    assert check(app, everything).detail == "Verified within the last 30 days: 2 of 2."
    make_due(app, old)
    assert check(app, everything) == Check(
        "Stored files", True, "Verified within the last 30 days: 1 of 2."
    )
    assert "PORTAL_VERIFY_DAYS is 0" in check(app, everything, verify_days=0).detail


def test_check_fails_with_damage(app: Flask, alice: Browser, damaged: dict[str, Any]) -> None:
    found = check(app, everything=False)
    assert not found.ok
    assert "1 file is damaged." in found.detail
    assert f"{damaged['id']} (version 1)" in found.detail
    assert "manage.py verify" in found.cure


def check(app: Flask, everything: bool, **settings: Any) -> Check:
    with app.app_context():
        here = replace(settings_of(app), **settings)
        found = checks.everything(here) if everything else checks.quick(here)
        return next(each for each in found if each.name == "Stored files")


def run_verify(app: Flask, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    monkeypatch.setattr(config, "load", lambda: settings_of(app))
    group = Commands(commands={"verify": upkeep.verify})
    done = CliRunner().invoke(group, ["verify"])
    return done.exit_code, done.output


def test_command_verifies_everything_now(
    app: Flask, ada: Browser, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    deed = alice.upload()
    alice.upload("b.txt", b"")
    put(app, deed, verified_at=None)
    code, output = run_verify(app, monkeypatch)
    assert (code, "All 2 stored files are what was uploaded." in output) == (0, True)
    assert version_of(app, deed).verified_at is not None
    file = next(path for path in stored_files(app) if path.stat().st_size)
    content = flip(file)
    code, output = run_verify(app, monkeypatch)
    assert code == 1
    assert f"{file.name} was changed" in output
    assert "1 of 2 stored file is damaged" in output
    (event,) = events(app, "document.damaged")
    assert event.actor == "command line"
    file.write_bytes(content)
    assert run_verify(app, monkeypatch)[0] == 0
    assert alice.get(deed["download_url"]).data == DEED


# Reading


def test_reading_takes_what_the_disk_holds_and_keeps_nothing_in_memory(
    app: Flask, alice: Browser
) -> None:
    content = os.urandom(3 * 1024 * 1024 + 4711)
    document = upload(alice, "long.bin", content)
    with app.app_context():
        version = version_of(app, document)
        storage = app.extensions["storage"]
        lengths: list[int] = []
        opened = len(os.listdir("/proc/self/fd"))
        digest = storage.digest(version.blob, len(content), lengths.append)
    assert digest == hashlib.sha256(content).digest()
    assert sum(lengths) == len(content)
    assert max(lengths) <= 1024 * 1024
    assert len(os.listdir("/proc/self/fd")) == opened
