"""Uploading on behalf: the owner has it, the admin who uploaded it cannot open it."""

from __future__ import annotations

import html
import re
from io import BytesIO
from typing import Any

import pytest
from flask import Flask

from conftest import DEED, Browser, user_named
from portal import access
from portal.accounts import people
from portal.errors import NotFound
from stage import NOTHING, events, facts, file_part, form, send_form, stored_files

WILL = b"%PDF-1.7\nThe will.\n%%EOF\n"


def directory_of(app: Flask, browser: Browser) -> str:
    return f"/admin/users/{user_named(app, browser.email).public_id}/documents"


def upload_for(
    app: Flask,
    ada: Browser,
    whom: Browser,
    name: str = "will.pdf",
    content: bytes = WILL,
    **fields: str,
) -> dict[str, Any]:
    data = {"file": (BytesIO(content), name), **fields}
    response = ada.post_json(directory_of(app, whom), data)
    assert response.status_code == 201, response.text
    document: dict[str, Any] = response.get_json()["documents"][0]
    return document


def test_owner_sees_and_downloads_it(app: Flask, ada: Browser, alice: Browser) -> None:
    document = upload_for(app, ada, alice, note="Please read <b>page 3</b>.")
    page = alice.get(document["url"]).text
    assert "will.pdf" in page
    assert "Please read &lt;b&gt;page 3&lt;/b&gt;." in page
    assert "Ada Admin" in page
    assert alice.get(document["download_url"]).data == WILL
    assert document["url"] in alice.get("/documents").text
    (file,) = stored_files(app)
    assert file.parent.name == user_named(app, alice.email).public_id.hex


def test_admin_who_uploaded_it_gets_the_404_of_a_missing_one(
    app: Flask, ada: Browser, alice: Browser
) -> None:
    document = upload_for(app, ada, alice)
    for path in (document["url"], document["download_url"]):
        missing = path.replace(document["id"], NOTHING)
        assert ada.get(path).status_code == 404
        assert facts(ada.get(path)) == facts(ada.get(missing))
        assert facts(ada.head(path)) == facts(ada.head(missing))
    for act in ("rename", "delete", "restore", "share-links"):
        fields = {"name": "mine.pdf", "expires_in_days": "7"}
        assert ada.post(f"{document['url']}/{act}", fields).status_code == 404
        missing = f"/documents/{NOTHING}/{act}"
        assert facts(ada.post(f"{document['url']}/{act}", fields)) == facts(
            ada.post(missing, fields)
        )
    assert document["id"] not in ada.get("/documents").text
    assert "will.pdf" not in ada.get("/documents").text
    assert alice.get(document["download_url"]).data == WILL
    assert all(event.actor == "ada@example.org" for event in events(app, "access.denied"))


def test_directory_shows_names_and_sizes_and_no_way_in(
    app: Flask, ada: Browser, alice: Browser, deed: dict[str, Any]
) -> None:
    upload_for(app, ada, alice, "日本 <i>.pdf", b"x" * 2500)
    page = ada.get(directory_of(app, alice)).text
    for shown in ("deed.pdf", f"{len(DEED)} bytes", "日本 &lt;i&gt;.pdf", "2.5 kB", "Ada Admin"):
        assert shown in page
    assert "/download" not in page
    assert "/documents/" not in page.replace(directory_of(app, alice), "")
    # Only to place a legal hold on it.
    assert deed["id"] not in page.replace(f"?document={deed['id']}#hold", "")


def test_directory_leaves_out_the_trash_and_other_people(
    app: Flask, ada: Browser, alice: Browser, bob: Browser, deed: dict[str, Any]
) -> None:
    bob.upload("diary.txt", b"Dear diary")
    alice.post(f"{deed['url']}/delete")
    page = ada.get(directory_of(app, alice)).text
    assert "deed.pdf" not in page
    assert "diary.txt" not in page


def test_directory_has_pages(app: Flask, ada: Browser, alice: Browser) -> None:
    for first in range(0, 60, 20):
        body = form(file_part(b"x", f"file {n:02}.txt") for n in range(first, first + 20))
        assert send_form(alice, body).status_code == 201
    seen: set[str] = set()
    path: str | None = directory_of(app, alice)
    pages = 0
    while path and pages < 10:
        text = ada.get(path).text
        seen |= set(re.findall(r"file \d\d\.txt", text))
        found = re.search(r'<a[^>]*rel="next"[^>]*href="([^"]+)"', text) or re.search(
            r'<a[^>]*href="([^"]+)"[^>]*rel="next"', text
        )
        path = html.unescape(found[1]) if found else None
        pages += 1
    assert len(seen) == 60
    assert len(events(app, "admin.directory_listed")) == pages


def test_looking_is_in_the_log(app: Flask, ada: Browser, alice: Browser) -> None:
    ada.get(directory_of(app, alice))
    (event,) = events(app, "admin.directory_listed")
    assert (event.actor, event.owner) == ("ada@example.org", "alice@example.org")


def test_log_says_who_for_whom(app: Flask, ada: Browser, alice: Browser) -> None:
    document = upload_for(app, ada, alice)
    (event,) = events(app, "document.uploaded")
    assert (event.actor, event.owner) == ("ada@example.org", "alice@example.org")
    assert event.document == document["id"]
    assert "ada@example.org" in alice.get(document["url"]).text


def test_many_files_for_one_person(app: Flask, ada: Browser, alice: Browser) -> None:
    body = form(file_part(bytes([n]) * n, f"{n}.bin") for n in range(1, 8))
    response = send_form(ada, body, directory_of(app, alice))
    documents = response.get_json()["documents"]
    assert [each["name"] for each in documents] == [f"{n}.bin" for n in range(1, 8)]
    for number, each in enumerate(documents, start=1):
        assert alice.get(each["download_url"]).data == bytes([number]) * number


def test_browser_is_led_back_and_told(app: Flask, ada: Browser, alice: Browser) -> None:
    path = directory_of(app, alice)
    response = ada.post(path, {"file": (BytesIO(WILL), "will.pdf"), "note": ""})
    assert (response.status_code, response.location) == (303, path)
    assert "“will.pdf” was uploaded for Alice Archer." in ada.get(path).text


def test_room_of_the_owner_counts(app: Flask, ada: Browser, alice: Browser) -> None:
    person = f"/admin/users/{user_named(app, alice.email).public_id}"
    ada.post(person, {"action": "save", "name": "Alice", "role": "user", "quota_bytes": "100"})
    upload_for(app, ada, alice, content=b"x" * 60)
    assert user_named(app, alice.email).used_bytes == 60
    assert user_named(app, ada.email).used_bytes == 0
    path = directory_of(app, alice)
    refused = ada.post_json(path, {"file": (BytesIO(b"x" * 41), "more.txt")})
    assert refused.status_code == 413
    assert refused.get_json()["rejected"][0]["reason"] == "over_quota"
    page = ada.post(path, {"file": (BytesIO(b"x" * 41), "more.txt")})
    assert page.status_code == 413
    assert "more.txt" in page.text
    assert len(stored_files(app)) == 1
    assert {event.owner for event in events(app, "upload.refused")} == {"alice@example.org"}
    upload_for(app, ada, alice, content=b"x" * 40)
    assert user_named(app, alice.email).used_bytes == 100


@pytest.mark.parametrize(
    ("fields", "beside"), [({}, "file"), ({"note": "x" * 2001}, "note"), ({"folder": NOTHING}, "")]
)
def test_wrong_form_is_refused_and_leaves_nothing(
    app: Flask, ada: Browser, alice: Browser, fields: dict[str, str], beside: str
) -> None:
    data: dict[str, Any] = dict(fields)
    if beside != "file":
        data["file"] = (BytesIO(WILL), "will.pdf")
    response = ada.post(directory_of(app, alice), data, content_type="multipart/form-data")
    assert response.status_code == (422 if beside else 404)
    if beside == "note":
        assert "2,000" in response.text
    assert stored_files(app) == []
    assert user_named(app, alice.email).used_bytes == 0


def test_folder_of_the_owner_is_chosen_on_the_page(
    app: Flask, ada: Browser, alice: Browser, bob: Browser
) -> None:
    path = directory_of(app, alice)
    assert 'name="folder"' not in ada.get(path).text  # there is nothing to choose from
    outer = alice.post_json("/folders", {"name": "Taxes"}).get_json()["id"]
    inner = alice.post_json("/folders", {"name": "2026 <i>", "parent": outer}).get_json()["id"]
    theirs = bob.post_json("/folders", {"name": "Bobs"}).get_json()["id"]
    page = ada.get(path).text
    assert f'<option value="{inner}">Taxes / 2026 &lt;i&gt;</option>' in page
    assert theirs not in page
    refused = ada.post(path, {"folder": inner, "note": "x" * 2001})
    assert f'<option selected value="{inner}">' in refused.text
    made = upload_for(app, ada, alice, folder=inner)
    assert made["folder"] == inner
    assert "will.pdf" in alice.get(f"/documents?folder={inner}").text
    wrong = {"folder": theirs, "file": (BytesIO(WILL), "astray.pdf")}
    assert ada.post(path, wrong).status_code == 404
    assert len(stored_files(app)) == 1


def test_note_is_as_long_as_it_may_be(app: Flask, ada: Browser, alice: Browser) -> None:
    document = upload_for(app, ada, alice, note="é" * 2000)
    assert "é" * 2000 in alice.get(document["url"]).text


def test_nothing_is_uploaded_for_somebody_shut_out_or_unknown(
    app: Flask, ada: Browser, alice: Browser
) -> None:
    path = directory_of(app, alice)
    ada.post(path.removesuffix("/documents"), {"action": "disable"})
    for where in (path, f"/admin/users/{NOTHING}/documents"):
        response = ada.post_json(where, {"file": (BytesIO(WILL), "will.pdf")})
        assert response.status_code == 404
    assert stored_files(app) == []


def test_nobody_else_uploads_for_others(
    app: Flask, alice: Browser, bob: Browser, visitor: Browser
) -> None:
    path = directory_of(app, alice)
    data = {"file": (BytesIO(WILL), "will.pdf")}
    assert bob.post(path, data).status_code == 404
    assert visitor.client.post(path, data={}).status_code == 302
    assert stored_files(app) == []


def test_service_itself_opens_a_directory_to_no_other_user(
    app: Flask, alice: Browser, bob: Browser
) -> None:
    owner, stranger = (user_named(app, browser.email) for browser in (alice, bob))
    person = type("Person", (), {"user_id": stranger.id, "email": bob.email, "is_admin": False})()
    with app.app_context():
        for ask in (access.directory_for, access.may_upload_to):
            with pytest.raises(NotFound):
                ask(person, owner.public_id)
        assert access.may_upload_to(person, stranger.public_id).email == bob.email
    assert len(events(app, "access.denied")) == 2


def test_service_itself_opens_no_directory_of_somebody_shut_out(app: Flask, alice: Browser) -> None:
    owner = user_named(app, alice.email)
    with app.app_context():
        people.disable(people.by_email(alice.email))
        for user_id, is_admin in ((owner.id, False), (0, True)):
            person = {"user_id": user_id, "email": "", "is_admin": is_admin}
            with pytest.raises(NotFound):
                access.may_upload_to(type("Person", (), person)(), owner.public_id)
