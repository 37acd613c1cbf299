"""Writing the log: durable when the call returns, gap-free, append-only, with a head outside."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from audit.locking import locked_log
from conftest import Browser
from portal import audit, database
from portal.accounts import people
from portal.audit import reading
from portal.audit.actions import sentence
from portal.audit.chain import EMPTY, Head, hash_of
from portal.audit.head_file import HeadFile
from portal.compiled import Compiled
from portal.database import transaction
from portal.errors import Busy
from portal.extensions import db
from portal.models import AuditEvent, AuditHead, Policy
from stage import at_once, events, settings_of


def write(count: int) -> None:
    """Write events; needs an app context."""
    for number in range(count):
        audit.record_alone(audit.Action.DOWNLOADED, name=f"{number}.pdf")


def tamper(statement: str, **facts: Any) -> None:
    """Change the log as somebody with the whole database in hand can; needs an app context."""
    db.session.rollback()
    with db.engine.begin() as connection:
        if db.engine.dialect.name == "sqlite":
            connection.execute(text("DROP TRIGGER IF EXISTS audit_events_no_update"))
            connection.execute(text("DROP TRIGGER IF EXISTS audit_events_no_delete"))
        else:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(statement), facts)


def head_path(app: Flask) -> Path:
    return settings_of(app).instance_dir / "audit-head.json"


# With a change


def test_event_outside_a_transaction_is_refused(app: Flask) -> None:
    with app.app_context(), pytest.raises(RuntimeError, match="outside"):
        audit.record(audit.Action.SIGNED_IN)
    assert events(app) == []


def test_event_is_kept_with_the_change(app: Flask) -> None:
    with app.app_context(), audit.acting(audit.Origin("command line", "::1", "shell")):
        user = people.create("alice@example.org", settings_of(app), name="Alice")
        event = db.session.scalars(select(AuditEvent)).one()
        assert (event.actor, event.address, event.user_agent) == ("command line", "::1", "shell")
        assert (event.seq, event.action, event.owner) == (1, "user.created", user.email)
        assert reading.verify_live().ok


def record_and_fail() -> None:
    with transaction() as session:
        audit.record(audit.Action.SIGNED_IN)
        session.flush()
        audit.record(audit.Action.SIGNED_OUT)
        raise ZeroDivisionError


def test_change_taken_back_leaves_no_event(app: Flask) -> None:
    with app.app_context():
        write(1)
        with pytest.raises(ZeroDivisionError):
            record_and_fail()
        with transaction():
            pass
        write(1)
        assert [event.seq for event in events(app)] == [1, 2]
        assert {event.action for event in events(app)} == {"document.downloaded"}
        assert reading.verify_live().ok
        assert reading.newest_head().seq == 2


def test_events_of_one_change_stand_together_in_order(app: Flask) -> None:
    with app.app_context():
        with transaction():
            for number in range(50):
                with transaction():
                    audit.record(audit.Action.PURGED, name=str(number))
        assert [event.detail["name"] for event in events(app)] == [str(n) for n in range(50)]
        assert reading.verify_live().events == 50


def test_every_page_and_act_leaves_a_whole_log(app: Flask, alice: Browser) -> None:
    document = alice.upload('=cmd|"/c calc"!A1 日本 😀.pdf')
    alice.get(document["download_url"], headers={"User-Agent": "=1+1\u00e9" * 100})
    alice.post(f"{document['url']}/rename", {"name": "@new.pdf"})
    alice.get(f"/documents/{'0' * 8}-0000-4000-8000-000000000000")
    with app.app_context():
        verdict = reading.verify_live()
        assert verdict.ok, verdict.problem
        assert verdict.events == len(events(app)) > 5


def test_actor_address_and_program_are_one_line_that_fits(app: Flask) -> None:
    here = audit.Origin(
        "a\nb\0" + "x" * 300, "1.2.3.4\r\n" + "9" * 100, "\u202eé\u2028" + "m" * 500
    )
    with app.app_context(), audit.acting(here):
        write(1)
        event = db.session.scalars(select(AuditEvent)).one()
        assert (len(event.actor), len(event.address), len(event.user_agent)) == (254, 64, 300)
        for line in (event.actor, event.address, event.user_agent):
            assert line.isprintable()
        assert "é" in event.user_agent
        assert reading.verify_live().ok


# Many at once


def test_thirty_at_once_are_durable_when_told_and_without_a_gap(app: Flask) -> None:
    def act(number: int) -> bool:
        with app.app_context():
            seen = True
            for turn in range(5):
                name = f"{number}-{turn}"
                if turn % 2:
                    with transaction():
                        audit.record(audit.Action.TRASHED, name=name)
                else:
                    audit.record_alone(audit.Action.DOWNLOADED, name=name)
                # On another connection: what is not committed cannot be seen there.
                with db.engine.connect() as other:
                    found = other.execute(
                        select(AuditEvent.seq).where(AuditEvent.detail == json_of(name))
                    )
                    seen = seen and found.scalar_one_or_none() is not None
            return seen

    assert all(at_once(30, act))
    log = events(app)
    assert [event.seq for event in log] == list(range(1, 151))
    assert {event.detail["name"] for event in log} == {
        f"{n}-{t}" for n in range(30) for t in range(5)
    }
    with app.app_context():
        assert reading.verify_live().ok
        assert HeadFile(head_path(app)).read() == reading.newest_head()


def json_of(name: str) -> str:
    return json.dumps({"name": name}, separators=(",", ":"))


def test_everybody_waiting_is_told_that_the_database_is_busy_and_can_try_again(
    monkeypatch: pytest.MonkeyPatch, make_app: Any
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 1)
    app: Flask = make_app()

    def act(number: int) -> str:
        with app.app_context():
            try:
                audit.record_alone(audit.Action.DOWNLOADED, name=str(number))
            except Busy as error:
                return error.what
            return "written"

    begun = time.monotonic()
    with app.app_context(), locked_log():
        told = at_once(30, act)
    assert all("Nothing was changed" in each for each in told)
    assert time.monotonic() - begun < 10
    assert events(app) == []
    assert at_once(30, act) == ["written"] * 30
    assert [event.seq for event in events(app)] == list(range(1, 31))
    with app.app_context():
        assert reading.verify_live().ok


def policy(name: str, *, fails: bool = False) -> audit.Change:
    """A row more, made on the driver's connection; with `fails` an error after it."""
    with_value = insert(Policy).values(name=name, value="on")

    def change(driver: Any) -> None:
        Compiled(with_value, dialect).run(driver, {})
        if fails:
            raise LookupError(name)

    dialect = db.engine.dialect
    return change


def kept(app: Flask) -> set[str]:
    with app.app_context():
        return set(db.session.scalars(select(Policy.name)))


def test_changes_that_wait_together_are_kept_with_their_events_and_one_that_fails_alone_is_not(
    app: Flask,
) -> None:
    def act(number: int) -> str:
        with app.app_context():
            name = f"n{number}"
            try:
                fails = number % 3 == 0
                audit.record_with(policy(name, fails=fails), audit.Action.POLICY_CHANGED, name=name)
            except LookupError as error:
                return f"refused {error.args[0]}"
            return "kept"

    with app.app_context():
        lock = database.writer_lock()
    with lock:  # so that they gather
        waiting = ThreadPoolExecutor(1).submit(at_once, 30, act)
        time.sleep(0.5)
    told = waiting.result(30)
    wanted = {f"n{number}" for number in range(30) if number % 3}
    assert told == ["kept" if f"n{n}" in wanted else f"refused n{n}" for n in range(30)]
    assert kept(app) == {event.detail["name"] for event in events(app)} == wanted
    with app.app_context():
        assert reading.verify_live().ok


def test_only_after_a_shared_commit_one_waits_for_more_to_share_the_next(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(number: int) -> None:
        with app.app_context():
            write(1)

    pauses: list[float] = []
    monkeypatch.setattr("portal.audit.journal.time", SimpleNamespace(sleep=pauses.append))
    with app.app_context():
        write(3)
        assert pauses == []
        with locked_log():  # so that they gather
            waiting = ThreadPoolExecutor(1).submit(at_once, 10, act)
            time.sleep(0.5)
        waiting.result(30)
        pauses.clear()
        write(3)
        assert len(pauses) == 1
        assert 0 < pauses[0] < 0.005  # nobody notices


def test_change_is_not_made_where_its_event_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, make_app: Any
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 1)
    app: Flask = make_app()
    with app.app_context(), locked_log(), pytest.raises(Busy):
        audit.record_with(policy("n"), audit.Action.POLICY_CHANGED)
    assert (kept(app), events(app)) == (set(), [])


def test_change_of_its_own_commit_has_no_place_in_a_transaction(app: Flask) -> None:
    with app.app_context(), transaction(), pytest.raises(RuntimeError, match="transaction"):
        audit.record_with(policy("n"), audit.Action.POLICY_CHANGED)
    assert kept(app) == set()


def test_change_that_finds_the_log_locked_is_busy_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, make_app: Any
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 1)
    app: Flask = make_app()
    with app.app_context():
        with locked_log(), pytest.raises(Busy):
            people.create("alice@example.org", settings_of(app))
        assert events(app) == []
        people.create("alice@example.org", settings_of(app))
        assert [event.seq for event in events(app)] == [1]


# Append-only


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET actor = 'nobody'",
        "UPDATE audit_events SET seq = seq + 100",
        "UPDATE audit_events SET hash = hash WHERE seq = 2",
        "DELETE FROM audit_events",
        "DELETE FROM audit_events WHERE seq = 3",
    ],
)
def test_database_itself_refuses_to_change_the_log(app: Flask, statement: str) -> None:
    with app.app_context():
        write(3)
        with pytest.raises(DBAPIError, match="append-only"), db.engine.begin() as connection:
            connection.execute(text(statement))
        assert reading.verify_live().events == 3


def test_changed_row_is_noticed(app: Flask) -> None:
    with app.app_context():
        write(3)
        tamper("UPDATE audit_events SET actor = 'nobody' WHERE seq = 2")
        assert reading.verify_live().problem == "event 2 was changed, or one before it"


def test_removed_row_is_noticed(app: Flask) -> None:
    with app.app_context():
        write(3)
        tamper("DELETE FROM audit_events WHERE seq = 2")
        assert "event 2 is missing" in reading.verify_live().problem


def test_cut_off_end_is_noticed(app: Flask) -> None:
    with app.app_context():
        write(5)
        tamper("DELETE FROM audit_events WHERE seq > 3")
        assert "the end was cut off: event 5" in reading.verify_live().problem


def test_cut_off_end_is_noticed_when_the_database_says_it_was_always_so(app: Flask) -> None:
    """The head outside the database knows better."""
    with app.app_context():
        write(5)
        third = db.session.get_one(AuditEvent, 3).hash
        tamper("DELETE FROM audit_events WHERE seq > 3")
        tamper("UPDATE audit_head SET seq = 3, hash = :hash", hash=third)
        assert "the end was cut off: event 5" in reading.verify_live().problem


def test_cut_off_end_is_noticed_without_the_file_too(app: Flask) -> None:
    with app.app_context():
        write(5)
        head_path(app).unlink()
        tamper("DELETE FROM audit_events WHERE seq = 5")
        assert "the end was cut off: event 5" in reading.verify_live().problem


@pytest.mark.parametrize("written_later", [0, 2])
def test_log_written_anew_with_its_head_does_not_fit_the_head_outside(
    app: Flask, written_later: int
) -> None:
    with app.app_context():
        write(3)
        older = head_path(app).read_bytes()
        write(written_later)
        if written_later:
            head_path(app).write_bytes(older)
        log, head = list(reading.entries()), EMPTY
        for entry in log:
            forged = entry._replace(actor="nobody")
            head = Head(forged.seq, hash_of(head.hash, forged))
            tamper(
                "UPDATE audit_events SET actor = 'nobody', hash = :hash WHERE seq = :seq",
                **head._asdict(),
            )
        tamper("UPDATE audit_head SET seq = :seq, hash = :hash", **head._asdict())
        assert reading.verify_live().problem == "event 3 is not the one first written"


def test_emptied_log_is_noticed(app: Flask) -> None:
    with app.app_context():
        write(2)
        tamper("DELETE FROM audit_events")
        tamper("UPDATE audit_head SET seq = 0, hash = :hash", hash=EMPTY.hash)
        assert "the end was cut off" in reading.verify_live().problem


# The head outside


def test_head_file_follows_the_log_and_is_private(app: Flask) -> None:
    with app.app_context():
        assert reading.newest_head() == EMPTY
        write(3)
        row = db.session.execute(select(AuditHead.seq, AuditHead.hash)).one()
        assert HeadFile(head_path(app)).read() == Head(row.seq, row.hash) == reading.newest_head()
    assert head_path(app).stat().st_mode & 0o777 == 0o600
    assert head_path(app).stat().st_size < 512
    record = json.loads(head_path(app).read_text())
    assert (set(record), record["seq"]) == ({"seq", "hash"}, 3)


def test_head_never_goes_backwards(tmp_path: Path) -> None:
    file = HeadFile(tmp_path / "audit-head.json")
    assert file.read() == EMPTY
    file.keep(Head(12, "b" * 64))
    for seq in (11, 12, 1, 0):
        file.keep(Head(seq, "a" * 64))
        assert file.read() == Head(12, "b" * 64)
    file.keep(Head(13, "c" * 64))
    assert file.read() == Head(13, "c" * 64)
    file.keep(Head(10**18, "d" * 64))
    assert file.read() == Head(10**18, "d" * 64)


@pytest.mark.parametrize("content", [b"", b"\n", b" " * 127 + b"\n", b"\0" * 128])
def test_head_file_without_content_is_filled_again(app: Flask, content: bytes) -> None:
    head_path(app).write_bytes(content)
    with app.app_context():
        assert HeadFile(head_path(app)).read() == EMPTY
        write(2)
        assert HeadFile(head_path(app)).read().seq == 2
        assert reading.verify_live().ok


@pytest.mark.parametrize(
    "content",
    [b"{", b'{"seq": 1', b"[]", b"5", b"null", b"{}", b'{"seq": "x", "hash": ""}', b"\xff"],
)
def test_head_file_that_makes_no_sense_stops_nobody_and_is_told(
    app: Flask, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    head_path(app).write_bytes(content)
    with app.app_context():
        write(1)
        with transaction():
            audit.record(audit.Action.SIGNED_IN)
        assert len(events(app)) == 2
        assert "audit-head.json" in caplog.text
        with pytest.raises(ValueError, match=r"audit-head\.json"):
            reading.verify_live()


def test_head_file_that_cannot_be_written_stops_nobody(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    head_path(app).mkdir()
    with app.app_context():
        write(1)
        with transaction():
            audit.record(audit.Action.SIGNED_IN)
        assert len(events(app)) == 2
    assert "could not be kept" in caplog.text


def test_older_head_is_no_false_alarm(app: Flask) -> None:
    """After a power loss the file may be a little older than the log."""
    with app.app_context():
        write(2)
        older = head_path(app).read_bytes()
        write(3)
        head_path(app).write_bytes(older)
        assert reading.verify_live().ok
        assert reading.newest_head().seq == 5


def test_changed_log_with_an_older_head_is_still_noticed(app: Flask) -> None:
    with app.app_context():
        write(3)
        os.truncate(head_path(app), 0)
        tamper("UPDATE audit_events SET detail = '{}' WHERE seq = 3")
        assert not reading.verify_live().ok


# In words

UNUSUAL = ["{0.__class__}", "{name}", "%s %(x)s", "", "日本 😀.pdf", "“quoted”", "<b>&amp;", "a\\b"]


@pytest.mark.parametrize("action", list(audit.Action))
def test_every_action_has_a_sentence_whatever_the_names(action: audit.Action) -> None:
    for name in UNUSUAL:
        detail = {"name": name, "old_name": name, "email": name, "label": name, "link": name}
        detail["reason"] = name
        said = sentence(action.value, name, json.dumps(detail))
        assert said != action.value
        assert said[0].isupper()
        for more in ("", "{}", '{"label": ""}'):
            bare = sentence(action.value, "", more)
            assert bare[0].isupper()
            assert "{" not in bare


def test_sentence_says_the_names_as_they_are() -> None:
    assert sentence("document.uploaded", "", '{"name":"{x} 日本.pdf"}') == "Uploaded “{x} 日本.pdf”"
    assert sentence("document.downloaded", "", '{"name":"a","link":"1","label":"{b}"}') == (
        "Downloaded “a” through the link “{b}”"
    )
    assert sentence("user.disabled", "bob@example.org", "") == (
        "Disabled the account of bob@example.org"
    )


def test_action_of_another_version_names_itself() -> None:
    assert sentence("folder.made", "", "{}") == "folder.made"
