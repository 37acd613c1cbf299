"""Not yours is the same as not there: same status, bytes and headers, on every route."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from conftest import Browser
from stage import FORM_TYPE, NOTHING, database_dump, events, facts, file_part, form, stored_files

VALID = {"name": "new.pdf", "expires_in_days": "7"}
BODIES: list[Any] = [None, VALID, {"name": "", "expires_in_days": "x"}, {"id": "x", "action": "y"}]


def places(app: Flask) -> list[tuple[str, str]]:
    """(method, address) of every route that names a document, with `{}` for its id."""
    found = []
    for rule in app.url_map.iter_rules():
        if "<uuid:document_id>" in rule.rule:
            path = rule.rule.replace("<uuid:document_id>", "{}")
            found += [(method, path) for method in sorted(rule.methods or ())]
    return found


def asked(browser: Browser, token: str, method: str, path: str) -> Iterator[TestResponse]:
    """The answers to one method on one address, asked for in every way."""
    for accept in ("text/html", "application/json"):
        headers = {"X-CSRFToken": token, "Accept": accept}
        if method == "POST":
            for data in BODIES:
                yield browser.client.post(path, data=data, headers=headers)
        else:
            yield browser.client.open(path, method=method, headers=headers)
            for more in ({"Range": "bytes=0-1"}, {"If-None-Match": "*"}):
                yield browser.client.open(path, method=method, headers={**headers, **more})
            yield browser.client.open(
                path, method=method, headers=headers, query_string={"version": "1", "q": "deed"}
            )


def assert_same(app: Flask, browser: Browser, real: str, routes: list[tuple[str, str]]) -> int:
    token, compared = browser.token(), 0
    for method, path in routes:
        theirs = asked(browser, token, method, path.format(real))
        missing = asked(browser, token, method, path.format(NOTHING))
        for one, other in zip(theirs, missing, strict=True):
            compared += 1
            assert facts(one) == facts(other), (method, path)
            assert method == "OPTIONS" or one.status_code == 404, (method, path)
        if method == "POST":
            # Files are no part of these forms: refused before anybody looks for a document.
            body, headers = form([file_part(b"x")]), {"X-CSRFToken": token}
            answers = [
                browser.client.post(
                    path.format(each), data=body, content_type=FORM_TYPE, headers=headers
                )
                for each in (real, NOTHING)
            ]
            assert facts(answers[0]) == facts(answers[1])
            assert answers[0].status_code in {400, 404}
    return compared


def test_stranger_is_told_it_does_not_exist(app: Flask, bob: Browser, deed: dict[str, Any]) -> None:
    files = stored_files(app)
    before = database_dump(app, "audit_events", "audit_head")
    assert assert_same(app, bob, deed["id"], places(app)) > 80
    assert database_dump(app, "audit_events", "audit_head") == before
    assert stored_files(app) == files


def test_admin_is_told_the_same_as_a_stranger(
    app: Flask, ada: Browser, deed: dict[str, Any]
) -> None:
    before = database_dump(app, "audit_events", "audit_head")
    assert_same(app, ada, deed["id"], places(app))
    assert database_dump(app, "audit_events", "audit_head") == before


def test_stranger_is_told_it_does_not_exist_when_it_is_in_somebodys_trash(
    app: Flask, alice: Browser, bob: Browser, deed: dict[str, Any]
) -> None:
    alice.post(f"{deed['url']}/delete")
    before = database_dump(app, "audit_events", "audit_head")
    assert_same(app, bob, deed["id"], places(app))
    assert database_dump(app, "audit_events", "audit_head") == before


def test_own_document_in_the_trash_is_not_there_but_for_the_trash(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    alice.post(f"{deed['url']}/delete")
    alice.get("/documents")
    routes = [
        (method, path) for method, path in places(app) if not path.endswith(("/restore", "/purge"))
    ]
    assert_same(app, alice, deed["id"], routes)


def test_own_live_document_is_not_in_the_trash(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    ends = ("/restore", "/purge")
    of_documents = [each for each in places(app) if "/versions/" not in each[1]]
    routes = [each for each in of_documents if each[1].endswith(ends)]
    assert len(routes) == 4
    assert_same(app, alice, deed["id"], routes)
    assert alice.get(deed["url"]).status_code == 200


def test_document_deleted_for_ever_is_as_if_it_never_was(
    app: Flask, alice: Browser, bob: Browser, deed: dict[str, Any]
) -> None:
    alice.post(f"{deed['url']}/delete")
    alice.post(f"/trash/{deed['id']}/purge")
    alice.get("/trash")
    for browser in (alice, bob):
        assert_same(app, browser, deed["id"], places(app))


def test_every_refused_try_is_in_the_audit_log(
    app: Flask, bob: Browser, deed: dict[str, Any]
) -> None:
    bob.get(deed["download_url"])
    bob.post(f"{deed['url']}/rename", {"name": "mine.pdf"})
    denied = events(app, "access.denied")
    assert [(each.actor, each.document) for each in denied] == [(bob.email, deed["id"])] * 2


@pytest.mark.parametrize(
    "made_up", ["x", "1", "..", "%00", "deed.pdf", NOTHING[:-1], "{" + NOTHING + "}"]
)
def test_what_is_no_id_is_the_page_that_is_not_there(alice: Browser, made_up: str) -> None:
    missing = alice.get("/nothing-is-here")
    for path in (f"/documents/{made_up}", f"/documents/{made_up}/download"):
        assert facts(alice.get(path)) == facts(missing)


def test_somebody_elses_link_cannot_be_ended(
    app: Flask, alice: Browser, bob: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed)
    before = database_dump(app, "audit_events", "audit_head")
    theirs = bob.post(f"/share-links/{link['id']}/revoke")
    assert facts(theirs) == facts(bob.post(f"/share-links/{NOTHING}/revoke"))
    assert theirs.status_code == 404
    own = bob.share(bob.upload("own.txt", b"x"))
    for ids in ([link["id"]], [own["id"], link["id"]], [own["id"], NOTHING]):
        assert bob.post("/share-links", {"action": "revoke", "id": ids}).status_code == 404
    after = database_dump(app, "audit_events", "audit_head")
    assert set(map(repr, before["share_links"])) < set(map(repr, after["share_links"]))
    assert Browser(app).get(link["path"]).status_code == 200
    assert Browser(app).get(own["path"]).status_code == 200
