"""New versions of a document, and the same name once more."""

from __future__ import annotations

import io
from typing import Any

import pytest
from flask import Flask

from conftest import DEED, Browser, Cast, user_named
from portal.documents import intake, uploads
from portal.documents.intake import Intent
from portal.errors import Conflict, NotFound, SameNameThere
from portal.models import SameName
from portal.storage import Incoming
from stage import NOTHING, events, settings_of, stored_files
from test_gate import Unreadable


def send(browser: Browser, path: str, content: bytes, name: str = "deed.pdf", **fields: str) -> Any:
    return browser.post_json(path, {"file": (io.BytesIO(content), name), **fields})


def numbers(browser: Browser, deed: dict[str, Any]) -> list[bytes | None]:
    """The bytes of the versions 1 to 3; None for one that is not there."""
    answers = [browser.get(f"{deed['download_url']}?version={n}") for n in (1, 2, 3)]
    return [answer.get_data() if answer.status_code == 200 else None for answer in answers]


def test_owner_adds_a_version(app: Flask, alice: Browser, deed: dict[str, Any]) -> None:
    answer = send(alice, f"{deed['url']}/versions", b"second", "other name.pdf")
    assert answer.status_code == 201
    (document,) = answer.get_json()["documents"]
    assert (document["id"], document["name"], document["size"]) == (deed["id"], "deed.pdf", 6)
    assert alice.get(deed["download_url"]).get_data() == b"second"
    assert numbers(alice, deed) == [DEED, b"second", None]
    assert user_named(app, alice.email).used_bytes == len(DEED) + 6
    (event,) = events(app, "document.version_added")
    assert (event.document, event.detail["given_name"]) == (deed["id"], "other name.pdf")


def test_page_leads_back_to_the_document(alice: Browser, deed: dict[str, Any]) -> None:
    path = f"{deed['url']}/versions"
    answer = alice.post(path, {"file": (io.BytesIO(b"second"), "deed.pdf")})
    assert (answer.status_code, answer.location) == (303, deed["url"])
    assert alice.post(path, {}).status_code == 422


def test_refused_version_leaves_the_document_as_it_was(make_app: Any) -> None:
    app = make_app(blocked_extensions=frozenset({"exe"}), default_quota_bytes=100)
    alice = Cast(app).person("alice@example.org", "Alice")
    deed = alice.upload()
    path = f"{deed['url']}/versions"
    assert send(alice, path, b"x", "a.exe").status_code == 415
    assert send(alice, path, b"x" * 99).status_code == 413
    assert alice.post(path, {"file": (io.BytesIO(b"x"), "a.exe")}).status_code == 415
    assert numbers(alice, deed) == [DEED, None, None]
    assert len(stored_files(app)) == 1


def test_stranger_is_told_that_the_document_does_not_exist(
    app: Flask, bob: Browser, ada: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    for other in (bob, ada):
        for document_id in (deed["id"], NOTHING):
            answer = other.client.post(
                f"/documents/{document_id}/versions",
                headers={"X-CSRFToken": other.token()},
                environ_overrides={"wsgi.input": Unreadable(), "CONTENT_LENGTH": "1000"},
                content_type="multipart/form-data; boundary=x",
            )
            assert answer.status_code == 404
    assert visitor.post(f"{deed['url']}/versions").status_code == 302
    assert len(stored_files(app)) == 1


def test_trashed_document_takes_no_version(alice: Browser, deed: dict[str, Any]) -> None:
    alice.post(f"{deed['url']}/delete")
    assert send(alice, f"{deed['url']}/versions", b"second").status_code == 404


def test_form_may_say_what_becomes_of_the_same_name(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    assert send(alice, "/documents", b"second", same_name="keep-both").status_code == 201
    answer = send(alice, "/documents", b"third", same_name="refuse")
    assert answer.status_code == 409
    assert answer.get_json()["rejected"][0]["reason"] == "same_name"
    answer = send(alice, "/documents", b"third", same_name="new-version")
    assert alice.get(answer.get_json()["documents"][0]["download_url"]).get_data() == b"third"
    assert send(alice, "/documents", b"x", same_name="else").status_code == 422
    assert len(stored_files(app)) == 3
    # The newest of that name got the version.
    assert numbers(alice, deed) == [DEED, None, None]


def test_names_are_the_same_only_to_the_letter(alice: Browser, deed: dict[str, Any]) -> None:
    answer = send(alice, "/documents", b"x", "Deed.pdf", same_name="new-version")
    assert answer.get_json()["documents"][0]["id"] != deed["id"]


def test_another_persons_document_of_that_name_counts_for_nothing(
    bob: Browser, deed: dict[str, Any]
) -> None:
    for same_name in ("refuse", "new-version"):
        answer = send(bob, "/documents", b"x", "deed.pdf", same_name=same_name)
        if same_name == "refuse":
            assert answer.status_code == 201
        assert answer.get_json()["documents"][0]["id"] != deed["id"]


@pytest.mark.parametrize(
    ("same_name", "gets_id", "error"),
    [
        (SameName.NEW_VERSION, False, Conflict),
        (SameName.KEEP_BOTH, True, NotFound),
        (SameName.REFUSE, False, SameNameThere),
    ],
)
def test_what_changes_before_the_commit_is_seen_by_it(
    app: Flask,
    alice: Browser,
    deed: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    same_name: SameName,
    gets_id: bool,
    error: type[Exception],
) -> None:
    """The document is trashed, or one of the name comes, between the look and the change."""
    import uuid

    from portal import access, storage

    alone = same_name == SameName.REFUSE
    if not alone:
        alice.post(f"{deed['url']}/delete")
    user = user_named(app, alice.email)
    with app.app_context():
        from portal.extensions import db
        from portal.models import Document

        document = db.session.query(Document).one()
        stale = intake.Present(document.id, document.public_id, document.name)
        owner = access.Owner(user.id, user.public_id, user.email, user.name, None, 0, 0)

        class Actor:
            user_id = user.id
            email = user.email

        monkeypatch.setattr(uploads, "find_present", lambda *_a: None if alone else stale)
        incoming: Incoming = storage.current().receive(user.public_id)
        incoming.write(b"late")
        wanted = uuid.UUID(deed["id"]) if gets_id else None
        intent = Intent(owner, "deed.pdf", same_name=same_name, document_id=wanted)
        with pytest.raises(error):
            uploads.receive(Actor(), intent, incoming, settings_of(app))
    assert len(stored_files(app)) == 1
