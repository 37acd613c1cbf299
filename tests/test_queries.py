"""No page asks the database more than six times, whatever is on it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import update

from conftest import Asked, Browser, user_named
from documents.keeping_stage import Owner, hold, make_folder, put_into, rule, trashed, until
from portal.documents import folders
from portal.documents import page as document_page
from portal.errors import NotFound
from portal.extensions import db
from portal.models import Scan, Version, utcnow
from previews import stage as previews
from stage import events

MOST = 6


def plain(_app: Flask, _alice: Browser, _deed: dict[str, Any]) -> str:
    return ""


def many_versions(_app: Flask, alice: Browser, deed: dict[str, Any]) -> str:
    for number in range(6):
        file = (io.BytesIO(f"{number}".encode()), "deed.pdf")
        assert alice.post_json(f"{deed['url']}/versions", {"file": file}).status_code == 201
    return ""


def older_versions(app: Flask, alice: Browser, deed: dict[str, Any]) -> str:
    many_versions(app, alice, deed)
    return "?below=5"


def links(_app: Flask, alice: Browser, deed: dict[str, Any]) -> str:
    for _ in range(4):
        alice.share(deed)
    return ""


def pictures(app: Flask, alice: Browser, deed: dict[str, Any]) -> str:
    file = (io.BytesIO(previews.pdf(3)), "deed.pdf")
    assert alice.post_json(f"{deed['url']}/versions", {"file": file}).status_code == 201
    assert previews.draw(app) == 1
    return ""


def deep_folder(app: Flask, _alice: Browser, deed: dict[str, Any]) -> str:
    put_into(app, chain(app, 6)[-1], deed)
    return ""


def held_and_kept(app: Flask, alice: Browser, deed: dict[str, Any]) -> str:
    keep_everything(app, chain(app, 4))
    return links(app, alice, deed)


def scanned_as(state: Scan) -> Callable[[Flask, Browser, dict[str, Any]], str]:
    def prepare(app: Flask, _alice: Browser, _deed: dict[str, Any]) -> str:
        with app.app_context():
            db.session.execute(update(Version).values(scan=state, threat="Eicar", scan_tries=9))
            db.session.commit()
        return ""

    prepare.__name__ = state.value
    return prepare


def damaged(app: Flask, _alice: Browser, _deed: dict[str, Any]) -> str:
    with app.app_context():
        db.session.execute(update(Version).values(damaged_at=utcnow()))
        db.session.commit()
    return ""


def all_at_once(app: Flask, alice: Browser, deed: dict[str, Any]) -> str:
    way = chain(app, 6)
    put_into(app, way[-1], deed)
    keep_everything(app, way)
    links(app, alice, deed)
    pictures(app, alice, deed)
    return older_versions(app, alice, deed)


def chain(app: Flask, depth: int) -> list[UUID]:
    """Folders inside each other, the outermost first."""
    way: list[UUID] = []
    for number in range(depth):
        way.append(make_folder(app, f"Level {number}", way[-1] if way else None))
    return way


def keep_everything(app: Flask, way: list[UUID]) -> None:
    """Holds and rules of every kind on folders and everything."""
    rule(app, keep_days=3000, delete_after_days=4000)
    hold(app)
    for folder in way:
        rule(app, folder, keep_days=100, keep_until=until(2090), delete_after_days=50)
        hold(app, folder_id=folder)


def assert_few(statements: list[Asked], browser: Browser, path: str, *accepts: str) -> None:
    for accept in accepts or ("text/html",):
        statements.clear()
        answer = browser.get(path, headers={"Accept": accept})
        assert answer.status_code == 200, path
        asked = "\n\n".join(each.text for each in statements)
        assert 0 < len(statements) <= MOST, f"{path} as {accept}\n\n{asked}"


@pytest.mark.parametrize(
    "prepare",
    [
        plain,
        many_versions,
        older_versions,
        links,
        pictures,
        deep_folder,
        held_and_kept,
        scanned_as(Scan.WAITING),
        scanned_as(Scan.INFECTED),
        damaged,
        all_at_once,
    ],
    ids=lambda prepare: prepare.__name__,
)
def test_page_of_a_document_asks_at_most_six_questions(
    make_app: Any,
    statements: list[Asked],
    monkeypatch: pytest.MonkeyPatch,
    app: Flask,
    alice: Browser,
    deed: dict[str, Any],
    prepare: Callable[[Flask, Browser, dict[str, Any]], str],
) -> None:
    monkeypatch.setattr(document_page, "VERSIONS", 3)
    query = prepare(app, alice, deed)
    alice.get("/")
    assert_few(statements, alice, deed["url"] + query, "text/html", "application/json")


@pytest.fixture
def full(app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A deep tree with documents, links, holds and rules everywhere, and a trash like that."""
    way = chain(app, 6)
    for number in range(6):
        inner = make_folder(app, f"Inner {number}", way[-1])
        for place in (None, way[0], way[-1], inner):
            put_into(app, place, alice.upload(f"{number}.txt", b"words"))
        gone = make_folder(app, f"Gone {number}")
        put_into(app, make_folder(app, "In it", gone), alice.upload("kept.txt", b"x"))
        assert alice.post(f"/folders/{gone}/delete").status_code == 303
        alice.share(alice.upload("shared.txt", b"x"))
        trashed(alice, alice.upload("old.txt", b"x"))
    document = alice.upload("here.txt", b"words")
    put_into(app, way[-1], document)
    alice.share(document)
    keep_everything(app, way)
    return {"top": way[0], "deep": way[-1], "document": document["id"]}


BOTH = ("text/html", "application/json")


@pytest.mark.parametrize(
    ("path", "accepts"),
    [
        ("/documents", BOTH),
        ("/documents?view=grid&sort=name&order=asc", ("text/html",)),
        ("/documents?folder={top}", BOTH),
        ("/documents?folder={deep}", BOTH),
        ("/documents?q=words", BOTH),
        ("/documents?folder={deep}&q=words&type=text&since=2020-01-01", BOTH),
        ("/trash", BOTH),
        ("/share-links", ("text/html",)),
        ("/folders/{deep}/rename", ("text/html",)),
        ("/folders/{deep}/retention", BOTH),
        ("/folders/{deep}/move", ("text/html",)),
        ("/folders/{deep}/move?at={top}", ("text/html",)),
        ("/documents/{document}/move", ("text/html",)),
        ("/documents/{document}/move?at={top}", ("text/html",)),
        ("/documents/move?id={document}&at={top}", ("text/html",)),
        ("/documents/move?id={document}&moved_folder={deep}&at={top}", ("text/html",)),
        ("/documents/{document}/preview", BOTH),
    ],
)
def test_page_asks_at_most_six_questions(
    alice: Browser,
    full: dict[str, Any],
    statements: list[Asked],
    path: str,
    accepts: tuple[str, ...],
) -> None:
    alice.get("/")
    assert_few(statements, alice, path.format(**full), *accepts)


def test_outermost_of_many_folders_are_found_with_one_question(
    app: Flask, alice: Browser, bob: Browser, statements: list[Asked]
) -> None:
    way = chain(app, 4)
    beside = [make_folder(app, f"Beside {number}", way[0]) for number in range(20)]
    inner = [make_folder(app, "Inner", each) for each in beside]
    person = Owner(user_named(app, alice.email))
    with app.app_context():
        statements.clear()
        found = folders.outermost(person, [*inner, *beside, way[3], way[1]])
        assert len(statements) == 1, [each.text for each in statements]
        assert found == [*beside, way[1]]
        denied = len(events(app, "access.denied"))
        for stranger in (Owner(user_named(app, bob.email)), person):
            with pytest.raises(NotFound):
                folders.outermost(stranger, [way[0] if stranger != person else uuid4(), way[1]])
        assert len(events(app, "access.denied")) == denied + 2
