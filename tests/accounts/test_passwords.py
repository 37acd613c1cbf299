"""Passwords: whole, however long and in whatever script; the rule; the same work for everybody."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

import bcrypt
import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import PASSWORD, Browser
from portal.accounts import passwords, people, setup
from portal.errors import Invalid
from portal.extensions import db
from stage import settings_of

ROUNDS = 4


def test_right_password_passes_and_another_does_not() -> None:
    stored = passwords.hash_password("three quiet herons wade", ROUNDS)
    assert stored.startswith("$2b$04$")
    assert passwords.check_password("three quiet herons wade", stored, ROUNDS)
    assert not passwords.check_password("three quiet herons wadE", stored, ROUNDS)
    assert not passwords.check_password("", stored, ROUNDS)


def test_the_same_password_never_has_the_same_hash() -> None:
    assert passwords.hash_password("a", ROUNDS) != passwords.hash_password("a", ROUNDS)


def test_no_hash_is_nobodys_password() -> None:
    for guess in ("", "no account has this password", "None"):
        assert not passwords.check_password(guess, None, ROUNDS)


@pytest.mark.parametrize("length", [71, 72, 73, 200, 1024])
def test_every_character_of_a_long_password_counts(length: int) -> None:
    password = "x" * (length - 1) + "a"
    stored = passwords.hash_password(password, ROUNDS)
    assert passwords.check_password(password, stored, ROUNDS)
    assert not passwords.check_password(password[:-1] + "b", stored, ROUNDS)
    assert not passwords.check_password(password[:-1], stored, ROUNDS)


def test_what_follows_a_nul_counts() -> None:
    stored = passwords.hash_password("before\0after", ROUNDS)
    assert passwords.check_password("before\0after", stored, ROUNDS)
    assert not passwords.check_password("before\0other", stored, ROUNDS)
    assert not passwords.check_password("before", stored, ROUNDS)


@pytest.mark.parametrize(
    ("chosen", "typed"),
    [
        ("Übergänge im Frühling", unicodedata.normalize("NFD", "Übergänge im Frühling")),
        ("ｆｕｌｌ width words", "full width words"),
        ("the ﬁnest oﬃce", "the finest office"),
    ],
)
def test_the_keyboards_way_of_writing_does_not_matter(chosen: str, typed: str) -> None:
    stored = passwords.hash_password(chosen, ROUNDS)
    assert passwords.check_password(typed, stored, ROUNDS)


@settings(max_examples=60)
@given(st.text(max_size=120), st.text(max_size=120))
def test_only_equal_passwords_match(one: str, other: str) -> None:
    stored = passwords.hash_password(one, ROUNDS)
    same = unicodedata.normalize("NFKC", one) == unicodedata.normalize("NFKC", other)
    assert passwords.check_password(one, stored, ROUNDS)
    assert passwords.check_password(other, stored, ROUNDS) == same


def refusal(password: str, *about: str) -> str:
    with pytest.raises(Invalid) as caught:
        passwords.check_rules(password, about, "new_password")
    return caught.value.errors["new_password"]


def test_rule_about_length_is_said_with_its_numbers() -> None:
    assert "at least 12" in refusal("x9#kQ2!vB7p")
    passwords.check_rules("x9#kQ2!vB7pL")
    long = "three quiet herons wade " * 50
    passwords.check_rules(long[:1024])
    assert "at most 1024" in refusal(long[:1025])


def test_length_is_that_of_what_is_compared() -> None:
    # One ligature of three letters is three characters once folded.
    passwords.check_rules("x9#kQ2!vBﬃ")
    assert "at most 1024" in refusal("three quiet herons wade " * 42 + "ﬃ" * 10 + "abcdefgh")


@pytest.mark.parametrize(
    "password",
    ["password1234", "aaaaaaaaaaaa", "123456789012", "qwertyuiop12", "letmeinletmein", " " * 12],
)
def test_common_password_is_refused(password: str) -> None:
    assert "easy to guess" in refusal(password)


@pytest.mark.parametrize(
    "password", ["alice.archer@example.org", "ALICE.ARCHER@EXAMPLE.ORG", "Alice.Archer"]
)
def test_own_address_or_name_is_refused(password: str) -> None:
    assert "your own name" in refusal(password, "alice.archer@example.org", "Alice.Archer")


def test_own_name_within_makes_a_password_no_stronger() -> None:
    assert refusal("alicearcher1", "alicearcher@example.org", "Alice Archer")
    with pytest.raises(Invalid):
        passwords.check_rules("margheritaverdi1", ["margheritaverdi@example.org"])


def test_huge_password_is_refused_quickly() -> None:
    assert refusal("aB3$" * 25_000)


@pytest.mark.parametrize(
    "password", ["three quiet herons wade", "文字と数字を混ぜた長い合言葉です", "Zß9!kq#Lm2@w"]
)
def test_good_password_is_taken(password: str) -> None:
    passwords.check_rules(password, ["alice@example.org", "Alice Archer"])


def test_no_transaction_is_open_while_bcrypt_takes_its_time(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_open: list[bool] = []

    def watched(work: Callable[[bytes, bytes], Any]) -> Callable[[bytes, bytes], Any]:
        def watch(one: bytes, other: bytes) -> Any:
            is_open.append(db.session().in_transaction())
            return work(one, other)

        return watch

    for name in ("hashpw", "checkpw"):
        monkeypatch.setattr(bcrypt, name, watched(getattr(bcrypt, name)))
    with app.app_context():
        token = setup.open_token()
    ada = {"name": "Ada", "email": "ada@example.org", "password": PASSWORD, "site_name": ""}
    assert Browser(app).post("/setup", {**ada, "token": token}).status_code == 303
    with app.app_context():
        token = people.invite(people.create("alice@example.org", settings_of(app)))
    fields = {"name": "Alice", "password": PASSWORD}
    assert Browser(app).post(f"/invitations/{token}", fields).status_code == 303
    alice = Browser(app)
    assert alice.sign_in("alice@example.org").status_code == 303
    fields = {"current_password": PASSWORD, "new_password": "five loud rivers bend"}
    assert alice.post("/account/password", fields).status_code == 303
    link = alice.share(alice.upload(), password="open sesame")
    fields = {"password": "open sesame"}
    assert Browser(app).post(link["path"], fields).status_code == 303
    assert is_open == [False] * 7
