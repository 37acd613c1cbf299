"""New versions of a document, and the same name once more."""

from __future__ import annotations

import hashlib
import io
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from conftest import DEED, Browser, Cast, user_named
from portal import audit
from portal.documents import housekeeping, intake, lifecycle, uploads, versions
from portal.documents.intake import Intent
from portal.errors import Conflict, NotFound, SameNameThere
from portal.extensions import db
from portal.models import DiscardedBlob, SameName, Scan, Version, utcnow
from portal.storage import Incoming
from stage import NOTHING, at_once, events, program, settings_of, stored_files, twins
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


# Every version


@pytest.fixture
def three(alice: Browser, deed: dict[str, Any]) -> dict[str, Any]:
    """Alice's deed with three versions: the deed, "second" and "third one"."""
    for content in (b"second", b"third one"):
        assert send(alice, f"{deed['url']}/versions", content).status_code == 201
    return deed


def listed(browser: Browser, deed: dict[str, Any]) -> list[int]:
    answer = browser.get(deed["url"], headers={"Accept": "application/json"})
    return [each["number"] for each in answer.get_json()["versions"]]


def mark(app: Flask, number: int, **values: Any) -> None:
    """Change columns of a version behind the portal's back."""
    with app.app_context():
        db.session.execute(update(Version).where(Version.number == number).values(**values))
        db.session.commit()


def trim(app: Flask, keep: int) -> int:
    with app.app_context(), audit.acting(audit.Origin("system")):
        return versions.trim(replace(settings_of(app), keep_versions=keep))


def test_programs_see_every_version(alice: Browser, three: dict[str, Any]) -> None:
    found = program(alice, "documents:read").open(three["url"]).get_json()["versions"]
    assert [each["number"] for each in found] == [3, 2, 1]
    oldest = found[-1]
    assert (oldest["size"], oldest["sha256"]) == (len(DEED), hashlib.sha256(DEED).hexdigest())
    assert (oldest["uploaded_by"], oldest["scan"], oldest["damaged_at"]) == (
        "Alice Archer",
        "",
        None,
    )
    assert oldest["verified_at"] == oldest["uploaded_at"]
    assert alice.get(oldest["download_url"]).data == DEED


def test_page_shows_every_version_and_what_can_be_done(
    alice: Browser, three: dict[str, Any]
) -> None:
    page = alice.get(three["url"]).text
    assert [f"<strong>Version {n}</strong>" in page for n in (1, 2, 3)] == [True] * 3
    for number in (1, 2, 3):
        assert f"{three['download_url']}?version={number}" in page
        for act in ("restore", "delete"):
            offered = f'action="{three["url"]}/versions/{number}/{act}"' in page
            assert offered == (number != 3)
    assert f'action="{three["url"]}/versions"' in page


def test_page_shows_many_versions_a_part_at_a_time(
    alice: Browser, three: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal.documents import page as document_page

    monkeypatch.setattr(document_page, "VERSIONS", 2)
    first = alice.get(three["url"]).text
    assert "Version 2<" in first
    assert "Version 1<" not in first
    assert f"{three['url']}?below=2#versions" in first
    older = alice.get(f"{three['url']}?below=2").text
    assert "<strong>Version 1</strong>" in older
    assert "<strong>Version 3</strong>" not in older
    # The facts stay those of the newest one.
    assert hashlib.sha256(b"third one").hexdigest() in older
    assert "?below" not in older
    assert alice.get(f"{three['url']}?below=x").status_code == 200


def test_refused_version_is_said_on_the_page(make_app: Any) -> None:
    alice = Cast(make_app(blocked_extensions=frozenset({"exe"}))).person(
        "alice@example.org", "Alice"
    )
    deed = alice.upload()
    answer = alice.post(f"{deed['url']}/versions", {"file": (io.BytesIO(b"x"), "a.exe")})
    assert answer.status_code == 415
    assert "Upload a new version" in answer.text
    assert "exe" in answer.text.partition('id="versions"')[2]
    answer = alice.post(f"{deed['url']}/versions", {})
    assert "Choose at least one file." in answer.text.partition('id="versions"')[2]


def test_restored_version_becomes_a_new_one(
    app: Flask, alice: Browser, three: dict[str, Any]
) -> None:
    alice.post(f"{three['url']}/rename", {"name": "house.pdf"})
    answer = alice.post_json(f"{three['url']}/versions/1/restore")
    assert answer.status_code == 201
    document = answer.get_json()
    assert (document["name"], document["size"], document["media_type"]) == (
        "house.pdf",
        len(DEED),
        "application/pdf",
    )
    assert alice.get(three["download_url"]).data == DEED
    assert numbers(alice, three) == [DEED, b"second", b"third one"]
    assert listed(alice, three) == [4, 3, 2, 1]
    assert user_named(app, alice.email).used_bytes == 2 * len(DEED) + 6 + 9
    assert len(stored_files(app)) == 4
    (event,) = events(app, "document.version_restored")
    assert (event.actor, event.document, event.detail["version"]) == (alice.email, three["id"], 1)


def test_page_leads_back_to_the_versions(alice: Browser, three: dict[str, Any]) -> None:
    for act, said in (("restore", "is the newest one again"), ("delete", "was deleted for ever")):
        answer = alice.post(f"{three['url']}/versions/1/{act}")
        assert (answer.status_code, answer.location) == (303, f"{three['url']}#versions")
        assert f"Version 1 {said}" in alice.get(three["url"]).text


@pytest.mark.parametrize("act", ["restore", "delete"])
def test_newest_version_is_neither_restored_nor_deleted(
    app: Flask, alice: Browser, three: dict[str, Any], act: str
) -> None:
    assert alice.post_json(f"{three['url']}/versions/3/{act}").status_code == 409
    assert listed(alice, three) == [3, 2, 1]
    assert len(stored_files(app)) == 3


@pytest.mark.parametrize("act", ["restore", "delete"])
def test_nobody_else_touches_a_version(
    app: Flask,
    alice: Browser,
    bob: Browser,
    ada: Browser,
    visitor: Browser,
    three: dict[str, Any],
    act: str,
) -> None:
    path = f"{three['url']}/versions/1/{act}"
    for other in (bob, ada):
        assert other.post_json(path).status_code == 404
    assert visitor.post(path).status_code == 302
    assert program(alice, "documents:read").post(path).status_code == 403
    assert alice.client.post(path).status_code == 400  # without the token of the form
    assert alice.get(path).status_code == 405
    for number in ("4", "0", "x", "9" * 30):
        assert alice.post_json(f"{three['url']}/versions/{number}/{act}").status_code == 404
    assert listed(alice, three) == [3, 2, 1]
    alice.post(f"{three['url']}/delete")
    assert alice.post_json(path).status_code == 404
    assert len(stored_files(app)) == 3


def test_restoring_needs_room(make_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app(default_quota_bytes=100)
    alice = Cast(app).person("alice@example.org", "Alice")
    deed = alice.upload(content=b"a" * 60)
    send(alice, f"{deed['url']}/versions", b"b" * 30)
    copied: list[Any] = []
    # What clearly cannot fit is not even copied.
    monkeypatch.setattr(type(app.extensions["storage"]), "copy", copied.append)
    answer = alice.post_json(f"{deed['url']}/versions/1/restore")
    assert answer.status_code == 413
    assert copied == []
    assert "10 bytes" in answer.get_json()["detail"]
    assert len(stored_files(app)) == 2
    assert user_named(app, alice.email).used_bytes == 90


def test_room_that_others_took_meanwhile_is_not_taken_twice(make_app: Any) -> None:
    app = make_app(default_quota_bytes=100)
    alice = Cast(app).person("alice@example.org", "Alice")
    deed = alice.upload(content=b"a" * 30)
    send(alice, f"{deed['url']}/versions", b"b" * 20)
    path = f"{deed['url']}/versions/1/restore"
    tabs = twins(alice, 4)
    answers = at_once(4, lambda number: tabs[number].post_json(path).status_code)
    assert sorted(answers) == [201, 413, 413, 413]
    assert user_named(app, alice.email).used_bytes == 80
    assert len(stored_files(app)) == 3


@pytest.mark.parametrize("spoil", ["flip", "cut", "remove", "known"])
def test_damaged_version_is_not_restored(
    app: Flask, alice: Browser, three: dict[str, Any], spoil: str
) -> None:
    (file,) = (path for path in stored_files(app) if path.read_bytes() == DEED)
    if spoil == "flip":
        file.write_bytes(DEED.replace(b"house", b"horse"))
    elif spoil == "cut":
        file.write_bytes(DEED[:-1])
    elif spoil == "remove":
        file.unlink()
    else:
        mark(app, 1, damaged_at=utcnow())
    before = stored_files(app)
    answer = alice.post_json(f"{three['url']}/versions/1/restore")
    assert (answer.status_code, answer.get_json()["reason"]) == (500, "damaged")
    assert listed(alice, three) == [3, 2, 1]
    assert stored_files(app) == before
    assert user_named(app, alice.email).used_bytes == len(DEED) + 6 + 9


def test_what_is_known_of_malware_goes_along(make_app: Any) -> None:
    from scanning.test_pages import AWAY

    app = make_app(clamd_url=AWAY)
    alice = Cast(app).person("alice@example.org", "Alice")
    deed = alice.upload()
    send(alice, f"{deed['url']}/versions", b"second")
    path = f"{deed['url']}/versions/1/restore"
    moment = utcnow() - timedelta(days=3)
    for state, scanned_at, becomes in (
        (Scan.CLEAN, moment, "clean"),
        (Scan.WAITING, None, "waiting"),
        (Scan.NONE, None, "waiting"),
    ):
        mark(app, 1, scan=state, scanned_at=scanned_at, next_scan_at=None)
        assert alice.post_json(path).get_json()["scan"] == becomes
        with app.app_context():
            newest = db.session.query(Version).order_by(Version.number.desc()).first()
            assert newest is not None
            assert (newest.scan, newest.scanned_at) == (becomes, scanned_at)
            assert (newest.next_scan_at is None) == (becomes == "clean")
    mark(app, 1, scan=Scan.INFECTED)
    assert alice.post_json(path).status_code == 403


def test_old_version_is_the_way_out_when_malware_came(make_app: Any) -> None:
    app = make_app()
    alice = Cast(app).person("alice@example.org", "Alice")
    deed = alice.upload()
    send(alice, f"{deed['url']}/versions", b"bad")
    mark(app, 2, scan=Scan.INFECTED)
    assert alice.post_json(f"{deed['url']}/versions/1/restore").status_code == 201
    assert alice.get(deed["download_url"]).data == DEED


def test_document_deleted_while_a_version_is_copied_gets_none(
    app: Flask, alice: Browser, three: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tab = twins(alice, 1)[0]
    real = type(app.extensions["storage"]).copy

    def slow(self: Any, *arguments: Any) -> str:
        blob: str = real(self, *arguments)
        tab.post(f"{three['url']}/delete")
        return blob

    monkeypatch.setattr(type(app.extensions["storage"]), "copy", slow)
    assert alice.post_json(f"{three['url']}/versions/1/restore").status_code == 404
    assert len(stored_files(app)) == 3
    assert user_named(app, alice.email).used_bytes == len(DEED) + 6 + 9


def test_deleted_version_frees_its_room_and_its_bytes_go_later(
    app: Flask, alice: Browser, three: dict[str, Any]
) -> None:
    answer = alice.post_json(f"{three['url']}/versions/2/delete")
    assert (answer.status_code, answer.get_json()) == (201, {"id": three["id"], "version": 2})
    assert listed(alice, three) == [3, 1]
    assert numbers(alice, three) == [DEED, None, b"third one"]
    assert user_named(app, alice.email).used_bytes == len(DEED) + 9
    assert len(stored_files(app)) == 3
    with app.app_context():
        assert db.session.query(DiscardedBlob).count() == 1
    (event,) = events(app, "document.version_deleted")
    assert (event.actor, event.detail["version"], event.detail["size_bytes"]) == (
        alice.email,
        2,
        6,
    )
    # A number is never given twice.
    send(alice, f"{three['url']}/versions", b"fourth")
    assert listed(alice, three) == [4, 3, 1]


def test_version_deleted_twice_at_once_frees_its_room_once(
    app: Flask, alice: Browser, three: dict[str, Any]
) -> None:
    tabs = twins(alice, 4)
    path = f"{three['url']}/versions/1/delete"
    answers = at_once(4, lambda number: tabs[number].post_json(path).status_code)
    assert sorted(answers) == [201, 404, 404, 404]
    assert user_named(app, alice.email).used_bytes == 6 + 9


def test_oldest_versions_are_trimmed(app: Flask, alice: Browser, three: dict[str, Any]) -> None:
    other = alice.upload("other.txt", b"other")
    assert trim(app, 0) == 0
    assert trim(app, 3) == 0
    assert trim(app, 2) == 1
    assert listed(alice, three) == [3, 2]
    assert listed(alice, other) == [1]
    assert trim(app, 1) == 1
    assert trim(app, 1) == 0
    assert numbers(alice, three) == [None, None, b"third one"]
    assert user_named(app, alice.email).used_bytes == 9 + 5
    trimmed = events(app, "document.version_trimmed")
    assert [(each.actor, each.detail["version"]) for each in trimmed] == [
        ("system", 1),
        ("system", 2),
    ]
    with app.app_context():
        assert db.session.query(DiscardedBlob).count() == 2


def test_worker_trims_by_the_setting(make_app: Any) -> None:
    app = make_app(keep_versions=2)
    alice = Cast(app).person("alice@example.org", "Alice")
    deed = alice.upload()
    for number in range(5):
        send(alice, f"{deed['url']}/versions", f"{number}".encode())
    with app.app_context():
        assert housekeeping.purge(settings_of(app)).versions == 4
    assert listed(alice, deed) == [6, 5]


def test_what_was_deleted_by_hand_counts_no_more(
    app: Flask, alice: Browser, three: dict[str, Any]
) -> None:
    alice.post_json(f"{three['url']}/versions/2/delete")
    assert trim(app, 2) == 0
    assert listed(alice, three) == [3, 1]


def test_many_are_trimmed_batch_by_batch(
    app: Flask, alice: Browser, three: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "_BATCH", 1)
    other = alice.upload("other.txt", b"other")
    send(alice, f"{other['url']}/versions", b"more")
    assert trim(app, 1) == 3
    assert (listed(alice, three), listed(alice, other)) == ([3], [2])


def test_trash_is_not_trimmed(app: Flask, alice: Browser, three: dict[str, Any]) -> None:
    alice.post(f"{three['url']}/delete")
    assert trim(app, 1) == 0
    alice.post(f"{three['url']}/restore")
    assert listed(alice, three) == [3, 2, 1]


def test_document_that_is_deleted_meanwhile_is_not_trimmed(
    app: Flask, alice: Browser, three: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = versions.transaction

    def late() -> Any:
        with ThreadPoolExecutor(1) as other:
            assert other.submit(alice.post, f"{three['url']}/delete").result().status_code == 303
        return real()

    monkeypatch.setattr(versions, "transaction", late)
    assert trim(app, 1) == 0
    alice.post(f"{three['url']}/restore")
    assert listed(alice, three) == [3, 2, 1]


def test_what_must_be_kept_loses_no_version(
    app: Flask, alice: Browser, three: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "may_be_deleted", lambda _ids: set())
    assert trim(app, 1) == 0
    answer = alice.post_json(f"{three['url']}/versions/1/delete")
    assert answer.status_code == 409
    assert "must be kept" in answer.get_json()["detail"]
    assert listed(alice, three) == [3, 2, 1]


def test_link_gives_the_newest_version_whatever_its_address_says(
    alice: Browser, visitor: Browser, three: dict[str, Any]
) -> None:
    link = alice.share(three)
    ticket = visitor.client.post(f"{link['path']}/download").location
    assert visitor.get(ticket).data == b"third one"
    assert visitor.get(f"{ticket}?version=1").data == b"third one"
    alice.post_json(f"{three['url']}/versions/1/restore")
    assert visitor.get(ticket).data == DEED


def test_page_has_the_same_parts_to_renew_whatever_state_the_document_is_in(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    """A part that one state did not have could not be put in place when it changes."""

    def parts() -> list[str]:
        return re.findall('data-refresh="([a-z]+)"', alice.get(deed["url"]).get_data(as_text=True))

    ordinary = parts()
    assert sorted(ordinary) == sorted(set(ordinary))
    states: list[dict[str, Any]] = [{"scan": state} for state in Scan]
    for state in [*states, {"scan": Scan.CLEAN, "damaged_at": utcnow()}]:
        with app.app_context():
            db.session.execute(update(Version).values(threat="Eicar", **state))
            db.session.commit()
        assert parts() == ordinary


def test_form_for_a_version_tells_scripts_what_they_need(make_app: Any) -> None:
    app = make_app(max_upload_bytes=5000)
    alice = Cast(app).person("alice@example.org", "Alice")
    deed = alice.upload()
    alice.post(f"{deed['url']}/rename", {"name": 'the "deed" & <b>.pdf'})
    page = alice.get(deed["url"]).get_data(as_text=True)
    (form,) = re.findall("<form[^>]* data-upload [^>]*>", page)
    assert f'action="{deed["url"]}/versions"' in form
    assert f'data-document="{deed["id"]}"' in form
    assert 'data-max-bytes="5000"' in form
    name = "the &#34;deed&#34; &amp; &lt;b&gt;.pdf"
    assert f'data-destination="“{name}”"' in form
