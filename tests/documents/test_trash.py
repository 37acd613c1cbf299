"""The trash: back to where it was, gone on time, and what becomes of links meanwhile."""

from __future__ import annotations

import html
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select, update

from conftest import Browser
from documents.keeping_stage import (
    change,
    folder_row,
    hold,
    let_go,
    make_folder,
    put_into,
    row,
    rule,
    trashed,
    until,
)
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


# Folders that must stay


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("hold on it", "Held since"),
        ("hold around it", "Held since"),
        ("hold below it", "Held since"),
        ("hold on a document in it", "Held since"),
        ("hold on a document far below", "Held since"),
        ("hold on everything", "Held since"),
        ("hold on everything, nothing in it", "Held since"),
        ("released hold", ""),
        ("hold on what lies beside it", ""),
        ("hold on another's things", ""),
        ("rule on it", "Kept until"),
        ("rule around it", "Kept until"),
        ("rule below it", "Kept until"),
        ("rule on everything", "Kept until"),
        ("rule for days, on old things", ""),
        ("rule on it, nothing in it", ""),
        ("rule on what lies beside it", ""),
        ("rule on another's things", ""),
        ("rule that deletes", ""),
        ("nothing", ""),
    ],
)
def test_trash_offers_the_end_of_a_folder_exactly_where_it_may_end(
    app: Flask, alice: Browser, bob: Browser, deed: Any, what: str, says: str
) -> None:
    around = make_folder(app, "Around")
    top = make_folder(app, "Taxes", around)
    middle = make_folder(app, "2026", top)
    low = make_folder(app, "May", middle)
    beside = make_folder(app, "Beside", around)
    far = alice.upload("far.txt", b"far")
    other = alice.upload("other.txt", b"x")
    put_into(app, beside, other)
    if "nothing in it" not in what:
        put_into(app, top, deed)
        put_into(app, low, far)
    assert alice.post(f"/folders/{top}/delete").status_code == 303
    year = {"keep_days": 365}
    if what == "rule for days, on old things":
        change(app, deed, far, uploaded_at=utcnow() - 366 * DAY)
    act: dict[str, Callable[[], Any]] = {
        "hold on it": lambda: hold(app, folder_id=top),
        "hold around it": lambda: hold(app, folder_id=around),
        "hold below it": lambda: hold(app, folder_id=low),
        "hold on a document in it": lambda: hold(app, document_id=UUID(deed["id"])),
        "hold on a document far below": lambda: hold(app, document_id=UUID(far["id"])),
        "hold on everything": lambda: hold(app),
        "hold on everything, nothing in it": lambda: hold(app),
        "released hold": lambda: let_go(app, hold(app, folder_id=top)),
        "hold on what lies beside it": lambda: (
            hold(app, folder_id=beside),
            hold(app, document_id=UUID(other["id"])),
        ),
        "hold on another's things": lambda: hold(app, owner=bob.email),
        "rule on it": lambda: rule(app, top, **year),
        "rule around it": lambda: rule(app, around, keep_until=until(2090)),
        "rule below it": lambda: rule(app, low, **year),
        "rule on everything": lambda: rule(app, **year),
        "rule for days, on old things": lambda: rule(app, **year),
        "rule on it, nothing in it": lambda: rule(app, top, **year),
        "rule on what lies beside it": lambda: rule(app, beside, **year),
        "rule on another's things": lambda: rule(app, owner=bob.email, **year),
        "rule that deletes": lambda: rule(app, top, delete_after_days=1),
        "nothing": lambda: None,
    }
    act[what]()
    page = alice.get("/trash").text
    (shown,) = alice.get("/trash", headers={"Accept": "application/json"}).json["folders"]
    assert shown["id"] == str(top)
    assert (f'action="/trash/{top}/purge"' in page) == ("purge_url" in shown) == (not says)
    assert ("Held since" in page) == ("held_since" in shown) == (says == "Held since")
    assert ("Kept until" in page) == ("kept_until" in shown) == (says == "Kept until")
    assert f'action="/folders/{top}/restore"' in page
    # What is offered is what is done.
    assert alice.post_json(f"/trash/{top}/purge").status_code == (409 if says else 201)


def test_trash_names_the_rule_that_keeps_a_folder_longest(
    app: Flask, alice: Browser, deed: Any
) -> None:
    around = make_folder(app, "Around")
    top = make_folder(app, "Taxes", around)
    put_into(app, top, deed)
    alice.post(f"/folders/{top}/delete")
    rule(app, keep_until=until(2088))
    rule(app, around, keep_until=until(2090))
    rule(app, top, keep_until=until(2089))
    page = alice.get("/trash").text
    assert "by the rule for the folder “Around”" in html.unescape(page)
    assert "2090" in page
    assert "2089" not in page
