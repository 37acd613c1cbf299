"""The admin's front page, everybody's links, and the checks behind `doctor`."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from audit.test_journal import tamper
from conftest import DEED, Browser
from portal.admin import checks
from portal.admin.checks import Check
from portal.database import transaction
from portal.documents import housekeeping
from portal.jobs import heartbeat
from portal.models import User
from stage import NOTHING, events, settings_of, stored_files

OLD = time.time() - 2 * 24 * 3600


def figure(page: str, name: str) -> str:
    found = re.search(rf"<dt>{name}</dt><dd>([^<]*)</dd>", page)
    assert found
    return found[1]


# Overview


def test_figures_count_what_is_there(
    ada: Browser, alice: Browser, bob: Browser, deed: dict[str, Any], visitor: Browser
) -> None:
    other = bob.upload("other.bin", b"x" * 2000)
    gone = bob.upload("gone.bin", b"x" * 500)
    alice.get(deed["download_url"])
    once = alice.share(deed, max_downloads="1")
    alice.share(deed)
    ended = bob.share(other)
    bob.share(gone)
    bob.post(f"/share-links/{ended['id']}/revoke")
    bob.post(f"{gone['url']}/delete")
    page = ada.get("/admin").text
    assert figure(page, "People") == "3"
    assert figure(page, "Documents") == "2"
    assert figure(page, "Stored") == "2.5 kB"
    assert figure(page, "Live links") == "2"
    visitor.client.post(f"{once['path']}/download")
    assert figure(ada.get("/admin").text, "Live links") == "1"
    uploads, downloads = re.findall(r'<td class="num">(\d+)</td>', page)[:2]
    assert (uploads, downloads) == ("3", "1")


def test_list_of_what_to_do_ticks_itself(app: Flask, ada: Browser) -> None:
    instance = settings_of(app).instance_dir
    assert "It is not running" in ada.get("/admin").text
    heartbeat.beat(instance)
    assert "It is running." in ada.get("/admin").text
    instance.chmod(0o755)
    assert "Others can look into" in ada.get("/admin").text


def test_empty_portal_has_an_overview(ada: Browser) -> None:
    page = ada.get("/admin")
    assert page.status_code == 200
    assert figure(page.text, "Stored") == "0 bytes"
    assert "Nothing was uploaded or downloaded" in page.text


# Everybody's links


def test_every_live_link_is_listed(
    ada: Browser, alice: Browser, bob: Browser, deed: dict[str, Any]
) -> None:
    alice.share(deed, label="For the bank")
    bob.share(bob.upload("plan.pdf"), label="For the <builder>")
    ended = alice.share(deed, label="For nobody")
    alice.post(f"/share-links/{ended['id']}/revoke")
    page = ada.get("/admin/share-links").text
    for shown in (
        "For the bank",
        "For the &lt;builder&gt;",
        "plan.pdf",
        "Alice Archer",
        "Bob Baker",
    ):
        assert shown in page
    assert "For nobody" not in page
    assert deed["id"] not in page


def test_many_links_end_at_once(
    app: Flask, ada: Browser, alice: Browser, bob: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    mine = alice.share(deed)
    ticket = visitor.client.post(f"{mine['path']}/download").location
    theirs, left = bob.share(bob.upload("plan.pdf")), alice.share(deed, label="Left")
    fields = {"action": "revoke", "id": [mine["id"], theirs["id"]]}
    response = ada.post("/admin/share-links", fields)
    assert (response.status_code, response.location) == (303, "/admin/share-links")
    assert "2 links were ended." in ada.get("/admin/share-links").text
    for link in (mine, theirs):
        assert visitor.get(link["path"]).status_code == 410
        assert visitor.client.post(f"{link['path']}/download").status_code == 410
    assert visitor.get(ticket).status_code == 410
    assert visitor.get(left["path"]).status_code == 200
    ended = events(app, "share_link.revoked")
    assert {event.actor for event in ended} == {"ada@example.org"}
    assert {event.owner for event in ended} == {"alice@example.org", "bob@example.org"}
    assert ada.post_json("/admin/share-links", fields).get_json() == {"revoked": 0}


def test_unknown_link_among_the_chosen_ends_none(
    ada: Browser, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed)
    for fields, status in (
        ({"action": "revoke", "id": [link["id"], NOTHING]}, 404),
        ({"action": "revoke", "id": [link["id"], "x"]}, 400),
        ({"action": "revoke"}, 422),
        ({"action": "explode", "id": link["id"]}, 400),
        ({"id": link["id"]}, 400),
    ):
        assert ada.post("/admin/share-links", fields).status_code == status, fields
    assert visitor.get(link["path"]).status_code == 200


def test_link_as_chosen_twice_is_ended_once(
    ada: Browser, alice: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed)
    fields = {"action": "revoke", "id": [link["id"], link["id"]]}
    assert ada.post_json("/admin/share-links", fields).get_json() == {"revoked": 1}


def test_nobody_else_ends_links_here(
    bob: Browser, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed)
    fields = {"action": "revoke", "id": link["id"]}
    assert bob.get("/admin/share-links").status_code == 404
    assert bob.post("/admin/share-links", fields).status_code == 404
    assert visitor.get(link["path"]).status_code == 200


# Checks


def examine(app: Flask, *, deep: bool = False) -> dict[str, Check]:
    with app.app_context():
        return {each.name: each for each in checks.everything(settings_of(app), deep=deep)}


def broken(app: Flask, *, deep: bool = False) -> list[str]:
    found = [each for each in examine(app, deep=deep).values() if not each.ok]
    assert all(each.detail and each.cure for each in found)
    return [each.name for each in found]


@pytest.fixture
def healthy(app: Flask, ada: Browser, alice: Browser, deed: dict[str, Any]) -> Flask:
    """A portal with documents, links, trash and a worker, in which all is well."""
    alice.upload("empty.txt", b"")
    alice.share(deed)
    gone = alice.upload("gone.txt", b"x" * 100)
    alice.post(f"{gone['url']}/delete")
    kept = alice.upload("kept.txt", b"x" * 100)
    alice.post(f"{kept['url']}/delete")
    alice.post(f"/trash/{gone['id']}/purge")
    heartbeat.beat(settings_of(app).instance_dir)
    return app


def the_deed(app: Flask) -> Path:
    (file,) = [path for path in stored_files(app) if path.read_bytes() == DEED]
    return file


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_healthy_portal_is_called_healthy(healthy: Flask) -> None:
    for deep in (False, True):
        found = examine(healthy, deep=deep)
        assert [each.name for each in found.values() if not each.ok] == []
        assert all(each.detail for each in found.values())
    assert set(found) == {
        "Order of names",
        "Encrypted connection",
        "Private folders",
        "Database",
        "Room for documents",
        "Background worker",
        "Mail",
        "Scanner",
        "Search",
        "Admins",
        "Stored files",
        "Every document has its file",
        "Every file has its document",
        "Used room",
        "Unfinished uploads",
        "Audit log",
        "Previews",
    }


def _remove(app: Flask) -> None:
    the_deed(app).unlink()


def _shorten(app: Flask) -> None:
    os.truncate(the_deed(app), len(DEED) - 1)


def _lengthen(app: Flask) -> None:
    os.truncate(the_deed(app), len(DEED) + 1)


def _symlink(app: Flask) -> None:
    file = the_deed(app)
    copy = settings_of(app).instance_dir / "copy"
    file.rename(copy)
    file.symlink_to(copy)


@pytest.mark.parametrize("fault", [_remove, _shorten, _lengthen, _symlink])
def test_document_without_its_file_is_seen(
    healthy: Flask, deed: dict[str, Any], fault: Callable[[Flask], None]
) -> None:
    fault(healthy)
    for deep in (False, True):
        assert broken(healthy, deep=deep) == ["Every document has its file"]
    assert deed["id"] in examine(healthy)["Every document has its file"].detail


def test_one_flipped_bit_is_seen_by_a_deep_look(healthy: Flask) -> None:
    flip(the_deed(healthy))
    assert broken(healthy) == []
    assert broken(healthy, deep=True) == ["Every document has its file"]


def test_old_file_of_nobody_is_seen_and_purged(healthy: Flask) -> None:
    stray = the_deed(healthy).parent / ("0" * 32)
    stray.write_bytes(b"stray")
    assert broken(healthy) == []
    os.utime(stray, (OLD, OLD))
    assert broken(healthy) == ["Every file has its document"]
    with healthy.app_context():
        assert housekeeping.purge(settings_of(healthy)).orphans == 1
    assert broken(healthy, deep=True) == []


@pytest.mark.parametrize("wrong", [-1, 1])
def test_wrong_figure_of_used_room_is_seen(healthy: Flask, wrong: int) -> None:
    with healthy.app_context(), transaction() as session:
        session.execute(
            update(User)
            .where(User.email == "alice@example.org")
            .values(used_bytes=User.used_bytes + wrong)
        )
    assert broken(healthy) == ["Used room"]
    assert "alice@example.org" in examine(healthy)["Used room"].detail


def test_changed_log_is_seen(healthy: Flask) -> None:
    with healthy.app_context():
        tamper("UPDATE audit_events SET actor = 'nobody' WHERE seq = 3")
    assert broken(healthy) == ["Audit log"]
    assert "event 3" in examine(healthy)["Audit log"].detail


def test_head_file_that_makes_no_sense_is_seen(healthy: Flask) -> None:
    (settings_of(healthy).instance_dir / "audit-head.json").write_text("{")
    assert broken(healthy) == ["Audit log"]


def test_cut_off_log_is_seen(healthy: Flask) -> None:
    with healthy.app_context():
        tamper("DELETE FROM audit_events WHERE seq > 5")
    assert broken(healthy) == ["Audit log"]


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701])
@pytest.mark.parametrize("folder", ["instance_dir", "files_dir"])
def test_folder_others_can_look_into_is_seen(healthy: Flask, folder: str, mode: int) -> None:
    path: Path = getattr(settings_of(healthy), folder)
    path.chmod(mode)
    assert broken(healthy) == ["Private folders"]
    assert str(path) in examine(healthy)["Private folders"].cure
    path.chmod(0o700)
    assert broken(healthy) == []


def test_secret_others_can_read_is_seen(healthy: Flask) -> None:
    file = settings_of(healthy).instance_dir / "audit-head.json"
    file.chmod(0o644)
    assert broken(healthy) == ["Private folders"]


def test_silent_worker_is_seen(healthy: Flask) -> None:
    alive = settings_of(healthy).instance_dir / "worker.alive"
    os.utime(alive, (time.time() - 600, time.time() - 600))
    assert broken(healthy) == ["Background worker"]
    assert "10 min ago" in examine(healthy)["Background worker"].detail
    alive.unlink()
    assert "never seen" in examine(healthy)["Background worker"].detail


def test_portal_without_an_admin_is_seen(healthy: Flask) -> None:
    with healthy.app_context(), transaction() as session:
        session.execute(update(User).values(role="user"))
    assert broken(healthy) == ["Admins"]
