"""Writing to the database: one line of writers, in which nobody waits for themselves."""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import bindparam, select, text
from sqlalchemy.exc import SQLAlchemyError

from conftest import Browser
from portal import access, database
from portal.errors import Busy, NotFound
from portal.extensions import db
from portal.models import AuditEvent, User
from portal.questions import Connections, Question
from stage import at_once, twins


def _denials(app: Flask) -> int:
    with app.app_context():
        return db.session.query(AuditEvent).filter_by(action="access.denied").count()


def test_refusal_inside_a_transaction_is_audited_and_keeps_nobody_waiting(app: Flask) -> None:
    person = SimpleNamespace(user_id=1, email="alice@example.org", is_admin=False)
    began = time.monotonic()
    with app.app_context(), pytest.raises(NotFound), database.transaction():
        access.document_for(person, uuid.uuid4())
    assert time.monotonic() - began < database.TURN_TIMEOUT / 3
    assert _denials(app) == 1


def test_impatient_clicks_on_delete_are_answered_at_once(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    clicks = twins(alice, 6)
    began = time.monotonic()
    answers = at_once(6, lambda number: clicks[number].post(f"{deed['url']}/delete").status_code)
    assert Counter(answers) == {303: 1, 404: 5}
    assert time.monotonic() - began < database.TURN_TIMEOUT / 3
    assert _denials(app) == 5


def test_failing_statement_tells_the_log_no_values(app: Flask) -> None:
    with app.app_context(), pytest.raises(SQLAlchemyError) as failure:
        db.session.execute(text("SELECT :it FROM nowhere"), {"it": "a password hash"})
    assert "a password hash" not in str(failure.value)


def test_writer_whose_lock_cannot_be_had_is_told_busy_and_the_next_one_gets_it(
    tmp_path: Path,
) -> None:
    lock = database.WriterLock(tmp_path / "instance" / "writer.lock")
    with pytest.raises(Busy), lock:
        raise AssertionError("nobody holds it")
    (tmp_path / "instance").mkdir()
    with lock:
        assert (tmp_path / "instance" / "writer.lock").exists()


def test_change_stands_when_letting_go_of_the_lock_fails(tmp_path: Path) -> None:
    path = tmp_path / "writer.lock"
    lock = database.WriterLock(path)
    with lock:
        held = [int(each.name) for each in Path("/proc/self/fd").iterdir() if _is(each, path)]
        for descriptor in held:
            os.close(descriptor)
    with database.WriterLock(path), path.open("r+b") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with lock:
        assert path.exists()


def _is(descriptor: Path, path: Path) -> bool:
    return descriptor.exists() and descriptor.samefile(path)


def test_what_writes_finds_its_own_connection_again(app: Flask) -> None:
    """What is prepared for writing takes memory on each connection that once wrote."""
    question = Question(select(User.id).where(User.email == bindparam("email")))
    with app.app_context():
        connections: Connections = app.extensions["connections"]
        for _ in range(3):
            with connections.lend() as lent:
                question.ask(email="nobody@example.org")
        assert [driver for _, driver in connections._lent] == [lent]
        assert lent not in [driver for _, driver in connections._idle]
        connections.close()
        assert not connections._lent
        assert not connections._idle
