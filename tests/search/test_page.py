"""The page of a search: filters in its address, what it says when nothing is there, its cost."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import update

from conftest import Asked, Browser
from live import real_files
from portal.extensions import db
from portal.models import Document
from search.stage import ask, index, names, put


@pytest.fixture
def many(app: Flask, alice: Browser) -> Browser:
    """Documents of several kinds, sizes and days, all about a needle."""
    days = {"a needle.pdf": 1, "needle.txt": 10, "needle.png": 20, "needle.odt": 28}
    files = {
        "a needle.pdf": real_files.pdf("needle"),
        "needle.txt": b"hay " * 1000,
        "needle.png": real_files.png(),
        "needle.odt": real_files.docx(),
    }
    for name, data in files.items():
        document = alice.upload(name, data)
        with app.app_context():
            db.session.execute(
                update(Document)
                .where(Document.public_id == UUID(document["id"]))
                .values(uploaded_at=datetime(2026, 3, days[name], 12, tzinfo=UTC))
            )
            db.session.commit()
    index(app)
    return alice


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"type": "pdf"}, ["a needle.pdf"]),
        ({"type": "image"}, ["needle.png"]),
        ({"type": "text"}, ["needle.txt"]),
        ({"type": "office"}, ["needle.odt"]),
        ({"type": "video"}, []),
        ({"since": "2026-03-20"}, ["needle.odt", "needle.png"]),
        ({"until": "2026-03-20"}, ["a needle.pdf", "needle.png", "needle.txt"]),
        ({"since": "2026-03-10", "until": "2026-03-10"}, ["needle.txt"]),
        ({"min_size": "4 kB", "max_size": "4,0 kB"}, ["needle.txt"]),
        ({"min_size": "4001", "type": "text"}, []),
        ({"max_size": "3999b", "type": "text"}, []),
        ({"min_size": "999999999999999T"}, []),
    ],
)
def test_filters_narrow_a_search_and_the_whole_list(
    many: Browser, filters: dict[str, str], found: list[str]
) -> None:
    assert names(many, "needle", **filters) == found
    assert names(many, "", **filters) == found
    page = many.get("/documents", query_string=filters).get_data(as_text=True)
    assert all(name in page for name in found)
    if not found:
        assert "No document is like that" in page


def test_filters_stay_in_every_address_of_the_page(many: Browser) -> None:
    filters = {"q": "needle", "type": "pdf", "min_size": "1 B", "since": "2026-01-01"}
    page = many.get("/documents", query_string=filters).get_data(as_text=True)
    assert "type=pdf&amp;min_size=1+B&amp;since=2026-01-01&amp;sort=name" in page.replace(
        "%20", "+"
    ) or all(f"{name}=" in page for name in filters)
    assert '<option value="pdf" selected>' in page


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("type", "nonsense", "Choose one of"),
        ("min_size", "much", "Write a size like"),
        ("max_size", "-1", "Write a size like"),
        ("max_size", "٣", "Write a size like"),
        ("since", "yesterday", "Write a day like"),
        ("until", "9999-12-31", "Write a day like"),
        ("until", "0001-01-01", "Write a day like"),
        ("since", "\0", "Write a day like"),
    ],
)
def test_filter_that_is_not_understood_says_its_rule_beside_it(
    many: Browser, name: str, value: str, rule: str
) -> None:
    answer = many.get("/documents", query_string={name: value, "q": "needle"})
    assert answer.status_code == 422
    page = answer.get_data(as_text=True)
    assert rule in page
    assert f'aria-describedby="filter-{name}-wrong"' in page
    assert "a needle.pdf" not in page
    refused = many.get(
        "/documents", query_string={name: value}, headers={"Accept": "application/json"}
    )
    assert refused.status_code == 422
    assert rule in refused.get_json()["errors"][name]


def test_nothing_found_says_what_to_do(alice: Browser) -> None:
    page = alice.get("/documents?q=unicorn").get_data(as_text=True)
    assert "Nothing has “unicorn” in its name or text" in page
    assert "only their beginnings" in page


def test_what_could_not_be_read_is_said_to_its_owner_alone(alice: Browser, bob: Browser) -> None:
    put(alice, "broken.pdf", b"%PDF-1.7\n%%EOF\n")
    page = alice.get("/documents?q=x").get_data(as_text=True)
    assert "1 of your documents has text that could not be read" in page
    assert "could not be read" not in bob.get("/documents?q=x").get_data(as_text=True)
    document = ask(alice, "broken")["documents"][0]
    alice.post(f"{document['url']}/delete")
    assert ask(alice, "x")["unreadable"] == 0


def test_long_result_comes_page_by_page(alice: Browser) -> None:
    for number in range(53):
        alice.upload(f"{number}.txt", b"a needle")
    index(alice.app)
    first = ask(alice, "needle", sort="name", order="asc")
    assert len(first["documents"]) == 50
    rest = alice.get(first["next"], headers={"Accept": "application/json"}).get_json()
    found = [each["name"] for each in first["documents"] + rest["documents"]]
    assert found == [f"{number}.txt" for number in range(53)]
    assert all(each["excerpt"] for each in rest["documents"])
    assert rest["next"] is None


def test_search_costs_one_question_more_than_the_list(
    alice: Browser, app: Flask, statements: list[Asked]
) -> None:
    for number in range(12):
        alice.share(alice.upload(f"{number}.txt", b"a needle in a haystack"))
    index(app)
    alice.get("/documents")  # writes down that the session is used
    statements.clear()
    alice.get("/documents?type=text")
    listed = len(statements)
    statements.clear()
    page = alice.get("/documents?q=needle+haystack+%22in+a%22&type=text&since=2020-01-01")
    assert page.get_data(as_text=True).count("<mark>") >= 12
    assert len(statements) == listed + 1, statements


def test_token_that_may_read_may_search(alice: Browser) -> None:
    from stage import program

    put(alice, "a.txt", "a needle")
    reader = program(alice, "documents:read")
    found = reader.open("/documents?q=needle").get_json()
    assert [each["name"] for each in found["documents"]] == ["a.txt"]
    assert found["documents"][0]["excerpt"] == [
        {"text": "a ", "hit": False},
        {"text": "needle", "hit": True},
    ]
