"""The trash: back to where it was, gone on time, and what becomes of links meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Flask
from sqlalchemy import select, update

from conftest import Browser
from documents.keeping_stage import change, folder_row, make_folder, put_into, row, trashed
from documents.test_holds import purge
from portal.database import transaction
from portal.models import Folder, ShareLink, utcnow

DAY = timedelta(days=1)


def place_of(app: Flask, document: dict[str, Any]) -> int | None:
    found = row(app, document)
    assert found is not None
    return found.folder_id


def test_restored_document_is_where_it_was(app: Flask, alice: Browser, deed: Any) -> None:
    folder = make_folder(app, "2026", make_folder(app, "Taxes"))
    put_into(app, folder, deed)
    trashed(alice, deed)
    assert alice.post(f"{deed['url']}/restore").status_code == 303
    assert place_of(app, deed) == folder_row(app, folder)


def test_restored_document_is_at_the_top_where_its_folder_is_gone(
    app: Flask, alice: Browser, deed: Any
) -> None:
    folder = make_folder(app, "2026", make_folder(app, "Taxes"))
    put_into(app, folder, deed)
    trashed(alice, deed)
    with app.app_context(), transaction() as session:
        session.execute(update(Folder).where(Folder.name == "2026").values(trashed_at=utcnow()))
    assert alice.post(f"{deed['url']}/restore").status_code == 303
    assert place_of(app, deed) is None
    found = row(app, deed)
    assert found
    assert found.trashed_with_id is None
    assert found.restored_at


def test_link_of_a_trashed_document_has_ended_and_lives_again_with_it(
    app: Flask, alice: Browser, deed: Any
) -> None:
    link, short = alice.share(deed), alice.share(deed, expires_in_days="1")
    trashed(alice, deed)
    for each in (link, short):
        answer = Browser(app).get(each["path"])
        assert answer.status_code == 410
        assert "no longer works" in answer.text
        assert Browser(app).post(f"{each['path']}/download").status_code == 410
    with app.app_context(), transaction() as session:  # expired while it lay there
        ended = session.scalars(select(ShareLink).order_by(ShareLink.expires_at)).first()
        assert ended
        ended.expires_at = utcnow() - DAY
    assert alice.post(f"{deed['url']}/restore").status_code == 303
    visitor = Browser(app)
    assert visitor.get(link["path"]).status_code == 200
    assert visitor.post(f"{link['path']}/download").status_code == 303
    assert Browser(app).get(short["path"]).status_code == 410


def test_link_ended_in_the_trash_stays_ended(app: Flask, alice: Browser, deed: Any) -> None:
    link = alice.share(deed)
    trashed(alice, deed)
    assert alice.post(f"/share-links/{link['id']}/revoke").status_code == 303
    alice.post(f"{deed['url']}/restore")
    assert Browser(app).get(link["path"]).status_code == 410


def test_each_has_its_own_time_in_the_trash(app: Flask, alice: Browser, deed: Any) -> None:
    second = trashed(alice, alice.upload("second.txt", b"second"))
    trashed(alice, deed)
    change(app, deed, trashed_at=utcnow() - 30 * DAY - timedelta(seconds=1))
    change(app, second, trashed_at=utcnow() - 30 * DAY + timedelta(minutes=5))
    assert purge(app).documents == 1
    assert row(app, deed) is None
    assert row(app, second) is not None
