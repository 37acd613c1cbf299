"""Whoever puts much into a queue of the worker does not keep everybody else waiting."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import select, update

from conftest import Browser, Cast
from live.clamd import clamd
from portal.database import ROOT
from portal.extensions import db
from portal.models import PreviewState, Version
from portal.previews import making
from portal.previews import waiting as drawings
from portal.scanning import waiting as scans
from portal.search import waiting as texts
from previews.stage import draw
from scanning.stage import scan
from search.stage import index
from stage import at_once, settings_of

__all__ = ["clamd"]

MANY = 8
MIGRATIONS = str(ROOT / "migrations")
#: What waits, what the worker does with it, and among how many one of two people has had a turn.
QUEUES = pytest.mark.parametrize(
    ("queue", "work", "most"), [(drawings, draw, 2), (texts, index, 4), (scans, scan, 2)]
)


@pytest.fixture
def queue() -> ModuleType:
    """The one a test is about that names none."""
    return drawings


@pytest.fixture
def app(make_app: Any, queue: ModuleType, request: pytest.FixtureRequest) -> Flask:
    is_scanned = queue is scans
    app: Flask = make_app(clamd_url=request.getfixturevalue("clamd").server if is_scanned else None)
    return app


def upload(browser: Browser, count: int) -> list[str]:
    return [browser.upload(f"{n}.txt", b"some words %d" % n)["id"] for n in range(count)]


@pytest.fixture
def taken(queue: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The documents that are claimed from now on, in their order."""
    claim, found = queue.claim, []

    def seen(*given: Any) -> Any:
        one = claim(*given)
        if one is not None:
            found.append(str(getattr(one, "public_id", one.document_id)))
        return one

    monkeypatch.setattr(queue, "claim", seen)
    return found


@QUEUES
@pytest.mark.parametrize("many_first", [True, False])
def test_who_waits_with_one_document_is_among_the_first(
    queue: ModuleType,
    work: Callable[[Flask], int],
    most: int,
    app: Flask,
    alice: Browser,
    bob: Browser,
    taken: list[str],
    many_first: bool,
) -> None:
    for first, second in ((alice, bob), (bob, alice)):
        taken.clear()
        counts = (MANY, 1) if many_first else (1, MANY)
        of_first, of_second = upload(first, counts[0]), upload(second, counts[1])
        (one,) = of_second if many_first else of_first
        assert work(app) == MANY + 1
        assert taken.index(one) < most
        assert len(set(taken)) == MANY + 1


@QUEUES
def test_many_people_go_round(
    queue: ModuleType,
    work: Callable[[Flask], int],
    most: int,
    app: Flask,
    cast: Cast,
    taken: list[str],
) -> None:
    people = [cast.person(f"p{number}@example.org", f"Person {number}") for number in range(3)]
    whose = {each: number for number, one in enumerate(people) for each in upload(one, 4)}
    assert work(app) == 12
    turns = [whose[each] for each in taken]
    if queue is texts:
        turns = turns[1::2]  # the newest of all in between
        assert set(turns[:3]) == {0, 1, 2}
    else:
        assert turns == turns[:3] * 4


@QUEUES
def test_of_one_persons_many_each_is_claimed_once(
    queue: ModuleType, work: Callable[[Flask], int], most: int, app: Flask, alice: Browser
) -> None:
    upload(alice, MANY)
    if queue is drawings:
        with app.app_context():
            drawings.enqueue(0)
            db.session.remove()

    def claim(number: int) -> int:
        with app.app_context():
            try:
                one = queue.claim(number)
                assert one is not None
                found: int = one.version_id
                return found
            finally:
                db.session.remove()

    assert len(set(at_once(MANY, claim))) == MANY


def test_what_comes_while_others_are_drawn_has_its_turn(
    app: Flask,
    alice: Browser,
    bob: Browser,
    taken: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(making, "LOOK_SECONDS", 0.0)
    upload(bob, MANY)
    later: list[str] = []
    look = making.Looker.look

    def look_when_something_came(looker: making.Looker) -> bool:
        if len(taken) == 2:
            later.extend(upload(alice, 1))
        return look(looker)

    monkeypatch.setattr(making.Looker, "look", look_when_something_came)
    with app.app_context():
        looker = making.Looker()
        looker.look()
        assert making.draw_due(settings_of(app), None, looker) == MANY + 1
        db.session.remove()
    assert taken[2:3] == later


def test_what_failed_before_lets_everybodys_others_go_first(
    app: Flask, alice: Browser, bob: Browser
) -> None:
    upload(alice, 2)
    with app.app_context():
        drawings.enqueue(0)
        db.session.execute(update(PreviewState).values(tries=1))
        db.session.commit()
    upload(bob, 2)
    tries = []
    with app.app_context():
        drawings.enqueue(0)
        while (claim := drawings.claim()) is not None:
            tries.append(claim.tries)
        db.session.remove()
    assert tries == [0, 0, 1, 1]


def test_what_waited_before_there_were_turns_has_somebody(app: Flask, alice: Browser) -> None:
    upload(alice, 1)
    with app.app_context():
        drawings.enqueue(0)
        downgrade(directory=MIGRATIONS, revision="0009")
        upgrade(directory=MIGRATIONS)
        (state,) = db.session.scalars(select(PreviewState))
        assert state.uploaded_by_id == db.session.scalar(select(Version.uploaded_by_id))
        db.session.remove()
