"""The queue of what waits to be drawn, and what becomes of the pictures."""

from __future__ import annotations

import os
import stat
import threading
from datetime import timedelta
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, select, update

from conftest import Browser, user_named
from portal import storage
from portal.admin import checks
from portal.confinement.limits import Limits
from portal.documents import housekeeping
from portal.errors import NoSpace
from portal.extensions import db
from portal.models import (
    DiscardedBlob,
    Document,
    PreviewState,
    Version,
    utcnow,
)
from portal.previews import child, making, waiting
from portal.previews.kinds import Kind
from portal.previews.waiting import TRIES, Lost
from previews.stage import (
    corners,
    draw,
    make_due,
    pdf,
    pictures,
    saved,
    state_of,
    thumbnail,
    upload,
)
from stage import at_once, settings_of, stored_files


@pytest.fixture
def photo(alice: Browser) -> dict[str, Any]:
    return upload(alice, "photo.png", saved(corners(), "PNG"))


def test_pictures_lie_beside_their_document_and_are_readable_for_the_portal_alone(
    app: Flask, alice: Browser, photo: dict[str, Any]
) -> None:
    draw(app)
    files = stored_files(app)
    assert len(files) == 4
    owner = user_named(app, alice.email).public_id.hex
    for path in files:
        assert path.parent.name == owner
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {f"{owner}/{path.name}" for path in files} > {each.blob for each in pictures(app)}


def test_pictures_take_none_of_the_owners_room(
    app: Flask, alice: Browser, photo: dict[str, Any]
) -> None:
    before = user_named(app, alice.email).used_bytes
    draw(app)
    assert user_named(app, alice.email).used_bytes == before == photo["size"]
    with app.app_context():
        found = {check.name: check for check in checks.everything(settings_of(app))}
        assert found["Used room"].ok
        assert found["Every file has its document"].ok


def test_pictures_are_no_orphans_and_what_a_crash_left_is_one(
    app: Flask, alice: Browser, photo: dict[str, Any]
) -> None:
    draw(app)
    for path in stored_files(app):
        old = (utcnow() - timedelta(days=2)).timestamp()
        os.utime(path, (old, old))
    with app.app_context():
        assert housekeeping.purge(settings_of(app)).orphans == 0
    thumbnail(alice, photo)
    lost = pictures(app)[0].blob
    with app.app_context():
        # As if the worker had been killed between the file and its row.
        from portal.models import Preview

        db.session.execute(delete(Preview).where(Preview.blob == lost))
        db.session.commit()
        assert housekeeping.purge(settings_of(app)).orphans == 1
    assert len(stored_files(app)) == 3


def test_deleted_for_ever_the_pictures_go_with_the_document(
    app: Flask, alice: Browser, photo: dict[str, Any], time_machine: Any
) -> None:
    draw(app)
    alice.post(f"{photo['url']}/delete")
    assert len(pictures(app)) == 3
    alice.post(f"/trash/{photo['id']}/purge")
    assert pictures(app) == []
    with app.app_context():
        assert db.session.scalars(select(PreviewState)).all() == []
        assert len(db.session.scalars(select(DiscardedBlob)).all()) == 4
    time_machine.move_to(utcnow() + timedelta(hours=2))
    with app.app_context():
        assert housekeeping.purge(settings_of(app)).blobs == 4
    assert stored_files(app) == []


def test_new_version_gets_new_pictures_and_the_old_ones_go(
    app: Flask, alice: Browser, photo: dict[str, Any]
) -> None:
    from io import BytesIO

    draw(app)
    second = saved(corners(60, 60), "PNG")
    answer = alice.post_json(f"{photo['url']}/versions", {"file": (BytesIO(second), "b.png")})
    assert answer.status_code == 201
    assert alice.get(f"{photo['url']}/thumbnail").headers["Preview-State"] == "pending"
    assert draw(app) == 1
    assert thumbnail(alice, photo).size == (60, 60)
    with app.app_context():
        from portal.previews import keeping

        assert keeping.discard_superseded() == 1
        assert len(db.session.scalars(select(DiscardedBlob)).all()) == 3
    assert len(pictures(app)) == 3
    assert thumbnail(alice, photo).size == (60, 60)


def test_only_the_newest_version_is_drawn(app: Flask, alice: Browser, photo: Any) -> None:
    from io import BytesIO

    with app.app_context():
        making.Looker().look()
    second = saved(corners(60, 60), "PNG")
    alice.post_json(f"{photo['url']}/versions", {"file": (BytesIO(second), "b.png")})
    assert draw(app) == 1
    assert {each.width for each in pictures(app)} == {60}


def instead(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """Put a program of the test's own in the place of the one that draws."""
    (folder / "drawing").mkdir()
    (folder / "drawing" / "child.py").write_text(f"def main(*_):\n{indent(code, '    ')}")
    monkeypatch.setattr(child, "_HERE", folder)


def test_what_fails_is_tried_three_times_with_pauses(
    app: Flask, photo: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    instead(monkeypatch, tmp_path, "raise SystemExit(3)")
    for number in range(1, TRIES + 1):
        assert draw(app) == (number == TRIES)
        assert draw(app) == 0, "before its pause is over"
        state = state_of(app, photo)
        assert state is not None
        assert state.tries == number
        make_due(app)
    assert (state.state, state.reason, state.next_try_at) == ("impossible", "failed", None)
    assert draw(app) == 0


def test_one_that_kills_the_worker_is_tried_three_times_as_well(
    app: Flask, alice: Browser, photo: dict[str, Any]
) -> None:
    with app.app_context():
        making.Looker().look()
        for _ in range(TRIES):
            assert waiting.claim() is not None  # and nobody comes back from it
            db.session.execute(update(PreviewState).values(next_try_at=utcnow()))
            db.session.commit()
    draw(app)
    state = state_of(app, photo)
    assert state is not None
    assert (state.state, state.reason) == ("impossible", "failed")


def test_while_it_is_drawn_nobody_else_draws_it(app: Flask, photo: dict[str, Any]) -> None:
    with app.app_context():
        making.Looker().look()

    def take(_: int) -> bool:
        with app.app_context():
            try:
                return waiting.claim() is not None
            finally:
                db.session.remove()

    assert sum(at_once(6, take)) == 1


def test_a_claim_that_was_taken_over_changes_nothing(app: Flask, photo: dict[str, Any]) -> None:
    with app.app_context():
        making.Looker().look()
        first = waiting.claim()
        db.session.execute(update(PreviewState).values(next_try_at=utcnow()))
        db.session.commit()
        second = waiting.claim()
        assert first is not None
        assert second is not None
        for act in (waiting.give_back, waiting.put_off, lambda claim: waiting.refuse(claim, "x")):
            with pytest.raises(Lost):
                act(first)
        waiting.refuse(second, "damaged")


def test_two_workers_see_the_same_new_document(app: Flask, photo: dict[str, Any]) -> None:
    def look(_: int) -> None:
        with app.app_context():
            try:
                making.Looker().look()
            finally:
                db.session.remove()

    at_once(6, look)
    assert draw(app) == 1


def test_told_to_stop_it_is_no_try(
    app: Flask, photo: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    with monkeypatch.context() as patched:
        instead(patched, tmp_path, "import time; time.sleep(600)")
        assert draw(app, stop) == 0
    state = state_of(app, photo)
    assert state is not None
    assert (state.state, state.tries) == ("pending", 0)
    assert draw(app) == 1


def test_second_try_does_not_wait_until_the_machine_is_idle(
    app: Flask, photo: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = child.draw, []

    def failing_first(*arguments: Any, again: bool) -> child.Answer:
        tries.append(again)
        if not again:
            raise child.Failed("it took too long")
        return real(*arguments, again=again)

    monkeypatch.setattr(child, "draw", failing_first)
    assert draw(app) == 0
    with app.app_context():
        db.session.execute(update(PreviewState).values(next_try_at=utcnow()))
        db.session.commit()
        db.session.remove()
    assert draw(app) == 1
    assert tries == [False, True]


def test_deleted_while_it_is_drawn_it_leaves_nothing(
    app: Flask, alice: Browser, photo: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = child.draw

    def delete_first(*arguments: Any, again: bool) -> child.Answer:
        alice.post(f"{photo['url']}/delete")
        alice.post(f"/trash/{photo['id']}/purge")
        return real(*arguments, again=again)

    monkeypatch.setattr(child, "draw", delete_first)
    assert draw(app) == 0
    assert pictures(app) == []
    assert len(stored_files(app)) == 1  # its own bytes, which wait to be removed


def test_full_disk_leaves_nothing_half_done(
    app: Flask, photo: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = 0
    with app.app_context():
        incoming = type(storage.current().receive(user_named(app, "alice@example.org").public_id))
    real = incoming.keep

    def keep(self: Any) -> str:
        nonlocal kept
        kept += 1
        if kept > 1:
            raise NoSpace
        return real(self)

    with monkeypatch.context() as patched:
        patched.setattr(incoming, "keep", keep)
        assert draw(app) == 0
    assert pictures(app) == []
    assert len([path for path in stored_files(app) if path.parent.name != ".incoming"]) == 1
    make_due(app)
    assert draw(app) == 1


def test_page_of_death_costs_the_pages_after_it(
    app: Flask, alice: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = upload(alice, "a.pdf", pdf(6, 300, 300))
    # The real one, which dies where it would draw the third page.
    code = """
import os, signal
from drawing import pages
draw_page = pages._draw_page
def until_the_third(document, number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGSEGV)
    draw_page(document, number)
pages._draw_page = until_the_third
os.lseek(0, 0, os.SEEK_SET)
pages.draw(os.fdopen(0, "rb"), "")
"""
    instead(monkeypatch, tmp_path, code)
    for each in ("pages", "emitting"):
        real = Path(child.__file__).parent / "drawing" / f"{each}.py"
        (tmp_path / "drawing" / real.name).write_text(real.read_text())
    assert draw(app) == 1
    found = alice.get(f"{document['url']}/preview", headers={"Accept": "application/json"}).json
    assert (found["state"], found["page_count"], len(found["pages"])) == ("made", 2, 2)


def test_a_bomb_costs_one_child_and_nobody_elses_turn(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PDF for which there is not enough time: killed once, then an icon for good."""
    monkeypatch.setitem(child.LIMITS, Kind.PDF, (Limits(10**9, cpu_seconds=1), 60.0))
    heavy = upload(alice, "heavy.pdf", _endless())
    photo = upload(alice, "photo.png", saved(corners(), "PNG"))
    assert draw(app) == 2
    thumbnail(alice, photo)
    state = state_of(app, heavy)
    assert state is not None
    assert (state.state, state.reason, state.tries) == ("impossible", "limits", 1)
    page = alice.get(heavy["url"]).text
    assert "too complicated" in page


def _endless() -> bytes:
    """A page that paints a large shaded form over and over again."""
    rows = b"q 1 0 0 1 0 0 cm 0 0 600 800 re f* Q\n" * 20
    curves = b"".join(
        b"0 0 m %d 700 %d 10 590 %d c S\n" % (number % 590, number % 333, number % 780)
        for number in range(400_000)
    )
    content = b"[1 2 3] 0 d 3 w\n" + rows + curves
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
    ]
    data, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(data)
    data += b"xref\n0 5\n0000000000 65535 f \n" + table
    return data + b"trailer << /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start


def test_too_large_a_file_is_not_even_read(
    app: Flask, alice: Browser, photo: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal.previews import kinds

    monkeypatch.setitem(kinds.LARGEST_BYTES, Kind.IMAGE, photo["size"] - 1)
    for path in stored_files(app):
        path.unlink()
    assert draw(app) == 1
    state = state_of(app, photo)
    assert state is not None
    assert (state.state, state.reason) == ("impossible", "too_large")


def test_doctor_says_how_many_wait_and_of_how_many_there_is_none(
    app: Flask, alice: Browser, photo: dict[str, Any]
) -> None:
    def said() -> str:
        with app.app_context():
            found = {check.name: check for check in checks.everything(settings_of(app))}
            assert found["Previews"].ok
            return found["Previews"].detail

    upload(alice, "broken.png", saved(corners(), "PNG")[:60])
    with app.app_context():
        making.Looker().look()
    assert said() == "2 files wait."
    draw(app)
    assert said() == "None waits. Of 1 there can be no picture."


def test_older_documents_are_found_and_each_is_looked_at_once(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_BATCH", 2)
    monkeypatch.setattr(waiting, "_OVERLAP", 0)
    for number in range(5):
        upload(alice, f"{number}.txt", b"text")
    upload(alice, "a.bin", b"\0\1\2\3" * 50)
    looker = making.Looker()
    with app.app_context():
        assert [looker.look() for _ in range(4)] == [True, True, True, False]
        assert len(db.session.scalars(select(PreviewState)).all()) == 5
        db.session.remove()
    upload(alice, "new.txt", b"text")
    with app.app_context():
        assert looker.look() is False
        assert len(db.session.scalars(select(PreviewState)).all()) == 6
        # What was looked at before is found again by the great round alone.
        db.session.execute(delete(PreviewState))
        db.session.commit()
        looker.look()
        assert db.session.scalars(select(PreviewState)).all() == []
        looker._again_at = 0
        monkeypatch.setattr(waiting, "_BATCH", 1000)
        looker.look()
        assert len(db.session.scalars(select(PreviewState)).all()) == 6


def test_versions_removed_elsewhere_take_their_pictures_rows_along(
    app: Flask, alice: Browser, photo: dict[str, Any]
) -> None:
    draw(app)
    with app.app_context():
        db.session.execute(delete(Version))
        db.session.execute(delete(Document))
        db.session.commit()
    assert pictures(app) == []
