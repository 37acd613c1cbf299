"""The background worker: its queue, its clock, and how it lives and dies."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from contextlib import suppress
from datetime import timedelta

import pytest
from flask import Flask
from huey.exceptions import HueyException
from sqlalchemy import select, update

from conftest import Browser
from live.fixtures import live_portal, own_database
from live.running import MANAGE, LivePortal
from portal.config import Settings
from portal.extensions import db
from portal.jobs import clock, heartbeat
from portal.jobs.queue import open_queue
from portal.models import Document, utcnow

__all__ = ["own_database"]


def test_the_queue_is_readable_for_the_portal_alone(settings: Settings) -> None:
    open_queue(settings).storage.close()
    path = settings.instance_dir / "jobs.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_queue_survives_a_power_loss(settings: Settings) -> None:
    connection = open_queue(settings).storage.conn
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_task_that_somebody_else_put_in_is_not_run(settings: Settings) -> None:
    queue = open_queue(settings)
    ran: list[str] = []
    task = queue.task(name="mark")(ran.append)
    task("ours")
    forged = open_queue(Settings(instance_dir=settings.instance_dir, secret_key="f" * 40))
    forged.task(name="mark")(ran.append)("theirs")
    queue.execute(queue.dequeue())
    with pytest.raises((HueyException, ValueError)):
        queue.execute(queue.dequeue())
    assert ran == ["ours"]
    for each in (queue, forged):
        each.storage.close()


def test_tidying_removes_what_has_had_its_time(
    app: Flask, alice: Browser, deed: dict[str, str]
) -> None:
    alice.post(deed["url"] + "/delete")
    with app.app_context():
        old = utcnow() - timedelta(days=31)
        db.session.execute(update(Document).values(trashed_at=old))
        db.session.commit()
        clock.tidy()
        assert db.session.scalars(select(Document)).all() == []


def test_the_clock_tidies_every_five_minutes(app: Flask, settings: Settings) -> None:
    queue = open_queue(settings)
    clock.set_clock(queue, app)
    start = utcnow().replace(tzinfo=None, minute=0)
    due = [
        [task.name for task in queue.read_periodic(start + timedelta(minutes=minute))]
        for minute in range(11)
    ]
    assert [minute for minute, names in enumerate(due) if "tidy" in names] == [0, 5, 10]
    assert all("finish" in names for names in due)
    queue.storage.close()


def worker_of(portal: LivePortal) -> int:
    """The process that has the queue open."""
    for pid in portal.children():
        for link in (f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")):
            try:
                if os.readlink(link).endswith("/jobs.db"):
                    return pid
            except OSError:
                continue
    raise AssertionError("no worker runs")


def inherited(child: int, parent: int) -> set[str]:
    """The sockets both have open."""
    return sockets_of(child) & sockets_of(parent)


def sockets_of(pid: int) -> set[str]:
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(OSError):
            link = os.readlink(f"/proc/{pid}/fd/{name}")
            if link.startswith("socket:"):
                found.add(link)
    return found


def until(condition: object, seconds: float = 20) -> bool:
    """Whether `condition()` becomes true in time; it may raise AssertionError until then."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return True
        except AssertionError:
            pass
        time.sleep(0.1)
    return False


def test_a_worker_that_dies_is_replaced_and_stops_with_the_portal(own_database: str) -> None:
    with live_portal(own_database) as portal:
        portal.start()
        assert until(lambda: worker_of(portal))
        first = worker_of(portal)
        os.kill(first, signal.SIGKILL)
        assert until(lambda: worker_of(portal) != first)
        assert until(lambda: heartbeat.age(portal.instance) is not None)
        assert "the background worker ended" in portal.last_words()
        # It was forked from a server; with a socket of that, the port would be taken longer.
        assert inherited(worker_of(portal), portal.pid) == set()
        assert portal.stop() == 0
        assert portal.pids() == []


def test_a_worker_by_itself_beats_and_stops_gracefully(own_database: str) -> None:
    with live_portal(own_database) as portal:
        portal.manage("upgrade")
        process = subprocess.Popen(
            [*MANAGE, "worker"], env=portal.environment(), stderr=subprocess.PIPE, text=True
        )
        try:
            assert until(lambda: heartbeat.age(portal.instance) is not None)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            assert process.stderr is not None
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()
            process.communicate()
