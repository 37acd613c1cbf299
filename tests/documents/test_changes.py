"""What happens to a document after upload: page, name, trash, and deleting for ever."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from conftest import DEED, Browser, Cast, user_named
from portal.documents import housekeeping, lifecycle
from portal.extensions import db
from portal.models import DiscardedBlob, Document, ShareLink, Version, utcnow
from stage import (
    at_once,
    database_dump,
    events,
    stored_files,
    twins,
)

#: Far less than a writer waits for another one.
QUICK = 8.0


def trashed(alice: Browser, document: dict[str, Any]) -> dict[str, Any]:
    assert alice.post(f"{document['url']}/delete").status_code == 303
    return document


def answers_at_once(browser: Browser, count: int, path: str, data: Any = None) -> list[int]:
    """The statuses of the same POST, sent by `count` tabs of one browser at the same moment."""
    token = browser.token()
    tabs = twins(browser, count)
    headers = {"X-CSRFToken": token}
    return sorted(
        at_once(count, lambda n: tabs[n].client.post(path, data=data, headers=headers).status_code)
    )


# The page of a document


def test_page_tells_everything_about_a_document(alice: Browser, deed: dict[str, Any]) -> None:
    alice.get(deed["download_url"])
    alice.share(deed, label="For the bank")
    page = alice.get(deed["url"])
    assert page.status_code == 200
    for fact in (
        "deed.pdf",
        deed["sha256"],
        "38 bytes",
        "Alice Archer",
        "Uploaded “deed.pdf”",
        "Downloaded “deed.pdf”",
        "For the bank",
        deed["download_url"],
    ):
        assert fact in page.text, fact


def test_page_shows_no_other_documents_links_or_activity(alice: Browser) -> None:
    mine, other = alice.upload("a.txt", b"a"), alice.upload("other.txt", b"b")
    alice.share(other, label="Elsewhere")
    page = alice.get(mine["url"]).text
    assert "other.txt" not in page
    assert "Elsewhere" not in page


def test_tries_of_strangers_are_not_shown_to_the_owner(
    alice: Browser, bob: Browser, deed: dict[str, Any]
) -> None:
    bob.get(deed["url"])
    assert "refused access" not in alice.get(deed["url"]).text


# Renaming


def test_renamed_document_has_its_new_name_everywhere(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    response = alice.post(f"{deed['url']}/rename", {"name": "Übersicht.pdf"})
    assert (response.status_code, response.location) == (303, deed["url"])
    assert "Übersicht.pdf" in alice.get(deed["url"]).text
    assert "Übersicht.pdf" in alice.get("/documents?q=ÜBERSICHT").text
    disposition = alice.get(deed["download_url"]).headers["Content-Disposition"]
    assert "%C3%9Cbersicht.pdf" in disposition
    (event,) = events(app, "document.renamed")
    assert event.detail == {"old_name": "deed.pdf", "name": "Übersicht.pdf"}
    assert event.document == deed["id"]


def test_renaming_follows_the_rules_of_uploads(make_app: Any) -> None:
    app = make_app(allowed_extensions=frozenset({"pdf"}))
    alice = Cast(app).person("alice@example.org", "Alice")
    document = alice.upload("a.pdf", DEED)
    before = database_dump(app)
    for name in ("", "  ", "..", "a.exe", "a", "x" * 252 + ".pdf", "a/", "\r\n"):
        response = alice.post(f"{document['url']}/rename", {"name": name})
        assert response.status_code == 422, name
        assert 'id="name-wrong"' in response.text
    assert alice.post(f"{document['url']}/rename").status_code == 422
    assert database_dump(app) == before
    assert alice.post(f"{document['url']}/rename", {"name": "../b\0.PDF"}).status_code == 303
    assert "b.PDF" in alice.get(document["url"]).text


def test_renaming_to_the_same_name_is_no_event(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    assert alice.post(f"{deed['url']}/rename", {"name": "deed.pdf"}).status_code == 303
    assert events(app, "document.renamed") == []


def test_program_gets_the_renamed_document(alice: Browser, deed: dict[str, Any]) -> None:
    response = alice.post_json(f"{deed['url']}/rename", {"name": "b.pdf"})
    assert response.status_code == 201
    assert response.get_json() == {**deed, "name": "b.pdf"}
    problem = alice.post_json(f"{deed['url']}/rename", {"name": ".."})
    assert problem.status_code == 422
    assert set(problem.get_json()["errors"]) == {"name"}


# The trash


def test_deleted_document_is_in_the_trash_and_nowhere_else(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    response = alice.post(f"{deed['url']}/delete")
    assert (response.status_code, response.location) == (303, "/documents")
    notice = alice.get("/documents").text
    assert "“deed.pdf” is in the trash." in notice
    assert f'action="{deed["url"]}/restore"' in notice
    for path in (deed["url"], deed["download_url"]):
        assert alice.get(path).status_code == 404
    assert "deed.pdf" in alice.get("/trash").text
    assert stored_files(app)
    (event,) = events(app, "document.trashed")
    assert (event.actor, event.document) == ("alice@example.org", deed["id"])


def test_trash_shows_ones_own_and_nobody_elses(
    alice: Browser, bob: Browser, ada: Browser, deed: dict[str, Any]
) -> None:
    trashed(alice, deed)
    kept = alice.upload("kept.txt", b"x")
    for stranger in (bob, ada):
        assert deed["id"] not in stranger.get("/trash").text
    assert kept["id"] not in alice.get("/trash").text


def test_restored_document_is_as_it_was(app: Flask, alice: Browser, deed: dict[str, Any]) -> None:
    trashed(alice, deed)
    response = alice.post(f"{deed['url']}/restore")
    assert (response.status_code, response.location) == (303, deed["url"])
    assert alice.get(deed["download_url"]).data == DEED
    assert deed["id"] not in alice.get("/trash").text
    assert [each.action for each in events(app)][-2:] == [
        "document.restored",
        "document.downloaded",
    ]


def test_document_deleted_twice_is_not_found_the_second_time(
    alice: Browser, deed: dict[str, Any]
) -> None:
    trashed(alice, deed)
    assert alice.post(f"{deed['url']}/delete").status_code == 404
    assert alice.post(f"{deed['url']}/rename", {"name": "b.pdf"}).status_code == 404
    assert alice.post(f"{deed['url']}/restore").status_code == 303
    assert alice.post(f"{deed['url']}/restore").status_code == 404


def test_deleted_once_by_many_tabs_at_once(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    started = time.monotonic()
    statuses = answers_at_once(alice, 8, f"{deed['url']}/delete")
    assert statuses == [303] + [404] * 7
    assert time.monotonic() - started < QUICK
    assert len(events(app, "document.trashed")) == 1
    assert alice.get("/trash").text.count(f'action="{deed["url"]}/restore"') == 1


def test_restored_once_by_many_tabs_at_once(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    trashed(alice, deed)
    started = time.monotonic()
    statuses = answers_at_once(alice, 8, f"{deed['url']}/restore")
    assert statuses == [303] + [404] * 7
    assert time.monotonic() - started < QUICK
    assert len(events(app, "document.restored")) == 1
    assert alice.get(deed["url"]).status_code == 200


# For ever


def test_document_deleted_for_ever_is_gone_with_its_room(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed)
    trashed(alice, deed)
    response = alice.post(f"/trash/{deed['id']}/purge")
    assert (response.status_code, response.location) == (303, "/trash")
    assert deed["id"] not in alice.get("/trash").text
    assert user_named(app, alice.email).used_bytes == 0
    with app.app_context():
        assert db.session.scalars(select(Document.id)).all() == []
        assert db.session.scalars(select(Version.id)).all() == []
        assert len(db.session.scalars(select(DiscardedBlob.blob)).all()) == 1
        assert db.session.scalar(select(ShareLink.document_id)) is None
    assert Browser(app).get(link["path"]).status_code == 410
    (event,) = events(app, "document.purged")
    assert event.detail == {"name": "deed.pdf", "size_bytes": len(DEED)}
    assert (event.owner, event.document) == ("alice@example.org", deed["id"])


def test_deleting_for_ever_touches_no_other_document(
    app: Flask, alice: Browser, bob: Browser, deed: dict[str, Any]
) -> None:
    others = [alice.upload("b.txt", b"other"), bob.upload("c.txt", b"bobs")]
    shared = [alice.share(others[0]), bob.share(others[1])]
    trashed(alice, deed)
    alice.post(f"/trash/{deed['id']}/purge")
    assert [Browser(app).get(link["path"]).status_code for link in shared] == [200, 200]
    assert alice.get(others[0]["download_url"]).data == b"other"
    assert bob.get(others[1]["download_url"]).data == b"bobs"
    assert user_named(app, alice.email).used_bytes == len(b"other")
    assert user_named(app, bob.email).used_bytes == len(b"bobs")


def test_only_what_is_in_the_trash_can_be_deleted_for_ever(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    assert alice.post(f"/trash/{deed['id']}/purge").status_code == 404
    assert alice.post("/trash/empty").status_code == 303
    assert alice.get(deed["download_url"]).data == DEED
    with app.app_context():
        only = db.session.scalars(select(Document.id)).all()
        lifecycle.delete_for_ever(only)
    assert alice.get(deed["download_url"]).data == DEED


def test_purged_once_by_many_tabs_at_once(app: Flask, alice: Browser, deed: dict[str, Any]) -> None:
    trashed(alice, deed)
    started = time.monotonic()
    statuses = answers_at_once(alice, 8, f"/trash/{deed['id']}/purge")
    assert statuses[0] == 303
    assert set(statuses) <= {303, 404}
    assert time.monotonic() - started < QUICK
    assert len(events(app, "document.purged")) == 1
    assert user_named(app, alice.email).used_bytes == 0


def test_emptying_the_trash_leaves_other_peoples_and_what_is_live(
    app: Flask, alice: Browser, bob: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_BATCH", 2)
    gone = [trashed(alice, alice.upload(f"{n}.txt", b"x" * 10)) for n in range(5)]
    kept = alice.upload("kept.txt", b"kept")
    others = trashed(bob, bob.upload("others.txt", b"others"))
    response = alice.post_json("/trash/empty")
    assert (response.status_code, response.get_json()) == (201, {"deleted": 5, "left": 0})
    page = alice.get("/trash").text
    assert not any(each["id"] in page for each in gone)
    assert "The trash is empty" in page
    assert alice.get(kept["download_url"]).data == b"kept"
    assert bob.post(f"{others['url']}/restore").status_code == 303
    assert user_named(app, alice.email).used_bytes == 4
    assert len(events(app, "document.purged")) == 5


def test_emptying_the_trash_leaves_what_came_there_after_it_began(
    app: Flask, alice: Browser
) -> None:
    old, new = (trashed(alice, alice.upload(f"{n}.txt", b"x")) for n in "ab")
    with app.app_context():
        document = db.session.query(Document).filter_by(name="b.txt").one()
        document.trashed_at = utcnow() + timedelta(minutes=1)
        db.session.commit()
    assert alice.post_json("/trash/empty").get_json() == {"deleted": 1, "left": 0}
    page = alice.get("/trash").text
    assert new["id"] in page
    assert old["id"] not in page


def test_programs_are_told_what_was_done(alice: Browser, deed: dict[str, Any]) -> None:
    response = alice.post_json(f"{deed['url']}/delete")
    assert (response.status_code, response.get_json()) == (201, {"id": deed["id"]})
    assert alice.post_json(f"{deed['url']}/restore").get_json() == deed
    alice.post(f"{deed['url']}/delete")
    response = alice.post_json(f"/trash/{deed['id']}/purge")
    assert (response.status_code, response.get_json()) == (201, {"id": deed["id"]})


def test_bytes_of_two_documents_with_the_same_content_do_not_depend_on_each_other(
    app: Flask, alice: Browser
) -> None:
    first, second = alice.upload("a.txt", b"same"), alice.upload("b.txt", b"same")
    trashed(alice, first)
    alice.post(f"/trash/{first['id']}/purge")
    with app.app_context():
        assert housekeeping.purge(app.extensions["settings"]).blobs == 0
    assert alice.get(second["download_url"]).data == b"same"
