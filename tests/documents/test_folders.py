"""Folders: kept by rows, never by paths; whatever happens at once, a tree stays a tree."""

from __future__ import annotations

import base64
import html
import json
import re
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from api.tus import Tus
from conftest import DEED, Browser, user_named
from documents.test_not_yours import asked
from portal import access, storage
from portal.documents import folder_listing, housekeeping, names, resumable, uploads
from portal.documents.intake import Intent
from portal.documents.listing import PAGE_SIZE
from portal.errors import FileNameRejected, NotFound
from portal.extensions import db
from portal.models import Document, Folder, OpenUpload, utcnow
from stage import (
    NOTHING,
    at_once,
    database_dump,
    events,
    facts,
    field_part,
    file_part,
    form,
    program,
    send_form,
    settings_of,
    stored_files,
    twins,
)


def make(browser: Browser, name: str, parent: str = "") -> str:
    """Make a folder; answers its id."""
    response = browser.post_json("/folders", {"name": name, "parent": parent})
    assert response.status_code == 201, response.get_data(as_text=True)
    made: str = response.get_json()["id"]
    return made


def chain(browser: Browser, length: int, parent: str = "") -> list[str]:
    """Folders inside each other; their ids, the outermost first."""
    made: list[str] = []
    for number in range(length):
        made.append(make(browser, f"level {number}", made[-1] if made else parent))
    return made


def listed(browser: Browser, folder: str = "", **more: str) -> dict[str, Any]:
    """A folder, or the top, as programs see it: names of folders and of documents."""
    response = browser.get(
        "/documents",
        query_string={"folder": folder, "sort": "name", "order": "asc", **more},
        headers={"Accept": "application/json"},
    )
    assert response.status_code == 200, response.get_data(as_text=True)
    page = response.get_json()
    return {
        "folders": [each["name"] for each in page["folders"]],
        "documents": [each["name"] for each in page["documents"]],
    }


def tree(browser: Browser, folder: str = "") -> dict[str, Any]:
    """Everything below a folder, by names: documents are None."""
    response = browser.get(f"/documents?folder={folder}", headers={"Accept": "application/json"})
    page = response.get_json()
    inside: dict[str, Any] = {each["name"]: None for each in page["documents"]}
    return inside | {each["name"]: tree(browser, each["id"]) for each in page["folders"]}


def put(browser: Browser, name: str, folder: str = "", content: bytes = DEED) -> dict[str, Any]:
    """Upload a file into a folder; answers its JSON."""
    response = browser.post_json("/documents", {"folder": folder, "file": (BytesIO(content), name)})
    assert response.status_code == 201, response.get_data(as_text=True)
    document: dict[str, Any] = response.get_json()["documents"][0]
    return document


def move(browser: Browser, folder: str, parent: str) -> TestResponse:
    return browser.post_json(f"/folders/{folder}/move", {"parent": parent})


def detail(response: TestResponse) -> str:
    text: str = response.get_json()["detail"]
    return text


def in_trash(browser: Browser) -> dict[str, list[str]]:
    page = browser.get("/trash", headers={"Accept": "application/json"}).get_json()
    return {kind: [each["name"] for each in page[kind]] for kind in ("folders", "documents")}


@pytest.fixture
def taxes(alice: Browser) -> str:
    return make(alice, "Taxes")


# -- Making and renaming -----------------------------------------------------------------------


def test_folder_is_made_answered_and_listed(app: Flask, alice: Browser) -> None:
    response = alice.post_json("/folders", {"name": "Taxes"})
    assert response.status_code == 201
    made = response.get_json()
    assert made == {
        "id": made["id"],
        "name": "Taxes",
        "parent": None,
        "url": f"/documents?folder={made['id']}",
    }
    inner = alice.post_json("/folders", {"name": "2026", "parent": made["id"]}).get_json()
    assert inner["parent"] == made["id"]
    assert listed(alice) == {"folders": ["Taxes"], "documents": []}
    assert listed(alice, made["id"]) == {"folders": ["2026"], "documents": []}
    (first, second) = events(app, "folder.created")
    assert first.detail == {"folder": made["id"], "name": "Taxes"}
    assert (second.owner, second.detail["name"]) == (alice.email, "2026")


def test_browser_is_led_into_the_folder_around_it(alice: Browser, taxes: str) -> None:
    response = alice.post("/folders", {"name": "2026", "parent": taxes})
    assert (response.status_code, response.location) == (303, f"/documents?folder={taxes}")
    assert "The folder “2026” is there." in alice.get(response.location).text


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("  Taxes ", "Taxes"),
        ("Re\u0301sume\u0301", "Résumé"),
        ("a\u202eb\x07c", "abc"),
        ("日本語 – ü", "日本語 – ü"),
        ("x" * 255, "x" * 255),
    ],
)
def test_name_is_cleaned_like_a_documents(alice: Browser, name: str, kept: str) -> None:
    make(alice, name)
    assert listed(alice)["folders"] == [kept]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("", "Enter a name."),
        ("  ", "1 to 255 characters"),
        ("..", "1 to 255 characters"),
        ("\u202e", "1 to 255 characters"),
        ("2025/26", "cannot hold “/”"),
        ("..\\x", "cannot hold “/”"),
        ("x" * 256, "256 characters; 255 are possible"),
    ],
)
def test_name_that_breaks_a_rule_is_refused_with_it(
    app: Flask, alice: Browser, taxes: str, name: str, rule: str
) -> None:
    before = database_dump(app)
    for path in ("/folders", f"/folders/{taxes}/rename"):
        response = alice.post_json(path, {"name": name})
        assert response.status_code == 422
        assert rule in response.get_json()["errors"]["name"]
        page = alice.post(path, {"name": name})
        assert page.status_code == 422
        assert html.escape(rule, quote=False) in page.text
    assert database_dump(app) == before


def test_two_folders_side_by_side_have_two_names_whatever_the_case(
    alice: Browser, taxes: str
) -> None:
    for twin in ("Taxes", "TAXES", "ｔａｘｅｓ"):
        response = alice.post_json("/folders", {"name": twin})
        assert response.status_code == 409
        assert "There is a folder called “Taxes” here already." in detail(response)
        assert "Choose another name" in response.get_json()["errors"]["name"]
        page = alice.post("/folders", {"name": twin})
        assert page.status_code == 409
        assert "There is a folder called “Taxes” here already." in page.text
    inner = make(alice, "Taxes", taxes)
    other = make(alice, "Letters", taxes)
    assert alice.post_json(f"/folders/{other}/rename", {"name": "taxes"}).status_code == 409
    assert move(alice, inner, "").status_code == 409
    assert tree(alice) == {"Taxes": {"Taxes": {}, "Letters": {}}}


def test_folder_may_change_the_case_of_its_own_name(app: Flask, alice: Browser, taxes: str) -> None:
    renamed = alice.post_json(f"/folders/{taxes}/rename", {"name": "TAXES"})
    assert (renamed.status_code, renamed.get_json()["name"]) == (201, "TAXES")
    assert alice.post_json(f"/folders/{taxes}/rename", {"name": "TAXES"}).status_code == 201
    (event,) = events(app, "folder.renamed")
    assert event.detail == {"folder": taxes, "old_name": "Taxes", "name": "TAXES"}


def test_rename_page_holds_the_name_and_leads_back(alice: Browser, taxes: str) -> None:
    page = alice.get(f"/folders/{taxes}/rename").text
    assert 'value="Taxes"' in page
    response = alice.post(f"/folders/{taxes}/rename", {"name": "Fees"})
    assert (response.status_code, response.location) == (303, "/documents")


def test_name_of_a_folder_in_the_trash_is_free(alice: Browser, taxes: str) -> None:
    alice.post(f"/folders/{taxes}/delete")
    make(alice, "taxes")


def test_of_many_who_make_the_same_folder_at_once_one_does(app: Flask, alice: Browser) -> None:
    browsers = twins(alice, 6)
    tokens = [browser.token() for browser in browsers]

    def act(number: int) -> int:
        headers = {"X-CSRFToken": tokens[number], "Accept": "application/json"}
        name = "Taxes" if number % 2 else "TAXES"
        answer = browsers[number].client.post("/folders", data={"name": name}, headers=headers)
        return answer.status_code

    assert sorted(at_once(6, act)) == [201] + [409] * 5


# -- Depth ------------------------------------------------------------------------------------


def test_folders_are_nested_so_deep_and_no_deeper(app: Flask, alice: Browser) -> None:
    way = chain(alice, names.DEEPEST_PATH)
    response = alice.post_json("/folders", {"name": "deeper", "parent": way[-1]})
    assert response.status_code == 422
    assert "nested 32 deep" in response.get_json()["errors"]["name"]
    pair = chain(alice, 2, make(alice, "aside"))
    assert move(alice, pair[0], way[-2]).status_code == 422
    assert move(alice, pair[1], way[-2]).status_code == 201
    assert alice.get(f"/documents?folder={way[-1]}").status_code == 200


# -- Moving -----------------------------------------------------------------------------------


def test_moving_a_folder_takes_all_along_and_touches_no_document(
    app: Flask, alice: Browser, taxes: str
) -> None:
    inner = make(alice, "2026", taxes)
    document = put(alice, "return.pdf", inner)
    other = make(alice, "Archive")
    before = database_dump(app)["documents"]
    response = move(alice, taxes, other)
    assert (response.status_code, response.get_json()["parent"]) == (201, other)
    assert database_dump(app)["documents"] == before
    assert tree(alice) == {"Archive": {"Taxes": {"2026": {"return.pdf": None}}}}
    assert alice.get(document["download_url"]).data == DEED
    (event,) = events(app, "folder.moved")
    assert event.detail == {"folder": taxes, "name": "Taxes", "place": "Archive", "old_place": ""}
    assert move(alice, taxes, "").get_json()["parent"] is None
    assert move(alice, taxes, "").status_code == 201
    assert len(events(app, "folder.moved")) == 2


def test_folder_cannot_lie_in_itself(alice: Browser) -> None:
    way = chain(alice, 3)
    for target in way:
        response = move(alice, way[0], target)
        assert response.status_code == 409
        assert "cannot be moved into itself" in detail(response)
        page = alice.post(f"/folders/{way[0]}/move", {"parent": target})
        assert page.status_code == 409
        assert "cannot be moved into itself" in page.text
    assert list(tree(alice)) == ["level 0"]


def test_moves_at_once_make_no_circle(alice: Browser) -> None:
    for round_number in range(5):
        one, other = (make(alice, f"{side} {round_number}") for side in ("one", "other"))
        browsers = twins(alice, 2)
        tokens = [browser.token() for browser in browsers]

        def act(
            number: int,
            pairs: Any = ((one, other), (other, one)),
            browsers: Any = browsers,
            tokens: Any = tokens,
        ) -> int:
            folder, parent = pairs[number]
            headers = {"X-CSRFToken": tokens[number], "Accept": "application/json"}
            answer = browsers[number].client.post(
                f"/folders/{folder}/move", data={"parent": parent}, headers=headers
            )
            status: int = answer.status_code
            return status

        assert sorted(at_once(2, act)) == [201, 409]
    assert len(tree(alice)) == 5


def test_moves_around_in_a_ring_at_once_make_no_circle(app: Flask, alice: Browser) -> None:
    ring = [make(alice, f"ring {number}") for number in range(4)]
    browsers = twins(alice, 4)
    tokens = [browser.token() for browser in browsers]

    def act(number: int) -> int:
        headers = {"X-CSRFToken": tokens[number], "Accept": "application/json"}
        into = {"parent": ring[(number + 1) % 4]}
        path = f"/folders/{ring[number]}/move"
        return browsers[number].client.post(path, data=into, headers=headers).status_code

    assert sorted(at_once(4, act)) == [201, 201, 201, 409]
    with app.app_context():
        parents = dict(db.session.execute(select(Folder.id, Folder.parent_id)).all())
    for start in list(parents):
        seen: set[int] = set()
        at: int | None = start
        while at is not None:
            assert at not in seen
            seen.add(at)
            at = parents[at]


def test_document_moves_between_folders(app: Flask, alice: Browser, taxes: str) -> None:
    document = put(alice, "deed.pdf")
    assert document["folder"] is None
    moved = alice.post_json(f"{document['url']}/move", {"folder": taxes})
    assert (moved.status_code, moved.get_json()["folder"]) == (201, taxes)
    assert tree(alice) == {"Taxes": {"deed.pdf": None}}
    again = alice.get(document["url"], headers={"Accept": "application/json"}).get_json()
    assert again["folder"] == taxes
    response = alice.post(f"{document['url']}/move", {"folder": ""})
    assert (response.status_code, response.location) == (303, f"/documents?folder={taxes}")
    page = alice.get(response.location).text
    assert "“deed.pdf” was moved to the top." in page
    assert f'name="folder" value="{taxes}"' in page, "undo puts it back"
    (event, _) = events(app, "document.moved")
    assert event.document == document["id"]
    assert event.detail == {"name": "deed.pdf", "place": "Taxes", "old_place": ""}


def test_page_to_choose_a_folder_goes_in_and_out_and_moves(alice: Browser, taxes: str) -> None:
    inner = make(alice, "2026", taxes)
    document = put(alice, "deed.pdf")
    page = alice.get(f"{document['url']}/move").text
    assert "It lies here now." in page
    assert f'name="at" value="{taxes}"' in page
    page = alice.get(f"{document['url']}/move?at={taxes}").text
    assert f'name="folder" value="{taxes}"' in page
    assert f'name="at" value="{inner}"' in page
    page = alice.get(f"/folders/{taxes}/move").text
    assert f'value="{taxes}"' not in page, "into itself it cannot go"
    assert alice.get(f"{document['url']}/move?at={NOTHING}").status_code == 404
    assert alice.get(f"/folders/{taxes}/move?at=x").status_code == 404


# -- Whose ------------------------------------------------------------------------------------


def folder_places(app: Flask) -> list[tuple[str, str]]:
    """(method, address) of every route that names a folder, with `{}` for its id."""
    found = []
    for rule in app.url_map.iter_rules():
        if "<uuid:folder_id>" in rule.rule:
            path = rule.rule.replace("<uuid:folder_id>", "{}")
            found += [
                (method, path) for method in sorted(rule.methods or ()) if method != "OPTIONS"
            ]
    return found


def assert_as_if_never(app: Flask, browser: Browser, folder: str, but: str = "none") -> None:
    token = browser.token()
    routes = [each for each in folder_places(app) if not each[1].endswith(but)]
    assert len(routes) >= 7
    for method, path in routes:
        theirs = asked(browser, token, method, path.format(folder))
        missing = asked(browser, token, method, path.format(NOTHING))
        for one, other in zip(theirs, missing, strict=True):
            assert facts(one) == facts(other), (method, path)
            assert one.status_code == 404, (method, path)
    for more in ("", "&q=x", "&cursor=x"):
        theirs, missing = (browser.get(f"/documents?folder={it}{more}") for it in (folder, NOTHING))
        assert facts(theirs) == facts(missing)
        assert theirs.status_code == 404


def test_stranger_is_told_it_does_not_exist(
    app: Flask, alice: Browser, bob: Browser, ada: Browser, taxes: str
) -> None:
    put(alice, "return.pdf", taxes)
    before = database_dump(app, "audit_events", "audit_head")
    for stranger in (bob, ada):
        assert_as_if_never(app, stranger, taxes)
    assert database_dump(app, "audit_events", "audit_head") == before


def test_own_folder_in_the_trash_is_not_there_but_for_the_trash(
    app: Flask, alice: Browser, bob: Browser, taxes: str
) -> None:
    inner = make(alice, "2026", taxes)
    alice.post(f"/folders/{taxes}/delete")
    alice.get("/documents")
    assert_as_if_never(app, alice, taxes, but="/restore")
    assert_as_if_never(app, alice, inner)
    assert_as_if_never(app, bob, taxes)


def test_own_live_folder_is_not_in_the_trash(app: Flask, alice: Browser, taxes: str) -> None:
    for path in ("/folders/{}/restore", "/trash/{}/purge"):
        theirs, missing = (alice.post(path.format(each)) for each in (taxes, NOTHING))
        assert facts(theirs) == facts(missing)
        assert theirs.status_code == 404
    assert listed(alice)["folders"] == ["Taxes"]


def test_nothing_goes_into_somebody_elses_folder_or_one_in_the_trash(
    app: Flask, alice: Browser, bob: Browser, ada: Browser, taxes: str
) -> None:
    gone = make(alice, "Gone")
    inner = make(alice, "inner", gone)
    alice.post(f"/folders/{gone}/delete")
    for browser, targets in ((bob, (taxes,)), (ada, (taxes,)), (alice, (gone, inner))):
        own = make(browser, "Own")
        document = put(browser, "own.txt")
        tus = Tus(browser)
        before = database_dump(app, "audit_events", "audit_head")
        files = stored_files(app)
        for target in (*targets, NOTHING, "x"):
            answers = [
                browser.post_json("/folders", {"name": "x", "parent": target}),
                move(browser, own, target),
                browser.post_json(f"{document['url']}/move", {"folder": target}),
                send_form(browser, form([field_part("folder", target), file_part(b"x")])),
                tus.announce("a.txt", 3, b"abc", folder=target),
                tus.announce("a.txt", 3, folder=target),
            ]
            assert [each.status_code for each in answers] == [404] * 6, target
        assert database_dump(app, "audit_events", "audit_head") == before
        assert stored_files(app) == files


def test_refused_tries_are_in_the_audit_log(app: Flask, bob: Browser, taxes: str) -> None:
    bob.get(f"/documents?folder={taxes}")
    bob.post(f"/folders/{taxes}/delete")
    denied = events(app, "access.denied")
    assert [(each.actor, each.detail) for each in denied] == [(bob.email, {"folder": taxes})] * 2


def test_admin_uploads_into_a_folder_of_that_owner_alone(
    app: Flask, alice: Browser, ada: Browser, taxes: str
) -> None:
    directory = ada_directory(app, alice)
    own = make(ada, "Mine")
    body = [file_part(b"x"), field_part("folder", taxes)]
    response = send_form(ada, form(body), directory)
    assert response.status_code == 201, response.text
    assert tree(alice) == {"Taxes": {"deed.pdf": None}}
    page = ada.get(directory).text
    assert re.search(r'class="item-path"[^>]*>Taxes<', page)
    refused = send_form(ada, form([file_part(b"x"), field_part("folder", own)]), directory)
    assert refused.status_code == 404
    assert send_form(ada, form([file_part(b"x"), field_part("folder", taxes)])).status_code == 404


def ada_directory(app: Flask, browser: Browser) -> str:
    return f"/admin/users/{user_named(app, browser.email).public_id}/documents"


def test_program_with_the_scope_works_with_folders(alice: Browser) -> None:
    script = program(alice, "documents:write", "documents:read")
    made = script.post("/folders", {"name": "Taxes"}).get_json()
    assert script.open(made["url"]).get_json() == {"folders": [], "documents": [], "next": None}
    reader = program(alice, "documents:read")
    for path in ("/folders", f"/folders/{made['id']}/delete", f"/folders/{made['id']}/move"):
        assert reader.post(path, {"name": "x"}).status_code == 403


# -- The list ---------------------------------------------------------------------------------


def test_list_shows_one_place_with_the_way_to_it(alice: Browser, taxes: str) -> None:
    inner = make(alice, "2026 <i>", taxes)
    put(alice, "top.txt")
    put(alice, "inside.txt", inner)
    page = alice.get(f"/documents?folder={inner}").text
    assert "inside.txt" in page
    assert "top.txt" not in page
    crumbs = page[page.index('class="crumbs"') :].partition("</nav>")[0]
    assert re.findall(r'data-into="([^"]*)"', crumbs) == ["", taxes]
    assert '<h1 dir="auto">2026 &lt;i&gt;</h1>' in page
    assert f'name="folder" value="{inner}"' in page
    document = re.search(r'href="(/documents/[0-9a-f-]{36})"', page)
    assert document
    shown = alice.get(document[1]).text
    crumbs = shown[shown.index('class="crumbs"') :].partition("</nav>")[0]
    assert re.findall(r'data-into="([^"]*)"', crumbs) == ["", taxes, inner]


def test_empty_folder_says_what_to_do(alice: Browser, taxes: str) -> None:
    page = alice.get(f"/documents?folder={taxes}").text
    assert "This folder is empty" in page
    assert "Drop files or folders anywhere on this page" in page


def test_folder_tells_how_much_is_in_it_and_in_all_inside_it(
    alice: Browser, bob: Browser, taxes: str
) -> None:
    inner = make(alice, "2026", taxes)
    put(alice, "a.txt", taxes, b"x" * 10)
    put(alice, "b.txt", inner, b"x" * 100)
    trashed = put(alice, "c.txt", inner, b"x" * 1000)
    alice.post(f"{trashed['url']}/delete")
    make(alice, "Empty")
    page = alice.get("/documents", headers={"Accept": "application/json"}).get_json()
    assert [(each["name"], each["size"], each["documents"]) for each in page["folders"]] == [
        ("Empty", 0, 0),
        ("Taxes", 110, 2),
    ]
    assert "2 documents" in alice.get("/documents").text


#: What no row has for an id.
ROWS = (True, 2**31, -(2**31), -(10**30), 1.5, None)


def cursor(row: object) -> str:
    text = json.dumps(["a", row]).encode()
    return "." + base64.urlsafe_b64encode(text).decode().rstrip("=")


def test_folders_come_in_pages_by_name_and_documents_after_them(
    alice: Browser, taxes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (10, 9, 8, 1, 11):
        make(alice, f"Folder {number}", taxes)
    put(alice, "last.txt", taxes)
    monkeypatch.setattr(folder_listing, "PAGE_SIZE", 2)
    pages, path = [], f"/documents?folder={taxes}"
    while path:
        page = alice.get(path, headers={"Accept": "application/json"}).get_json()
        pages.append([each["name"] for kind in ("folders", "documents") for each in page[kind]])
        path = page["next"]
    assert pages == [
        ["Folder 1", "Folder 8"],
        ["Folder 9", "Folder 10"],
        ["Folder 11", "last.txt"],
    ]
    first = alice.get(f"/documents?folder={taxes}").text
    assert 'rel="next"' in first
    for wrong in (".", ".x", ".bnVsbA", ".WzEsMl0", ".WyJcdTAwMDAiLDFd", *map(cursor, ROWS)):
        assert alice.get(f"/documents?cursor={wrong}").status_code == 400


def test_search_looks_below_the_folder_one_is_in_and_nowhere_else(
    alice: Browser, taxes: str
) -> None:
    inner = make(alice, "Report folder", taxes)
    put(alice, "report 1.txt", taxes)
    put(alice, "report 2.txt", inner)
    put(alice, "report 3.txt")
    below = ["report 1.txt", "report 2.txt"]
    assert listed(alice, taxes, q="REPORT") == {"folders": ["Report folder"], "documents": below}
    assert listed(alice, q="report")["documents"] == [*below, "report 3.txt"]
    assert listed(alice, inner, q="report") == {"folders": [], "documents": ["report 2.txt"]}
    page = alice.get("/documents?q=report").text
    assert re.search(r'<a class="item-path"[^>]*>Report folder</a>', page)
    alice.post(f"/folders/{inner}/delete")
    assert listed(alice, taxes, q="report") == {"folders": [], "documents": ["report 1.txt"]}


# -- Uploads into folders ------------------------------------------------------------------------


def test_form_puts_files_into_the_folder(app: Flask, alice: Browser, taxes: str) -> None:
    document = put(alice, "return.pdf", taxes)
    assert document["folder"] == taxes
    assert tree(alice) == {"Taxes": {"return.pdf": None}}
    response = alice.post("/documents", {"folder": taxes, "file": (BytesIO(b"x"), "two.txt")})
    assert (response.status_code, response.location) == (303, f"/documents?folder={taxes}")
    refused = alice.post("/documents", {"folder": taxes, "file": (BytesIO(b"x"), "..")})
    assert refused.status_code == 422
    assert '<h1 dir="auto">Taxes</h1>' in refused.text


def test_same_name_is_looked_for_in_the_folder_alone(alice: Browser, taxes: str) -> None:
    put(alice, "deed.pdf")
    body = {"folder": taxes, "same_name": "refuse"}

    def send() -> int:
        answer = alice.post_json("/documents", {**body, "file": (BytesIO(DEED), "deed.pdf")})
        return answer.status_code

    assert [send(), send()] == [201, 409]
    body["same_name"] = "new-version"
    assert send() == 201
    assert tree(alice) == {"deed.pdf": None, "Taxes": {"deed.pdf": None}}


def test_dropped_folders_become_folders(app: Flask, alice: Browser, taxes: str) -> None:
    tus = Tus(alice)
    make(alice, "LETTERS", taxes)
    for path, name in (
        ("Letters/2026", "a.txt"),
        ("letters/2026", "b.txt"),
        ("letters\\2026/../. / Inner", "c.txt"),
        ("", "d.txt"),
    ):
        answer = tus.announce(name, 3, b"abc", folder=taxes, path=path)
        assert answer.status_code == 201, answer.get_data(as_text=True)
    address = tus.begin("e.bin", 6, folder=taxes, path="Large")
    assert "Large" not in tree(alice)["Taxes"], "no folder for what may never come"
    assert tus.patch(address, 0, b"abcdef").status_code == 204
    assert tree(alice) == {
        "Taxes": {
            "LETTERS": {"2026": {"a.txt": None, "b.txt": None, "Inner": {"c.txt": None}}},
            "d.txt": None,
            "Large": {"e.bin": None},
        }
    }
    assert tus.announce("a.txt", 3, b"abc", folder=taxes, path="letters/2026", same_name="refuse")
    uploaded = events(app, "document.uploaded")
    assert uploaded[0].detail["path"] == "Letters/2026"


def test_same_name_is_told_from_within_dropped_folders(alice: Browser, taxes: str) -> None:
    tus = Tus(alice)

    def send(**more: str) -> int:
        return tus.announce(
            "a.txt", 3, b"abc", folder=taxes, same_name="refuse", **more
        ).status_code

    assert [send(path="A/b"), send(path="a/B"), send(path="A"), send(), send()] == [
        201,
        409,
        201,
        201,
        409,
    ]


def test_dropped_folders_too_deep_or_too_long_are_refused_before_anything_comes(
    app: Flask, alice: Browser
) -> None:
    tus = Tus(alice)
    way = chain(alice, 30)
    refused = [
        tus.announce("a.txt", 3, folder=way[-1], path="a/b/c"),
        tus.announce("a.txt", 3, path="/".join("x" * 33)),
        tus.announce("a.txt", 3, path="x" * 256),
    ]
    assert [each.status_code for each in refused] == [422] * 3
    assert "nested 32 deep" in detail(refused[0])
    assert tus.announce("a.txt", 3, b"abc", folder=way[-1], path="a/b").status_code == 201


@pytest.mark.parametrize("whole", [True, False])
def test_files_of_one_drop_share_their_folders_however_many_come_at_once(
    app: Flask, alice: Browser, whole: bool
) -> None:
    people = [Tus(browser) for browser in twins(alice, 5)]

    def act(number: int) -> list[int]:
        tus, statuses = people[number], []
        for file in range(8):
            path = f"Photos/{'Summer' if number % 2 else 'SUMMER'} {file % 3}/raw"
            name = f"{number}-{file}.txt"
            if whole:
                statuses.append(tus.announce(name, 3, b"abc", path=path).status_code)
            else:
                statuses.append(tus.patch(tus.begin(name, 3, path=path), 0, b"abc").status_code)
        return statuses

    done = [status for statuses in at_once(5, act) for status in statuses]
    assert done == [201 if whole else 204] * 40
    photos = tree(alice)["Photos"]
    assert sorted(name.casefold() for name in photos) == ["summer 0", "summer 1", "summer 2"]
    assert sum(len(each["raw"]) for each in photos.values()) == 40


def test_upload_whose_folder_has_gone_meanwhile_goes_to_the_top(
    app: Flask, alice: Browser, taxes: str
) -> None:
    tus = Tus(alice)
    address = tus.begin("a.txt", 6, folder=taxes, path="2026")
    other = tus.begin("b.txt", 6, folder=taxes)
    tus.patch(address, 0, b"abc")
    alice.post(f"/folders/{taxes}/delete")
    assert tus.patch(address, 3, b"def").status_code == 204
    assert tree(alice) == {"2026": {"a.txt": None}}
    alice.post(f"/trash/{taxes}/purge")
    assert tus.patch(other, 0, b"abcdef").status_code == 204
    assert "b.txt" in tree(alice)


def test_upload_whose_folder_lies_too_deep_by_now_goes_to_the_top(
    app: Flask, alice: Browser, taxes: str
) -> None:
    tus = Tus(alice)
    address = tus.begin("a.txt", 3, folder=taxes, path="x/y")
    way = chain(alice, 30)
    assert move(alice, taxes, way[-1]).status_code == 201
    assert tus.patch(address, 0, b"abc").status_code == 204
    assert tree(alice)["x"] == {"y": {"a.txt": None}}


@pytest.mark.parametrize("path", ["", "a/b/c"])
def test_what_happens_to_a_folder_before_the_commit_is_seen_by_it(
    app: Flask, alice: Browser, taxes: str, path: str
) -> None:
    """It goes to the trash, or to where no more fits in, between the look and the change."""
    put(alice, "kept.txt", taxes)
    user = user_named(app, alice.email)
    with app.app_context():
        row = db.session.query(Folder).one().id
        db.session.remove()
    if path:
        assert move(alice, taxes, chain(alice, 30)[-1]).status_code == 201
    else:
        alice.post(f"/folders/{taxes}/delete")
    with app.app_context():
        owner = access.Owner(user.id, user.public_id, user.email, user.name, None, 0, 0)
        stale = access.Place(row, UUID(taxes), "Taxes")
        incoming = storage.current().receive(user.public_id)
        incoming.write(b"late")
        intent = Intent(owner, "late.txt", path, folder=stale)
        actor = Actor(user.id, user.email)
        with pytest.raises(FileNameRejected if path else NotFound):
            uploads.receive(actor, intent, incoming, settings_of(app))
    assert len(stored_files(app)) == 1
    assert rows(app)[1] == 1


@dataclass
class Actor:
    user_id: int
    email: str


def test_upload_begun_before_there_were_folders_is_gone_on_with(app: Flask, alice: Browser) -> None:
    tus = Tus(alice)
    address = tus.begin("a.txt", 6)
    tus.patch(address, 0, b"abc")
    with app.app_context():
        db.session.execute(update(OpenUpload).values(path="Taxes/2026"))
        db.session.commit()
    assert tus.patch(address, 3, b"def").status_code == 204
    assert tree(alice) == {"Taxes": {"2026": {"a.txt": None}}}


def test_whole_upload_that_was_interrupted_finds_its_folder(
    app: Flask, alice: Browser, taxes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tus = Tus(alice)
    address = tus.begin("a.txt", 3, folder=taxes)
    monkeypatch.setattr(resumable, "_finish", lambda *_: 1 / 0)
    app.testing = False
    assert tus.patch(address, 0, b"abc").status_code == 500
    monkeypatch.undo()
    with app.app_context():
        assert resumable.finish_whole(settings_of(app)) == 1
    assert tree(alice) == {"Taxes": {"a.txt": None}}


# -- Trash -----------------------------------------------------------------------------------------


@pytest.fixture
def full(alice: Browser, taxes: str) -> dict[str, Any]:
    """Taxes with 2026 in it, a document in each, and one of each kind in the trash before."""
    inner = make(alice, "2026", taxes)
    made = {
        "taxes": taxes,
        "inner": inner,
        "outer document": put(alice, "outer.txt", taxes),
        "document": put(alice, "return.pdf", inner),
        "before": put(alice, "before.txt", inner),
        "folder before": make(alice, "Before", taxes),
    }
    put(alice, "deep.txt", made["folder before"])
    alice.post(f"{made['before']['url']}/delete")
    alice.post(f"/folders/{made['folder before']}/delete")
    alice.get("/documents")
    return made


WHOLE = {"Taxes": {"2026": {"return.pdf": None}, "outer.txt": None}}


def test_deleting_a_folder_is_one_thing_in_the_trash_and_back(
    app: Flask, alice: Browser, full: dict[str, Any]
) -> None:
    link = alice.share(full["document"])
    gone = alice.post(f"/folders/{full['taxes']}/delete")
    assert (gone.status_code, gone.location) == (303, "/documents")
    notice = alice.get("/documents").text
    assert f'action="/folders/{full["taxes"]}/restore"' in notice
    assert tree(alice) == {}
    assert in_trash(alice) == {"folders": ["Before", "Taxes"], "documents": ["before.txt"]}
    assert alice.get(full["document"]["download_url"]).status_code == 404
    visitor = Browser(app)
    assert visitor.get(link["path"]).status_code == 410
    inside = alice.post(f"{full['document']['url']}/restore")
    assert inside.status_code == 404, "what went with a folder comes back with it"

    back = alice.post_json(f"/folders/{full['taxes']}/restore")
    assert (back.status_code, back.get_json()["parent"]) == (201, None)
    assert tree(alice) == WHOLE
    assert in_trash(alice) == {"folders": ["Before"], "documents": ["before.txt"]}
    assert visitor.get(link["path"]).status_code == 200
    (trashed, restored) = (events(app, f"folder.{what}")[-1] for what in ("trashed", "restored"))
    assert trashed.detail == {"folder": full["taxes"], "name": "Taxes", "documents": 2}
    assert restored.detail == {"folder": full["taxes"], "name": "Taxes"}


def test_trash_page_shows_a_folder_as_one_row(alice: Browser, full: dict[str, Any]) -> None:
    alice.post(f"/folders/{full['taxes']}/delete")
    page = alice.get("/trash").text
    assert page.count("item-name") == 3
    assert "2 documents" in page
    assert f'action="/folders/{full["taxes"]}/restore"' in page
    assert f'action="/trash/{full["taxes"]}/purge"' in page
    found = alice.get("/trash", headers={"Accept": "application/json"}).get_json()["folders"]
    assert [(each["documents"], each["restore_url"]) for each in found] == [
        (1, f"/folders/{full['folder before']}/restore"),
        (2, f"/folders/{full['taxes']}/restore"),
    ]
    assert all(each["purge_at"] > each["trashed_at"] for each in found)


def test_restored_folder_goes_to_the_top_where_its_place_is_gone(
    alice: Browser, full: dict[str, Any]
) -> None:
    alice.post(f"/folders/{full['inner']}/delete")
    alice.post(f"/folders/{full['taxes']}/delete")
    assert alice.post_json(f"/folders/{full['inner']}/restore").get_json()["parent"] is None
    assert tree(alice) == {"2026": {"return.pdf": None}}


def test_restored_folder_gets_a_number_where_its_name_is_taken(alice: Browser, taxes: str) -> None:
    long = "y" * 255
    for name, then in (("Taxes", "Taxes (3)"), (long, long[:251] + " (3)")):
        first = taxes if name == "Taxes" else make(alice, name)
        alice.post(f"/folders/{first}/delete")
        make(alice, name.upper())
        make(alice, then.replace("(3)", "(2)"))
        assert alice.post_json(f"/folders/{first}/restore").get_json()["name"] == then


def test_folder_whose_place_lies_too_deep_by_now_comes_back_to_the_top(
    alice: Browser, taxes: str
) -> None:
    pair = chain(alice, 2, taxes)
    alice.post(f"/folders/{pair[0]}/delete")
    assert move(alice, taxes, chain(alice, 30)[-1]).status_code == 201
    assert alice.post_json(f"/folders/{pair[0]}/restore").get_json()["parent"] is None


def test_restored_document_goes_to_the_top_where_its_folder_is_gone(
    alice: Browser, full: dict[str, Any]
) -> None:
    assert alice.post_json(f"{full['before']['url']}/restore").get_json()["folder"] == full["inner"]
    alice.post(f"{full['before']['url']}/delete")
    alice.post(f"/folders/{full['taxes']}/delete")
    assert alice.post_json(f"{full['before']['url']}/restore").get_json()["folder"] is None
    assert tree(alice) == {"before.txt": None}


def rows(app: Flask) -> tuple[int, int]:
    with app.app_context():
        return (db.session.query(Folder).count(), db.session.query(Document).count())


def test_purged_folder_takes_along_what_went_with_it_and_nothing_else(
    app: Flask, alice: Browser, full: dict[str, Any]
) -> None:
    alice.post(f"/folders/{full['taxes']}/delete")
    response = alice.post(f"/trash/{full['taxes']}/purge")
    assert (response.status_code, response.location) == (303, "/trash")
    assert in_trash(alice) == {"folders": ["Before"], "documents": ["before.txt"]}
    assert rows(app) == (1, 2)
    (event,) = events(app, "folder.purged")
    assert (event.owner, event.detail) == (alice.email, {"folder": full["taxes"], "name": "Taxes"})
    purged = {each.detail["name"] for each in events(app, "document.purged")}
    assert purged == {"outer.txt", "return.pdf"}
    alice.post(f"{full['before']['url']}/restore")
    alice.post(f"/folders/{full['folder before']}/restore")
    assert tree(alice) == {"before.txt": None, "Before": {"deep.txt": None}}


def test_emptied_trash_leaves_no_folder(app: Flask, alice: Browser, full: dict[str, Any]) -> None:
    keep = put(alice, "keep.txt", make(alice, "Keep"))
    alice.post(f"/folders/{full['taxes']}/delete")
    assert alice.post_json("/trash/empty").get_json() == {"deleted": 4, "left": 0}
    assert in_trash(alice) == {"folders": [], "documents": []}
    assert rows(app) == (1, 1)
    assert alice.get(keep["download_url"]).status_code == 200


def test_emptying_touches_nobody_elses_trash(
    app: Flask, alice: Browser, bob: Browser, taxes: str
) -> None:
    alice.post(f"/folders/{taxes}/delete")
    bob.post("/trash/empty")
    assert in_trash(alice)["folders"] == ["Taxes"]


def test_worker_ends_the_time_of_folders_in_the_trash(
    app: Flask, alice: Browser, full: dict[str, Any]
) -> None:
    alice.post(f"/folders/{full['taxes']}/delete")
    with app.app_context():
        housekeeping.purge(settings_of(app))
        assert db.session.query(Folder).count() == 3
        db.session.remove()
        long_ago = utcnow() - timedelta(days=31)
        for kind in (Document, Folder):
            db.session.execute(update(kind).values(trashed_at=long_ago))
        db.session.commit()
        housekeeping.purge(settings_of(app))
    assert rows(app) == (0, 0)


def test_folder_stays_in_the_trash_as_long_as_a_document_of_it_does(
    app: Flask, alice: Browser, full: dict[str, Any]
) -> None:
    alice.post(f"/folders/{full['taxes']}/delete")
    with app.app_context():
        db.session.execute(
            update(Folder)
            .where(Folder.name == "Taxes")
            .values(trashed_at=utcnow() - timedelta(days=31))
        )
        db.session.commit()
        housekeeping.purge(settings_of(app))
    alice.post(f"/folders/{full['taxes']}/restore")
    assert tree(alice) == WHOLE


def test_deleting_and_putting_in_at_once_loses_nothing(app: Flask, alice: Browser) -> None:
    for number in range(4):
        folder = make(alice, f"Folder {number}")
        document = put(alice, f"{number}.txt")
        browsers = twins(alice, 2)
        tokens = [browser.token() for browser in browsers]

        def act(
            which: int,
            browsers: Any = browsers,
            tokens: Any = tokens,
            folder: str = folder,
            document: Any = document,
        ) -> int:
            headers = {"X-CSRFToken": tokens[which], "Accept": "application/json"}
            paths = (f"/folders/{folder}/delete", f"{document['url']}/move")
            answer = browsers[which].client.post(
                paths[which], data={"folder": folder}, headers=headers
            )
            status: int = answer.status_code
            return status

        deleted, moved = at_once(2, act)
        assert deleted == 201
        assert moved in {201, 404}
        with app.app_context():
            row = db.session.query(Document).filter_by(name=f"{number}.txt").one()
            assert (row.trashed_at is None) == (moved == 404)


def test_pages_of_folders_hold_as_many_as_pages_of_documents() -> None:
    assert folder_listing.PAGE_SIZE == PAGE_SIZE
