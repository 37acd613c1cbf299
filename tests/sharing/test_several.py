"""Links for several documents on the same terms."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask

from conftest import Browser, user_named
from portal.sharing import links
from scanning.stage import put
from stage import NOTHING, database_dump, events, facts, program

PATH = "/documents/share-links"


@pytest.fixture
def two(alice: Browser) -> list[dict[str, Any]]:
    return [alice.upload("one.txt", b"one"), alice.upload("<two>.txt", b"two")]


def chosen(documents: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    return {"id": [each["id"] for each in documents], "expires_in_days": "7", **fields}


def query(documents: list[dict[str, Any]]) -> str:
    return PATH + "?" + "&".join(f"id={each['id']}" for each in documents)


def test_form_names_the_documents(alice: Browser, two: Any) -> None:
    page = alice.get(query(two))
    assert page.status_code == 200
    assert "Share 2 documents" in page.text
    assert "one.txt" in page.text
    assert "&lt;two&gt;.txt" in page.text


def test_each_gets_a_link_of_its_own_on_the_same_terms(
    app: Flask, alice: Browser, visitor: Browser, two: Any
) -> None:
    answer = alice.post(PATH, chosen(two, password="the garden gate", label="For the bank"))
    assert (answer.status_code, answer.location) == (303, PATH)
    page = alice.get(PATH).text
    addresses = re.findall(r'value="(http://127\.0\.0\.1:8000/s/[^"]+)"', page)
    assert len(addresses) == len(set(addresses)) == 2
    assert "its password can download" in page
    for address, content in zip(addresses, (b"one", b"two"), strict=True):
        path = address.removeprefix("http://127.0.0.1:8000")
        visitor.post(path, {"password": "the garden gate"})
        ticket = visitor.client.post(f"{path}/download").location
        assert visitor.get(ticket).data == content
    made = events(app, "share_link.created")
    assert {each.document for each in made} == {each["id"] for each in two}
    assert {(e.detail["days"], e.detail["label"], e.detail["has_password"]) for e in made} == {
        (7, "For the bank", True)
    }


def test_addresses_are_shown_once(alice: Browser, two: Any) -> None:
    alice.post(PATH, chosen(two))
    assert alice.get(PATH).status_code == 200
    again = alice.get(PATH)
    assert (again.status_code, again.location) == (302, "/share-links")


def test_as_many_as_are_allowed_fit_into_the_cookie(alice: Browser) -> None:
    many = [alice.upload(f"{number}.txt", b"x") for number in range(links.MOST_AT_ONCE)]
    answer = alice.post(PATH, chosen(many))
    assert len(answer.headers["Set-Cookie"]) < 4000
    assert alice.get(PATH).text.count('value="http://127.0.0.1:8000/s/') == len(many)


def test_nobody_else_can_show_them(alice: Browser, bob: Browser, app: Flask, two: Any) -> None:
    made = alice.post_json(PATH, chosen(two)).get_json()["links"]
    tokens = [each["url"].rpartition("/")[2] for each in made]
    with app.test_request_context():

        class Bob:
            user_id = user_named(app, bob.email).id
            email = bob.email
            is_admin = False

        assert links.just_made(Bob(), tokens) == []


def test_program_gets_the_addresses(alice: Browser, two: Any) -> None:
    made = program(alice, "shares:write").post(PATH, chosen(two, max_downloads="3"))
    assert made.status_code == 201
    found = made.get_json()["links"]
    assert [each["document"] for each in found] == [each["id"] for each in two]
    assert {each["max_downloads"] for each in found} == {3}
    assert program(alice, "documents:write").post(PATH, chosen(two)).status_code == 403


def test_refused_terms_show_the_form_again(app: Flask, alice: Browser, two: Any) -> None:
    for fields, words in (
        ({"expires_in_days": "0"}, "Choose from 1 to 90 days."),
        ({"recipient_email": "bank@example.org"}, "Share 2 documents"),
    ):
        answer = alice.post(PATH, chosen(two, **fields))
        assert answer.status_code == 422
        assert words in answer.text
        for each in two:
            assert f'name="id" value="{each["id"]}"' in answer.text
    assert events(app, "share_link.created") == []


def test_one_that_is_not_theirs_makes_none(
    app: Flask, alice: Browser, bob: Browser, two: Any
) -> None:
    own = bob.upload("own.txt", b"own")
    single = facts(bob.post(f"/documents/{NOTHING}/delete"))
    before = database_dump(app, "audit_events", "audit_head", "sessions")
    for others in (two, [{"id": NOTHING}]):
        assert facts(bob.post(PATH, chosen([own, *others]))) == single
        assert bob.get(query([own, *others])).status_code == 404
    assert bob.get(f"{PATH}?id=x").status_code == 404
    assert database_dump(app, "audit_events", "audit_head", "sessions") == before


def test_blocked_one_makes_none(app: Flask, alice: Browser, two: Any) -> None:
    put(app, two[1], scan="infected", threat="Bad")
    assert alice.post(PATH, chosen(two)).status_code == 403
    assert events(app, "share_link.created") == []


def test_none_or_too_many_are_refused_with_the_rule(
    alice: Browser, two: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "MOST_AT_ONCE", 1)
    for answer in (alice.get(query(two)), alice.post(PATH, chosen(two))):
        assert answer.status_code == 422
        assert "at most 1 documents" in answer.text
    nothing = alice.post(PATH, {"expires_in_days": "7"})
    assert nothing.status_code == 422
    assert "Choose at least one document." in nothing.text


def test_visitor_and_a_form_without_token_make_none(
    app: Flask, alice: Browser, visitor: Browser, two: Any
) -> None:
    before = database_dump(app, "sessions")
    assert visitor.post(PATH, chosen(two)).location.startswith("/login?next=")
    assert visitor.get(query(two)).location.startswith("/login?next=")
    assert alice.client.post(PATH, data=chosen(two)).status_code == 400
    assert database_dump(app, "sessions") == before
