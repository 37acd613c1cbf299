"""Names: cleaned once, at the door; endings as policy sees them."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portal.config import Settings
from portal.documents import names
from portal.errors import FileNameRejected, TypeRefused

OVERRIDES = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
NASTY = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("/\\.: \r\n\t\0\x7f\x1b\x85\u2028\ufeff" + OVERRIDES),
        st.characters(categories=["Cs", "Cc", "Cf", "Mn"]),
    ),
    max_size=300,
)


@given(NASTY)
@example("..")
@example("a\u0301" * 255)
@example("\ud800.pdf")
@example("ﷺ" * 255)
def test_a_clean_name_is_safe_to_keep_to_show_and_to_send(raw: str) -> None:
    try:
        name = names.clean(raw)
    except FileNameRejected:
        return
    assert 1 <= len(name) <= 255
    assert not set(name) & set("/\\" + OVERRIDES)
    assert not any(unicodedata.category(char) in {"Cc", "Cs"} for char in name)
    assert unicodedata.is_normalized("NFC", name)
    assert name.strip(" .")
    name.encode("utf-8")
    assert names.clean(name) == name
    assert len(names.fold(name)) <= 512


@given(NASTY)
def test_only_what_stands_before_the_last_slash_and_what_cannot_be_kept_is_lost(raw: str) -> None:
    last = raw.replace("\\", "/").split("/")[-1]
    kept = "".join(
        char
        for char in last
        if unicodedata.category(char) not in {"Cc", "Cs"} and char not in OVERRIDES
    )
    try:
        assert names.clean(raw) == unicodedata.normalize("NFC", kept)
    except FileNameRejected:
        kept = unicodedata.normalize("NFC", kept)
        assert not kept.strip(" .") or kept.isspace() or len(kept) > 255


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("deed.pdf", "deed.pdf"),
        ("C:\\Users\\alice\\deed.pdf", "deed.pdf"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("a/b\\c.txt", "c.txt"),
        ("gpj.\u202eexe", "gpj.exe"),
        ("a\r\nb\0.txt", "ab.txt"),
        ("a\x7f\x1b[31m.txt", "a[31m.txt"),
        ("u\u0308bersicht.pdf", "übersicht.pdf"),
        (".bashrc", ".bashrc"),
        ("日本語.pdf", "日本語.pdf"),
        ("👩‍👩‍👧 family.jpg", "👩‍👩‍👧 family.jpg"),
        ("\ud800half.txt", "half.txt"),
        ("con", "con"),
        ("two  spaces .txt", "two  spaces .txt"),
        ("%2e%2e%2fx", "%2e%2e%2fx"),
    ],
)
def test_name_becomes(raw: str, name: str) -> None:
    assert names.clean(raw) == name


@pytest.mark.parametrize(
    "raw", ["", " ", ".", "..", "...", ". .", "a/", "a\\", "\r\n", "\u202e", "\u3000"]
)
def test_name_that_is_none_is_refused(raw: str) -> None:
    with pytest.raises(FileNameRejected, match="no name"):
        names.clean(raw)


def test_longest_name_is_255_characters() -> None:
    assert names.clean("ä" * 255)
    with pytest.raises(FileNameRejected, match="256 characters; 255"):
        names.clean("ä" * 256)
    assert len(names.clean("a\u0308" * 255)) == 255


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("deed.pdf", "pdf"),
        ("deed.PDF", "pdf"),
        ("deed.pdf.exe", "exe"),
        ("deed", ""),
        ("pdf", ""),
        (".pdf", ""),
        ("deed.", ""),
        ("deed.pdf ", "pdf"),
        ("deed. pdf", "pdf"),
        ("deed.exe.", "exe"),
        ("deed.exe. .", "exe"),
        ("straße.STRASSE", "strasse"),
        ("deed.ｐｄｆ", "pdf"),
        ("deed．ＥＸＥ", "exe"),
        ("deed.𝐞𝐱𝐞", "exe"),
        ("deed.e\u200bxe", "exe"),
        ("deed.exe\u200f", "exe"),
        ("deed.exe\u3000", "exe"),
        ("deed.exe…", "exe"),
        ("a.pdfexe.", "pdfexe"),
    ],
)
def test_ending_is_what_a_computer_would_open_it_by(name: str, ending: str) -> None:
    assert names.extension(name) == ending


def test_only_allowed_endings_are_taken() -> None:
    settings = replace(Settings(), allowed_extensions=frozenset({"pdf", "docx"}))
    for name in ("a.pdf", "a.PDF", "a.b.docx"):
        names.check_extension(name, settings)
    for name in ("a.exe", "a", "pdf", ".pdf", "a.pdf.exe", "a.pd", "a.pdfx"):
        with pytest.raises(TypeRefused) as caught:
            names.check_extension(name, settings)
        assert caught.value.cure.startswith("Only docx, pdf. Save it")


def test_blocked_endings_are_refused_and_all_others_taken() -> None:
    settings = replace(Settings(), blocked_extensions=frozenset({"exe"}))
    for name in ("a.pdf", "a", "exe", "a.exe.pdf"):
        names.check_extension(name, settings)
    for name in ("a.exe", "a.ExE", "a.pdf.exe", "a.exe ", "a.exe.", "a．ｅｘｅ"):
        with pytest.raises(TypeRefused) as caught:
            names.check_extension(name, settings)
        assert caught.value.cure.startswith("Anything but exe. Save it")


def test_blocked_beats_allowed() -> None:
    both = frozenset({"pdf"})
    settings = replace(Settings(), allowed_extensions=both, blocked_extensions=both)
    with pytest.raises(TypeRefused):
        names.check_extension("a.pdf", settings)


def test_case_and_width_do_not_matter_for_finding() -> None:
    assert names.fold("ＤＥＥＤ Straße") == names.fold("deed STRASSE")


@pytest.mark.parametrize(
    "in_order",
    [
        ["Page 1", "page 2", "Page 10", "Page 100", "Pages"],
        ["emil", "Émile", "emma", "Zoë", "zoe 2"],
        ["2024-02", "2024-10", "2024-011-01"],
        ["Ａ.pdf", "b.pdf", "C.pdf"],
        ["٢ seiten", "١٠ seiten"],
        ["7", "007 bond"],
    ],
)
def test_names_are_sorted_as_people_count_and_spell(in_order: list[str]) -> None:
    other_way = in_order[::-1]
    assert sorted(other_way, key=names.sort_key) == in_order


@given(st.text(max_size=300))
def test_every_name_has_a_key_to_be_sorted_by(name: str) -> None:
    assert len(names.sort_key(name)) <= 512


@given(st.text(max_size=300))
def test_a_clean_name_of_a_folder_names_one_folder(raw: str) -> None:
    try:
        name = names.clean_folder(raw)
    except FileNameRejected:
        return
    assert 1 <= len(name) <= 255
    assert name == name.strip()
    assert not set(name) & set("/\\")
    assert name not in {".", ".."}
    assert names.clean_folder(name) == names.clean(name) == name


@given(st.text(alphabet="a./\\ \u202e", max_size=80))
def test_dropped_folders_are_names_one_after_the_other(raw: str) -> None:
    try:
        parts = names.folders_of(names.clean_path(raw))
    except FileNameRejected:
        return
    assert len(parts) <= names.DEEPEST_PATH
    assert [names.clean_folder(part) for part in parts] == parts
