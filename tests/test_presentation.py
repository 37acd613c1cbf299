"""Sizes, moments and kinds of file in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from portal import assets, presentation
from portal.config import Settings
from portal.presentation import filesize, media_kind, of_this_machine, time_element

MARCH = datetime(2026, 3, 3, 14, 2, 5, tzinfo=UTC)
NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (2, "2 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (1_049, "1 kB"),
        (1_050, "1.1 kB"),
        (9_949, "9.9 kB"),
        (9_950, "10 kB"),
        (48_213, "48 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (1_432_110, "1.4 MB"),
        (5_368_709_120, "5.4 GB"),
        (21_474_836_480, "21 GB"),
        (10**12, "1 TB"),
        (10**18, "1000 PB"),
    ],
)
def test_sizes_are_short_and_in_si_units(size: int, words: str) -> None:
    assert filesize(size) == words


@given(st.integers(0, 10**17))
def test_a_size_is_always_a_number_below_a_thousand_and_a_unit(size: int) -> None:
    number, _, unit = filesize(size).partition(" ")
    assert 0 <= float(number) < 1000
    assert unit in {"bytes", "byte", "kB", "MB", "GB", "TB", "PB"}


@pytest.mark.parametrize(
    ("media_type", "name", "word"),
    [
        ("application/pdf", "deed.pdf", "PDF"),
        ("application/pdf", "deed.docx", "PDF"),
        ("image/jpeg", "", "Image"),
        ("video/mp4", "", "Video"),
        ("audio/mpeg", "", "Audio"),
        ("application/zip", "photos.zip", "Archive"),
        ("application/zip", "letter.docx", "Word document"),
        ("application/zip", "", "Archive"),
        ("application/octet-stream", "accounts.XLSX", "Spreadsheet"),
        ("application/octet-stream", "page.html", "Code"),
        ("application/octet-stream", "", "File"),
        ("text/plain; charset=utf-8", "notes.txt", "Text"),
        ("text/plain", "table.csv", "Spreadsheet"),
        ("text/plain", "", "Text"),
        ("text/x-unheard-of", "", "Text"),
        ("application/vnd.oasis.opendocument.text", "", "Text document"),
        ("", "", "File"),
        (None, "x.pdf", "PDF"),
        ("nonsense", "pdf", "File"),
    ],
)
def test_kinds_are_plain_words(media_type: str | None, name: str, word: str) -> None:
    assert media_kind(media_type, name).word == word


@given(st.none() | st.text(), st.text())
def test_every_kind_has_an_icon_that_is_there(media_type: str | None, name: str) -> None:
    assert media_kind(media_type, name).icon in assets.ICONS


def test_every_known_kind_has_an_icon_that_is_there() -> None:
    known = [kind for _, kind in presentation._BY_MEDIA_TYPE]
    assert {kind.icon for kind in [*known, *presentation._BY_ENDING.values()]} <= assets.ICONS


def test_without_a_zone_a_moment_is_in_utc_and_marked_for_the_browser() -> None:
    assert time_element(MARCH, None, now=NOW) == (
        '<time datetime="2026-03-03T14:02:05Z" title="3 March 2026, 14:02:05 UTC"'
        ' data-local="moment">3 March, 14:02</time>'
    )


def test_a_moment_is_in_the_zone_the_reader_chose() -> None:
    assert time_element(MARCH, "Asia/Tokyo", now=NOW) == (
        '<time datetime="2026-03-03T14:02:05Z" title="3 March 2026, 23:02:05 JST">'
        "3 March, 23:02</time>"
    )


def test_a_moment_given_in_another_zone_is_the_same_moment() -> None:
    elsewhere = MARCH.astimezone(timezone(timedelta(hours=-8)))
    assert time_element(elsewhere, None, now=NOW) == time_element(MARCH, None, now=NOW)


def test_a_moment_without_zone_is_utc() -> None:
    naive = MARCH.replace(tzinfo=None)
    assert time_element(naive, None, now=NOW) == time_element(MARCH, None, now=NOW)


def test_the_year_is_said_when_it_is_another_one_for_the_reader() -> None:
    new_year = datetime(2025, 12, 31, 20, 0, tzinfo=UTC)
    assert ">31 December 2025, 20:00<" in time_element(new_year, None, now=NOW)
    assert ">1 January, 05:00<" in time_element(new_year, "Asia/Tokyo", now=NOW)


def test_a_day_leaves_the_clock_to_the_title() -> None:
    element = time_element(MARCH, "Europe/Paris", now=NOW, with_time=False)
    assert ">3 March</time>" in element
    assert "15:02:05 CET" in element


@pytest.mark.parametrize("name", ["", "Nowhere/Land", "../../etc/passwd", "\0", "a" * 500, None])
def test_an_unknown_zone_is_utc(name: str | None) -> None:
    assert presentation.zone(name) is UTC


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__)
    presentation.init_app(app, Settings(site_name="Files of the house"))
    return app


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch, app: Flask) -> Iterator[SimpleNamespace]:
    person = SimpleNamespace(timezone="Asia/Tokyo")
    monkeypatch.setattr(presentation, "current_user", person)
    with app.test_request_context():
        yield person


def render(app: Flask, source: str, **context: object) -> str:
    return app.jinja_env.from_string(source).render(**context)


def test_pages_use_the_zone_of_who_is_signed_in(app: Flask, reader: SimpleNamespace) -> None:
    assert "23:02" in render(app, "{{ at|moment }}", at=MARCH)
    assert "data-local" not in render(app, "{{ at|day }}", at=MARCH)


def test_a_reader_without_a_zone_has_the_browsers(app: Flask, reader: SimpleNamespace) -> None:
    reader.timezone = ""
    assert 'data-local="day"' in render(app, "{{ at|day }}", at=MARCH)


def test_outside_a_request_there_is_no_reader(app: Flask) -> None:
    assert "14:02" in render(app, "{{ at|moment }}", at=MARCH)


def test_no_moment_is_a_dash(app: Flask) -> None:
    assert render(app, "{{ none|moment }} {{ none|day }}") == "– –"


def test_a_plain_date_is_the_same_everywhere(app: Flask, reader: SimpleNamespace) -> None:
    shown = render(app, "{{ at|day }}", at=date(2020, 2, 29))
    assert shown == '<time datetime="2020-02-29">29 February 2020</time>'


def test_templates_know_sizes_and_kinds(app: Flask) -> None:
    shown = render(app, "{{ 1500|filesize }}, {{ media_kind('image/png').word }}")
    assert shown == "1.5 kB, Image"


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://127.0.0.1:8000/s/abc", True),
        ("http://localhost:8000/s/abc", True),
        ("http://[::1]:8000/s/abc", True),
        ("https://documents.example.org/s/abc", False),
        ("http://192.168.1.5/s/abc", False),
    ],
)
def test_an_address_that_leads_nowhere_else_is_known(url: str, is_here: bool) -> None:
    assert of_this_machine(url) is is_here
