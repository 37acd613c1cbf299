"""The room people take is counted along, and counted again where it went wrong."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from api.tus import Tus
from conftest import Browser, user_named
from portal.admin import checks
from portal.documents import housekeeping, usage
from portal.extensions import db
from portal.models import OpenUpload, User, utcnow
from stage import events, settings_of


def _set(app: Flask, email: str, **figures: int) -> None:
    with app.app_context():
        db.session.execute(update(User).where(User.email == email).values(**figures))
        db.session.commit()


def _purge(app: Flask) -> housekeeping.Purged:
    with app.app_context():
        return housekeeping.purge(settings_of(app))


def _check(app: Flask, name: str) -> checks.Check:
    with app.app_context():
        return next(check for check in checks.everything(settings_of(app)) if check.name == name)


def test_right_figures_are_left_alone(app: Flask, alice: Browser, deed: dict[str, Any]) -> None:
    tus = Tus(alice)
    tus.begin("a.bin", 100)
    tus.announce("b.bin", 3, b"abc")
    alice.post(f"{deed['url']}/delete")
    assert _check(app, "Used room").ok
    assert _purge(app).figures == 0
    assert events(app, "user.usage_corrected") == []


@pytest.mark.parametrize("figure", ["used_bytes", "reserved_bytes"])
def test_wrong_figure_is_told_and_corrected(
    app: Flask, alice: Browser, bob: Browser, deed: dict[str, Any], figure: str
) -> None:
    Tus(alice).begin("a.bin", 100)
    right = getattr(user_named(app, alice.email), figure)
    _set(app, alice.email, **{figure: right + 7})
    check = _check(app, "Used room")
    assert (check.ok, "purge" in check.cure) == (False, True)
    assert alice.email in check.detail
    assert bob.email not in check.detail
    assert _purge(app).figures == 1
    assert getattr(user_named(app, alice.email), figure) == right
    (event,) = events(app, "user.usage_corrected")
    assert (event.owner, event.detail[figure]) == (alice.email, right)
    assert event.detail[f"said_{figure}"] == right + 7
    assert _check(app, "Used room").ok


def test_figure_made_right_meanwhile_is_not_corrected(
    app: Flask, alice: Browser, deed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        mine = {user_named(app, alice.email).id: alice.email}
    monkeypatch.setattr(usage, "wrong_figures", lambda: mine)
    assert _purge(app).figures == 0
    assert events(app, "user.usage_corrected") == []


def test_unfinished_uploads_are_told_with_the_room_they_hold(app: Flask, alice: Browser) -> None:
    assert _check(app, "Unfinished uploads").detail == "None."
    Tus(alice).begin("a.bin", 5_000_000)
    check = _check(app, "Unfinished uploads")
    assert check.ok
    assert "1," in check.detail
    assert "5 MB" in check.detail
    with app.app_context():
        over = utcnow() - checks.WORKER_SILENCE * 4
        db.session.execute(update(OpenUpload).values(expires_at=over))
        db.session.commit()
    assert not _check(app, "Unfinished uploads").ok
    assert _purge(app).uploads == 1
    assert _check(app, "Unfinished uploads").ok


def test_bytes_under_way_are_no_orphans_however_old(app: Flask, alice: Browser) -> None:
    import os

    from stage import stored_files

    tus = Tus(alice)
    address = tus.begin("a.bin", 5)
    tus.patch(address, 0, b"abc")
    (path,) = stored_files(app)
    moment = (utcnow() - 2 * housekeeping.ORPHAN_GRACE).timestamp()
    os.utime(path, (moment, moment))
    assert _purge(app).unfinished == 0
    assert tus.offset(address) == 3
    # Renamed, and killed before its row was written.
    tus.patch(address, 3, b"d")
    kept = path.parent.parent / path.name
    path.rename(kept)
    with kept.open("ab") as file:
        file.write(b"e")
    os.utime(kept, (moment, moment))
    assert _purge(app).orphans == 0
    assert tus.ask("HEAD", address).headers["Content-Location"]
