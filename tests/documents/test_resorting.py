"""Another order for all names: written a batch at a time, whoever is killed or in the way."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import create_engine, select, text

from api.tus import Tus
from conftest import Browser, Cast
from documents.test_list import fill, next_of, walk
from portal.admin import checks
from portal.config import Settings
from portal.database import transaction
from portal.documents import names, resorting
from portal.documents.listing import PAGE_SIZE
from portal.documents.resorting import Progress
from portal.extensions import db
from portal.models import Document, Folder, NameOrder
from stage import settings_of

NAMES = ["öl.txt", "zebra.txt", "år.txt", "arm.txt", "ärm.txt", "Page 10.txt", "page 9.txt"]
ROOT = ["år.txt", "arm.txt", "ärm.txt", "öl.txt", "page 9.txt", "Page 10.txt", "zebra.txt"]
SWEDISH = ["arm.txt", "page 9.txt", "Page 10.txt", "zebra.txt", "år.txt", "ärm.txt", "öl.txt"]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resorting, "_BATCH", 3)


def sorted_like(app: Flask, locale: str) -> Settings:
    return replace(settings_of(app), sort_locale=locale)


def keys(app: Flask) -> list[tuple[str, str]]:
    with app.app_context():
        rows = [
            (row.name, row.name_sort)
            for table in (Folder, Document)
            for row in db.session.execute(select(table.name, table.name_sort).order_by(table.id))
        ]
        db.session.commit()
        return rows


def are_in(app: Flask, locale: str) -> bool:
    return all(key == names.sort_key(name, locale) for name, key in keys(app))


def put_in_order(app: Flask, locale: str) -> None:
    settings = sorted_like(app, locale)
    with app.app_context():
        if resorting.begin(settings):
            while resorting.go_on(settings):
                pass


def shown(browser: Browser) -> list[str]:
    pages = walk(browser, "/documents?sort=name&order=asc")
    return [name for page in pages for name in page]


def folders_of(browser: Browser) -> list[str]:
    found: list[dict[str, Any]] = browser.get(
        "/documents", headers={"Accept": "application/json"}
    ).get_json()["folders"]
    return [each["name"] for each in found]


def test_lists_are_in_the_order_that_is_set(make_app: Any) -> None:
    app = make_app(sort_locale="sv")
    alice = Cast(app).person("alice@example.org", "Alice Archer")
    for name in NAMES:
        alice.upload(name, name.encode())
    for name in ("Öst", "Zon", "Aktie"):
        assert alice.post_json("/folders", {"name": name}).status_code == 201
    assert shown(alice) == SWEDISH
    assert folders_of(alice) == ["Aktie", "Zon", "Öst"]
    renamed = alice.upload("x.txt", b"x")
    alice.post(f"{renamed['url']}/rename", {"name": "åk.txt"})
    folder = alice.post_json("/folders", {"name": "Bas"}).get_json()["id"]
    assert alice.post(f"/folders/{folder}/rename", {"name": "Ål"}).status_code == 303
    assert Tus(alice).announce("y.txt", 1, b"y", path="Ås/Äng").status_code == 201
    assert folders_of(alice) == ["Aktie", "Zon", "Ål", "Ås", "Öst"]
    assert are_in(app, "sv")
    assert shown(alice)[4] == "åk.txt"


def test_names_are_put_in_another_order_and_back(
    app: Flask, alice: Browser, small_batches: None
) -> None:
    fill(app, "alice@example.org", NAMES)
    for name in ("Öst", "Zon", "Aktie", "År"):
        alice.post_json("/folders", {"name": name})
    assert shown(alice) == ROOT
    for locale, in_order, folders in (
        ("sv", SWEDISH, ["Aktie", "Zon", "År", "Öst"]),
        ("de", ROOT, ["Aktie", "År", "Öst", "Zon"]),
    ):
        put_in_order(app, locale)
        assert are_in(app, locale)
        assert shown(alice) == in_order
        assert folders_of(alice) == folders


def test_what_is_in_the_trash_gets_its_new_key_too(app: Flask, alice: Browser) -> None:
    document = alice.upload("år.txt", b"x")
    alice.post(f"{document['url']}/delete")
    put_in_order(app, "sv")
    assert are_in(app, "sv")


def test_nothing_is_written_where_the_order_is_the_same(app: Flask, alice: Browser) -> None:
    alice.upload("år.txt", b"x")
    with app.app_context():
        for locale in ("", "de"):
            assert not resorting.begin(sorted_like(app, locale))
        assert db.session.get(NameOrder, 1) is None
    put_in_order(app, "sv")
    with app.app_context():
        assert not resorting.begin(sorted_like(app, "sv"))


def test_whoever_starts_after_a_kill_goes_on_where_it_was(
    app: Flask, alice: Browser, small_batches: None
) -> None:
    fill(app, "alice@example.org", NAMES)
    swedish = sorted_like(app, "sv")
    with app.app_context():
        assert resorting.begin(swedish)
        assert resorting.go_on(swedish)  # no folders
        assert resorting.go_on(swedish)
        reached = resorting.progress(swedish)
        assert reached == Progress(3, 7)
        db.session.remove()
        # Another process, with the same settings.
        assert resorting.begin(swedish)
        assert resorting.progress(swedish) == reached
    assert not are_in(app, "sv")
    put_in_order(app, "sv")
    assert are_in(app, "sv")


def test_batch_that_fails_leaves_the_keys_and_the_place_as_they_were(
    app: Flask, alice: Browser, small_batches: None
) -> None:
    fill(app, "alice@example.org", NAMES)
    swedish = sorted_like(app, "sv")
    before = keys(app)
    with app.app_context():
        resorting.begin(swedish)
        resorting.go_on(swedish)
        with suppress(ZeroDivisionError), transaction():
            resorting.go_on(swedish)  # joins the transaction
            _ = 1 // 0
    assert keys(app) == before
    put_in_order(app, "sv")
    assert are_in(app, "sv")


def test_order_that_is_changed_on_the_way_wins(
    app: Flask, alice: Browser, small_batches: None
) -> None:
    fill(app, "alice@example.org", NAMES)
    swedish, polish = sorted_like(app, "sv"), sorted_like(app, "pl")
    with app.app_context():
        resorting.begin(swedish)
        resorting.go_on(swedish)
        resorting.go_on(swedish)
        assert resorting.begin(polish)
        # The worker from before leaves it alone, and does not begin anew.
        assert not resorting.go_on(swedish)
    put_in_order(app, "pl")
    assert are_in(app, "pl")
    # Back to what it was in the beginning, half-way: the first half has to go back too.
    with app.app_context():
        resorting.begin(swedish)
        resorting.go_on(swedish)
        resorting.go_on(swedish)
    put_in_order(app, "")
    assert are_in(app, "")


def test_several_workers_at_once_do_it_once(
    app: Flask, alice: Browser, small_batches: None
) -> None:
    fill(app, "alice@example.org", NAMES * 20)
    settings = sorted_like(app, "sv")
    with app.app_context():
        resorting.begin(settings)

    def work(_: int) -> int:
        with app.app_context():
            batches = 1
            while resorting.go_on(settings):
                batches += 1
            db.session.remove()
            return batches

    with ThreadPoolExecutor(3) as workers:
        batches = sum(workers.map(work, range(3)))
    assert are_in(app, "sv")
    # Each batch once; then each sees that there is no more.
    assert batches <= len(NAMES) * 20 // 3 + 2 + 2 + 3


def test_row_that_somebody_is_changing_is_left_for_the_next_time(
    app: Flask, alice: Browser, database_kind: str
) -> None:
    if database_kind == "sqlite":
        pytest.skip("writers stand in one line there")
    fill(app, "alice@example.org", NAMES)
    settings = sorted_like(app, "sv")
    engine = create_engine(settings.database_url)
    with app.app_context():
        resorting.begin(settings)
        resorting.go_on(settings)
        with closing(engine.connect()) as other:
            taken = "SELECT id FROM documents WHERE name = 'år.txt' FOR UPDATE"
            other.execute(text(taken))
            for _ in range(3):  # and nobody waits
                assert resorting.go_on(settings)
            assert resorting.progress(settings) == Progress(NAMES.index("år.txt"), len(NAMES))
            db.session.remove()
            other.rollback()
    engine.dispose()
    put_in_order(app, "sv")
    assert are_in(app, "sv")


def test_pages_end_and_show_what_did_not_move_while_names_are_put_in_order(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resorting, "_BATCH", 20)
    fill(app, "alice@example.org", [f"{letter}{n}.txt" for letter in "aåzö" for n in range(50)])
    settings = sorted_like(app, "sv")
    seen: list[Sequence[str]] = []
    with app.app_context():
        resorting.begin(settings)
        resorting.go_on(settings)
    for page in walk(alice, "/documents?sort=name&order=asc"):
        seen.append(page)
        with app.app_context():
            resorting.go_on(settings)
            resorting.go_on(settings)
            db.session.remove()
        assert len(seen) < 20
    every = [name for page in seen for name in page]
    for letter in "az":
        unmoved = [name for name in every if name[0] == letter]
        assert unmoved == [f"{letter}{n}.txt" for n in range(50)]


def test_address_of_a_page_after_a_long_name_is_no_longer_than_proxies_take(make_app: Any) -> None:
    app = make_app(sort_locale="sv")
    alice = Cast(app).person("alice@example.org", "Alice Archer")
    with app.app_context():
        longest = names.in_row("å" + "한" * 240)["name_sort"]
    fill(app, "alice@example.org", ["å" + "한" * 240 + f"{n}" for n in range(60)])
    fill(app, "alice@example.org", ["x"] * 60, name_sort=longest)
    page = alice.get("/documents?sort=name&order=asc").text
    address = next_of(page)
    assert address
    assert len(address) < 4096
    assert len([name for each in walk(alice, address) for name in each]) == 120 - PAGE_SIZE


def test_checks_say_how_far_it_is(app: Flask, alice: Browser, small_batches: None) -> None:
    def said(locale: str) -> str:
        with app.app_context():
            everything = checks.everything(sorted_like(app, locale))
            check = next(each for each in everything if each.name == "Order of names")
            assert check.ok
            return check.detail

    fill(app, "alice@example.org", NAMES)
    assert said("") == "Lists are in root order."
    under_way = "The worker is putting lists in the order of “sv”: {} of 7 documents are done."
    assert said("sv") == under_way.format(0)
    swedish = sorted_like(app, "sv")
    with app.app_context():
        resorting.begin(swedish)
        for _ in range(2):
            resorting.go_on(swedish)
    assert said("sv") == under_way.format(3)
    put_in_order(app, "sv")
    assert said("sv") == "Lists are in the order of “sv”."
    assert said("").startswith("The worker is putting lists in root order: 0 of 7")
