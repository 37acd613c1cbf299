"""The worker of a running portal puts names in another order, and can be killed on the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from sqlalchemy import insert, select

from jobs.test_worker import until, worker_of
from live.client import Bytes
from live.fixtures import live_portal, own_database
from live.running import LivePortal
from portal import config, create_app, database
from portal.accounts import people
from portal.documents import names
from portal.extensions import db
from portal.models import Document, NameOrder

__all__ = ["own_database"]

ALICE = "alice@example.org"
MANY = 12_000


@contextmanager
def inside(portal: LivePortal) -> Iterator[Flask]:
    app = create_app(config.load(portal.environment()))
    with app.app_context():
        yield app
    database.close(app)


def fill(portal: LivePortal) -> None:
    with inside(portal):
        owner = people.by_email(ALICE).id
        facts = {"owner_id": owner, "uploaded_by_id": owner, "size_bytes": 1, "media_type": "x"}
        db.session.execute(
            insert(Document), [{**facts, **names.in_row(f"ö{n}.txt")} for n in range(MANY)]
        )
        db.session.commit()


def reached(portal: LivePortal) -> int | None:
    """The last document that was looked at; None when all were."""
    with inside(portal):
        row = db.session.get(NameOrder, 1)
        return row.last_document_id if row is not None else 0


def keys(portal: LivePortal) -> list[tuple[str, str]]:
    with inside(portal):
        return [(name, key) for name, key in db.session.execute(_KEYS)]


_KEYS = select(Document.name, Document.name_sort).order_by(Document.id)


def test_worker_that_is_killed_while_it_sorts_goes_on_when_it_is_back(own_database: str) -> None:
    with live_portal(own_database) as portal:
        portal.create_user(ALICE, admin=True)
        fill(portal)
        assert all(key == names.sort_key(name) for name, key in keys(portal))
        portal.settings["PORTAL_SORT_LOCALE"] = "sv"
        portal.start()
        assert until(lambda: bool(reached(portal)))
        os.kill(worker_of(portal), signal.SIGKILL)
        killed_at = reached(portal)
        assert killed_at is not None
        under_way = "putting lists in the order of “sv”"
        assert under_way in portal.manage("doctor", check=False).stdout
        # The next worker is told to stop in the middle.
        assert until(lambda: (reached(portal) or MANY) > killed_at)
        assert portal.stop() == 0
        portal.start()
        assert until(lambda: reached(portal) is None, 60)
        assert all(key == names.sort_key(name, "sv") for name, key in keys(portal))
        assert "all names are in the order of “sv”" in portal.last_words()
        assert "Traceback" not in portal.last_words()
        client = portal.client(ALICE)
        client.upload_one("zebra.txt", Bytes(b"x"))
        first = client.get("/documents?sort=name&order=asc", accept="application/json").json()
        assert first["documents"][0]["name"] == "zebra.txt"
        assert "Lists are in the order of “sv”." in portal.manage("doctor", check=False).stdout
        assert portal.stop() == 0
