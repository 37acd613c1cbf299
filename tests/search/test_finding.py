"""What is found: words, phrases, beginnings, in every script, and never anybody else's."""

from __future__ import annotations

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text, update

from conftest import Browser
from documents.test_resorting import put_in_order
from portal import collation
from portal.extensions import db
from portal.models import Document, Scan, SearchText, Version
from search.stage import ask, excerpt, index, names, put, rows

LEASE = "The tenant pays the rent on the third of each month.\nPets are welcome: a naïve Café."


def test_words_are_found_in_names_and_in_texts(alice: Browser) -> None:
    put(alice, "lease.txt", LEASE)
    put(alice, "tenant list.txt", "Nobody lives here.")
    assert names(alice, "tenant") == ["lease.txt", "tenant list.txt"]
    assert names(alice, "rent") == ["lease.txt"]
    assert names(alice, "rent pets") == ["lease.txt"]
    assert names(alice, "rent unicorn") == []


def test_some_words_may_stand_in_the_name_and_others_in_the_text(alice: Browser) -> None:
    put(alice, "lease.txt", LEASE)
    assert names(alice, "lease pets") == ["lease.txt"]
    assert names(alice, "lease unicorn") == []


def test_part_of_a_name_is_found_as_before(alice: Browser) -> None:
    put(alice, "Résumé 2026 (50% final).txt", "x")
    for q in ("sumé 20", "2026", "50%", "(50", "resume", "RÉS", "nal)", "%"):
        assert names(alice, q) == ["Résumé 2026 (50% final).txt"], q
    assert names(alice, "_") == []


def test_names_are_found_the_same_in_the_order_of_every_language(
    app: Flask, alice: Browser
) -> None:
    for name in ("Järvi.pdf", "Åre_ñoño 50%.pdf", "çiçek kıyı.pdf", "Chata žába.pdf"):
        put(alice, name, "x")
    for locale in ("", *collation.LOCALES):
        put_in_order(app, locale)
        for q in ("jarvi", "JÄRVI", "järvi", "rvi.p", "ja\u0308rvi"):
            assert names(alice, q) == ["Järvi.pdf"], (locale, q)
        for q in ("are", "åre", "are_nono", "%", "_"):
            assert names(alice, q) == ["Åre_ñoño 50%.pdf"], (locale, q)
        assert names(alice, "cicek") == ["çiçek kıyı.pdf"], locale
        # What an å is written as to be sorted is nothing to be found by.
        assert names(alice, "z") == names(alice, "zaba") == ["Chata žába.pdf"], locale
        for q in ("zr", "jz", "ar.pdf", "br", "pdfa", "\x01", "\U0010ffff"):
            assert names(alice, q) == [], (locale, q)


def test_words_in_quotes_have_to_stand_in_a_row(alice: Browser) -> None:
    put(alice, "lease.txt", LEASE)
    assert names(alice, '"third of each"') == ["lease.txt"]
    assert names(alice, '"each of third"') == []
    assert names(alice, "each of third") == ["lease.txt"]
    assert names(alice, "“third of”") == ["lease.txt"]
    assert names(alice, '"third of eac"') == []


def test_last_word_and_a_word_with_a_star_may_be_beginnings(alice: Browser) -> None:
    put(alice, "lease.txt", LEASE)
    assert names(alice, "tena") == ["lease.txt"]
    assert names(alice, "tena rent") == []
    assert names(alice, "tena* rent") == ["lease.txt"]
    assert names(alice, "enant") == []


def test_case_width_and_accents_do_not_matter(alice: Browser) -> None:
    put(alice, "lease.txt", LEASE)
    for q in ("CAFE", "cafe\u0301", "naive", "ＲＥＮＴ", "Café"):
        assert names(alice, q) == ["lease.txt"], q


@pytest.mark.parametrize(
    ("text", "asked", "not_asked"),
    [
        (
            "これは賃貸借契約書です。署名してください。",
            ["契約", "賃貸借契約書", "署", "ください"],
            ["約契", "契約署名"],
        ),
        ("本合同于二〇二六年签订", ["合同", "签订", "同"], ["同合"]),
        ("เอกสารนี้เป็นสัญญาเช่า", ["สัญญา", "เช่า"], ["เช่าสัญญา"]),
        ("임대차 계약서를 작성하다", ["계약서", "계약서를", "임대차 작성"], ["서계약"]),
        ("Договор аренды квартиры", ["ДОГОВОР", "аренды кварт"], ["Договоры"]),
        ("Μισθωτήριο συμβόλαιο", ["μισθωτηριο", "ΣΥΜΒΌΛΑΙΟ"], ["μισθος"]),
        ("הסכם שכירות", ["שכירות"], ["שכירים"]),
        ("عَقْدُ الإِيجار", ["عقد"], ["قعد"]),
        ("किराये का अनुबंध", ["अनुबंध", "किराये"], ["बंधअनु"]),
        ("ﾚﾝﾀﾙ契約", ["レンタル", "タル契"], ["ルタ"]),
    ],
)
def test_every_script_is_found(
    alice: Browser, text: str, asked: list[str], not_asked: list[str]
) -> None:
    put(alice, "x.txt", text)
    for q in asked:
        assert names(alice, q) == ["x.txt"], q
    for q in not_asked:
        assert names(alice, q) == [], q


def test_phrase_is_found_wherever_it_stands_in_a_long_text(alice: Browser) -> None:
    words = [f"word{number}" for number in range(20_000)]
    put(alice, "long.txt", " ".join(words))
    for start in (0, 1490, 1495, 1499, 9000, 16_380, 19_990):
        phrase = " ".join(words[start : start + 10])
        assert names(alice, f'"{phrase}"') == ["long.txt"], start
    assert names(alice, "word1 word19999") == ["long.txt"]


def test_excerpt_shows_what_was_found(alice: Browser) -> None:
    put(alice, "lease.txt", LEASE)
    assert "pays the [rent] on the [third] of" in excerpt(alice, "rent third")
    assert "[third of each]" in excerpt(alice, '"third of each"')
    assert "a naïve [Café]" in excerpt(alice, "cafe")
    put(alice, "long.txt", "before " * 500 + "needle " + "after " * 500)
    shown = excerpt(alice, "needle")
    assert "[needle]" in shown
    assert shown.startswith("… ")
    assert shown.endswith(" …")
    assert len(shown) < 300


def test_excerpt_of_a_document_is_text_and_never_markup(alice: Browser) -> None:
    put(alice, "x.txt", "a </span> <img src=x onerror=y> <mark>needle</mark> & more")
    page = alice.get("/documents?q=needle").get_data(as_text=True)
    assert "<mark>needle</mark>" in page
    assert "&lt;mark&gt;<mark>needle</mark>&lt;/mark&gt; &amp; more" in page
    assert "<img src=x" not in page


# Whose it is


def test_stranger_finds_nothing_of_others(alice: Browser, bob: Browser, ada: Browser) -> None:
    put(alice, "lease.txt", LEASE)
    for stranger in (bob, ada):
        for q in ("tenant", "lease", "ten*", '"the rent"', "a", "%"):
            answer = ask(stranger, q)
            assert answer["documents"] == []
            assert answer["unreadable"] == 0
        page = stranger.get("/documents?q=tenant").get_data(as_text=True)
        assert "lease" not in page


def test_each_finds_their_own_of_the_same_words(alice: Browser, bob: Browser) -> None:
    put(alice, "hers.txt", LEASE)
    put(bob, "his.txt", LEASE)
    assert names(alice, "tenant") == ["hers.txt"]
    assert names(bob, "tenant") == ["his.txt"]


def test_index_answers_nobody_else_even_if_asked_around_the_door(
    app: Flask, alice: Browser, bob: Browser
) -> None:
    """The words themselves are marked with their owner."""
    put(alice, "lease.txt", LEASE)
    with app.app_context():
        # As if rows were mixed up: the text says Bob, and so does the document.
        bobs = db.session.scalar(select(Document.owner_id).limit(1))
        assert bobs is not None
        db.session.execute(update(Document).values(owner_id=bobs + 1))
        db.session.execute(update(SearchText).values(owner_id=bobs + 1))
        db.session.commit()
    assert names(bob, "lease") == ["lease.txt"]
    assert names(bob, "tenant") == []


def test_admin_searches_names_in_a_directory_and_never_texts(alice: Browser, ada: Browser) -> None:
    put(alice, "lease.txt", LEASE)
    users = ada.get("/admin/users", headers={"Accept": "application/json"}).get_json()["users"]
    (her,) = [each for each in users if each["email"] == alice.email]
    path = f"/admin/users/{her['id']}/documents"
    assert "lease.txt" in ada.get(path, query_string={"q": "leas"}).get_data(as_text=True)
    for q in ("tenant", "lease tenant"):
        page = ada.get(path, query_string={"q": q}).get_data(as_text=True)
        assert "lease.txt" not in page
        assert "tenant pays" not in page


def test_trashed_is_not_found_and_restored_is_again(app: Flask, alice: Browser) -> None:
    document = put(alice, "lease.txt", LEASE)
    alice.post(f"{document['url']}/delete")
    assert names(alice, "tenant") == []
    assert names(alice, "lease") == []
    alice.post(f"{document['url']}/restore")
    assert names(alice, "tenant") == ["lease.txt"]


def test_deleted_for_ever_leaves_nothing_in_the_index(app: Flask, alice: Browser) -> None:
    document = put(alice, "lease.txt", "needle " * 60_000)
    assert rows(app)[1] > 20
    alice.post(f"{document['url']}/delete")
    alice.post(f"/trash/{document['id']}/purge")
    index(app)
    assert rows(app) == (0, 0)
    # The ids are used again: nothing of the old words may be under the new ones.
    put(alice, "other.txt", "something else")
    assert names(alice, "needle") == []
    assert names(alice, "something") == ["other.txt"]


def test_only_the_newest_version_is_found(app: Flask, alice: Browser) -> None:
    document = put(alice, "lease.txt", "the first wording")
    again = alice.post_json(f"{document['url']}/versions", {"file": _file(b"the second wording")})
    assert again.status_code == 201
    assert names(alice, "first") == []
    index(app)
    assert names(alice, "second") == ["lease.txt"]
    assert names(alice, "first") == []
    assert rows(app) == (1, 1)


def test_renamed_document_is_found_by_its_new_name(alice: Browser) -> None:
    document = put(alice, "lease.txt", LEASE)
    alice.post(f"{document['url']}/rename", {"name": "rental.txt"})
    assert names(alice, "rental") == ["rental.txt"]
    assert names(alice, "lease") == []
    assert names(alice, "tenant") == ["rental.txt"]


@pytest.mark.parametrize("scan", [Scan.INFECTED, "unheard-of"])
def test_what_may_not_leave_is_not_found_by_its_text(app: Flask, alice: Browser, scan: str) -> None:
    put(alice, "lease.txt", LEASE)
    with app.app_context():
        db.session.execute(update(Version).values(scan=scan))
        db.session.commit()
    assert names(alice, "tenant") == []
    assert names(alice, "lease") == ["lease.txt"]


# What people type


_SIGNS = r""" " "" ' '' * ** a*b* ^a -a +a OR NEAR( words:a {words}:a rowid:1 ( ) (( a) :* a:* !a
    <-> \ a\ \' % _ %%% a%00b 😀 🏖️ ١٢٣ ½ ﬃ İ ß 1xtenant a_b c++ c# .net $1 &amp; @@ || ~ ` """
HOSTILE = [
    *_SIGNS.split(),
    "\0",
    "a\0b",
    "\ufffd",
    "\u202e",
    "\u00ad",
    "\u200b",
    "\u0301",
    '" "',
    "a AND",
    "NOT a",
    "NEAR(a b)",
    "a OR b",
    "a & b",
    "a | b",
    "a <-> b",
    "a <2> b",
    "; DROP TABLE documents --",
    "' OR 1=1 --",
    "a" * 10_000,
    "a " * 5000,
    '"' * 10_000,
    "*" * 10_000,
    "契" * 5000,
    "(" * 255,
]


def test_whatever_is_typed_is_only_words(alice: Browser, bob: Browser) -> None:
    put(alice, "lease.txt", LEASE)
    for q in HOSTILE:
        assert ask(bob, q)["documents"] == [], q
        for kind in ("text/html", "application/json"):
            answer = alice.get("/documents", query_string={"q": q}, headers={"Accept": kind})
            assert answer.status_code == 200, q


def test_owners_mark_is_not_typed(alice: Browser) -> None:
    put(alice, "lease.txt", LEASE)
    for mark in range(5):
        assert names(alice, f"{mark}xtenant") == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(q=st.text(max_size=40))
def test_any_text_can_be_looked_for(alice: Browser, q: str) -> None:
    assert ask(alice, q)["documents"] == []


def _file(content: bytes) -> object:
    from io import BytesIO

    return (BytesIO(content), "lease.txt")


def test_no_search_goes_through_what_was_indexed_lately_one_by_one(app: Flask) -> None:
    """PostgreSQL would leave that to some later time, and read it all at every search."""
    with app.app_context():
        if db.engine.dialect.name != "postgresql":
            pytest.skip("SQLite's index has no such list")
        name = "ix_search_passages_words"
        how = text("SELECT reloptions FROM pg_class WHERE relname = :name")
        assert db.session.execute(how, {"name": name}).scalar_one() == ["fastupdate=off"]
