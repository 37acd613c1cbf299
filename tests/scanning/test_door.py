"""The door: with a scanner only clean bytes leave, on every route; infected ones never do."""

from __future__ import annotations

import ast
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update
from werkzeug.test import TestResponse

from conftest import DEED, Browser
from portal.config import Scanner
from portal.extensions import db
from portal.models import Scan, Version
from scanning.stage import put
from stage import NOTHING, Program, events, facts, file_part, form, program, send_form
from test_house_rules import SOURCES, _called

#: Nobody listens there: in these tests it counts that the setting is made.
SCANNER = Scanner(path="/nowhere/clamd.sock")
#: Written by a portal that is newer than this one.
UNKNOWN = "doubtful"


@pytest.fixture
def app(make_app: Any) -> Flask:
    app: Flask = make_app(clamd_url=SCANNER)
    return app


@dataclass
class Scene:
    """A clean document with a link and a ticket, whose state the tests then change."""

    app: Flask
    alice: Browser
    visitor: Browser
    key: Program
    deed: dict[str, Any]
    link: dict[str, Any]
    ticket: str

    def become(self, state: str) -> None:
        put(self.app, self.deed, scan=state, threat="Bad.Thing" if state == "infected" else "")


@pytest.fixture
def scene(app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]) -> Scene:
    put(app, deed, scan=Scan.CLEAN, next_scan_at=None)
    link = alice.share(deed)
    ticket = visitor.client.post(f"{link['path']}/download").location
    key = program(alice, "documents:read", "shares:write", "documents:write")
    return Scene(app, alice, visitor, key, deed, link, ticket)


Route = Callable[[Scene], TestResponse]
OWNERS: dict[str, Route] = {
    "download": lambda s: s.alice.get(s.deed["download_url"]),
    "download as JSON": lambda s: s.alice.get(
        s.deed["download_url"], headers={"Accept": "application/json"}
    ),
    "a version": lambda s: s.alice.get(s.deed["download_url"] + "?version=1"),
    "HEAD": lambda s: s.alice.head(s.deed["download_url"]),
    "a range": lambda s: s.alice.get(s.deed["download_url"], headers={"Range": "bytes=0-3"}),
    "past the end": lambda s: s.alice.get(s.deed["download_url"], headers={"Range": "bytes=999-"}),
    "if it changed": lambda s: s.alice.get(
        s.deed["download_url"], headers={"If-None-Match": f'"{s.deed["sha256"]}"'}
    ),
    "a token": lambda s: s.key.open(s.deed["download_url"]),
    "a token's HEAD": lambda s: s.key.open(s.deed["download_url"], "HEAD"),
    "a token's range": lambda s: s.key.open(s.deed["download_url"], headers={"Range": "bytes=0-3"}),
}
STRANGERS: dict[str, Route] = {
    "start of a download": lambda s: s.visitor.client.post(f"{s.link['path']}/download"),
    "a ticket": lambda s: s.visitor.get(s.ticket),
    "HEAD of a ticket": lambda s: s.visitor.head(s.ticket),
    "a range of a ticket": lambda s: s.visitor.get(s.ticket, headers={"Range": "bytes=0-3"}),
}
ROUTES = {**OWNERS, **STRANGERS}
DONE = {"start of a download": 303, "past the end": 416, "if it changed": 304}


def is_allowed(name: str, answer: TestResponse) -> bool:
    expected = DONE.get(name, 206 if "range" in name else 200)
    return answer.status_code == expected


@pytest.mark.parametrize("name", ROUTES)
def test_clean_bytes_leave(scene: Scene, name: str) -> None:
    answer = ROUTES[name](scene)
    assert is_allowed(name, answer), answer.status


@pytest.mark.parametrize("state", [Scan.WAITING, Scan.NONE, UNKNOWN])
@pytest.mark.parametrize("name", ROUTES)
def test_bytes_that_are_not_scanned_do_not_leave(scene: Scene, name: str, state: str) -> None:
    scene.become(state)
    answer = ROUTES[name](scene)
    assert answer.status_code == 409
    assert int(answer.headers["Retry-After"]) > 0
    assert_tells_nothing(answer)


@pytest.mark.parametrize("name", ROUTES)
def test_infected_bytes_do_not_leave(scene: Scene, name: str) -> None:
    scene.become(Scan.INFECTED)
    answer = ROUTES[name](scene)
    assert answer.status_code == (403 if name in OWNERS else 410)
    assert_tells_nothing(answer)


def assert_tells_nothing(answer: TestResponse) -> None:
    assert DEED[:4] not in answer.data
    for header in ("ETag", "Repr-Digest", "Content-Disposition", "Content-Range", "Location"):
        assert header not in answer.headers


@pytest.mark.parametrize("name", ROUTES)
def test_without_a_scanner_nothing_waits_but_what_was_found_stays_found(
    scene: Scene, make_app: Any, name: str
) -> None:
    without = make_app()
    scene.key.app = without
    for person in (scene.alice, scene.visitor):
        cookies = person.client._cookies
        person.app, person.client = without, Browser(without).client
        person.client._cookies = cookies
    for state in (Scan.NONE, Scan.WAITING, Scan.CLEAN):
        scene.become(state)
        assert is_allowed(name, ROUTES[name](scene)), state
    scene.become(Scan.INFECTED)
    assert ROUTES[name](scene).status_code == (403 if name in OWNERS else 410)
    scene.become(UNKNOWN)
    assert ROUTES[name](scene).status_code == 409


@pytest.mark.parametrize("state", [Scan.WAITING, Scan.INFECTED])
def test_stranger_with_an_account_is_told_that_it_does_not_exist(
    scene: Scene, bob: Browser, state: Scan
) -> None:
    scene.become(state)
    nothing = facts(bob.get(f"/documents/{NOTHING}/download"))
    assert facts(bob.get(scene.deed["download_url"])) == nothing
    assert nothing[0] == 404


def test_owner_is_told_why(scene: Scene) -> None:
    scene.become(Scan.WAITING)
    asked = scene.key.open(scene.deed["download_url"])
    assert asked.content_type == "application/problem+json"
    assert (asked.get_json()["status"], asked.get_json()["reason"]) == (409, "being_scanned")
    assert "being checked" in scene.alice.get(scene.deed["download_url"]).text
    scene.become(Scan.INFECTED)
    assert scene.key.open(scene.deed["download_url"]).get_json()["reason"] == "infected"
    assert "Malware was found" in scene.alice.get(scene.deed["download_url"]).text


def test_refused_download_of_malware_is_in_the_log_and_one_that_waits_is_not(scene: Scene) -> None:
    scene.become(Scan.WAITING)
    scene.alice.get(scene.deed["download_url"])
    assert events(scene.app, "document.download_blocked") == []
    scene.become(Scan.INFECTED)
    scene.alice.get(scene.deed["download_url"])
    (event,) = events(scene.app, "document.download_blocked")
    assert (event.actor, event.document) == ("alice@example.org", scene.deed["id"])
    assert events(scene.app, "document.downloaded") == []


def test_older_version_is_judged_by_itself(scene: Scene, app: Flask) -> None:
    add_version(scene, b"second")
    assert scene.alice.get(scene.deed["download_url"]).status_code == 409
    assert scene.alice.get(scene.deed["download_url"] + "?version=2").status_code == 409
    assert scene.alice.get(scene.deed["download_url"] + "?version=1").data == DEED
    with app.app_context():
        db.session.execute(update(Version).where(Version.number == 1).values(scan=Scan.INFECTED))
        db.session.execute(update(Version).where(Version.number == 2).values(scan=Scan.CLEAN))
        db.session.commit()
    assert scene.alice.get(scene.deed["download_url"]).data == b"second"
    assert scene.alice.get(scene.deed["download_url"] + "?version=1").status_code == 403
    # The link hands out the newest one.
    assert scene.visitor.get(scene.ticket).data == b"second"


def add_version(scene: Scene, content: bytes) -> None:
    """Give the document a second version, which waits."""
    body = form([file_part(content)])
    answer = send_form(scene.alice, body, f"{scene.deed['url']}/versions")
    assert answer.status_code == 201, answer.text


# Links


def test_refused_start_of_a_download_counts_none(scene: Scene) -> None:
    once = scene.alice.share(scene.deed, max_downloads="1")
    for state, status in ((Scan.WAITING, 409), (Scan.INFECTED, 410)):
        scene.become(state)
        for _ in range(3):
            answer = scene.visitor.client.post(f"{once['path']}/download")
            assert answer.status_code == status
    assert len(events(scene.app, "share_link.used")) == 1  # of the scene's own ticket
    scene.become(Scan.CLEAN)
    ticket = scene.visitor.client.post(f"{once['path']}/download").location
    assert scene.visitor.get(ticket).data == DEED
    assert scene.visitor.client.post(f"{once['path']}/download").status_code == 410


def test_used_up_link_says_so_even_while_its_document_waits(scene: Scene) -> None:
    once = scene.alice.share(scene.deed, max_downloads="1")
    scene.visitor.client.post(f"{once['path']}/download")
    scene.become(Scan.WAITING)
    assert scene.visitor.client.post(f"{once['path']}/download").status_code == 410


def test_landing_page_of_a_waiting_document_says_that_it_is_being_checked(scene: Scene) -> None:
    scene.become(Scan.WAITING)
    page = scene.visitor.get(scene.link["path"])
    assert page.status_code == 200
    assert "being checked for malware" in page.text
    assert "/download" not in page.text
    assert "deed.pdf" in page.text
    refused = scene.visitor.client.post(f"{scene.link['path']}/download")
    assert "being checked" in refused.text
    assert f'href="{scene.link["path"]}"' in refused.text
    assert refused.headers["X-Robots-Tag"] == "noindex, nofollow"
    scene.become(Scan.CLEAN)
    page = scene.visitor.get(scene.link["path"])
    assert "being checked" not in page.text
    assert f"{scene.link['path']}/download" in page.text


def test_landing_page_behind_a_password_says_nothing_before_it_is_opened(scene: Scene) -> None:
    link = scene.alice.share(scene.deed, password="an open secret")
    scene.become(Scan.WAITING)
    page = scene.visitor.get(link["path"])
    assert "being checked" not in page.text
    assert "deed.pdf" not in page.text


def test_link_to_malware_looks_like_one_that_has_ended(scene: Scene) -> None:
    ended = scene.alice.share(scene.deed)
    scene.alice.post(f"/share-links/{ended['id']}/revoke")
    scene.become(Scan.INFECTED)
    for method in ("GET", "POST"):
        there, gone = (
            scene.visitor.client.open(link["path"], method=method) for link in (scene.link, ended)
        )
        assert (there.status_code, there.data) == (gone.status_code, gone.data)
    assert scene.visitor.get(scene.link["path"]).status_code == 410
    reasons = [event.detail["reason"] for event in events(scene.app, "share_link.refused")]
    assert "infected" in reasons
    # It is in no list of links that work, and works again with a clean version.
    assert scene.alice.get("/share-links", headers={"Accept": "application/json"}).get_json() == {
        "links": []
    }
    add_version(scene, b"second")
    assert scene.visitor.get(scene.link["path"]).status_code == 200


def test_link_can_be_made_for_a_waiting_document_and_not_for_malware(
    scene: Scene, app: Flask
) -> None:
    scene.become(Scan.WAITING)
    assert scene.alice.share(scene.deed)["path"]
    scene.become(Scan.INFECTED)
    before = len(events(app, "share_link.created"))
    path = f"{scene.deed['url']}/share-links"
    for answer in (
        scene.alice.post(path, {"expires_in_days": "7"}),
        scene.key.post(path, {"expires_in_days": "7"}),
    ):
        assert answer.status_code == 403
    assert len(events(app, "share_link.created")) == before


def test_malware_can_be_deleted_and_nothing_else(scene: Scene, app: Flask) -> None:
    scene.become(Scan.INFECTED)
    url = scene.deed["url"]
    assert scene.alice.post(f"{url}/rename", {"name": "other.pdf"}).status_code == 403
    assert scene.alice.post(f"{url}/delete").status_code == 303
    assert scene.alice.post(f"{url}/restore").status_code == 303
    assert scene.alice.get(scene.deed["download_url"]).status_code == 403
    assert scene.alice.post(f"{url}/delete").status_code == 303
    assert scene.alice.post(f"/trash/{scene.deed['id']}/purge").status_code == 303
    assert len(events(app, "document.purged")) == 1


@pytest.mark.parametrize("act", ["rename", "share-links"])
def test_stranger_is_not_told_of_malware(scene: Scene, bob: Browser, act: str) -> None:
    scene.become(Scan.INFECTED)
    data = {"name": "x.pdf", "expires_in_days": "7"}
    nothing = facts(bob.post(f"/documents/{NOTHING}/{act}", data))
    assert facts(bob.post(f"{scene.deed['url']}/{act}", data)) == nothing
    assert nothing[0] == 404


# All of one's data


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (Scan.WAITING, "still being checked"),
        (Scan.NONE, "still being checked"),
        (UNKNOWN, "still being checked"),
        (Scan.INFECTED, "malware was found"),
    ],
)
def test_own_data_leaves_it_out_and_says_why(scene: Scene, state: str, why: str) -> None:
    other = scene.alice.upload("NOT-INCLUDED.txt", b"a name of mine")
    put(scene.app, other, scan=Scan.CLEAN)
    scene.become(state)
    answer = scene.alice.post("/account/data")
    archive = zipfile.ZipFile(io.BytesIO(answer.data))
    assert archive.testzip() is None
    assert DEED not in answer.data
    assert "Documents/deed.pdf" not in archive.namelist()
    assert archive.read("Documents/NOT-INCLUDED.txt") == b"a name of mine"
    said = archive.read("NOT-INCLUDED.txt").decode()
    assert "deed.pdf: " in said
    assert why in said
    assert why in archive.read("index.html").decode()
    assert "NOT-INCLUDED.txt" in archive.read("SHA256SUMS").decode()


def test_own_data_has_no_such_list_where_everything_is_in_it(scene: Scene) -> None:
    archive = zipfile.ZipFile(io.BytesIO(scene.alice.post("/account/data").data))
    assert archive.read("Documents/deed.pdf") == DEED
    assert "NOT-INCLUDED.txt" not in archive.namelist()


# House rules


def test_every_grant_is_made_at_one_place_and_only_after_asking_for_the_scan() -> None:
    functions = [
        node for node in ast.walk(SOURCES["access.py"]) if isinstance(node, ast.FunctionDef)
    ]
    makers = {
        function.name
        for function in functions
        if any(_called(node) == "Grant" for node in ast.walk(function))
    }
    assert makers == {"_grant"}
    (maker,) = (function for function in functions if function.name == "_grant")
    # Unconditionally, before anything but taking the row apart.
    assert isinstance(maker.body[1], ast.Expr)
    assert _called(maker.body[1].value) == "_refuse_unscanned"
