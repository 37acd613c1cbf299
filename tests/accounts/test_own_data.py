"""Taking all of one's data away."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import insert, select, update

from conftest import DEED, Browser, user_named
from portal.accounts import own_data, people, sessions
from portal.database import transaction
from portal.models import Document, Version
from portal.storage import delivery
from stage import NOTHING, cookie_of, database_dump, events, settings_of, stored_files

PATH = "/account/data"
ALICE = "alice@example.org"


def taken(browser: Browser) -> zipfile.ZipFile:
    response = browser.post(PATH)
    assert response.status_code == 200, response.text
    archive = zipfile.ZipFile(io.BytesIO(response.data))
    assert archive.testzip() is None
    return archive


def index_of(archive: zipfile.ZipFile) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(archive.read("index.json"))
    return found


def assert_sums_fit(archive: zipfile.ZipFile) -> None:
    """As `sha256sum --check` would, and nothing is left out."""
    sums = {}
    for line in archive.read("SHA256SUMS").decode().splitlines():
        sha256, _, path = line.partition("  ")
        sums[path] = sha256
    assert set(sums) == set(archive.namelist()) - {"SHA256SUMS"}
    for path, sha256 in sums.items():
        assert hashlib.sha256(archive.read(path)).hexdigest() == sha256, path


def test_page_says_how_much_there_is(alice: Browser, deed: dict[str, Any]) -> None:
    assert "1 document (38 bytes)" in alice.get(PATH).text
    alice.upload("two.txt", b"x" * 1462)
    assert "2 documents (1.5 kB)" in alice.get(PATH).text


def test_everything_is_in_it_under_its_own_name(app: Flask, alice: Browser, deed: Any) -> None:
    names = ["日本語の契約書.pdf", "deed.pdf", "DEED.PDF", "a:b?.txt", "note.txt"]
    for name in names:
        alice.upload(name, name.encode())
    trashed = alice.upload("gone.txt", b"gone")
    alice.post(f"{trashed['url']}/delete")
    archive = taken(alice)
    assert {name for name in archive.namelist() if "/" in name} == {
        "Documents/日本語の契約書.pdf",
        "Documents/deed.pdf",
        "Documents/deed (2).pdf",
        "Documents/DEED (3).PDF",
        "Documents/a_b_.txt",
        "Documents/note.txt",
        "Trash/gone.txt",
    }
    assert archive.namelist()[-1] == "SHA256SUMS"
    assert archive.read("Trash/gone.txt") == b"gone"
    assert archive.read("Documents/a_b_.txt") == b"a:b?.txt"
    assert {archive.read(f"Documents/deed{n}.pdf") for n in ("", " (2)")} == {DEED, b"deed.pdf"}
    assert_sums_fit(archive)
    documents = {each["versions"][0]["path"]: each for each in index_of(archive)["documents"]}
    assert documents["Documents/a_b_.txt"]["name"] == "a:b?.txt"
    assert documents["Trash/gone.txt"]["trashed_at"]
    assert documents["Documents/note.txt"]["trashed_at"] is None


def test_folders_are_kept_as_paths_of_their_names(alice: Browser, bob: Browser) -> None:
    def folder(name: str, parent: str = "") -> str:
        made = alice.post_json("/folders", {"name": name, "parent": parent})
        found: str = made.get_json()["id"]
        return found

    def put(name: str, at: str) -> dict[str, Any]:
        body = {"folder": at, "file": (BytesIO(name.encode()), name)}
        found: dict[str, Any] = alice.post_json("/documents", body).get_json()["documents"][0]
        return found

    taxes, colon, gone = folder("Taxes"), folder("a:"), folder("Gone")
    inner, mark = folder("2026", taxes), folder("a?")
    alice.upload("taxes", b"a document called like a folder")
    for at, name in zip(
        (taxes, inner, colon, mark),
        ("one.txt", "two.txt", "same.txt", "same.txt"),
        strict=True,
    ):
        put(name, at)
    put("deleted.txt", gone)
    alice.post(f"{put('alone.txt', inner)['url']}/delete")
    alice.post(f"/folders/{gone}/delete")
    archive = taken(alice)
    inside = {name for name in archive.namelist() if "/" in name}
    assert len({name.casefold() for name in inside}) == 7
    assert {name for name in inside if "same" in name} == {
        "Documents/a_/same.txt",
        "Documents/a_ (2)/same.txt",
    }
    assert {"Trash/Gone/deleted.txt", "Trash/Taxes/2026/alone.txt"} <= inside
    (plain,) = (name for name in inside if name.startswith("Documents") and name.count("/") == 1)
    (one,) = (name for name in inside if name.endswith("one.txt") and name.startswith("Doc"))
    assert one.rpartition("/")[0].casefold() != plain.casefold(), "no file and folder of one name"
    assert_sums_fit(archive)


def test_older_versions_are_in_it(app: Flask, alice: Browser, deed: dict[str, Any]) -> None:
    newer = alice.upload("newer.pdf", b"newer")
    with app.app_context(), transaction() as session:
        ids = [_id(session, each["id"]) for each in (deed, newer)]
        session.execute(
            update(Version)
            .where(Version.document_id == ids[1])
            .values(document_id=ids[0], number=2)
        )
        session.execute(update(Document).where(Document.id == ids[0]).values(version=2))
        session.delete(session.get_one(Document, ids[1]))
    archive = taken(alice)
    assert archive.read("Documents/deed.pdf") == b"newer"
    assert archive.read("Older versions/Documents/1/deed.pdf") == DEED
    (document,) = index_of(archive)["documents"]
    assert [each["number"] for each in document["versions"]] == [1, 2]
    assert_sums_fit(archive)


def _id(session: Any, public_id: str) -> int:
    found: int = session.scalar(select(Document.id).where(Document.public_id == UUID(public_id)))
    return found


def test_index_tells_links_devices_and_activity(alice: Browser, deed: dict[str, Any]) -> None:
    link = alice.share(deed, label="For <the> bank", password="the garden gate")
    archive = taken(alice)
    index = index_of(archive)
    assert index["account"]["email"] == ALICE
    assert [each["label"] for each in index["share_links"]] == ["For <the> bank"]
    assert index["share_links"][0]["has_password"] is True
    assert [each["address"] for each in index["sessions"]] == ["127.0.0.1"]
    assert [each["action"] for each in index["activity"]][:2] == [
        "user.data_exported",
        "share_link.created",
    ]
    page = archive.read("index.html").decode()
    assert 'href="Documents/deed.pdf"' in page
    assert "For &lt;the&gt; bank" in page
    assert "Made a link" in page
    everything = b"".join(archive.read(name) for name in archive.namelist())
    token = link["url"].rpartition("/")[2]
    for secret in (token.encode(), b"garden gate", b"$2b$"):
        assert secret not in everything


def test_nothing_of_others_is_in_it(
    alice: Browser, bob: Browser, ada: Browser, deed: dict[str, Any]
) -> None:
    bobs = bob.upload("Bob's plan.pdf", b"the plan of bob")
    bob.share(bobs, label="of bob")
    ada.post("/admin/users", {"email": "carol@example.org", "role": "user"})
    archive = taken(alice)
    everything = b"".join(archive.read(name) for name in archive.namelist())
    for words in (b"plan", b"bob", b"carol", b"Bob"):
        assert words not in everything
    assert [name for name in taken(bob).namelist() if "/" in name] == ["Documents/Bob's plan.pdf"]
    admins = b"".join(taken(ada).read(name) for name in taken(ada).namelist())
    assert b"deed" not in admins
    assert b"plan" not in admins


def test_account_without_documents_has_an_index(bob: Browser) -> None:
    archive = taken(bob)
    assert archive.namelist() == ["index.html", "index.json", "SHA256SUMS"]
    assert_sums_fit(archive)


def test_answer_is_an_attachment_that_nobody_keeps(alice: Browser) -> None:
    response = alice.post(PATH)
    assert response.content_type == "application/zip"
    assert response.headers["Content-Disposition"].startswith('attachment; filename="Document Por')
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in response.headers["Content-Security-Policy"]
    assert not response.headers.getlist("Set-Cookie")


def test_it_is_in_the_log_once_with_the_count(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    taken(alice)
    (event,) = events(app, "user.data_exported")
    assert (event.actor, event.owner) == (ALICE, ALICE)
    assert event.detail == {"documents": 1, "size_bytes": len(DEED)}
    assert events(app, "document.downloaded") == []


def test_log_says_so_before_the_first_byte(app: Flask, alice: Browser, deed: Any) -> None:
    response = alice.post(PATH, buffered=False)
    assert len(events(app, "user.data_exported")) == 1
    response.close()


def test_damaged_document_is_named_and_keeps_no_other_back(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    alice.upload("whole.txt", b"whole")
    (path,) = [path for path in stored_files(app) if path.read_bytes() == DEED]
    for damage in (lambda: path.write_bytes(DEED[:-1]), path.unlink):
        damage()
        archive = taken(alice)
        assert archive.read("Documents/whole.txt") == b"whole"
        assert "Documents/deed.pdf" not in archive.namelist()
        paths = {d["name"]: d["versions"][0]["path"] for d in index_of(archive)["documents"]}
        assert paths == {"deed.pdf": None, "whole.txt": "Documents/whole.txt"}
        assert "missing" in archive.read("index.html").decode()
        assert_sums_fit(archive)


def test_more_documents_than_one_batch(app: Flask, alice: Browser, deed: dict[str, Any]) -> None:
    owner = user_named(app, ALICE)
    with app.app_context(), transaction() as session:
        (blob,) = session.scalars(select(Version.blob))
        facts = {"size_bytes": len(DEED), "media_type": "x/y", "uploaded_by_id": owner.id}
        documents = session.scalars(
            insert(Document).returning(Document.id),
            [
                {**facts, "owner_id": owner.id, "name": f"{n}.pdf", "name_key": f"{n}"}
                for n in range(450)
            ],
        ).all()
        session.execute(
            insert(Version),
            [
                {
                    **facts,
                    "document_id": each,
                    "blob": f"{owner.public_id.hex}/{each:032x}",
                    "sha256": hashlib.sha256(DEED).digest(),
                }
                for each in documents
            ],
        )
    (path,) = stored_files(app)
    for each in documents:
        (path.parent / f"{each:032x}").write_bytes(DEED)
    assert blob.endswith(path.name)
    archive = taken(alice)
    assert len([name for name in archive.namelist() if name.startswith("Documents/")]) == 451
    assert_sums_fit(archive)


def test_download_takes_a_slot_and_gives_it_back(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    before = delivery._slots.taken
    response = alice.post(PATH, buffered=False)
    assert delivery._slots.taken == before + 1
    response.close()
    assert delivery._slots.taken == before
    taken(alice)
    assert delivery._slots.taken == before
    others = [delivery._slots.take(f"person {n}") for n in range(delivery.TRANSFERS - before)]
    try:
        assert alice.post(PATH).status_code == 503
    finally:
        for give_back in others:
            give_back()


def test_account_disabled_meanwhile_gives_no_more_documents(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    """What is cut off must not look whole."""
    with app.test_request_context():
        serializer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
        token = serializer.loads(cookie_of(alice))["_user_id"]
    with app.app_context():
        person = sessions.load(token, settings_of(app))
        assert person
        pieces = own_data.export(person, "Portal", settings_of(app))
        people.disable(people.by_email(ALICE))
        with pytest.raises(own_data.Ended):
            b"".join(pieces)


@pytest.mark.parametrize("method", ["get", "post"])
def test_visitor_is_sent_to_sign_in(visitor: Browser, method: str) -> None:
    response = getattr(visitor, method)(PATH)
    assert response.status_code == 302
    assert response.location.startswith("/login?next=")


def test_form_without_token_gives_nothing(app: Flask, alice: Browser) -> None:
    before = database_dump(app)
    assert alice.client.post(PATH).status_code == 400
    assert database_dump(app) == before


def test_nothing_in_the_address_chooses_whose_data(alice: Browser, bob: Browser) -> None:
    bob.upload("Bob's plan.pdf", b"plan")
    response = alice.post(
        f"{PATH}?id={NOTHING}&email=bob@example.org", {"email": "bob@example.org"}
    )
    assert b"plan" not in response.data
