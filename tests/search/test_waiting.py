"""The queue of what is to be read: whoever dies or fails in between loses no document."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from conftest import Browser
from portal.extensions import db
from portal.jobs import giving_way
from portal.models import Scan, SearchPassage, SearchText, Version, utcnow
from portal.search import indexing, reading, waiting
from portal.search.reading import Killed, Text
from portal.search.waiting import Lost
from portal.search.words import Passage
from scanning.stage import upload
from search.stage import ask, index, names, problem_of, put, rows, version_of
from stage import at_once, stored_files


def claimed(app: Flask) -> waiting.Claim:
    with app.app_context():
        claim = waiting.claim()
        db.session.remove()
        assert claim is not None
        return claim


def change(app: Flask, **values: Any) -> None:
    """Change columns of every version behind the portal's back."""
    with app.app_context():
        db.session.execute(update(Version).values(**values))
        db.session.commit()


def test_newest_is_read_first(app: Flask, alice: Browser) -> None:
    documents = [alice.upload(f"{number}.txt", b"words") for number in range(3)]
    assert [claimed(app).version_id for _ in range(3)] == [
        version_of(app, document).id for document in reversed(documents)
    ]


def test_what_somebody_reads_nobody_else_does(app: Flask, alice: Browser) -> None:
    alice.upload("a.txt", b"words")
    assert claimed(app).tries == 1
    assert index(app) == 0
    # Whoever read it died: the lease is over.
    change(app, next_index_at=utcnow() - timedelta(seconds=1))
    assert index(app) == 1
    assert names(alice, "words") == ["a.txt"]


def test_second_try_does_not_wait_until_the_machine_is_idle(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tries = reading.read, []

    def failing_first(reader: str, pieces: Any, limits: reading.Limits, beat: Any) -> Text:
        tries.append(limits.only_idle)
        if limits.only_idle:
            raise Killed("It took too long.")
        return real(reader, pieces, limits, beat)

    monkeypatch.setattr(reading, "read", failing_first)
    alice.upload("a.txt", b"words")
    assert index(app) == 0
    change(app, next_index_at=utcnow() - timedelta(seconds=1))
    assert index(app) == 1
    assert tries == [True, False]
    assert names(alice, "words") == ["a.txt"]


def test_of_many_that_claim_at_once_each_gets_another(app: Flask, alice: Browser) -> None:
    for number in range(6):
        alice.upload(f"{number}.txt", b"words")
    found = at_once(6, lambda _: claimed(app).version_id)
    assert len(set(found)) == 6


def test_lost_claim_changes_nothing(app: Flask, alice: Browser) -> None:
    alice.upload("a.txt", b"words")
    lost = claimed(app)
    change(app, next_index_at=utcnow() - timedelta(seconds=1))
    index(app)
    acts = (
        lambda: waiting.give_up(lost, "It is damaged."),
        lambda: waiting.keep(lost, [Passage("other", ["other"])]),
        lambda: waiting.put_off(lost),
        lambda: waiting.give_back(lost),
        lambda: waiting.renew(lost),
    )
    for act in acts:
        with app.app_context(), pytest.raises(Lost):
            act()
    assert names(alice, "words") == ["a.txt"]
    assert names(alice, "other") == []


def test_document_that_kills_its_reader_is_tried_three_times(
    app: Flask, alice: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = alice.upload("a.txt", b"words")
    (tmp_path / "extract").mkdir()
    (tmp_path / "extract" / "child.py").write_text("import os; os.abort()")
    monkeypatch.setattr(reading, "_HERE", tmp_path)
    for number in (1, 2):
        assert index(app) == 0
        version = version_of(app, document)
        assert version.index_tries == number
        assert version.next_index_at is not None
        pause = waiting.PAUSES[number - 1].total_seconds()
        assert 0 < (version.next_index_at - utcnow()).total_seconds() <= pause
        assert not problem_of(app, document)
        change(app, next_index_at=utcnow() - timedelta(seconds=1))
    assert index(app) == 1
    assert problem_of(app, document).startswith("It takes more memory")
    assert version_of(app, document).next_index_at is None


def test_document_that_kills_the_worker_itself_is_given_up(app: Flask, alice: Browser) -> None:
    document = alice.upload("a.txt", b"words")
    for _ in range(3):
        claimed(app)
        change(app, next_index_at=utcnow() - timedelta(seconds=1))
    assert index(app) == 1
    assert problem_of(app, document) == "Reading it was broken off each time."


def test_missing_bytes_are_tried_again(app: Flask, alice: Browser) -> None:
    document = alice.upload("a.txt", b"words")
    (file,) = stored_files(app)
    file.rename(file.with_suffix(".away"))
    assert index(app) == 0
    file.with_suffix(".away").rename(file)
    change(app, next_index_at=utcnow() - timedelta(seconds=1))
    assert index(app) == 1
    assert not problem_of(app, document)


def test_stop_gives_the_document_back_at_once(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = alice.upload("a.txt", b"words")
    stop = threading.Event()

    def read(*given: Any) -> Text:
        stop.set()
        given[3]()
        raise AssertionError("it should have stopped")

    monkeypatch.setattr(reading, "read", read)
    with app.app_context():
        assert indexing.index_due(stop) == 0
        db.session.remove()
    version = version_of(app, document)
    assert version.index_tries == 0
    assert version.next_index_at is not None
    assert version.next_index_at <= utcnow()


def test_half_written_text_is_not_found_and_goes_away(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(alice, "a.txt", b"words " * 100_000)
    before = waiting._done

    def die(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(waiting, "_done", die)
    with pytest.raises(SystemExit):
        index(app)
    monkeypatch.setattr(waiting, "_done", before)
    assert rows(app)[1] > 20
    assert names(alice, "words") == []
    index(app)
    assert rows(app)[1] > 20  # somebody may still write it
    with app.app_context():
        db.session.execute(update(SearchText).values(written_until=utcnow() - timedelta(days=1)))
        db.session.commit()
    index(app)
    assert rows(app) == (0, 0)
    change(app, next_index_at=utcnow() - timedelta(seconds=1))
    index(app)
    assert names(alice, "words") == ["a.txt"]


def test_document_deleted_while_it_is_read_leaves_nothing(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = alice.upload("a.txt", b"words")

    def read(*_: object) -> Text:
        with app.app_context():
            db.session.remove()
        alice.post(f"{document['url']}/delete")
        alice.post(f"/trash/{document['id']}/purge")
        return Text("words", is_cut=False)

    monkeypatch.setattr(reading, "read", read)
    assert index(app) == 0
    assert rows(app) == (0, 0)


def test_long_text_is_written_a_little_at_a_time(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever uploads meanwhile waits for one small change, not for all of it."""
    put(alice, "a.txt", b"words " * 100_000)
    assert rows(app)[1] > 2 * waiting._BATCH
    turns = []
    transaction = waiting.transaction

    def counted() -> Any:
        turns.append(1)
        return transaction()

    monkeypatch.setattr(waiting, "transaction", counted)
    with app.app_context():
        assert waiting.read_again(problems_only=False) == 1
    turns.clear()
    index(app)
    assert len(turns) > 2 * rows(app)[1] // waiting._BATCH


@pytest.mark.parametrize("clamd", [True, False])
def test_with_a_scanner_only_what_is_clean_is_read(make_app: Any, clamd: bool) -> None:
    from conftest import Cast
    from portal.config import Scanner

    app = make_app(clamd_url=Scanner("127.0.0.1", 1) if clamd else None)
    alice = Cast(app).person("alice@example.org", "Alice Archer")
    alice.upload("a.txt", b"words")
    assert index(app) == (0 if clamd else 1)
    for scan, count in ((Scan.INFECTED, 0), ("unheard-of", 0), (Scan.CLEAN, 1)):
        change(app, scan=scan, next_index_at=utcnow())
        assert index(app) == count, scan
    assert names(alice, "words") == ["a.txt"]


def test_reindex_reads_everything_anew_and_loses_nothing_meanwhile(
    app: Flask, alice: Browser
) -> None:
    put(alice, "a.txt", "words")
    with app.app_context():
        assert waiting.read_again(problems_only=True) == 0
        assert waiting.read_again(problems_only=False) == 1
    assert names(alice, "words") == ["a.txt"]
    assert index(app) == 1
    assert names(alice, "words") == ["a.txt"]
    assert rows(app) == (1, 1)


def test_figures_say_what_waits_and_what_cannot_be_read(app: Flask, alice: Browser) -> None:
    put(alice, "broken.pdf", b"%PDF-1.7\n%%EOF\n")
    alice.upload("a.txt", b"words")
    with app.app_context():
        assert waiting.figures() == waiting.Figures(waiting=1, unreadable=1)
        assert waiting.read_again(problems_only=True) == 1
    assert ask(alice, "x")["unreadable"] == 1


def test_bytes_that_cannot_be_opened_are_a_try(app: Flask, alice: Browser) -> None:
    alice.upload("a.txt", b"words")
    (file,) = stored_files(app)
    file.unlink()
    claim = claimed(app)
    with app.app_context(), pytest.raises(Killed):
        indexing._pieces(claim)


def test_words_of_a_passage_are_those_of_its_text(app: Flask, alice: Browser) -> None:
    put(alice, "a.txt", "words and more words")
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(SearchPassage)) == 1
        assert db.session.scalar(select(SearchPassage.text)) == "words and more words"


class Recording(threading.Event):
    """Never stops anything, and takes no time to rest."""

    def __init__(self) -> None:
        super().__init__()
        self.rests: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.rests.append(timeout)
        return False


def test_long_text_is_cut_and_written_with_rests_in_between(app: Flask, alice: Browser) -> None:
    upload(alice, "long.txt", b"word and " * (25 * 750))
    stop = Recording()
    with app.app_context():
        assert indexing.index_due(stop) == 1
        db.session.remove()
    passages = rows(app)[1]
    assert passages > 20
    # After each passage, after each ten that were written, and at the end.
    assert len(stop.rests) == passages + -(-passages // 10) + 1
    assert all(0 < rest <= indexing.LONGEST_REST_SECONDS for rest in stop.rests)


@pytest.mark.parametrize(("is_busy", "rest"), [(True, 7.0), (False, 1.0)])
def test_it_rests_longer_while_the_server_is_at_work(
    monkeypatch: pytest.MonkeyPatch, is_busy: bool, rest: float
) -> None:
    monkeypatch.setattr(giving_way, "is_busy", lambda: is_busy)
    stop = Recording()
    indexing._rest(stop, 0.5)
    assert stop.rests == [0.5 * rest]


def test_no_rest_is_longer_than_a_claim(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "REST", 10**9)
    upload(alice, "a.txt", b"words")
    stop = Recording()
    with app.app_context():
        assert indexing.index_due(stop) == 1
        db.session.remove()
    assert max(stop.rests) == indexing.LONGEST_REST_SECONDS
    assert waiting.LEASE.total_seconds() > 2 * indexing.LONGEST_REST_SECONDS
