"""What the worker removes, when, and what it must leave alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from conftest import Browser, Cast, user_named
from portal.documents import housekeeping, lifecycle
from portal.documents.housekeeping import Purged
from portal.extensions import db
from portal.models import DiscardedBlob, Session, Throttle, utcnow
from portal.storage import current
from stage import at_once, events, settings_of, stored_files, unfinished_files

Travel = Callable[[timedelta], None]


@pytest.fixture
def later(time_machine: Any) -> Travel:
    """Go to a moment so long after the beginning of the test."""
    start = utcnow()
    time_machine.move_to(start, tick=False)
    return lambda span: time_machine.move_to(start + span, tick=False)


def purge(app: Flask) -> Purged:
    with app.app_context():
        return housekeeping.purge(settings_of(app))


NOTHING = Purged(
    trashed=0,
    documents=0,
    versions=0,
    blobs=0,
    orphans=0,
    unfinished=0,
    uploads=0,
    sessions=0,
    tokens=0,
    mails=0,
    addresses=0,
    figures=0,
)


def test_there_is_nothing_to_do_in_a_tidy_portal(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    alice.post(f"{alice.upload('b.txt', b'b')['url']}/delete")
    assert purge(app) == NOTHING
    assert alice.get(deed["download_url"]).status_code == 200


def test_trash_is_kept_for_its_days(app: Flask, later: Travel, cast: Cast) -> None:
    alice = cast.person("alice@example.org", "Alice")
    document = alice.upload("a.txt", b"12345")
    alice.post(f"{document['url']}/delete")
    later(timedelta(days=30))
    assert purge(app).documents == 0
    assert user_named(app, "alice@example.org").used_bytes == 5
    later(timedelta(days=30, seconds=1))
    assert purge(app).documents == 1
    assert user_named(app, "alice@example.org").used_bytes == 0
    (event,) = events(app, "document.purged")
    assert (event.actor, event.owner) == ("system", "alice@example.org")


def test_many_are_removed_batch_by_batch(
    app: Flask, later: Travel, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_BATCH", 2)
    alice = cast.person("alice@example.org", "Alice")
    for number in range(5):
        alice.post(f"{alice.upload(f'{number}.txt', b'x')['url']}/delete")
    kept = alice.upload("kept.txt", b"kept")
    later(timedelta(days=31))
    assert purge(app).documents == 5
    browser = Browser(app)
    browser.sign_in("alice@example.org")
    assert browser.get(kept["download_url"]).data == b"kept"


def test_bytes_of_a_deleted_document_stay_for_a_running_backup(
    app: Flask, later: Travel, cast: Cast
) -> None:
    alice = cast.person("alice@example.org", "Alice")
    document = alice.upload("a.txt", b"bytes")
    alice.post(f"{document['url']}/delete")
    alice.post(f"/trash/{document['id']}/purge")
    later(housekeeping.BLOB_GRACE)
    assert purge(app).blobs == 0
    assert len(stored_files(app)) == 1
    later(housekeeping.BLOB_GRACE + timedelta(seconds=1))
    assert purge(app).blobs == 1
    assert stored_files(app) == []
    with app.app_context():
        assert db.session.scalar(select(func.count(DiscardedBlob.blob))) == 0
    assert purge(app).blobs == 0


def test_removing_older_bytes_forgets_no_younger_ones(
    app: Flask, later: Travel, cast: Cast
) -> None:
    alice = cast.person("alice@example.org", "Alice")
    for name, moment in (("old.txt", timedelta()), ("young.txt", timedelta(minutes=30))):
        later(moment)
        document = alice.upload(name, b"bytes")
        alice.post(f"{document['url']}/delete")
        alice.post(f"/trash/{document['id']}/purge")
    later(timedelta(minutes=61))
    assert purge(app).blobs == 1
    assert len(stored_files(app)) == 1
    later(timedelta(minutes=91))
    assert purge(app) == replace(NOTHING, blobs=1, sessions=1)
    assert stored_files(app) == []


def test_bytes_that_are_gone_already_do_not_stop_the_rest(
    app: Flask, later: Travel, cast: Cast
) -> None:
    alice = cast.person("alice@example.org", "Alice")
    for name in ("a.txt", "b.txt"):
        document = alice.upload(name, b"bytes")
        alice.post(f"{document['url']}/delete")
    alice.post("/trash/empty")
    stored_files(app)[0].unlink()
    later(housekeeping.BLOB_GRACE + timedelta(seconds=1))
    assert purge(app).blobs == 2
    assert stored_files(app) == []


def _age(path: Any, moment: datetime) -> None:
    os.utime(path, (moment.timestamp(), moment.timestamp()))


def test_file_without_a_row_is_an_orphan_after_its_grace(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    (known,) = stored_files(app)
    young, old = known.with_name("a" * 32), known.with_name("b" * 32)
    for path, age in ((young, 0.99), (old, 1.01), (known, 5)):
        if path is not known:
            path.write_bytes(b"nobody's")
        _age(path, utcnow() - housekeeping.ORPHAN_GRACE * age)
    assert purge(app).orphans == 1
    assert stored_files(app) == sorted([known, young])
    assert alice.get(deed["download_url"]).status_code == 200


def test_bytes_that_wait_to_be_removed_are_no_orphans(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    (file,) = stored_files(app)
    alice.post(f"{deed['url']}/delete")
    alice.post(f"/trash/{deed['id']}/purge")
    _age(file, utcnow() - 2 * housekeeping.ORPHAN_GRACE)
    assert purge(app) == NOTHING
    assert file.exists()


def test_unfinished_upload_is_removed_after_its_grace(app: Flask, alice: Browser) -> None:
    with app.app_context():
        owner = user_named(app, alice.email).public_id
        for _ in range(2):
            current().receive(owner).write(b"half")
    old, young = unfinished_files(app)
    _age(old, utcnow() - housekeeping.ORPHAN_GRACE * 1.01)
    _age(young, utcnow() - housekeeping.ORPHAN_GRACE * 0.99)
    assert purge(app) == replace(NOTHING, unfinished=1)
    assert unfinished_files(app) == [young]


def test_ended_sessions_and_counts_are_removed(app: Flask, later: Travel, cast: Cast) -> None:
    alice = cast.person("alice@example.org", "Alice")
    kept = Browser(app)
    kept.sign_in("alice@example.org", remember="y")
    Browser(app).sign_in("nobody@example.org", "wrong wrong wrong")

    def rows() -> tuple[int, int]:
        with app.app_context():
            return (
                db.session.scalar(select(func.count(Session.id))) or 0,
                db.session.scalar(select(func.count(Throttle.key))) or 0,
            )

    assert rows() == (2, 2)
    later(timedelta(minutes=59))
    assert purge(app).sessions == 0
    assert rows() == (2, 0)
    later(timedelta(minutes=60, seconds=1))
    assert purge(app).sessions == 1
    assert alice.get("/documents").status_code == 302
    assert kept.get("/documents").status_code == 200
    later(timedelta(days=14))
    assert purge(app).sessions == 1
    assert rows()[0] == 0


def test_counts_that_still_run_are_kept(app: Flask, later: Travel, visitor: Browser) -> None:
    visitor.sign_in("nobody@example.org", "wrong wrong wrong")
    later(timedelta(minutes=14))
    purge(app)
    with app.app_context():
        assert db.session.scalar(select(func.count(Throttle.key))) == 2


def test_several_at_once_remove_everything_once(app: Flask, later: Travel, cast: Cast) -> None:
    alice = cast.person("alice@example.org", "Alice")
    for number in range(6):
        alice.post(f"{alice.upload(f'{number}.txt', b'xy')['url']}/delete")
    later(timedelta(days=31))
    removed = at_once(4, lambda _: purge(app))
    assert len(events(app, "document.purged")) == 6
    assert sum(each.documents for each in removed) >= 6
    assert user_named(app, "alice@example.org").used_bytes == 0
    later(timedelta(days=32))
    at_once(4, lambda _: purge(app))
    assert stored_files(app) == []


def test_file_that_cannot_be_removed_keeps_no_other(
    app: Flask, alice: Browser, later: Travel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.txt", "b.txt"):
        document = alice.upload(name, name.encode())
        alice.post(f"{document['url']}/delete")
        alice.post(f"/trash/{document['id']}/purge")
    later(2 * housekeeping.BLOB_GRACE)
    (stuck, _) = stored_files(app)
    unlink = os.unlink

    def refuse(path: Any, **named: Any) -> None:
        if str(path).endswith(stuck.name):
            raise OSError(5, "the disk is failing")
        unlink(path, **named)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        assert purge(app).blobs == 1
    assert stored_files(app) == [stuck]
    assert purge(app).blobs == 1
    assert stored_files(app) == []
