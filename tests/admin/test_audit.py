"""The audit page and its CSV: filters, pages, and a file that is safe and can be checked."""

from __future__ import annotations

import csv
import html
import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from conftest import Browser
from portal import audit
from portal.audit import chain, reading
from portal.audit.chain import COLUMNS, Head
from portal.database import transaction
from stage import NOTHING, events

HEADER = "seq,at,actor,action,document,owner,address,user_agent,detail,hash\r\n"


def numbers(page: str) -> list[int]:
    """The numbers of the events a page shows."""
    return [int(n) for n in re.findall(r"<dt>Number</dt><dd>(\d+)</dd>", page)]


def shown(ada: Browser, **filters: Any) -> list[int]:
    response = ada.get("/admin/audit", query_string=filters)
    assert response.status_code == 200, filters
    return numbers(response.text)


def sequence(app: Flask, **facts: str) -> list[int]:
    """Numbers of the events with those facts, newest first."""
    found = [
        event.seq
        for event in events(app)
        if all(getattr(event, name) == value for name, value in facts.items())
    ]
    return found[::-1]


def link_to(page: str, relation: str) -> str:
    for tag in re.findall(r"<a [^>]*>", page):
        if f'rel="{relation}"' in tag:
            found = re.search(r'href="([^"]+)"', tag)
            assert found
            return html.unescape(found[1])
    return ""


def rows_of(response: TestResponse) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


# Filters


def test_everything_is_shown_newest_first(app: Flask, ada: Browser, deed: dict[str, Any]) -> None:
    assert shown(ada) == sequence(app)
    page = ada.get("/admin/audit").text
    for said in ("Uploaded “deed.pdf”", "alice@example.org", deed["id"], "127.0.0.1"):
        assert said in page


def test_filters_narrow_alone_and_together(
    app: Flask, ada: Browser, alice: Browser, bob: Browser, deed: dict[str, Any]
) -> None:
    alice.get(deed["download_url"])
    bob.get(deed["download_url"])
    alice.upload("other.txt", b"x")
    for filters in (
        {"actor": "bob@example.org"},
        {"action": "document.uploaded"},
        {"document": deed["id"]},
        {"actor": "alice@example.org", "action": "document.uploaded"},
        {"actor": "bob@example.org", "document": deed["id"], "action": "access.denied"},
    ):
        expected = sequence(app, **filters)
        assert expected
        assert shown(ada, **filters) == expected
    assert shown(ada, actor=" bob@example.org ", action="", since="") == sequence(
        app, actor="bob@example.org"
    )
    for nobody in ("nobody", "%", "' OR 1=1 --", "bob@example.org%"):
        assert shown(ada, actor=nobody) == []
    assert shown(ada, document=NOTHING) == shown(ada, document="no id") == []


def test_days_and_moments_narrow(app: Flask, ada: Browser, deed: dict[str, Any]) -> None:
    today = datetime.now(UTC)
    yesterday, tomorrow = today - timedelta(days=1), today + timedelta(days=1)
    everything = sequence(app)
    assert shown(ada, since=f"{yesterday:%Y-%m-%d}", until=f"{tomorrow:%Y-%m-%d}") == everything
    # A day as an end is included.
    assert shown(ada, since=f"{yesterday:%Y-%m-%d}", until=f"{today:%Y-%m-%d}") == everything
    assert shown(ada, since=f"{tomorrow:%Y-%m-%d}") == []
    assert shown(ada, until=f"{yesterday:%Y-%m-%d}") == []
    with app.app_context():
        entries = {entry.seq: entry.at for entry in reading.entries()}
    middle = everything[len(everything) // 2]
    assert shown(ada, since=entries[middle]) == [n for n in everything if n >= middle]
    assert shown(ada, until=entries[middle]) == [n for n in everything if n < middle]
    there = datetime.fromisoformat(entries[middle]) + timedelta(hours=5)
    assert shown(ada, since=f"{there:%Y-%m-%dT%H:%M:%S.%f}+05:00") == [
        n for n in everything if n >= middle
    ]


MALFORMED = [
    ("since", "yesterday"),
    ("since", "2026-13-01"),
    ("since", "2026-02-30"),
    ("since", "0001-01-01T00:00+05:00"),
    ("since", "9999-12-31T23:00-05:00"),
    ("since", "١٢٣"),
    ("since", "0"),
    ("until", "31.03.2026"),
    ("until", "9999-12-31"),
    ("until", "2026-03-31T25:00"),
    ("until", "9" * 5000),
    ("action", "document.eaten"),
]


def test_filter_that_is_not_understood_is_said_and_never_a_failure(ada: Browser) -> None:
    for field, value in MALFORMED:
        page = ada.get("/admin/audit", query_string={field: value})
        assert page.status_code == 422, (field, value)
        assert f'id="{field}-wrong"' in page.text
        exported = ada.get("/admin/audit.csv", query_string={field: value})
        assert 400 <= exported.status_code < 500, (field, value)


def test_moments_at_the_ends_of_time_are_no_failure(ada: Browser) -> None:
    for filters in (
        {"since": "0001-01-01"},
        {"until": "0001-01-01"},
        {"since": "9999-12-31"},
        {"until": "9999-12-30"},
    ):
        shown(ada, **filters)


def test_nul_in_a_filter_is_no_failure(ada: Browser) -> None:
    for field in ("actor", "document"):
        assert ada.get(f"/admin/audit?{field}=a%00b").status_code in {200, 400, 422}
    assert ada.get("/admin/audit?since=2026-01-01%00").status_code == 422


# Pages


def test_pages_go_through_the_whole_log_once(app: Flask, ada: Browser) -> None:
    with app.app_context():
        for number in range(250):
            audit.record_alone(audit.Action.DOWNLOADED, actor="bob@example.org", name=str(number))
    path, seen, lengths = "/admin/audit?actor=bob%40example.org&action=document.downloaded", [], []
    while path:
        page = ada.get(path).text
        seen += numbers(page)
        lengths.append(len(numbers(page)))
        path = link_to(page, "next")
        if path:
            asked = parse_qs(urlsplit(path).query)
            assert (asked["actor"], asked["action"]) == (
                ["bob@example.org"],
                ["document.downloaded"],
            )
    assert lengths == [100, 100, 50]
    assert seen == sequence(app, actor="bob@example.org", action="document.downloaded")


@pytest.mark.parametrize(
    "before", ["x", "-1", "1.5", "٣", "²", "9" * 19, "9" * 30, "9" * 5000, "\0"]
)
def test_made_up_page_is_no_failure(ada: Browser, before: str) -> None:
    assert ada.get("/admin/audit", query_string={"before": before}).status_code == 200


# The file


def test_file_has_the_columns_and_every_event(
    app: Flask, ada: Browser, deed: dict[str, Any], tmp_path: Path
) -> None:
    response = ada.get("/admin/audit.csv")
    assert response.status_code == 200
    assert response.content_type == "text/csv; charset=utf-8"
    assert re.fullmatch(
        r'attachment; filename="audit-\d{4}-\d\d-\d\d\.csv"',
        response.headers["Content-Disposition"],
    )
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.text.startswith(HEADER)
    assert tuple(HEADER.strip().split(",")) == COLUMNS
    rows = rows_of(response)
    assert [int(row["seq"]) for row in rows] == [event.seq for event in events(app)]
    uploaded = next(row for row in rows if row["action"] == "document.uploaded")
    assert (uploaded["document"], uploaded["owner"]) == (deed["id"], "alice@example.org")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", uploaded["at"])
    assert re.fullmatch("[0-9a-f]{64}", uploaded["hash"])
    assert (rows[-1]["action"], rows[-1]["actor"]) == ("audit.exported", "ada@example.org")
    file = tmp_path / "audit.csv"
    file.write_bytes(response.data)
    verdict = reading.verify_file(file, Head(int(rows[-1]["seq"]), rows[-1]["hash"]))
    assert verdict.ok, verdict.problem
    assert verdict.events == len(rows)


def test_file_is_safe_in_a_spreadsheet(
    app: Flask, ada: Browser, alice: Browser, tmp_path: Path
) -> None:
    alice.upload('=HYPERLINK("http://elsewhere.example").pdf', b"x")
    for program in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "'=1", '=cmd|"/c calc"!A1'):
        alice.get("/documents/" + NOTHING, headers={"User-Agent": program})
    response = ada.get("/admin/audit.csv")
    rows = rows_of(response)
    for row in rows:
        for column in COLUMNS[1:]:
            assert not row[column].startswith(("=", "+", "-", "@", "\t", "\r", "\n")), row
    assert "'=1+1" in {row["user_agent"] for row in rows}
    file = tmp_path / "audit.csv"
    file.write_bytes(response.data)
    assert reading.verify_file(file).ok
    programs = {entry.user_agent for entry in chain.read(file)}
    assert {"=1+1", "+1", "-1", "@SUM(A1)", "'=1", '=cmd|"/c calc"!A1'} <= programs


def test_file_is_filtered_like_the_page(app: Flask, ada: Browser, deed: dict[str, Any]) -> None:
    page = ada.get("/admin/audit?actor=alice%40example.org").text
    address = re.search(r'href="(/admin/audit\.csv[^"]*)"', page)
    assert address
    rows = rows_of(ada.get(html.unescape(address[1])))
    assert [int(row["seq"]) for row in rows] == sequence(app, actor="alice@example.org")[::-1]
    (event,) = events(app, "audit.exported")
    assert unquote(event.detail["filters"]) == "actor=alice@example.org"


def test_file_is_streamed_in_pieces(app: Flask, ada: Browser) -> None:
    with app.app_context(), transaction():
        for number in range(2500):
            audit.record(audit.Action.DOWNLOADED, name=f"{number}.pdf")
    response = ada.get("/admin/audit.csv", buffered=False)
    assert "Content-Length" not in response.headers
    pieces = [len(piece) for piece in response.response]
    assert len(pieces) > 10
    assert max(pieces) < 70_000
    response.close()


def test_file_begun_is_not_hurt_by_what_happens_meanwhile(
    app: Flask, ada: Browser, alice: Browser, tmp_path: Path
) -> None:
    response = ada.get("/admin/audit.csv", buffered=False)
    alice.upload("later.txt", b"x")
    file = tmp_path / "audit.csv"
    file.write_bytes(b"".join(response.response))
    response.close()
    assert reading.verify_file(file).ok


@pytest.mark.parametrize("query", ["actor=\xc3\xa9", "x=" + "y" * 200_000, "%ff=%ff", "&&=;"])
def test_odd_query_is_no_failure_and_leaves_the_export_readable(
    ada: Browser, tmp_path: Path, query: str
) -> None:
    response = ada.client.get("/admin/audit.csv", environ_overrides={"QUERY_STRING": query})
    assert response.status_code == 200
    file = tmp_path / "audit.csv"
    file.write_bytes(ada.get("/admin/audit.csv").data)
    assert reading.verify_file(file).ok


def test_nobody_else_reads_the_log(app: Flask, bob: Browser, visitor: Browser) -> None:
    for path in ("/admin/audit", "/admin/audit.csv"):
        assert bob.get(path).status_code == 404
        assert visitor.get(path).status_code == 302
    assert events(app, "audit.exported") == []
