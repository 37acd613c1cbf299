"""What is refused says the rule and the way out, in the same words to people and programs."""

from __future__ import annotations

import html
import re
import resource
from typing import Any

import pytest

from conftest import Browser, Cast, user_named
from stage import FORM_TYPE, file_part, form, send_form, settings_of
from storage.test_local import limited

MIB = 1024 * 1024

#: Settings, name and content of a file; the status it gets, and everything it is told.
REFUSALS = [
    (
        {"max_upload_bytes": 1000},
        ("a.txt", b"x" * 1001),
        413,
        (
            "The file is larger than 1 kB, the most for one. Make it smaller, or send it in"
            " several files."
        ),
    ),
    (
        {"default_quota_bytes": 1000},
        ("a.txt", b"x" * 1001),
        413,
        (
            "There is room for 1 kB more. Delete something for ever, or ask the person who runs"
            " this portal for more room."
        ),
    ),
    (
        {"allowed_extensions": frozenset({"pdf", "docx"})},
        ("a.exe", b"x"),
        415,
        (
            "Files ending in .exe are not taken here. Only docx, pdf. Save it as another kind of"
            " file, or ask the person who runs this portal."
        ),
    ),
    (
        {"allowed_extensions": frozenset({"pdf"})},
        ("deed", b"x"),
        415,
        (
            "Files without an ending are not taken here. Only pdf. Save it as another kind of"
            " file, or ask the person who runs this portal."
        ),
    ),
    (
        {"blocked_extensions": frozenset({"exe"})},
        ("a.exe", b"x"),
        415,
        (
            "Files ending in .exe are not taken here. Anything but exe. Save it as another kind of"
            " file, or ask the person who runs this portal."
        ),
    ),
    (
        {"type_mismatch": "refuse"},
        ("a.pdf", b"only words"),
        415,
        (
            "This file is called a.pdf and is text. Names have to say what a file is here: give it"
            " the right ending, or send the file you meant."
        ),
    ),
    ({}, ("..", b"x"), 422, "The file has no name. Give it a name of 1 to 255 characters."),
    (
        {},
        ("n" * 256, b"x"),
        422,
        "The name has 256 characters; 255 are possible. Give it a shorter name.",
    ),
]


def alice_of(make_app: Any, **changes: Any) -> Browser:
    return Cast(make_app(**changes)).person("alice@example.org", "Alice")


def told_to_both(alice: Browser, name: str, content: bytes, status: int) -> str:
    """Upload as a program and as a page; answers what both were told."""
    body = form([file_part(content, name)])
    answer = send_form(alice, body)
    assert answer.status_code == status, answer.text
    (rejected,) = answer.get_json()["rejected"]
    detail: str = rejected["detail"]
    page = alice.post("/documents", body, content_type=FORM_TYPE)
    assert page.status_code == status
    assert f"was not taken. {detail}" in html.unescape(page.text)
    assert page.headers.get("Retry-After") == answer.headers.get("Retry-After")
    return detail


@pytest.mark.parametrize(("changes", "file", "status", "detail"), REFUSALS)
def test_refusal_says_the_rule_and_the_way_out(
    make_app: Any, changes: dict[str, Any], file: tuple[str, bytes], status: int, detail: str
) -> None:
    assert told_to_both(alice_of(make_app, **changes), *file, status) == detail


def test_where_no_room_is_left_no_figure_is_told(make_app: Any) -> None:
    alice = alice_of(make_app, default_quota_bytes=10)
    alice.upload("a.txt", b"x" * 10)
    assert told_to_both(alice, "b.txt", b"x", 413).startswith("There is no room left. Delete")


def test_full_disk_is_told_to_both(make_app: Any) -> None:
    alice = alice_of(make_app)
    with limited(resource.RLIMIT_FSIZE, 4 * MIB):
        detail = told_to_both(alice, "a.bin", bytes(5 * MIB), 507)
    assert detail == (
        "There is no space left to store this file. Nothing was stored. Tell the person who runs"
        " this portal, and try again later."
    )


def test_storage_that_is_away_is_told_to_both_with_when_to_come_again(make_app: Any) -> None:
    alice = alice_of(make_app)
    folder = settings_of(alice.app).files_dir / user_named(alice.app, alice.email).public_id.hex
    folder.write_bytes(b"in the way")
    detail = told_to_both(alice, "a.bin", b"x", 503)
    assert detail == (
        "The document store could not be reached. Nothing was stored. Try again in a minute."
    )
    body = form([file_part(b"x")])
    assert int(send_form(alice, body).headers["Retry-After"]) > 0


def test_both_rules_stand_beside_the_button(make_app: Any) -> None:
    alice = alice_of(
        make_app, allowed_extensions=frozenset({"pdf", "docx"}), max_upload_bytes=20_000_000
    )
    assert "Only docx, pdf. At most 20 MB each." in alice.get("/documents").text


def test_what_is_blocked_is_not_named_as_taken(make_app: Any) -> None:
    alice = alice_of(
        make_app,
        allowed_extensions=frozenset({"pdf", "exe"}),
        blocked_extensions=frozenset({"exe"}),
    )
    assert "Only pdf. At most" in alice.get("/documents").text


def test_hundreds_of_refusals_fit_into_a_cookie(make_app: Any) -> None:
    """They travel to the next page in it, and a browser drops one that is longer than 4 kB."""
    alice = alice_of(make_app, allowed_extensions=frozenset({"txt"}))
    refused = [file_part(b"x", f"語{number}" * 60 + ".exe") for number in range(300)]
    body = form([*refused, file_part(b"x", "good.txt")])
    response = alice.post("/documents", body, content_type=FORM_TYPE)
    assert response.status_code == 303
    assert all(len(cookie) < 4096 for cookie in response.headers.getlist("Set-Cookie"))
    page = html.unescape(alice.get("/documents").text)
    assert "“good.txt” was uploaded." in page
    assert page.count("was not taken.") == 4
    assert "296 more files were not taken." in page


def test_name_in_a_refusal_is_shown_without_what_would_turn_it_around(make_app: Any) -> None:
    alice = alice_of(make_app, allowed_extensions=frozenset({"txt"}))
    body = form([file_part(b"x", "gpj.\u202eexe"), file_part(b"x", "\u202e.exe\x1b")])
    page = html.unescape(alice.post("/documents", body, content_type=FORM_TYPE).text)
    assert "“gpj.exe” was not taken." in page
    assert not re.search("[\u202e\x1b]", page)
    nameless = form([file_part(b"x", "\u202e")])
    page = html.unescape(alice.post("/documents", nameless, content_type=FORM_TYPE).text)
    assert "A file without a name was not taken. The file has no name." in page
