"""Several documents in one go: deleted, restored, moved; all of them or none."""

from __future__ import annotations

import re
import threading
import time
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from conftest import Browser, user_named
from documents.folders_stage import folder, put_into, trash_folder
from documents.keeping_stage import Owner
from portal import access
from portal.database import transaction
from portal.documents import bulk, keeping, undo
from portal.documents import names as document_names
from portal.extensions import db
from portal.models import Document, Folder
from stage import NOTHING, at_once, database_dump, events, facts, program, twins

DELETE, RESTORE, MOVE = "/documents/delete", "/documents/restore", "/documents/move"


def ids(*documents: dict[str, Any]) -> dict[str, list[str]]:
    return {"id": [each["id"] for each in documents]}


@pytest.fixture
def three(alice: Browser) -> list[dict[str, Any]]:
    return [alice.upload(f"{name}.txt", name.encode()) for name in ("one", "two", "three")]


def listed(browser: Browser) -> set[str]:
    return names(browser, "/documents")


def in_trash(browser: Browser) -> set[str]:
    return names(browser, "/trash")


def names(browser: Browser, path: str) -> set[str]:
    page = browser.get(path, headers={"Accept": "application/json"}).get_json()
    return {each["name"] for each in page["documents"]}


def undo_fields(page: str) -> tuple[str, list[str]]:
    """Where the button that takes it back leads, and the ids it sends."""
    found = re.search(r'<form [^>]*action="(/documents/restore)">.*?</form>', page, re.DOTALL)
    assert found, page
    return found[1], re.findall(r'name="id" value="([^"]+)"', found[0])


def test_several_go_to_the_trash_and_come_back_together(
    app: Flask, alice: Browser, three: Any
) -> None:
    answer = alice.post(DELETE, {**ids(*three[:2]), "q": "o", "sort": "name", "order": "asc"})
    assert answer.status_code == 303
    assert answer.location == "/documents?q=o&sort=name&order=asc"
    assert in_trash(alice) == {"one.txt", "two.txt"}
    assert listed(alice) == {"three.txt"}
    page = alice.get(answer.location).text
    assert "2 documents are in the trash." in page
    where, chosen = undo_fields(page)
    assert alice.post(where, {"id": chosen}).status_code == 303
    assert listed(alice) == {"one.txt", "two.txt", "three.txt"}
    assert "2 documents are back in your documents." in alice.get("/documents").text
    for action in ("document.trashed", "document.restored"):
        assert {each.detail["name"] for each in events(app, action)} == {"one.txt", "two.txt"}


def test_one_is_called_by_its_name(alice: Browser, three: Any) -> None:
    alice.post(DELETE, ids(three[0]))
    assert "“one.txt” is in the trash." in alice.get("/documents").text


def test_more_than_a_cookie_holds_are_deleted_without_the_button(
    alice: Browser, three: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "_MOST", 2)
    alice.post(DELETE, ids(*three))
    page = alice.get("/documents").text
    assert "3 documents are in the trash." in page
    assert RESTORE not in page


def test_cookie_holds_as_many_as_the_button_takes_back(alice: Browser) -> None:
    many = [alice.upload(f"{number}.txt", b"x") for number in range(undo._MOST)]
    answer = alice.post(DELETE, ids(*many))
    cookie = answer.headers["Set-Cookie"]
    assert len(cookie) < 4000
    _, chosen = undo_fields(alice.get("/documents").text)
    assert len(chosen) == len(many)


@pytest.mark.parametrize("path", [DELETE, RESTORE, MOVE])
def test_one_that_is_not_theirs_keeps_all_as_they_are(
    app: Flask, alice: Browser, bob: Browser, three: Any, path: str
) -> None:
    own = bob.upload("own.txt", b"own")
    if path == RESTORE:
        bob.post(DELETE, ids(own))
        alice.post(DELETE, ids(*three))
    else:
        gone = bob.upload("gone.txt", b"gone")
        bob.post(DELETE, ids(gone))
        assert bob.post(path, {**ids(own, gone), "folder": ""}).status_code == 404
    single = facts(bob.post(f"/documents/{NOTHING}/delete"))
    for other in (three[0]["id"], NOTHING):
        before = database_dump(app, "audit_events", "audit_head", "sessions")
        denied = len(events(app, "access.denied"))
        answer = bob.post(path, {"id": [own["id"], other], "folder": ""})
        assert facts(answer) == single
        assert database_dump(app, "audit_events", "audit_head", "sessions") == before
        assert len(events(app, "access.denied")) == denied + 1


@pytest.mark.parametrize("path", [DELETE, RESTORE, MOVE])
def test_none_or_too_many_are_refused_with_the_rule(
    alice: Browser, three: Any, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MOST", 2)
    nothing = alice.post(path, {"folder": ""})
    assert nothing.status_code == 422
    assert "Choose at least one document." in nothing.text
    many = alice.post(path, {**ids(*three), "folder": ""})
    assert many.status_code == 422
    assert "At most 2 documents" in many.text
    assert listed(alice) == {"one.txt", "two.txt", "three.txt"}


@pytest.mark.parametrize("path", [DELETE, RESTORE, MOVE])
def test_visitor_and_a_form_without_token_change_nothing(
    app: Flask, alice: Browser, visitor: Browser, three: Any, path: str
) -> None:
    fields = {**ids(*three), "folder": ""}
    before = database_dump(app, "sessions")
    assert visitor.post(path, fields).location.startswith("/login?next=")
    assert alice.client.post(path, data=fields).status_code == 400
    assert alice.get(path).status_code == (404 if path == MOVE else 405)  # it asks where to
    assert database_dump(app, "sessions") == before


def test_document_named_twice_is_deleted_once(app: Flask, alice: Browser, three: Any) -> None:
    assert alice.post_json(DELETE, ids(three[0], three[0])).get_json() == {"ids": [three[0]["id"]]}
    assert len(events(app, "document.trashed")) == 1


def test_two_who_delete_the_same_ones_at_once_delete_them_once(
    app: Flask, alice: Browser, three: Any
) -> None:
    token = alice.token()
    tabs = twins(alice, 4)
    orders = (three, three[::-1])

    def delete(number: int) -> int:
        data, headers = ids(*orders[number % 2]), {"X-CSRFToken": token}
        return tabs[number].client.post(DELETE, data=data, headers=headers).status_code

    assert sorted(at_once(4, delete)) == [303, 404, 404, 404]
    assert len(events(app, "document.trashed")) == 3


# Moving


def test_several_are_moved_into_a_folder_and_to_the_top(
    app: Flask, alice: Browser, three: Any
) -> None:
    taxes = folder(app, alice, "Taxes")
    answer = alice.post_json(MOVE, {**ids(*three[:2]), "folder": taxes})
    assert answer.status_code == 201
    assert {each["name"] for each in answer.get_json()["documents"]} == {"one.txt", "two.txt"}
    assert placed(app) == {"one.txt": "Taxes", "two.txt": "Taxes", "three.txt": None}
    assert alice.post(MOVE, {**ids(*three), "folder": ""}).status_code == 303
    assert set(placed(app).values()) == {None}
    moved = [(each.detail["name"], each.detail["place"]) for each in events(app, "document.moved")]
    assert sorted(moved[:2]) == [("one.txt", "Taxes"), ("two.txt", "Taxes")]
    assert sorted(moved[2:]) == [("one.txt", ""), ("two.txt", "")]


def test_move_can_be_taken_back(app: Flask, alice: Browser, three: Any) -> None:
    taxes, house = folder(app, alice, "Taxes"), folder(app, alice, "House")
    for each in three[:2]:
        put_into(app, each, taxes)
    alice.post(MOVE, {**ids(*three[:2]), "folder": house})
    page = alice.get("/documents").text
    assert "2 documents are in “House” now." in page
    assert "Moved “one.txt” to the folder “House”" in alice.get(three[0]["url"]).text
    form = re.search(r'<form [^>]*action="/documents/move">.*?</form>', page, re.DOTALL)
    assert form
    fields = {
        name: re.findall(rf'name="{name}" value="([^"]*)"', form[0]) for name in ("id", "folder")
    }
    assert fields["folder"] == [taxes]
    assert alice.post(MOVE, fields).status_code == 303
    assert placed(app) == {"one.txt": "Taxes", "two.txt": "Taxes", "three.txt": None}
    alice.get("/documents")
    # From several places nobody can bring them back in one go.
    alice.post(MOVE, {**ids(*three), "folder": ""})
    page = alice.get("/documents").text
    assert "3 documents are at the top now." in page
    assert 'action="/documents/move"' not in page


def placed(app: Flask) -> dict[str, str | None]:
    """In which folder each document lies."""
    with app.app_context():
        rows = db.session.execute(
            select(Document.name, Folder.name).outerjoin(Folder, Folder.id == Document.folder_id)
        )
        return {name: place for name, place in rows}  # noqa: C416 - a dict of rows is not typed


def test_nothing_goes_into_a_folder_that_is_not_ones_own(
    app: Flask, alice: Browser, bob: Browser, three: Any
) -> None:
    theirs = folder(app, bob, "Theirs")
    gone = folder(app, alice, "Gone")
    trash_folder(app, gone)
    for target in (theirs, gone, NOTHING):
        assert alice.post(MOVE, {**ids(*three), "folder": target}).status_code == 404
    assert set(placed(app).values()) == {None}


@pytest.mark.parametrize("fields", [{}, {"folder": "x"}, {"folder": ["", ""]}])
def test_move_without_a_place_is_a_mistake(
    app: Flask, alice: Browser, three: Any, fields: dict[str, Any]
) -> None:
    taxes = folder(app, alice, "Taxes")
    put_into(app, three[0], taxes)
    assert alice.post(MOVE, {**ids(*three), **fields}).status_code == 400
    assert placed(app)["one.txt"] == "Taxes"


def test_folders_are_moved_with_the_documents_beside_them(
    app: Flask, alice: Browser, three: Any
) -> None:
    taxes, house, target = (folder(app, alice, name) for name in ("Taxes", "House", "Target"))
    put_into(app, three[0], taxes)
    chosen = {**ids(three[1]), "moved_folder": [taxes, house]}
    answer = alice.post_json(MOVE, {**chosen, "folder": target})
    assert answer.status_code == 201
    moved = answer.get_json()
    assert [each["name"] for each in moved["documents"]] == ["two.txt"]
    assert {(each["name"], each["parent"]) for each in moved["folders"]} == {
        ("Taxes", target),
        ("House", target),
    }
    assert placed(app) == {"one.txt": "Taxes", "two.txt": "Target", "three.txt": None}
    assert alice.post(MOVE, {**chosen, "folder": "", "from": target}).status_code == 303
    page = alice.get(f"/documents?folder={target}").text
    assert "3 things are at the top now." in page
    form = re.search(r'<form [^>]*action="/documents/move">.*?</form>', page, re.DOTALL)
    assert form
    fields = {
        name: re.findall(rf'name="{name}" value="([^"]*)"', form[0])
        for name in ("id", "moved_folder", "folder")
    }
    assert fields["folder"] == [target]
    assert alice.post(MOVE, fields).status_code == 303
    assert placed(app)["two.txt"] == "Target"
    assert "3 things are in “Target” now." in alice.get("/documents").text


def test_folders_that_cannot_all_be_moved_stay_all(
    app: Flask, alice: Browser, bob: Browser, three: Any
) -> None:
    taxes, house, other = (folder(app, alice, name) for name in ("Taxes", "House", "Other"))
    inner = alice.post_json("/folders", {"name": "House", "parent": taxes}).get_json()["id"]
    theirs = folder(app, bob, "Theirs")
    for into, moved, status in (
        (inner, [house, taxes], 409),  # into itself
        (taxes, [house], 409),  # where there is one of that name
        (other, [house, theirs], 404),
        (theirs, [house], 404),
    ):
        fields = {**ids(three[0]), "moved_folder": moved, "folder": into}
        assert alice.post_json(MOVE, fields).status_code == status
        answer = alice.post(MOVE, fields)
        assert answer.status_code == status
        if status == 409:  # asked for another place, with all that was chosen
            assert 'role="alert"' in answer.text
            assert "Cancel" in answer.text
    assert placed(app)["one.txt"] is None
    assert "House" in alice.get("/documents").text


def test_programs_need_the_right_to_write(alice: Browser, three: Any) -> None:
    reader, writer = program(alice, "documents:read"), program(alice, "documents:write")
    for path in (DELETE, RESTORE, MOVE):
        fields = {**ids(*three), "folder": ""}
        assert reader.post(path, fields).status_code == 403
    assert writer.post(MOVE, {**ids(*three), "folder": ""}).status_code == 201
    assert set(writer.post(DELETE, ids(*three)).get_json()["ids"]) == set(ids(*three)["id"])
    assert len(writer.post(RESTORE, ids(*three)).get_json()["documents"]) == 3


def test_folders_go_and_come_back_with_the_documents_beside_them(
    app: Flask, alice: Browser, three: Any
) -> None:
    taxes = folder(app, alice, "Taxes")
    put_into(app, three[0], taxes)
    chosen = {**ids(three[1]), "folder": [taxes]}
    assert alice.post(DELETE, chosen).status_code == 303
    assert listed(alice) == {"three.txt"}
    assert "2 things are in the trash." in alice.get("/documents").text
    assert alice.post(RESTORE, chosen).status_code == 303
    inside = names(alice, f"/documents?folder={taxes}")
    assert (listed(alice), inside) == ({"two.txt", "three.txt"}, {"one.txt"})


def test_who_changes_several_stands_in_the_line_of_who_changes_one(
    app: Flask, alice: Browser, three: Any
) -> None:
    """Each would otherwise lock what the other one waits for."""
    user, chosen = user_named(app, alice.email), UUID(three[0]["id"])
    is_first = threading.Event()

    def act(number: int) -> str:
        with app.app_context():
            if number == 1:
                is_first.wait(10)
                bulk.trash(Owner(user), [chosen])
                return "trashed"
            with transaction():
                keeping.stand_in_line([user.id])
                is_first.set()
                time.sleep(0.5)
                access.document_for(Owner(user), chosen)
            return "changed"

    assert at_once(2, act) == ["changed", "trashed"]


def nested(app: Flask, browser: Browser, deepest: Any) -> list[str]:
    """Folders in one another, with a document in the innermost; the outermost comes first."""
    chain: list[str] = []
    for name in ("Household", "Taxes", "2026", "Receipts"):
        chain.append(folder(app, browser, name, chain[-1] if chain else None))
    put_into(app, deepest, chain[-1])
    return chain


def chain_from(browser: Browser, place: str | None) -> list[str]:
    """The names of the only folder in each place, from there on."""
    query = f"?folder={place}" if place else ""
    page = browser.get(f"/documents{query}", headers={"Accept": "application/json"}).get_json()
    return [
        name
        for each in page["folders"]
        for name in (each["name"], *chain_from(browser, each["id"]))
    ]


def test_folder_chosen_with_one_inside_it_goes_and_comes_back_as_one(
    app: Flask, alice: Browser, three: Any
) -> None:
    chain = nested(app, alice, three[0])
    before = chain_from(alice, None)
    gone = alice.post_json(DELETE, {"folder": chain})
    assert (gone.status_code, gone.get_json()["ids"]) == (201, chain[:1])
    assert alice.post(RESTORE, {"folder": gone.get_json()["ids"]}).status_code == 303
    assert chain_from(alice, None) == before
    assert names(alice, f"/documents?folder={chain[-1]}") == {"one.txt"}


def test_folders_deleted_one_after_the_other_come_back_into_one_another(
    app: Flask, alice: Browser, three: Any
) -> None:
    chain = nested(app, alice, three[0])
    before = chain_from(alice, None)
    for each in reversed(chain):
        assert alice.post(f"/folders/{each}/delete").status_code == 303
    assert alice.post(RESTORE, {"folder": chain}).status_code == 303
    assert chain_from(alice, None) == before
    assert names(alice, f"/documents?folder={chain[-1]}") == {"one.txt"}


def test_page_about_several_does_not_grow_with_how_often_one_is_named(
    app: Flask, alice: Browser, three: Any
) -> None:
    taxes = folder(app, alice, "Taxes")
    for number in range(10):
        folder(app, alice, f"Taxes {number}")
    chosen = {"id": [three[0]["id"]] * 10_000, "moved_folder": taxes, "folder": taxes}
    refused = alice.post(MOVE, chosen)
    assert refused.status_code == 409
    assert len(refused.data) < 100_000


def put_many(app: Flask, owner: str, count: int, parent: str) -> list[str]:
    """Make many folders as rows; answers their ids."""
    owner_row = user_named(app, owner).id
    with app.app_context(), transaction() as session:
        above = session.scalar(select(Folder.id).where(Folder.public_id == UUID(parent)))
        made = [
            Folder(owner_id=owner_row, parent_id=above, **document_names.in_row(f"{number:03}"))
            for number in range(count)
        ]
        session.add_all(made)
        session.flush()
        return [str(each.public_id) for each in made]


def test_page_about_five_hundred_is_small(app: Flask, alice: Browser) -> None:
    source, target = folder(app, alice, "Source"), folder(app, alice, "Target")
    moved = put_many(app, alice.email, bulk.MOST, source)
    put_many(app, alice.email, 51, target)
    query = "&".join(f"moved_folder={each}" for each in moved)
    answer = alice.get(f"/documents/move?{query}&at={target}")
    assert len(answer.data) < 100_000
    assert "Move “500 folders”" in answer.text
    assert answer.text.count('name="moved_folder"') == bulk.MOST
    assert answer.text.count('name="at"') == 2 + 50
    assert "More folders" in answer.text


class Form:
    """The form in which a place is chosen, as a browser sends it."""

    def __init__(self, browser: Browser, page: str) -> None:
        self.browser = browser
        found = re.search(
            r'<form class="panel" method="get" action="([^"]+)".*?</form>', page, re.DOTALL
        )
        assert found, page
        self.path, self.written = found[1], found[0]
        self.fields: dict[str, list[str]] = {}
        for hidden in re.findall(r'<input type="hidden"[^>]*>', self.written):
            name, value = re.search(r'name="([^"]*)" value="([^"]*)"', hidden).groups()
            self.fields.setdefault(name, []).append(value)

    def press(self, text: str) -> TestResponse:
        """Press the button that says so."""
        for button, said in re.findall(r"(<button[^>]*>)(.*?)</button>", self.written, re.DOTALL):
            if re.sub("<[^>]+>", "", said).strip() != text:
                continue
            name, value = re.search(r'name="([^"]*)" value="([^"]*)"', button).groups()
            fields = {**self.fields, name: [*self.fields.get(name, []), value]}
            if 'formmethod="post"' in button:
                return self.browser.client.post(self.path, data=fields)
            assert "csrf_token" not in fields, "no address holds it"
            return self.browser.get(self.path, query_string=fields)
        raise AssertionError(f"no button says {text}")

    def go(self, text: str) -> Form:
        answer = self.press(text)
        assert answer.status_code == 200
        return Form(self.browser, answer.text)


def test_place_for_several_is_found_step_by_step(app: Flask, alice: Browser, three: Any) -> None:
    taxes, years = folder(app, alice, "Taxes"), folder(app, alice, "Years")
    put_many(app, alice.email, 60, years)
    query = "&".join(f"id={each['id']}" for each in three)
    form = Form(alice, alice.get(f"/documents/move?{query}&moved_folder={taxes}").text)
    form = form.go("Years").go("More folders").go("055")
    form = form.go("Years").go("Documents").go("Years").go("More folders").go("059")
    assert form.press("Move to “059”").status_code == 303
    assert set(placed(app).values()) == {"059"}
    form = Form(alice, alice.get(f"/documents/move?{query}").text).go("Documents")
    assert form.press("Move to the top").status_code == 303
    assert set(placed(app).values()) == {None}


@pytest.mark.parametrize("kind", ["document", "folder"])
def test_place_for_one_is_found_step_by_step(
    app: Flask, alice: Browser, three: Any, kind: str
) -> None:
    years, moved = folder(app, alice, "Years"), folder(app, alice, "Moved")
    put_many(app, alice.email, 60, years)
    put_into(app, three[0], moved)
    path = three[0]["url"] if kind == "document" else f"/folders/{moved}"
    form = Form(alice, alice.get(f"{path}/move?at=").text)
    form = form.go("Years").go("More folders").go("055")
    assert form.press("Move to “055”").status_code == 303
    if kind == "document":
        assert placed(app)["one.txt"] == "055"
    else:
        way = alice.get(f"/folders/{moved}/move").text
        assert ">055</button>" in way


def test_place_for_several_is_chosen_on_a_page(alice: Browser, bob: Browser, three: Any) -> None:
    made = alice.post_json("/folders", {"name": "Taxes"}).get_json()
    query = "&".join(f"id={each['id']}" for each in three)
    page = alice.get(f"/documents/move?{query}&at={made['id']}").text
    assert "Move “3 documents”" in page
    assert page.count('name="id"') == 3
    assert bob.get(f"/documents/move?{query}").status_code == 404
    assert alice.get("/documents/move").status_code == 404
    page = alice.get(f"/documents/move?{query}&moved_folder={made['id']}").text
    assert "Move “4 things”" in page
    assert "There are no folders in here." in page  # into itself it cannot go
    assert bob.get(f"/documents/move?moved_folder={made['id']}").status_code == 404
