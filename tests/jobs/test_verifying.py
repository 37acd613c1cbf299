"""The worker of a running portal verifies what is due, behind everybody else, and can be killed."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import update

from jobs.test_worker import until, worker_of
from live.client import Bytes
from live.fixtures import live_portal, own_database
from live.running import LivePortal
from portal import config, create_app, database
from portal.extensions import db
from portal.jobs import priority
from portal.models import Version

__all__ = ["own_database"]

ALICE = "alice@example.org"


def make_all_due(portal: LivePortal) -> None:
    app = create_app(config.load(portal.environment()))
    with app.app_context():
        db.session.execute(update(Version).values(verified_at=None, next_verify_at=None))
        db.session.commit()
    database.close(app)


def versions_of(portal: LivePortal, url: str) -> list[dict[str, str]]:
    client = portal.client(ALICE)
    found: list[dict[str, str]] = client.get(url, accept="application/json").json()["versions"]
    return found


def test_worker_finds_damage_and_tells_the_admins(own_database: str) -> None:
    with live_portal(own_database) as portal:
        portal.create_user(ALICE)
        portal.create_user("ada@example.org", admin=True)
        portal.start()
        client = portal.client(ALICE)
        whole, broken = (client.upload_one(f"{n}.txt", Bytes(b"%d" % n)) for n in range(2))
        (file,) = (
            path
            for path in portal.files.glob("*/*")
            if path.is_file() and path.read_bytes() == b"1"
        )
        portal.stop()
        file.write_bytes(b"x")
        make_all_due(portal)
        portal.start()
        assert until(lambda: versions_of(portal, broken["url"])[0]["damaged_at"])
        assert versions_of(portal, whole["url"])[0]["verified_at"]
        assert portal.client(ALICE).get(broken["download_url"]).status == 500
        assert until(lambda: list(portal.instance.glob("outbox/*-damage-*.eml")))
        file.write_bytes(b"1")
        assert "2 stored files are what was uploaded" in portal.manage("verify").stdout
        assert portal.client(ALICE).get(broken["download_url"]).status == 200
        assert portal.stop() == 0


def test_worker_that_is_killed_or_stopped_while_it_reads_loses_nothing(own_database: str) -> None:
    with live_portal(own_database) as portal:
        portal.create_user(ALICE)
        portal.start()
        client = portal.client(ALICE)
        document = client.upload_one("long.bin", Bytes(bytes(60_000_000)))
        portal.stop()
        make_all_due(portal)
        portal.start()
        assert until(lambda: verifies(worker_of(portal)))
        os.kill(worker_of(portal), signal.SIGKILL)
        assert until(lambda: verifies(worker_of(portal)))
        # In the middle of a file, and not at its end.
        assert portal.stop() == 0
        assert "Traceback" not in portal.last_words()
        make_all_due(portal)
        portal.start()
        assert until(lambda: versions_of(portal, document["url"])[0]["verified_at"], 60)
        assert portal.client(ALICE).get(document["download_url"]).status == 200


def verifies(pid: int) -> bool:
    """Whether a process has a thread that lets all others go first: no other does."""
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return any(stat.rpartition(")")[2].split()[16] == "19" for stat in stats)


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in priority._IOPRIO_SET,
    reason="asks the kernel of Linux",
)
def test_thread_that_steps_back_has_idle_priority_and_no_other_has() -> None:
    get = {"x86_64": 252, "aarch64": 31}[platform.machine()]
    libc = ctypes.CDLL(None)
    seen: list[tuple[int, int]] = []

    def look() -> None:
        nice = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        seen.append((nice, libc.syscall(get, 1, 0) >> 13))

    def act() -> None:
        priority.step_back()
        look()

    thread = threading.Thread(target=act)
    thread.start()
    thread.join()
    look()
    assert seen[0] == (19, 3)
    assert seen[1] != seen[0]
