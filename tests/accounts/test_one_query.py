"""Knowing who is signed in costs one query, for session and person together."""

from __future__ import annotations

import re
from typing import Any

import pytest

from conftest import Asked, Browser, Cast

ABOUT_PEOPLE = re.compile(r"\b(?:FROM|JOIN|UPDATE|INTO) (?:sessions|users)\b")


def about_people(statements: list[Asked]) -> list[str]:
    return [each.text for each in statements if ABOUT_PEOPLE.search(" ".join(each.text.split()))]


@pytest.mark.parametrize("path", ["/trash", "/documents", "/share-links", "/login"])
def test_page_asks_once_who_is_signed_in(
    alice: Browser, statements: list[Asked], path: str
) -> None:
    statements.clear()
    assert alice.get(path).status_code in {200, 302}
    asked = [each for each in about_people(statements) if "sessions" in each]
    assert len(asked) == 1
    assert re.search(r"JOIN users", " ".join(asked[0].split()))


def test_download_asks_once_for_session_and_person(
    alice: Browser, deed: dict[str, Any], statements: list[Asked]
) -> None:
    statements.clear()
    assert alice.get(deed["download_url"]).status_code == 200
    assert sum("sessions" in each for each in about_people(statements)) == 1


def test_page_that_shows_nobody_asks_nothing_else_about_people(
    ada: Browser, statements: list[Asked]
) -> None:
    statements.clear()
    assert ada.get("/admin/audit").status_code == 200
    assert len(about_people(statements)) == 1


def test_visitor_without_a_cookie_costs_no_query(
    cast: Cast, visitor: Browser, statements: list[Asked]
) -> None:
    statements.clear()
    assert visitor.get("/documents").status_code == 302
    assert about_people(statements) == []
