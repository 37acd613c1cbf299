"""Several documents, or folders, as one ZIP."""

from __future__ import annotations

import hashlib
import io
import random
import shutil
import subprocess
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from conftest import DEED, Browser, missing, user_named
from documents.folders_stage import folder, put_into, trash_folder
from portal import database
from portal.accounts import people
from portal.audit.actions import sentence
from portal.config import Scanner
from portal.documents import archives
from portal.models import utcnow
from portal.storage import delivery
from scanning.stage import put
from stage import (
    NOTHING,
    database_dump,
    events,
    facts,
    file_part,
    form,
    program,
    send_form,
    stored_files,
)

PATH = "/documents/zip"
ALICE = "alice@example.org"


def asked(browser: Browser, *documents: dict[str, Any], **fields: Any) -> TestResponse:
    return browser.post(PATH, {"id": [each["id"] for each in documents], **fields})


def opened(response: TestResponse) -> zipfile.ZipFile:
    assert response.status_code == 200, response.text
    assert int(response.headers["Content-Length"]) == len(response.data)
    found = zipfile.ZipFile(io.BytesIO(response.data))
    assert found.testzip() is None
    return found


def read(response: TestResponse) -> dict[str, bytes]:
    found = opened(response)
    return {name: found.read(name) for name in found.namelist()}


def uploaded(browser: Browser, name: str, content: bytes) -> dict[str, Any]:
    """Upload something large."""
    response = send_form(browser, form([file_part(content, name)]))
    assert response.status_code == 201
    document: dict[str, Any] = response.get_json()["documents"][0]
    return document


# What is in it


def test_several_documents_come_as_they_were_uploaded(alice: Browser, deed: Any) -> None:
    large = random.Random(1).randbytes(3_000_000)
    plan = uploaded(alice, "plan.bin", large)
    empty = alice.upload("empty.txt", b"")
    found = read(asked(alice, plan, deed, empty))
    assert found == {"plan.bin": large, "deed.pdf": DEED, "empty.txt": b""}
    assert hashlib.sha256(found["plan.bin"]).hexdigest() == plan["sha256"]


def test_names_are_kept_as_far_as_every_system_takes_them(alice: Browser) -> None:
    names = {
        "日本語の契約書.pdf": "日本語の契約書.pdf",
        "合同 📜.txt": "合同 📜.txt",
        "عقد الإيجار.pdf": "عقد الإيجار.pdf",
        "Übersicht.txt": "Übersicht.txt",
        "CON": "_CON",
        "aux.txt": "_aux.txt",
        "what?.pdf": "what_.pdf",
        "ends in a dot.": "ends in a dot",
        "NOT-INCLUDED.txt": "NOT-INCLUDED (2).txt",
        "a.txt": "a.txt",
        "A.TXT": "A (2).TXT",
        "a (2).txt": "a (2) (2).txt",
    }
    documents = [alice.upload(name, name.encode()) for name in names]
    documents.append(alice.upload("a.txt", b"another"))
    found = read(asked(alice, *documents))
    assert found == {
        **{path: name.encode() for name, path in names.items()},
        "a (3).txt": b"another",
    }


def test_other_programs_read_it(alice: Browser, deed: Any, tmp_path: Path) -> None:
    if shutil.which("unzip") is None:
        missing("unzip", "apt-get install unzip")
    chinese = alice.upload("日本語の契約書.pdf", b"contract")
    path = tmp_path / "a.zip"
    path.write_bytes(asked(alice, deed, chinese).data)
    tested = subprocess.run(["unzip", "-tq", str(path)], capture_output=True, text=True)
    assert (tested.returncode, tested.stderr) == (0, "")
    assert "No errors" in tested.stdout
    environment = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    subprocess.run(["unzip", "-q", str(path), "-d", str(tmp_path)], env=environment, check=True)
    assert (tmp_path / "日本語の契約書.pdf").read_bytes() == b"contract"


def test_document_asked_for_twice_comes_once(alice: Browser, deed: Any) -> None:
    assert list(read(asked(alice, deed, deed))) == ["deed.pdf"]


def test_newest_version_is_in_it(app: Flask, alice: Browser, deed: Any) -> None:
    newer = {"file": (io.BytesIO(b"%PDF-1.7 newer"), "deed.pdf")}
    assert alice.post_json(f"{deed['url']}/versions", newer).status_code == 201
    assert read(asked(alice, deed)) == {"deed.pdf": b"%PDF-1.7 newer"}


# Folders


@pytest.fixture
def taxes(app: Flask, alice: Browser) -> str:
    """A folder of Alice's: two documents, one of them in a folder in it, and an empty folder."""
    taxes = folder(app, alice, "Taxes")
    year = folder(app, alice, "2026", taxes)
    folder(app, alice, "Later", taxes)
    put_into(app, alice.upload("letter.txt", b"letter"), taxes)
    put_into(app, alice.upload("return.txt", b"return"), year)
    return taxes


TAXES = {
    "Taxes/letter.txt": b"letter",
    "Taxes/2026/return.txt": b"return",
    "Taxes/Later/": b"",
}


def test_folder_comes_with_all_below_it(app: Flask, alice: Browser, deed: Any, taxes: str) -> None:
    assert read(asked(alice, folder=taxes)) == TAXES
    assert read(asked(alice, deed, folder=taxes)) == {"deed.pdf": DEED, **TAXES}


def test_folder_inside_a_chosen_one_comes_once(app: Flask, alice: Browser, taxes: str) -> None:
    year = folder(app, alice, "2025", taxes)
    lease = alice.upload("lease.txt", b"lease")
    put_into(app, lease, year)
    expected = {**TAXES, "Taxes/2025/lease.txt": b"lease"}
    assert read(asked(alice, lease, folder=[year, taxes, year])) == expected


def test_folders_and_documents_of_one_name_stand_beside_each_other(
    app: Flask, alice: Browser
) -> None:
    one, other = folder(app, alice, "a:b"), folder(app, alice, "a?b")
    for each in (one, other):
        put_into(app, alice.upload("x.txt", each.encode()), each)
    single = alice.upload("a_b", b"single")
    found = read(asked(alice, single, folder=[one, other]))
    assert set(found) == {"a_b/x.txt", "a_b (2)/x.txt", "a_b (3)"}


def test_what_lies_in_the_trash_is_not_in_a_folder(app: Flask, alice: Browser, taxes: str) -> None:
    gone = alice.upload("gone.txt", b"gone")
    put_into(app, gone, taxes)
    alice.post(f"{gone['url']}/delete")
    hidden = folder(app, alice, "Hidden", taxes)
    put_into(app, alice.upload("inside.txt", b"inside"), hidden)
    trash_folder(app, hidden)
    assert read(asked(alice, folder=taxes)) == TAXES
    assert asked(alice, folder=hidden).status_code == 404


def test_nothing_of_others_is_below_a_folder(app: Flask, alice: Browser, bob: Browser) -> None:
    """Rows that no code of ours writes: somebody's things inside another's folder."""
    mine = folder(app, alice, "Mine")
    theirs = folder(app, bob, "Theirs", mine)
    put_into(app, bob.upload("plan.txt", b"plan"), mine)
    put_into(app, alice.upload("own.txt", b"own"), theirs)
    put_into(app, alice.upload("kept.txt", b"kept"), mine)
    assert read(asked(alice, folder=mine)) == {"Mine/kept.txt": b"kept"}


def test_one_folder_gives_the_archive_its_name(app: Flask, alice: Browser, deed: Any) -> None:
    chosen = folder(app, alice, "Steuer für Ömer")
    said = asked(alice, folder=chosen).headers["Content-Disposition"]
    assert "filename*=UTF-8''Steuer%20f%C3%BCr%20%C3%96mer.zip" in said
    dated = f'attachment; filename="Documents {utcnow():%Y-%m-%d}.zip"'
    for answer in (asked(alice, deed), asked(alice, deed, folder=chosen)):
        assert answer.headers["Content-Disposition"] == dated


# What is left out


def test_what_may_not_leave_is_named_with_the_reason(make_app: Any, alice: Browser) -> None:
    app = make_app(clamd_url=Scanner(path="/nowhere/clamd.sock"))
    states = {"clean": "fine.txt", "infected": "bad.txt", "waiting": "new.txt", "doubtful": "x.txt"}
    documents = {}
    for state, name in states.items():
        documents[state] = alice.upload(name, state.encode())
        put(alice.app, documents[state], scan=state, threat="Bad" if state == "infected" else "")
    browser = Browser(app)
    browser.sign_in(ALICE)
    taxes = folder(app, browser, "Taxes")
    put_into(app, documents["waiting"], taxes)
    chosen = [each for state, each in documents.items() if state != "waiting"]
    found = read(asked(browser, *chosen, folder=taxes))
    assert set(found) == {"fine.txt", "Taxes/", "NOT-INCLUDED.txt"}
    assert found["fine.txt"] == b"clean"
    said = found["NOT-INCLUDED.txt"].decode()
    assert "bad.txt: malware was found in it.\r\n" in said
    assert "Taxes/new.txt: it is still being checked for malware" in said
    assert "x.txt: it is still being checked" in said
    (blocked,) = events(app, "document.download_blocked")
    assert blocked.detail["name"] == "bad.txt"
    assert [each.detail["name"] for each in events(app, "document.downloaded")] == ["fine.txt"]


def test_damaged_document_is_left_out_and_named(app: Flask, alice: Browser, deed: Any) -> None:
    plan = alice.upload("plan.txt", b"plan")
    (path,) = [path for path in stored_files(app) if path.read_bytes() == DEED]
    for damage in (lambda: path.write_bytes(DEED[:-1]), path.unlink):
        damage()
        found = read(asked(alice, deed, plan))
        assert set(found) == {"plan.txt", "NOT-INCLUDED.txt"}
        assert b"deed.pdf: its stored file is missing or damaged" in found["NOT-INCLUDED.txt"]


@pytest.mark.parametrize("end", ["\u2028", "\u2029"])
def test_name_adds_no_line_to_what_is_left_out(app: Flask, alice: Browser, end: str) -> None:
    document = alice.upload(f"one{end}two.pdf", DEED)
    assert document["name"] == f"one{end}two.pdf"
    taxes = folder(app, alice, f"Taxes{end}2026")
    put_into(app, document, taxes)
    (path,) = [path for path in stored_files(app) if path.read_bytes() == DEED]
    path.unlink()
    said = read(asked(alice, folder=taxes))["NOT-INCLUDED.txt"].decode()
    reason = "its stored file is missing or damaged"
    assert said.splitlines()[2:] == [f"Taxes 2026/one two.pdf: {reason}."]


# What happens on the way


def test_nothing_looks_whole_where_a_document_turns_out_damaged(
    app: Flask, alice: Browser, deed: Any
) -> None:
    plan = alice.upload("plan.txt", bytes(100_000))
    (path,) = [path for path in stored_files(app) if path.read_bytes() == DEED]
    for damage in (lambda: path.write_bytes(DEED[::-1]), path.unlink):
        response = alice.post(PATH, {"id": [plan["id"], deed["id"]]}, buffered=False)
        damage()
        came: list[bytes] = []
        with pytest.raises(delivery.Damaged):
            came.extend(response.response)
        with pytest.raises(zipfile.BadZipFile):
            zipfile.ZipFile(io.BytesIO(b"".join(came)))
        path.write_bytes(DEED)
        response.close()


@pytest.mark.parametrize("what", ["deleted", "blocked", "disabled"])
def test_it_ends_in_the_middle_where_the_right_to_it_ends(
    app: Flask, alice: Browser, deed: Any, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_BATCH", 1)
    plan = alice.upload("plan.txt", bytes(100_000))
    response = alice.post(PATH, {"id": [plan["id"], deed["id"]]}, buffered=False)
    if what == "deleted":
        alice.post(f"{deed['url']}/delete")
    elif what == "blocked":
        put(app, deed, scan="infected", threat="Bad")
    else:
        with app.app_context():
            people.disable(people.by_email(ALICE))
    with pytest.raises(archives.Ended):
        b"".join(response.response)
    response.close()


def test_client_that_hangs_up_leaves_nothing_open(alice: Browser) -> None:
    large = uploaded(alice, "large.bin", bytes(5_000_000))
    before = delivery._slots.taken
    response = alice.post(PATH, {"id": large["id"]}, buffered=False)
    iterator = iter(response.response)
    next(iterator)
    next(iterator)
    assert delivery._slots.taken == before + 1
    assert len(_open_files(alice.app)) == 1
    response.close()
    assert delivery._slots.taken == before
    assert _open_files(alice.app) == []


def _open_files(app: Flask) -> list[int]:
    storage: Any = app.extensions["storage"]
    return list(storage._reading)


def test_memory_does_not_grow_with_the_documents(alice: Browser) -> None:
    documents = [uploaded(alice, f"{number}.bin", bytes(6_000_000)) for number in range(5)]
    response = alice.post(PATH, {"id": [each["id"] for each in documents]}, buffered=False)
    tracemalloc.start()
    try:
        total = sum(len(piece) for piece in response.response)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    response.close()
    assert total == int(response.headers["Content-Length"]) > 30_000_000
    assert peak < 5_000_000


def test_busy_portal_refuses_before_anything_is_logged(
    app: Flask, alice: Browser, deed: Any
) -> None:
    free = delivery.TRANSFERS - delivery._slots.taken
    others = [delivery._slots.take(f"person {number}") for number in range(free)]
    try:
        assert asked(alice, deed).status_code == 503
        assert events(app, "document.downloaded") == []
    finally:
        for give_back in others:
            give_back()


def test_slot_is_given_back_where_it_cannot_be_logged(
    alice: Browser, deed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = delivery._slots.taken

    def full(_archive: archives.Archive) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(archives.Archive, "note", full)
    monkeypatch.setitem(alice.app.config, "PROPAGATE_EXCEPTIONS", False)
    assert asked(alice, deed).status_code == 500
    assert delivery._slots.taken == before


# The answer and the log


def test_answer_is_an_attachment_that_nobody_keeps_or_resumes(alice: Browser, deed: Any) -> None:
    response = alice.post(PATH, {"id": deed["id"]}, headers={"Range": "bytes=0-3"})
    assert response.status_code == 200
    assert response.content_type == "application/zip"
    assert response.headers["Accept-Ranges"] == "none"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert not response.headers.getlist("Set-Cookie")


def test_every_document_is_in_the_log_before_the_first_byte(
    app: Flask, alice: Browser, deed: Any
) -> None:
    plan = alice.upload("plan.txt", b"plan")
    response = alice.post(PATH, {"id": [deed["id"], plan["id"]]}, buffered=False)
    found = events(app, "document.downloaded")
    assert [(each.actor, each.owner, each.document) for each in found] == [
        (ALICE, ALICE, each["id"]) for each in (deed, plan)
    ]
    name = f"Documents {utcnow():%Y-%m-%d}.zip"
    assert [each.detail["zip"] for each in found] == [name, name]
    response.close()
    assert f"Downloaded “deed.pdf” in the ZIP “{name}”" in alice.get(deed["url"]).text
    assert "in the ZIP “Taxes.zip”" in sentence(
        "document.downloaded", ALICE, '{"name": "a", "zip": "Taxes.zip"}'
    )


def test_others_get_their_turn_to_write_while_many_are_put_into_the_log(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_NOTED", 2)
    several = [alice.upload(f"{number}.txt", b"x") for number in range(5)]
    written: list[int] = []
    transaction = database.transaction

    @contextmanager
    def counted() -> Iterator[Any]:
        before = len(events(app, "document.downloaded"))
        with transaction() as session:
            yield session
        written.append(len(events(app, "document.downloaded")) - before)

    monkeypatch.setattr(archives, "transaction", counted)
    assert len(opened(asked(alice, *several)).namelist()) == 5
    assert written == [2, 2, 1]


# Who may have it


def test_strangers_unknown_and_trashed_documents_are_the_same_404(
    app: Flask, alice: Browser, bob: Browser, deed: Any
) -> None:
    own = bob.upload("own.txt", b"own")
    gone = bob.upload("gone.txt", b"gone")
    bob.post(f"{gone['url']}/delete")
    single = facts(bob.post(f"/documents/{NOTHING}/delete"))
    folders = folder(app, alice, "Taxes")
    for fields in (
        {"id": [own["id"], deed["id"]]},
        {"id": [deed["id"], own["id"]]},
        {"id": [own["id"], NOTHING]},
        {"id": [gone["id"]]},
        {"id": [own["id"]], "folder": NOTHING},
        {"id": [own["id"]], "folder": folders},
    ):
        before = len(events(app, "access.denied"))
        assert facts(bob.post(PATH, fields)) == single
        assert len(events(app, "access.denied")) == before + 1
    assert events(app, "document.downloaded") == []
    denied = [each.document for each in events(app, "access.denied")]
    assert deed["id"] in denied


def test_admin_has_no_right_to_it(ada: Browser, deed: Any) -> None:
    assert asked(ada, deed).status_code == 404


def test_visitor_is_sent_to_sign_in(visitor: Browser, deed: Any) -> None:
    response = asked(visitor, deed)
    assert response.status_code == 302
    assert response.location.startswith("/login?next=")


def test_form_without_token_gives_nothing(app: Flask, alice: Browser, deed: Any) -> None:
    before = database_dump(app)
    assert alice.client.post(PATH, data={"id": deed["id"]}).status_code == 400
    assert database_dump(app) == before


@pytest.mark.parametrize("method", ["get", "head"])
def test_it_is_made_by_post_alone(alice: Browser, deed: Any, method: str) -> None:
    assert getattr(alice, method)(f"{PATH}?id={deed['id']}").status_code == 405


def test_program_with_the_right_to_read_gets_it(alice: Browser, bob: Browser, deed: Any) -> None:
    reader = program(alice, "documents:read")
    assert read(reader.post(PATH, {"id": deed["id"]})) == {"deed.pdf": DEED}
    assert program(alice, "documents:write").post(PATH, {"id": deed["id"]}).status_code == 403
    assert program(bob, "documents:read").post(PATH, {"id": deed["id"]}).status_code == 404


# Bad input


def test_nothing_chosen_says_so(alice: Browser) -> None:
    response = alice.post(PATH)
    assert response.status_code == 422
    assert "Choose at least one document." in response.text
    assert alice.post_json(PATH).get_json()["errors"] == {"id": "Choose at least one document."}


def test_id_that_is_none_is_refused(alice: Browser, deed: Any) -> None:
    assert alice.post(PATH, {"id": [deed["id"], "x"]}).status_code == 400


def test_too_many_are_refused_with_the_rule(
    app: Flask, alice: Browser, deed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MOST_DOCUMENTS", 2)
    plan = alice.upload("plan.txt", b"plan")
    lease = alice.upload("lease.txt", b"lease")
    taxes = folder(app, alice, "Taxes")
    for each in (plan, lease):
        put_into(app, each, taxes)
    assert set(read(asked(alice, folder=taxes))) == {"Taxes/plan.txt", "Taxes/lease.txt"}
    for answer in (asked(alice, deed, plan, lease), asked(alice, deed, folder=taxes)):
        assert answer.status_code == 422
        assert "at most 2 documents" in answer.text
    put_into(app, deed, taxes)
    assert asked(alice, folder=taxes).status_code == 422


def test_more_documents_than_are_asked_for_at_once(
    alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.access._ASKED_AT_ONCE", 2)
    monkeypatch.setattr(archives, "_BATCH", 2)
    documents = [alice.upload(f"{number}.txt", b"%d" % number) for number in range(5)]
    found = read(asked(alice, *documents))
    assert found == {f"{number}.txt": b"%d" % number for number in range(5)}


def test_account_is_the_only_thing_that_says_whose(app: Flask, alice: Browser, deed: Any) -> None:
    owner = user_named(app, ALICE)
    answer = alice.post(f"{PATH}?id={deed['id']}", {"owner": str(owner.public_id)})
    assert answer.status_code == 422
