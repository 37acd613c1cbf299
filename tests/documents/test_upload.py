"""Uploading: what is stored is what was sent, and what is refused leaves nothing."""

from __future__ import annotations

import hashlib
import re
import tempfile
import zipfile
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from conftest import DEED, Browser, Cast, user_named
from documents.test_names import NASTY
from portal.accounts import people
from portal.documents import names, room, uploads
from portal.documents.intake import Intent
from portal.errors import FileNameRejected, FileTooLarge, NotFound, OverQuota, UploadRejected
from portal.extensions import db
from portal.models import Document
from portal.storage import current
from stage import (
    FORM_TYPE,
    NOTHING,
    at_once,
    database_dump,
    events,
    field_part,
    file_part,
    form,
    part,
    send_form,
    settings_of,
    stored_files,
    twins,
    unfinished_files,
)
from test_gate import Unreadable

KIB = 1024


def documents_of(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(select(func.count(Document.id))) or 0


def used(app: Flask, email: str = "alice@example.org") -> int:
    return user_named(app, email).used_bytes


def nothing_stays(app: Flask) -> bool:
    return not stored_files(app) and documents_of(app) == 0 and used(app) == 0


# What works


def test_uploaded_document_is_answered_listed_and_downloaded_whole(
    app: Flask, alice: Browser
) -> None:
    response = send_form(alice, form([file_part(DEED)]))
    assert response.status_code == 201
    assert response.get_json()["rejected"] == []
    (document,) = response.get_json()["documents"]
    assert set(document) == {
        "id",
        "name",
        "size",
        "sha256",
        "media_type",
        "uploaded_at",
        "folder",
        "scan",
        "url",
        "download_url",
    }
    assert UUID(document["id"]).version == 4
    assert (document["name"], document["size"]) == ("deed.pdf", len(DEED))
    assert document["sha256"] == hashlib.sha256(DEED).hexdigest()
    assert document["media_type"] == "application/pdf"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", document["uploaded_at"])
    assert document["url"] == f"/documents/{document['id']}"
    assert alice.get(document["download_url"]).data == DEED
    assert f'href="{document["url"]}"' in alice.get("/documents").text


def test_browser_is_led_to_the_list_and_told(alice: Browser) -> None:
    response = alice.post("/documents", {"file": (BytesIO(DEED), "deed.pdf")})
    assert (response.status_code, response.location) == (303, "/documents")
    assert "“deed.pdf” was uploaded." in alice.get("/documents").text


def test_many_files_come_in_at_once(app: Flask, alice: Browser) -> None:
    contents = {f"file {n}.bin": bytes([n]) * n * 1000 for n in range(12)}
    body = form(file_part(content, name) for name, content in contents.items())
    response = send_form(alice, body)
    assert response.status_code == 201
    documents = response.get_json()["documents"]
    assert [each["name"] for each in documents] == list(contents)
    for each in documents:
        assert alice.get(each["download_url"]).data == contents[each["name"]]
    assert used(app) == sum(map(len, contents.values()))
    assert len(events(app, "document.uploaded")) == 12


def test_two_documents_may_have_the_same_name(alice: Browser) -> None:
    first, second = alice.upload("a.txt", b"first"), alice.upload("a.txt", b"second")
    assert alice.get(first["download_url"]).data == b"first"
    assert alice.get(second["download_url"]).data == b"second"


def test_empty_file_is_a_document(app: Flask, alice: Browser) -> None:
    document = alice.upload("empty.txt", b"")
    assert document["size"] == 0
    response = alice.get(document["download_url"])
    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["Content-Length"] == "0"


def test_bytes_lie_under_a_made_up_name_readable_for_the_portal_alone(
    app: Flask, alice: Browser
) -> None:
    alice.upload("deed.pdf", DEED)
    (file,) = stored_files(app)
    owner = user_named(app, "alice@example.org")
    assert file.parent.name == owner.public_id.hex
    assert re.fullmatch("[0-9a-f]{32}", file.name)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert file.read_bytes() == DEED
    assert unfinished_files(app) == []


def test_upload_is_in_the_audit_log(app: Flask, alice: Browser) -> None:
    response = send_form(alice, form([file_part(DEED, "C:\\\\deed.pdf")]))
    (document,) = response.get_json()["documents"]
    (event,) = events(app, "document.uploaded")
    assert (event.actor, event.owner) == ("alice@example.org", "alice@example.org")
    assert event.document == document["id"]
    assert event.detail == {
        "name": "deed.pdf",
        "given_name": "C:\\deed.pdf",
        "sha256": document["sha256"],
        "size_bytes": len(DEED),
    }


def test_nothing_needs_a_temporary_folder(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    content = b"x" * (3 * 1024 * KIB)
    response = send_form(alice, form([file_part(content), file_part(content)]))
    assert response.status_code == 201
    assert all(each["size"] == len(content) for each in response.get_json()["documents"])


@pytest.mark.parametrize("chunks", [1, 2, 4])
def test_sizes_around_chunk_boundaries_come_back_exactly(
    app: Flask, alice: Browser, chunks: int
) -> None:
    head = len(file_part(b"")) - 2
    for shift in (0, head):
        for off in range(-3, 4):
            content = (b"\r\n--frontie" * 100_000)[: chunks * 64 * KIB - shift + off]
            document = send_form(alice, form([file_part(content)])).get_json()["documents"][0]
            assert alice.get(document["download_url"]).data == content


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("a.pdf", DEED, "application/pdf"),
        ("a.exe", DEED, "application/pdf"),
        ("a.txt", b"Just words.\n", "text/plain"),
        ("a.csv", b"a,b\n1,2\n", "text/csv"),
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0", "image/png"),
        ("a.pdf", b"<!DOCTYPE html><html><script>alert(1)</script>", "text/html"),
        ("empty.pdf", b"", "application/octet-stream"),
    ],
)
def test_type_is_told_from_the_content(
    alice: Browser, name: str, content: bytes, media_type: str
) -> None:
    body = form([part(content, f'form-data; name="file"; filename="{name}"', b"Content-Type: x/y")])
    (document,) = send_form(alice, body).get_json()["documents"]
    assert document["media_type"] == media_type


def test_name_tells_what_is_in_a_container(alice: Browser) -> None:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("something", "else")
    word = alice.upload("a.docx", packed.getvalue())
    assert word["media_type"].endswith("wordprocessingml.document")
    assert alice.upload("a.zip", packed.getvalue())["media_type"] == "application/zip"


# Names

DISPOSITIONS: list[tuple[bytes, str]] = [
    (b"filename=deed.pdf", "deed.pdf"),
    (b"filename*=UTF-8''na%C3%AFve.txt", "naïve.txt"),
    (b"filename=\"a.txt\"; filename*=UTF-8''b.txt", "b.txt"),
    (b'filename="a.txt"; filename="b.txt"', "b.txt"),
    (b"filename*=UTF-8''b.txt; filename=\"a.txt\"", "b.txt"),
    (b"FileName*=utf-8'en'b.txt; FILENAME=a.txt", "b.txt"),
    (b"filename*=UTF-8''a.txt; filename*=UTF-8''b.txt", "b.txt"),
    (b"filename=\"a; filename*=UTF-8''b.txt\"", "a; filename*=UTF-8''b.txt"),
    (b"filename*=UTF-8''a%0d%0ab.txt", "ab.txt"),
    (b"filename*=UTF-8''a%00b%7f%1b.txt", "ab.txt"),
    (b"filename*=UTF-8''..%2f..%2fetc%2fpasswd", "passwd"),
    (b"filename*=UTF-8''a%E2%80%AEtxt.exe", "atxt.exe"),
    ('filename="a\u202etxt.exe"'.encode(), "atxt.exe"),
    (b'filename="../../etc/passwd"', "passwd"),
    (b'filename="/etc/passwd"', "passwd"),
    (b'filename="C:\\\\Users\\\\alice\\\\deed.pdf"', "deed.pdf"),
    (b'filename="a\\"b.txt"', 'a"b.txt'),
    (b'filename="a;b=c.txt"', "a;b=c.txt"),
    (b'filename="a%22b%2f.txt"', 'a"b%2f.txt'),
    ('filename="u\u0308ber.txt"'.encode(), "über.txt"),
    ('filename="👩‍👩‍👧.jpg"'.encode(), "👩‍👩‍👧.jpg"),
    (b'filename=".bashrc"', ".bashrc"),
    (b'filename="' + b"a" * 255 + b'"', "a" * 255),
]


@pytest.mark.parametrize(("disposition", "name"), DISPOSITIONS)
def test_name_is_read_and_cleaned(
    app: Flask, alice: Browser, disposition: bytes, name: str
) -> None:
    response = send_form(alice, form([part(b"x", b'form-data; name="file"; ' + disposition)]))
    assert response.status_code == 201, response.text
    (document,) = response.get_json()["documents"]
    assert document["name"] == name
    assert alice.get(document["url"]).status_code == 200
    assert alice.get(document["download_url"]).data == b"x"


@pytest.mark.parametrize(
    "disposition",
    [
        b'filename=""',
        b'filename="   "',
        b'filename=".."',
        b'filename="a/"',
        b'filename="a\\"',
        b"filename*=UTF-8''%0d%0a",
        b'filename="' + b"a" * 256 + b'"',
        ('filename="' + "ä" * 256 + '"').encode(),
    ],
)
def test_file_without_a_possible_name_is_refused(
    app: Flask, alice: Browser, disposition: bytes
) -> None:
    response = send_form(alice, form([part(b"x", b'form-data; name="file"; ' + disposition)]))
    assert response.status_code == 422
    (rejected,) = response.get_json()["rejected"]
    assert rejected["reason"] == "name"
    assert "1 to 255" in rejected["detail"] or "255 are possible" in rejected["detail"]
    assert nothing_stays(app)
    assert events(app, "upload.refused")[0].detail["reason"] == "name"


REFUSED_FORMS = [
    b'form-data; name="file"; filename="a\nb.txt"',
    b'form-data; name="file"; filename="a\rb.txt"',
    b'form-data; name="file"; filename="\xff\xfe.txt"',
    b'attachment; filename="a.txt"',
    b'form-data; name="file"; filename="' + b"a" * 10_000 + b'"',
    b"",
]


@pytest.mark.parametrize("disposition", REFUSED_FORMS)
def test_form_that_cannot_be_read_is_a_clean_refusal(
    app: Flask, alice: Browser, disposition: bytes
) -> None:
    # The token in the header, so that what is wrong is the form.
    for body in (
        form([part(b"x", disposition)]),
        form([file_part(b"before"), part(b"x", disposition)]),
    ):
        response = send_form(alice, body)
        assert response.status_code == 400
        assert response.content_type == "application/problem+json"
        assert nothing_stays(app)


def test_raw_nul_in_a_name_is_no_failure(app: Flask, alice: Browser) -> None:
    response = send_form(alice, form([part(b"x", b'form-data; name="file"; filename="a\0b.txt"')]))
    assert response.status_code in {201, 400}
    if response.status_code == 201:
        assert response.get_json()["documents"][0]["name"] == "ab.txt"
    assert unfinished_files(app) == []


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=NASTY.filter(bool))
def test_every_name_is_stored_shown_and_sent_or_refused_with_the_rule(
    app: Flask, alice: Browser, raw: str
) -> None:
    from urllib.parse import quote

    encoded = quote(raw.encode("utf-8", "surrogatepass"), safe="").encode()
    body = form([part(b"x", b"form-data; name=\"file\"; filename*=UTF-8''" + encoded)])
    response = send_form(alice, body)
    try:
        expected = names.clean(raw.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))
    except FileNameRejected:
        assert response.status_code == 422
        return
    assert response.status_code == 201
    (document,) = response.get_json()["documents"]
    assert document["name"] == expected
    assert alice.get(document["url"]).status_code == 200
    download = alice.get(document["download_url"])
    assert download.data == b"x"
    assert alice.get("/documents", query_string={"q": expected}).text.count(document["url"])


# What is refused


def test_form_without_a_file_says_so_beside_the_field(app: Flask, alice: Browser) -> None:
    for parts in (
        [],
        [file_part(b"", name="")],
        [field_part("file", "text")],
        [field_part("a", "b")],
    ):
        response = send_form(alice, form(parts))
        assert response.status_code == 422, parts
        assert response.get_json()["errors"] == {"file": "Choose at least one file."}
    assert nothing_stays(app)


def test_file_of_another_field_is_not_stored(app: Flask, alice: Browser) -> None:
    response = send_form(alice, form([file_part(b"x", field="other")]))
    assert response.status_code == 422
    assert nothing_stays(app)


def test_form_that_is_not_multipart_has_no_file(app: Flask, alice: Browser) -> None:
    assert alice.post_json("/documents", {"file": "text"}).status_code == 422
    assert alice.post_json("/documents", b"{}", content_type="application/json").status_code == 422
    assert alice.post_json("/documents", b"", content_type=None).status_code == 422


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=other",
    ],
)
def test_missing_or_wrong_boundary_is_a_clean_refusal(
    app: Flask, alice: Browser, content_type: str
) -> None:
    response = send_form(alice, form([file_part(b"x")]), content_type=content_type)
    assert response.status_code == 400
    assert nothing_stays(app)


@pytest.mark.parametrize("missing", [1, 5, 100, 100_000])
def test_cut_body_is_refused_and_leaves_nothing(app: Flask, alice: Browser, missing: int) -> None:
    body = form([file_part(b"first"), file_part(b"x" * 200_000)])
    response = send_form(
        alice, body[:-missing], environ_overrides={"CONTENT_LENGTH": str(len(body))}
    )
    assert response.status_code == 400
    assert nothing_stays(app)
    assert events(app, "document.uploaded") == []


@pytest.mark.parametrize("folder", ["x", NOTHING, "../.."])
def test_folder_that_is_not_there_is_refused(app: Flask, alice: Browser, folder: str) -> None:
    response = send_form(alice, form([field_part("folder", folder), file_part(b"x")]))
    assert response.status_code == 404
    assert nothing_stays(app)


def test_without_a_token_the_files_are_thrown_away(app: Flask, alice: Browser) -> None:
    body = form([file_part(b"x" * 100_000)])
    response = alice.client.post("/documents", data=body, content_type=FORM_TYPE)
    assert response.status_code == 400
    assert nothing_stays(app)


def test_the_token_may_stand_in_the_form(app: Flask, alice: Browser) -> None:
    body = form([field_part("csrf_token", alice.token()), file_part(DEED)])
    response = alice.client.post("/documents", data=body, content_type=FORM_TYPE)
    assert response.status_code == 303


def test_file_above_the_limit_is_refused_with_the_rule(make_app: Any) -> None:
    app = make_app(max_upload_bytes=1000)
    alice = Cast(app).person("alice@example.org", "Alice")
    assert alice.upload("a.bin", b"x" * 1000)["size"] == 1000
    for size in (1001, 5000, 400_000):
        response = send_form(alice, form([file_part(b"x" * size)]))
        assert response.status_code == 413
        (rejected,) = response.get_json()["rejected"]
        assert rejected["reason"] == "too_large"
        assert "1000 bytes" in rejected["detail"] or "1 kB" in rejected["detail"]
    assert len(stored_files(app)) == 1
    page = alice.post("/documents", {"file": (BytesIO(b"x" * 1001), "big.bin")})
    assert page.status_code == 413
    assert "“big.bin” was not taken." in page.text


def test_too_large_file_is_refused_while_it_comes_in(make_app: Any) -> None:
    """Not only at its end, when it has filled the disk already."""
    app = make_app(max_upload_bytes=1000, default_quota_bytes=1500)
    Cast(app).person("alice@example.org", "Alice")
    with app.app_context():
        alice = people.by_email("alice@example.org")
        reception = room.Reception(alice, settings_of(app))
        reception.check(1000)
        with pytest.raises(FileTooLarge):
            reception.check(1001)
        first = reception.open("a.bin")
        first.write(b"x" * 1000)
        reception.check(1000)
        second = reception.open("a.bin")
        reception.check(500)
        with pytest.raises(OverQuota, match="500 bytes"):
            reception.check(501)
        for incoming in (first, second):
            incoming.discard()


@pytest.mark.parametrize("name", ["", "a.exe", "a.txt"])
def test_service_keeps_the_rules_by_itself_and_leaves_nothing(make_app: Any, name: str) -> None:
    app = make_app(max_upload_bytes=1000, allowed_extensions=frozenset({"txt"}))
    Cast(app).person("alice@example.org", "Alice")
    with app.app_context():
        alice = people.by_email("alice@example.org")
        incoming = current().receive(alice.public_id)
        incoming.write(b"x" * 1001)
        actor = type("Actor", (), {"user_id": alice.id, "email": alice.email})()
        with pytest.raises(UploadRejected):
            uploads.receive(actor, Intent(alice, name), incoming, settings_of(app))
    assert nothing_stays(app)


def test_refused_file_does_not_keep_the_others_out(make_app: Any) -> None:
    app = make_app(max_upload_bytes=1000, allowed_extensions=frozenset({"txt"}))
    alice = Cast(app).person("alice@example.org", "Alice")
    parts = [
        file_part(b"good", "a.txt"),
        file_part(b"x" * 1001, "big.txt"),
        file_part(b"x", "a.exe"),
        file_part(b"x", ".."),
        file_part(b"good too", "b.txt"),
    ]
    response = send_form(alice, form(parts))
    assert response.status_code == 201
    answer = response.get_json()
    assert [each["name"] for each in answer["documents"]] == ["a.txt", "b.txt"]
    assert [(each["name"], each["reason"]) for each in answer["rejected"]] == [
        ("big.txt", "too_large"),
        ("a.exe", "type_refused"),
        ("..", "name"),
    ]
    assert len(stored_files(app)) == 2
    assert len(events(app, "upload.refused")) == 3


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("a.pdf", 201),
        ("a.PDF", 201),
        ("a.exe.pdf", 201),
        ("a.exe", 415),
        ("a.pdf.exe", 415),
        ("a", 415),
        (".pdf", 415),
        ("a.pdf%2fa.exe", 415),
    ],
)
def test_policy_looks_at_the_end_of_the_final_name(make_app: Any, name: str, status: int) -> None:
    app = make_app(allowed_extensions=frozenset({"pdf"}))
    alice = Cast(app).person("alice@example.org", "Alice")
    # The other name beside it decides nothing.
    body = form(
        [part(DEED, f'form-data; name="file"; filename="good.pdf"; filename*=UTF-8\'\'{name}')]
    )
    response = send_form(alice, body)
    assert response.status_code == status
    if status == 415:
        assert "Only pdf." in response.get_json()["rejected"][0]["detail"]
        assert nothing_stays(app)


def test_blocked_ending_is_refused_however_it_is_written(make_app: Any) -> None:
    app = make_app(blocked_extensions=frozenset({"exe"}))
    alice = Cast(app).person("alice@example.org", "Alice")
    for name in ("a.exe", "a.EXE", "a.exe.", "a.exe ", "a\u202e.exe"):
        assert send_form(alice, form([file_part(b"x", name)])).status_code == 415
    assert nothing_stays(app)
    assert alice.upload("a.exe.txt", b"x")


# Room


def test_quota_is_used_to_the_last_byte_and_no_further(make_app: Any) -> None:
    app = make_app(default_quota_bytes=1000)
    alice = Cast(app).person("alice@example.org", "Alice")
    alice.upload("a.bin", b"x" * 600)
    response = send_form(alice, form([file_part(b"x" * 401)]))
    assert response.status_code == 413
    (rejected,) = response.get_json()["rejected"]
    assert rejected["reason"] == "over_quota"
    assert "400 bytes" in rejected["detail"]
    alice.upload("b.bin", b"x" * 400)
    assert used(app) == 1000
    assert send_form(alice, form([file_part(b"x")])).status_code == 413
    assert alice.upload("empty", b"")["size"] == 0
    assert len(stored_files(app)) == 3


def test_files_of_one_form_share_the_room(make_app: Any) -> None:
    app = make_app(default_quota_bytes=1000)
    alice = Cast(app).person("alice@example.org", "Alice")
    response = send_form(alice, form([file_part(b"x" * 600), file_part(b"y" * 600)]))
    assert response.status_code == 201
    assert [each["reason"] for each in response.get_json()["rejected"]] == ["over_quota"]
    assert used(app) == 600
    assert len(stored_files(app)) == 1


def test_persons_own_quota_beats_the_portals(make_app: Any) -> None:
    app = make_app(default_quota_bytes=10)
    alice = Cast(app).person("alice@example.org", "Alice")
    for quota, status in ((None, 413), (100, 201), (100, 413), (0, 201)):
        with app.app_context():
            people.by_email("alice@example.org").quota_bytes = quota
            db.session.commit()
        assert send_form(alice, form([file_part(b"x" * 60)])).status_code == status
    assert used(app) == 120


def test_no_quota_is_no_limit(make_app: Any) -> None:
    alice = Cast(make_app(default_quota_bytes=0)).person("alice@example.org", "Alice")
    assert alice.upload("a.bin", b"x" * 100_000)


def test_what_cannot_fit_is_refused_before_it_is_read(make_app: Any) -> None:
    app = make_app(default_quota_bytes=1000)
    alice = Cast(app).person("alice@example.org", "Alice")
    environ = {"wsgi.input": Unreadable(), "CONTENT_LENGTH": str(10**9)}
    response = send_form(alice, b"", environ_overrides=environ)
    assert response.status_code == 413
    assert response.get_json()["reason"] == "over_quota"


def test_uploads_at_once_do_not_go_over_the_quota(make_app: Any) -> None:
    app = make_app(default_quota_bytes=1000)
    alice = Cast(app).person("alice@example.org", "Alice")
    token = alice.token()
    browsers = twins(alice, 10)

    def upload(number: int) -> int:
        headers = {"X-CSRFToken": token, "Accept": "application/json"}
        return (
            browsers[number]
            .client.post(
                "/documents",
                data=form([file_part(b"x" * 300)]),
                content_type=FORM_TYPE,
                headers=headers,
            )
            .status_code
        )

    assert sorted(at_once(10, upload)) == [201] * 3 + [413] * 7
    assert used(app) == 900
    assert len(stored_files(app)) == documents_of(app) == 3


def test_quota_counts_versions_in_the_trash_and_is_given_back_by_deleting_for_ever(
    make_app: Any,
) -> None:
    app = make_app(default_quota_bytes=1000)
    alice = Cast(app).person("alice@example.org", "Alice")
    document = alice.upload("a.bin", b"x" * 800)
    alice.post(f"{document['url']}/delete")
    assert send_form(alice, form([file_part(b"x" * 300)])).status_code == 413
    alice.post(f"/trash/{document['id']}/purge")
    assert used(app) == 0
    assert alice.upload("b.bin", b"x" * 1000)


def test_account_disabled_while_its_upload_comes_in_gets_nothing(
    app: Flask, alice: Browser
) -> None:
    """The decision in the last transaction is made on what is true then."""
    settings = app.extensions["settings"]
    with app.app_context():
        owner = people.by_email("alice@example.org")
        incoming = current().receive(owner.public_id)
        incoming.write(DEED)
        people.disable(people.by_email("alice@example.org"))
        actor = type("Actor", (), {"user_id": owner.id, "email": owner.email})()
        with pytest.raises(NotFound):
            uploads.receive(actor, Intent(owner, "deed.pdf"), incoming, settings)
    assert nothing_stays(app)


def test_note_of_an_admin_is_text_any_database_can_hold(
    app: Flask, alice: Browser, ada: Browser
) -> None:
    path = f"/admin/users/{user_named(app, alice.email).public_id}/documents"
    body = form([field_part("note", "  for\0you "), file_part(b"x")])
    response = send_form(ada, body, path)
    assert response.status_code == 201
    (document,) = response.get_json()["documents"]
    assert "for you" in alice.get(document["url"]).text


def test_refused_upload_changes_nothing_but_the_log(app: Flask, alice: Browser) -> None:
    before = database_dump(app, "audit_events", "audit_head")
    send_form(alice, form([file_part(b"x", "..")]))
    assert database_dump(app, "audit_events", "audit_head") == before


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=3000))
def test_every_content_comes_back(app: Flask, alice: Browser, content: bytes) -> None:
    document = alice.upload("any.bin", content)
    response = alice.get(document["download_url"])
    assert response.data == content
    assert response.headers["ETag"] == f'"{hashlib.sha256(content).hexdigest()}"'
