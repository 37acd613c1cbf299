"""Ten thousand nasty names through the form: each is stored or refused, and nothing fails."""

from __future__ import annotations

import io
from typing import Any, cast
from urllib.parse import quote

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from conftest import DEED, Browser, Cast
from live.fixtures import IS_FULL
from portal.access import Owner
from portal.accounts import people
from portal.documents import form_body, names, room
from portal.errors import FileNameRejected, TypeRefused
from stage import BOUNDARY, file_part, form, part, send_form, settings_of, stored_files

#: What names are made of to look like another one, to leave a folder, or to break a header.
PIECES = [
    *("a", "deed", "invoice", ".pdf", ".exe", ".EXE", ".Pdf", ".p df", ".", "..", " ", "  "),
    *(
        "/",
        "\\",
        "../",
        "..\\",
        "C:\\",
        "//",
        ":",
        "%2f",
        "%00",
        "%",
        '"',
        "'",
        ";",
        "=",
        "*",
        "<b>",
    ),
    *("\0", "\r", "\n", "\t", "\x7f", "\x1b[31m", "\x85", "\u2028", "\ufeff", "\u200b", "\u200e"),
    *("\u202e", "\u202d", "\u2066", "\u2069", "\ud800", "\udfff", "\ufffe", "\U0010ffff"),
    *(".ｅｘｅ", "．exe", ".ＰＤＦ", "．pdf", ".𝐞𝐱𝐞", "․exe", "…", "℀", "\u3000", "\xa0", "ﷺ"),
    *("u\u0308", "a\u0301\u0302\u0303" * 5, "ß", "ﬁ", "İ", "👩‍👩‍👧", "語" * 90, "x" * 250),
    *("con", "NUL.txt", "::$DATA", "~", "-rf", "=cmd|", "file", "csrf_token", "--frontier"),
]
NASTY_NAME = st.lists(
    st.one_of(*[st.sampled_from(PIECES)] * 6, st.text(max_size=3)), min_size=1, max_size=7
).map("".join)
#: Together with the number of names in a form: 10,000 in the long form.
FORMS, NAMES = (250, 40) if IS_FULL else (25, 40)


def plain(name: str) -> bytes:
    """`filename="…"` as browsers write it, which replace only what would end it."""
    safe = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    return b'filename="' + safe.encode("utf-8", "replace") + b'"'


def extended(name: str) -> bytes:
    return b"filename*=UTF-8''" + quote(name.encode("utf-8", "surrogatepass"), safe="").encode()


def written(name: str, how: int) -> bytes:
    """A name in one of the ways to write it."""
    head = b'form-data; name="file"; '
    ways = [extended(name), plain(name), b'filename="a.pdf"; ' + extended(name)]
    return head + ways[how % len(ways)]


@pytest.fixture
def only_pdf(make_app: Any) -> Browser:
    app = make_app(
        allowed_extensions=frozenset({"pdf", "a"}), blocked_extensions=frozenset({"exe"})
    )
    return Cast(app).person("alice@example.org", "Alice")


@settings(
    max_examples=FORMS,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink forty names takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(given_names=st.lists(NASTY_NAME, min_size=NAMES, max_size=NAMES))
def test_no_name_makes_a_form_fail_and_none_gets_around_the_rules(
    only_pdf: Browser, given_names: list[str]
) -> None:
    before = len(stored_files(only_pdf.app))
    parts = [part(b"x", written(name, number)) for number, name in enumerate(given_names)]
    response = send_form(only_pdf, form(parts))
    assert response.status_code in {201, 400, 413, 415, 422}, response.text
    if response.status_code == 400:  # a name that makes the whole form no form: nothing stays
        assert len(stored_files(only_pdf.app)) == before
        return
    answer = response.get_json()
    assert len(answer["documents"]) + len(answer["rejected"]) == len(given_names)
    assert len(stored_files(only_pdf.app)) == before + len(answer["documents"])
    for each in answer["documents"]:
        assert names.extension(each["name"]) in {"pdf", "a"}
        assert names.clean(each["name"]) == each["name"]
        assert not each["name"].strip(". ").lower().endswith(".exe")
    for each in answer["rejected"]:
        assert each["reason"] in {"name", "type_refused"}
        assert each["detail"]


DISGUISES = [
    b'filename="a.exe"',
    b'filename="a.EXE"',
    b'filename="a.pdf.exe"',
    b'filename="a.exe."',
    b'filename="a.exe . ."',
    'filename="a.ｅｘｅ"'.encode(),
    'filename="a．exe"'.encode(),
    'filename="a.e\u200bxe"'.encode(),
    'filename="a.\u202eexe"'.encode(),
    'filename="a\u202etxt.exe."'.encode(),
    b'filename="good.pdf/a.exe"',
    b'filename="C:\\\\good.pdf\\\\a.exe"',
    b'filename="good.pdf"; filename="a.exe"',
    b"filename=\"good.pdf\"; filename*=UTF-8''a.exe",
    b"filename*=UTF-8''a.exe; filename=\"good.pdf\"",
    b"filename*=UTF-8''a.exe%00",
    b"filename*=UTF-8''a.ex%00e",
    b"filename*=UTF-8''good.pdf%2fa.exe",
    b"filename*=UTF-8''%EF%BD%81%EF%BC%8E%EF%BD%85%EF%BD%98%EF%BD%85",
]


@pytest.mark.parametrize("disposition", DISGUISES)
def test_disguise_is_seen_through_and_the_other_files_are_stored(
    make_app: Any, disposition: bytes
) -> None:
    app = make_app(blocked_extensions=frozenset({"exe"}))
    alice = Cast(app).person("alice@example.org", "Alice")
    disguised = part(b"MZ", b'form-data; name="file"; ' + disposition)
    response = send_form(alice, form([file_part(DEED), disguised, file_part(DEED, "b.pdf")]))
    assert response.status_code == 201
    assert [each["name"] for each in response.get_json()["documents"]] == ["deed.pdf", "b.pdf"]
    (rejected,) = response.get_json()["rejected"]
    assert rejected["reason"] == "type_refused"
    assert "Anything but exe." in rejected["detail"]
    assert len(stored_files(app)) == 2


def test_what_is_refused_by_its_name_is_never_begun_to_be_stored(only_pdf: Browser) -> None:
    app: Flask = only_pdf.app
    body = form(
        [
            file_part(b"x" * 200_000, "a.exe"),
            file_part(b"x" * 200_000, ".."),
            part(b"x" * 10, b'form-data; name="file"; filename=""'),
            file_part(DEED),
        ]
    )
    with app.app_context():
        owner = cast(Owner, people.by_email("alice@example.org"))
        sink = room.Reception(owner, settings_of(app))
        read = form_body.read(io.BytesIO(body), BOUNDARY.decode(), len(body), sink)
        refused, nameless, empty, taken = read.files.getlist("file")
        assert refused.incoming is nameless.incoming is empty.incoming is None
        assert isinstance(refused.refusal, TypeRefused)
        assert isinstance(nameless.refusal, FileNameRejected)
        assert isinstance(empty.refusal, FileNameRejected)
        assert taken.incoming is not None
        assert len(stored_files(app)) == 1
        read.close()
    assert stored_files(app) == []
