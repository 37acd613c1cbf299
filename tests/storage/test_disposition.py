"""`Content-Disposition`: every name survives it, and none breaks out of it."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.http import parse_options_header

from portal.storage.disposition import ascii_fallback, attachment

#: RFC 8187, 3.2.1: what an extended value is made of.
EXTENDED = re.compile(r"UTF-8''((?:[A-Za-z0-9!#$&+\-.^_`|~]|%[0-9A-F]{2})*)")
HEADER = re.compile(r'attachment; filename="([^"\\]*)"(?:; filename\*=(\S+))?')

NAMES = st.text(
    st.characters(exclude_categories=["Cc", "Cs"])
    | st.sampled_from("\"\\%/;='.*_ ~é日…％／＂．\u202e"),
    min_size=1,
    max_size=255,
)
EXTENSIONS = st.from_regex(r"[A-Za-z0-9]{1,8}", fullmatch=True)


def parts(name: str) -> tuple[str, str | None]:
    """The fallback and the extended value of the header for `name`."""
    found = HEADER.fullmatch(attachment(name))
    assert found, attachment(name)
    return found[1], found[2]


@settings(max_examples=500)
@given(NAMES)
def test_whole_name_comes_back_from_the_extended_value(name: str) -> None:
    fallback, extended = parts(name)
    if extended is None:
        assert fallback == name
        return
    found = EXTENDED.fullmatch(extended)
    assert found, extended
    assert unquote_to_bytes(found[1]).decode("utf-8") == name


@settings(max_examples=200)
@given(NAMES)
def test_another_parser_reads_the_same_name(name: str) -> None:
    _, options = parse_options_header(attachment(name))
    assert options["filename"] == name


@settings(max_examples=500)
@given(NAMES)
def test_fallback_is_safe_in_quotes_and_on_every_disk(name: str) -> None:
    fallback = ascii_fallback(name)
    assert fallback
    assert fallback.isascii()
    assert fallback.isprintable()
    assert not set(fallback) & set('"\\%/')
    assert not fallback.startswith(".")
    assert fallback.strip()


@settings(max_examples=300)
@given(NAMES, EXTENSIONS)
def test_fallback_keeps_the_extension(stem: str, extension: str) -> None:
    assert ascii_fallback(f"{stem}.{extension}").endswith(f".{extension}")


@settings(max_examples=300)
@given(NAMES)
def test_header_is_one_line_of_ascii(name: str) -> None:
    header = attachment(name)
    assert header.isascii()
    assert header.isprintable()


@given(NAMES)
def test_extended_value_is_left_out_only_for_plain_names(name: str) -> None:
    if parts(name)[1] is None:
        assert name.isascii()
        assert not set(name) & set('"\\%/')
        assert not name.startswith(".")


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("deed.pdf", 'attachment; filename="deed.pdf"'),
        ("my deed, v2; final.pdf", 'attachment; filename="my deed, v2; final.pdf"'),
        ("a", 'attachment; filename="a"'),
        (
            "Übersicht.pdf",
            "attachment; filename=\"Ubersicht.pdf\"; filename*=UTF-8''%C3%9Cbersicht.pdf",
        ),
        (
            "日本.pdf",
            "attachment; filename=\"document.pdf\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.pdf",
        ),
        (
            ".bashrc",
            "attachment; filename=\"document.bashrc\"; filename*=UTF-8''.bashrc",
        ),
        ("...", "attachment; filename=\"document\"; filename*=UTF-8''..."),
        ('a"b.txt', "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("100%.txt", "attachment; filename=\"100.txt\"; filename*=UTF-8''100%25.txt"),
        ("it's.txt", 'attachment; filename="it\'s.txt"'),
        ("é'(1).txt", "attachment; filename=\"e'(1).txt\"; filename*=UTF-8''%C3%A9%27%281%29.txt"),
        ("％2F.txt", "attachment; filename=\"2F.txt\"; filename*=UTF-8''%EF%BC%852F.txt"),
        ("…rc.txt", "attachment; filename=\"rc.txt\"; filename*=UTF-8''%E2%80%A6rc.txt"),
        (" .txt", "attachment; filename=\"document.txt\"; filename*=UTF-8''%20.txt"),
    ],
)
def test_header_is_this_to_the_letter(name: str, header: str) -> None:
    assert attachment(name) == header


def test_accents_written_apart_leave_no_trace() -> None:
    assert ascii_fallback(unicodedata.normalize("NFD", "Žluťoučký.odt")) == "Zlutoucky.odt"
