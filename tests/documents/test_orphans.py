"""Files that the present database knows nothing of: removed only where it can judge them."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

from flask import Flask

from conftest import Browser
from portal.admin import checks
from portal.documents import housekeeping
from portal.models import utcnow
from stage import settings_of, stored_files


def _grow_old(path: Path) -> None:
    moment = (utcnow() - 2 * housekeeping.ORPHAN_GRACE).timestamp()
    os.utime(path, (moment, moment))


def _purge(app: Flask) -> housekeeping.Purged:
    with app.app_context():
        return housekeeping.purge(settings_of(app))


def _stray(app: Flask) -> checks.Check:
    with app.app_context():
        found = checks.everything(settings_of(app))
        return next(check for check in found if check.name == "Every file has its document")


def test_another_databases_files_are_never_removed(app: Flask, deed: dict[str, Any]) -> None:
    (known,) = stored_files(app)
    elsewhere = known.parent.parent / uuid.uuid4().hex
    (elsewhere / ".incoming").mkdir(parents=True)
    theirs = [elsewhere / ("a" * 32), elsewhere / ".incoming" / ("b" * 32)]
    for path in theirs:
        path.write_bytes(b"a document of another portal")
        _grow_old(path)
    purged = _purge(app)
    assert (purged.orphans, purged.unfinished) == (0, 0)
    assert all(path.exists() for path in theirs)
    check = _stray(app)
    assert not check.ok
    assert "PORTAL_FILES_DIR" in check.cure


def test_database_put_back_from_an_older_copy_removes_no_file(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    (known,) = stored_files(app)
    newer = known.with_name("c" * 32)
    newer.write_bytes(b"uploaded after the copy was made")
    _grow_old(newer)
    file = settings_of(app).instance_dir / "audit-head.json"
    head = json.loads(file.read_text())
    file.write_text(json.dumps({"seq": head["seq"] + 7, "hash": "0" * 64}))
    assert _purge(app).orphans == 0
    assert newer.exists()
    file.write_text(json.dumps(head))
    assert _purge(app).orphans == 1
    assert not newer.exists()


def test_file_of_another_program_does_not_stop_the_purge(app: Flask, deed: dict[str, Any]) -> None:
    (known,) = stored_files(app)
    thumbnails, orphan = known.with_name("Thumbs.db"), known.with_name("d" * 32)
    for path in (thumbnails, orphan):
        path.write_bytes(b"left here")
        _grow_old(path)
    assert _purge(app).orphans == 1
    assert thumbnails.exists()
    assert not orphan.exists()
