"""The list: what is mine, found, sorted and paged at the same cost however much there is."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from conftest import Asked, Browser, Cast
from portal.accounts import people
from portal.documents import listing, names
from portal.documents.listing import PAGE_SIZE, Query
from portal.errors import BadRequest
from portal.extensions import db
from portal.models import Document, Version, utcnow

START = datetime(2026, 3, 1, tzinfo=UTC)


def fill(app: Flask, email: str, named: list[str], **facts: Any) -> None:
    """Put rows into somebody's list; nobody looks at their bytes here."""
    with app.app_context():
        owner = people.by_email(email)
        for number, name in enumerate(named):
            document = Document(
                owner_id=owner.id,
                name=name,
                name_key=names.fold(name),
                name_sort=names.sort_key(name),
                # Sizes and moments that repeat: only the id tells some rows apart.
                size_bytes=number % 7 * 100,
                media_type="text/plain",
                uploaded_at=START + timedelta(minutes=number // 3),
                uploaded_by_id=owner.id,
            )
            for key, value in facts.items():
                setattr(document, key, value)
            db.session.add(document)
            db.session.flush()
            db.session.add(_version(document))
        db.session.commit()


def _version(document: Document) -> Version:
    return Version(
        document_id=document.id,
        number=document.version,
        blob=f"none/{document.id}",
        size_bytes=document.size_bytes,
        sha256=bytes(32),
        media_type=document.media_type,
        uploaded_at=document.uploaded_at,
        uploaded_by_id=document.uploaded_by_id,
    )


def shown(page: str) -> list[str]:
    """The names in a page of the list, in order."""
    found = re.findall(
        r'<a class="item-name"[^>]*href="/documents/[0-9a-f-]{36}">(.*?)</a>', page, re.DOTALL
    )
    return [html.unescape(name) for name in found]


def next_of(page: str) -> str | None:
    found = re.search(r'<a[^>]*rel="next"[^>]*href="([^"]+)"', page)
    return html.unescape(found[1]) if found else None


def walk(browser: Browser, path: str) -> Iterator[list[str]]:
    """The names on each page, one page after the other."""
    while path:
        response = browser.get(path)
        assert response.status_code == 200
        yield shown(response.text)
        path = next_of(response.text) or ""


def test_front_page_leads_to_the_list(alice: Browser) -> None:
    response = alice.get("/")
    assert (response.status_code, response.location) == (302, "/documents")


def test_empty_list_says_what_to_do(alice: Browser) -> None:
    assert "Put your first document here" in alice.get("/documents").text


def test_list_shows_ones_own_and_nobody_elses(
    alice: Browser, bob: Browser, ada: Browser, deed: dict[str, Any]
) -> None:
    assert shown(alice.get("/documents").text) == ["deed.pdf"]
    for stranger in (bob, ada):
        page = stranger.get("/documents").text
        assert shown(page) == []
        assert deed["id"] not in page


def test_documents_in_the_trash_are_not_listed(alice: Browser, deed: dict[str, Any]) -> None:
    alice.post(f"{deed['url']}/delete")
    notice = alice.get("/documents?q=deed").text
    assert shown(notice) == []
    assert f'action="{deed["url"]}/restore"' in notice
    assert deed["id"] not in alice.get("/documents").text


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>.txt",
        "\"quoted\" & 'so'.txt",
        "{{ 7*7 }}.txt",
        "日本語 – ü.pdf",
        "x" * 255,
    ],
)
def test_text_of_the_link_is_the_whole_name(app: Flask, alice: Browser, name: str) -> None:
    fill(app, alice.email, [name])
    page = alice.get("/documents").text
    assert shown(page) == [name]
    assert "<script>alert" not in page


def test_newest_is_first_unless_asked_otherwise(app: Flask, alice: Browser) -> None:
    for name in ("one.txt", "two.txt", "three.txt"):
        alice.upload(name, b"x")
    assert shown(alice.get("/documents").text) == ["three.txt", "two.txt", "one.txt"]


# Sorting and paging


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", ["name", "size", "uploaded"])
def test_every_order_is_complete_and_steady_over_120_documents(
    app: Flask, alice: Browser, sort: str, order: str
) -> None:
    named = [f"{'äÄbBzZ'[n % 6]}{n % 40} {n}.txt" for n in range(120)]
    fill(app, alice.email, named)
    fill(app, alice.email, ["trashed"], trashed_at=utcnow())
    pages = list(walk(alice, f"/documents?sort={sort}&order={order}"))
    assert [len(page) for page in pages] == [50, 50, 20]
    key = {
        "name": lambda n: (names.sort_key(named[n]), n),
        "size": lambda n: (n % 7, n),
        "uploaded": lambda n: (n // 3, n),
    }[sort]
    expected = [named[n] for n in sorted(range(120), key=key, reverse=order == "desc")]
    assert [name for page in pages for name in page] == expected


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", ["name", "size", "uploaded"])
def test_nothing_is_skipped_or_shown_twice_while_documents_come_and_go(
    app: Flask, alice: Browser, sort: str, order: str
) -> None:
    named = [f"document {n:03}.txt" for n in range(120)]
    fill(app, alice.email, named)
    seen: list[str] = []
    gone: set[str] = set()
    for number, page in enumerate(walk(alice, f"/documents?sort={sort}&order={order}")):
        seen += page
        # Between two pages: new ones at both ends, some of what was shown and of what comes gone.
        fill(app, alice.email, [f"a new {number}.txt", f"z new {number}.txt"])
        leaving = [*page[:3], *[name for name in named if name not in seen][5:8]]
        gone |= set(leaving)
        with app.app_context():
            for document in db.session.query(Document).filter(Document.name.in_(leaving)):
                document.trashed_at = utcnow()
            db.session.commit()
    old = [name for name in seen if " new " not in name]
    assert len(seen) == len(set(seen))
    assert set(named) - gone <= set(old)


def test_pages_keep_search_and_order(app: Flask, alice: Browser) -> None:
    fill(app, alice.email, [f"report & plan {n}.txt" for n in range(120)])
    fill(app, alice.email, [f"other {n}.txt" for n in range(70)])
    path = "/documents?q=report+%26&sort=size&order=asc"
    following = next_of(alice.get(path).text)
    assert following
    query = parse_qs(urlsplit(following).query)
    assert (query["q"], query["sort"], query["order"]) == (["report &"], ["size"], ["asc"])
    found = [name for page in walk(alice, path) for name in page]
    assert len(found) == 120
    assert all("report" in name for name in found)
    second = alice.get(following).text
    assert 'href="/documents?q=report+%26&amp;sort=size&amp;order=asc"' in second


def test_full_last_page_has_no_next_one(app: Flask, alice: Browser) -> None:
    fill(app, alice.email, [f"{n}.txt" for n in range(PAGE_SIZE)])
    assert next_of(alice.get("/documents").text) is None
    fill(app, alice.email, ["one more.txt"])
    assert [len(page) for page in walk(alice, "/documents")] == [PAGE_SIZE, 1]


@pytest.mark.parametrize("sort", ["name", "size", "uploaded"])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("place", ["top", "folder", "search"])
def test_page_is_found_through_its_index(
    app: Flask, alice: Browser, statements: list[Asked], sort: str, order: str, place: str
) -> None:
    fill(app, alice.email, [f"{n}.txt" for n in range(120)])
    first = f"/documents?sort={sort}&order={order}"
    if place == "folder":
        folder = alice.post_json("/folders", {"name": "Taxes"}).get_json()["id"]
        with app.app_context(), db.engine.begin() as connection:
            connection.execute(text("UPDATE documents SET folder_id = (SELECT id FROM folders)"))
        first += f"&folder={folder}"
        fill(app, alice.email, [f"{n}.txt" for n in range(240)])
    elif place == "search":
        first += "&q=txt"
    second = next_of(alice.get(first).text)
    assert second
    for path in (first, second):
        statements.clear()
        alice.get(path)
        (listed,) = [each for each in statements if "sort_value" in each.text]
        plan = _plan(app, *listed)
        kind = "live" if place == "search" else "folder"
        assert f"ix_documents_{kind}_{sort}" in plan, plan
        assert "TEMP B-TREE" not in plan
        assert "Sort  (" not in plan


def test_folders_are_searched_among_ones_own(
    app: Flask, alice: Browser, statements: list[Asked]
) -> None:
    alice.post_json("/folders", {"name": "Taxes"})
    statements.clear()
    assert "Taxes" in alice.get("/documents?q=tax").text
    (asked,) = [each for each in statements if "RECURSIVE" in each.text]
    assert "ix_folders_live_sort" in _plan(app, *asked)


def _plan(app: Flask, statement: str, parameters: Any) -> str:
    with app.app_context(), db.engine.connect() as connection:
        if db.engine.dialect.name == "sqlite":
            found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return "\n".join(str(row[3]) for row in found)
        # Few rows are read fastest without any index; whether one serves is what matters. And
        # the indexes are those of a table through which many tests have gone.
        connection.execute(text("REINDEX TABLE documents"))
        connection.execute(text("ANALYZE documents"))
        for what in ("seqscan", "bitmapscan", "hashjoin", "mergejoin", "sort"):
            connection.execute(text(f"SET LOCAL enable_{what} = off"))
        found = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        return "\n".join(str(row[0]) for row in found)


def test_list_asks_the_same_number_of_questions_however_long_it_is(
    app: Flask, alice: Browser, statements: list[Asked]
) -> None:
    fill(app, alice.email, ["one.txt"])
    statements.clear()
    alice.get("/documents")
    few = len(statements)
    fill(app, alice.email, [f"{n}.txt" for n in range(60)])
    statements.clear()
    alice.get("/documents")
    assert len(statements) == few


@pytest.mark.parametrize(
    "query",
    ["sort=trashed", "sort=owner", "order=up", "sort=&order=asc", "order="],
)
def test_order_that_is_none_is_refused(alice: Browser, query: str) -> None:
    assert alice.get(f"/documents?{query}").status_code in {400, 404}


def test_folder_that_is_not_there_is_not_found(alice: Browser) -> None:
    assert alice.get("/documents?folder=x").status_code == 404


CURSORS = [
    "x",
    "é",
    "AAAA",
    "bnVsbA",
    "W10",
    "e30",
    "W1tbW1tb",
    "A" * 5000,
    # The id of a row is true, and a size is.
    "WyJ1cGxvYWRlZCIsImRlc2MiLCIyMDI2LTAzLTAzVDAzOjAzOjAzKzAwOjAwIix0cnVlXQ",
    "WyJzaXplIiwiZGVzYyIsdHJ1ZSw3XQ",
]


@pytest.mark.parametrize("cursor", CURSORS)
def test_made_up_cursor_is_refused(alice: Browser, cursor: str) -> None:
    for sort in ("uploaded", "size"):
        asked = {"cursor": cursor, "sort": sort}
        assert alice.get("/documents", query_string=asked).status_code == 400
    assert alice.get("/trash", query_string={"cursor": cursor}).status_code == 400


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.just("0001-01-01T00:00:00+14:00"),
    st.just("9999-12-31T23:59:59-14:00"),
    st.just("2026-03-03T03:03:03"),
    st.just("\0"),
    st.just("\ud800"),
    st.lists(st.integers(), max_size=2),
)


@given(st.sampled_from(["name", "size", "uploaded"]), values, values)
def test_cursor_is_understood_or_refused(sort: str, value: Any, last_id: Any) -> None:
    raw = json.dumps([sort, "desc", value, last_id]).encode()
    cursor = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    try:
        found, found_id = listing._decode(cursor, Query(sort=sort))
    except BadRequest:
        return
    assert type(found_id) is int
    assert abs(found_id) < 2**31
    if isinstance(found, str):
        assert "\0" not in found
        found.encode("utf-8")
    elif isinstance(found, datetime):
        found.astimezone(UTC)
    else:
        assert abs(found) <= 2**62


def test_deeply_nested_cursor_is_refused(alice: Browser) -> None:
    cursor = base64.urlsafe_b64encode(b"[" * 100_000).decode().rstrip("=")
    assert alice.get("/documents", query_string={"cursor": cursor}).status_code == 400


def test_cursor_of_another_order_is_refused(app: Flask, alice: Browser) -> None:
    fill(app, alice.email, [f"{n}.txt" for n in range(60)])
    following = next_of(alice.get("/documents?sort=name&order=asc").text)
    assert following
    (cursor,) = parse_qs(urlsplit(following).query)["cursor"]
    for other in ("sort=name&order=desc", "sort=size&order=asc", ""):
        assert alice.get(f"/documents?{other}&cursor={cursor}").status_code == 400


def test_somebody_elses_cursor_shows_nothing_of_theirs(
    app: Flask, alice: Browser, bob: Browser
) -> None:
    fill(app, alice.email, [f"{n}.txt" for n in range(60)])
    fill(app, bob.email, ["mine.txt"], uploaded_at=START - timedelta(days=1))
    following = next_of(alice.get("/documents").text)
    assert following
    assert shown(bob.get(following).text) == ["mine.txt"]


# Searching


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("deed", ["Deed of 2026.pdf"]),
        ("DEED OF", ["Deed of 2026.pdf"]),
        ("ＤＥＥＤ", ["Deed of 2026.pdf"]),
        ("  deed  ", ["Deed of 2026.pdf"]),
        ("strasse", ["Straße.txt"]),
        ("STRAßE", ["Straße.txt"]),
        ("u\u0308ber", ["Übersicht.doc"]),
        ("100%", ["100% sure.txt"]),
        ("%", ["100% sure.txt"]),
        ("_", ["under_score.txt"]),
        ("r_s", ["under_score.txt"]),
        ("/", []),
        ("\\", []),
        ("'; DROP TABLE documents; --", []),
        ("nothing", []),
        ("\0", []),
        ("deed\0", []),
        ("💥", []),
        ("\ud7ff\uffff", []),
        ("x" * 10_000, []),
    ],
)
def test_search_finds_what_is_in_the_name(
    app: Flask, alice: Browser, bob: Browser, q: str, found: list[str]
) -> None:
    mine = ["Deed of 2026.pdf", "Straße.txt", "Übersicht.doc", "100% sure.txt", "under_score.txt"]
    fill(app, alice.email, mine)
    fill(app, bob.email, mine)
    response = alice.get("/documents", query_string={"q": q})
    assert response.status_code == 200
    assert shown(response.text) == found
    if not found:
        assert "Nothing has" in response.text


def test_empty_search_shows_everything(app: Flask, alice: Browser) -> None:
    fill(app, alice.email, ["a.txt"])
    for q in ("", "   "):
        assert shown(alice.get("/documents", query_string={"q": q}).text) == ["a.txt"]


# What stands beside a name


def test_list_tells_how_many_links_are_live(alice: Browser, deed: dict[str, Any]) -> None:
    assert "live link" not in alice.get("/documents").text
    kept, ended = alice.share(deed), alice.share(deed)
    spent = alice.share(deed, max_downloads="1")
    alice.client.post(f"{spent['path']}/download")
    alice.post(f"/share-links/{ended['id']}/revoke")
    assert kept
    page = alice.get("/documents").text
    assert '1<span class="visually-hidden"> live link</span>' in page


def test_list_tells_of_room_and_rules(make_app: Any) -> None:
    app = make_app(
        allowed_extensions=frozenset({"pdf"}),
        max_upload_bytes=200_000,
        default_quota_bytes=500_000,
    )
    alice = Cast(app).person("alice@example.org", "Alice")
    alice.upload("a.pdf", b"x" * 100_000)
    page = alice.get("/documents").text
    assert "Only pdf." in page
    assert "100 kB of 500 kB used" in page


def test_trash_is_paged_too(app: Flask, alice: Browser) -> None:
    named = [f"{n}.txt" for n in range(60)]
    fill(app, alice.email, named, trashed_at=START)
    fill(app, alice.email, ["live.txt"])
    seen: list[str] = []
    path: str | None = "/trash"
    while path:
        page = alice.get(path).text
        seen += re.findall(r'class="item-name"[^>]*>([^<]+)<', page)
        path = next_of(page)
    assert seen == named[::-1]


@pytest.mark.parametrize("more", ["endpoint=x", "_method=POST", "_external=1&_scheme=javascript"])
def test_address_of_a_list_decides_nothing_of_the_addresses_in_it(
    alice: Browser, more: str
) -> None:
    alice.upload("a.txt", b"a")
    cursor = listing._encode(utcnow(), 2**31 - 1, Query())
    answer = alice.get(f"/documents?q=a&cursor={cursor}&{more}")
    assert answer.status_code == 200
    page = answer.get_data(as_text=True)
    assert 'href="/documents?q=a"' in page
    assert "javascript:" not in page
