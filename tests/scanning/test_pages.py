"""What people see of scanning: tags, words, and what can be done; the checks of the admins."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from conftest import Browser, Cast, user_named
from live.clamd import Clamd, running_clamd
from portal.admin import checks
from portal.admin.checks import Check
from portal.config import Scanner
from portal.jobs import heartbeat
from portal.models import Scan, utcnow
from scanning.stage import put
from stage import program, settings_of

ALICE = "alice@example.org"
TAGS = {Scan.WAITING: "Being checked", Scan.INFECTED: "Blocked: malware found"}
AWAY = Scanner(path="/nowhere/clamd.sock")


@pytest.fixture
def app(make_app: Any) -> Flask:
    app: Flask = make_app(clamd_url=AWAY)
    return app


@pytest.fixture
def directory(app: Flask, alice: Browser) -> str:
    return f"/admin/users/{user_named(app, ALICE).public_id}/documents"


def test_state_is_on_every_list_and_page(
    app: Flask, alice: Browser, ada: Browser, deed: dict[str, Any], directory: str
) -> None:
    pages = [
        lambda: alice.get("/documents").text,
        lambda: alice.get(deed["url"]).text,
        lambda: ada.get(directory).text,
    ]
    for state in Scan:
        put(app, deed, scan=state)
        shown = TAGS.get(Scan.WAITING if state is Scan.NONE else state)
        for page in pages:
            for tag in TAGS.values():
                assert (tag in page()) == (tag == shown), (state, tag)
    alice.post(f"{deed['url']}/delete")
    put(app, deed, scan=Scan.INFECTED)
    assert TAGS[Scan.INFECTED] in alice.get("/trash").text


def test_programs_see_the_state(
    app: Flask, alice: Browser, ada: Browser, deed: dict[str, Any], directory: str
) -> None:
    assert deed["scan"] == "waiting"
    key = program(alice, "documents:read")
    as_json = {"Accept": "application/json"}
    for state in Scan:
        put(app, deed, scan=state)
        expected = "waiting" if state is Scan.NONE else state.value
        assert key.open(deed["url"]).get_json()["scan"] == expected
        for listed in (
            key.open("/documents").get_json()["documents"],
            ada.get(directory, headers=as_json).get_json()["documents"],
        ):
            assert [each["scan"] for each in listed] == [expected]


def test_without_a_scanner_there_is_no_tag(make_app: Any) -> None:
    app = make_app()
    alice = Cast(app).person(ALICE, "Alice Archer")
    deed = alice.upload()
    assert deed["scan"] == ""
    put(app, deed, scan=Scan.WAITING)
    for path in ("/documents", deed["url"]):
        assert "Being checked" not in alice.get(path).text
        assert deed["download_url"] in alice.get(path).text


def test_page_offers_only_what_can_be_done(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    url = deed["url"]
    offers = {
        "download": deed["download_url"],
        "share": f'action="{url}/share-links"',
        "rename": f"{url}/rename",
        "delete": f"{url}/delete",
    }
    can = {
        Scan.CLEAN: {"download", "share", "rename", "delete"},
        Scan.WAITING: {"share", "rename", "delete"},
        Scan.INFECTED: {"delete"},
    }
    for state, expected in can.items():
        put(app, deed, scan=state)
        page = alice.get(url).text
        assert {name for name, found in offers.items() if found in page} == expected
        row = alice.get("/documents").text
        assert (deed["download_url"] in row) == (state is Scan.CLEAN)
        assert (f"{url}#share" in row) == (state is not Scan.INFECTED)


def test_page_says_what_was_found_and_what_to_do(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    put(app, deed, scan=Scan.INFECTED, threat="Win.<Bad>.Thing")
    page = alice.get(deed["url"]).text
    assert "Win.&lt;Bad&gt;.Thing" in page
    assert "Delete it, get a clean copy" in page


def test_page_says_when_it_takes_unusually_long(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    assert "could not be checked" not in alice.get(deed["url"]).text
    put(app, deed, scan_tries=4)
    assert "could not be checked" in alice.get(deed["url"]).text


# The checks


def scanner_check(app: Flask, *, everything: bool = False) -> Check:
    with app.app_context():
        settings = settings_of(app)
        found = checks.everything(settings) if everything else checks.quick(settings)
        return next(check for check in found if check.name == "Scanner")


def test_check_says_that_there_is_none(make_app: Any) -> None:
    app = make_app()
    alice = Cast(app).person(ALICE, "Alice Archer")
    put(app, alice.upload(), scan=Scan.WAITING)
    put(app, alice.upload("bad.com"), scan=Scan.INFECTED)
    check = scanner_check(app)
    assert check.ok
    assert "There is none" in check.detail
    assert "wait" not in check.detail
    assert "1 file is blocked." in check.detail


@pytest.mark.parametrize("everything", [False, True])
def test_check_names_the_version_and_who_waits(
    make_app: Any, clamd: Clamd, everything: bool
) -> None:
    app = make_app(clamd_url=clamd.server)
    assert scanner_check(app, everything=everything).detail.endswith(" answers.")
    alice = Cast(app).person(ALICE, "Alice Archer")
    first, second, third = (alice.upload(f"{n}.txt", b"x") for n in range(3))
    put(app, first, uploaded_at=utcnow() - timedelta(minutes=10))
    put(app, second, scan=Scan.NONE)
    put(app, third, scan=Scan.INFECTED)
    check = scanner_check(app, everything=everything)
    assert check.ok, check
    assert check.detail.startswith("ClamAV ")
    assert "2 files wait. The oldest of them was uploaded on " in check.detail
    assert "1 file is blocked." in check.detail
    assert "AlertExceedsMax" not in check.detail


def test_check_fails_while_the_scanner_is_away(app: Flask, deed: dict[str, Any]) -> None:
    check = scanner_check(app)
    assert not check.ok
    assert "Nobody listens at unix:/nowhere/clamd.sock" in check.detail
    assert "1 file waits." in check.detail
    assert "PORTAL_CLAMD_URL" in check.cure


def test_check_fails_when_a_file_waits_for_long(
    make_app: Any, clamd: Clamd, tmp_path: Path
) -> None:
    app = make_app(clamd_url=clamd.server)
    deed = Cast(app).person(ALICE, "Alice Archer").upload()
    put(app, deed, uploaded_at=utcnow() - timedelta(hours=1))
    # Without a worker the scanner is not to blame.
    assert scanner_check(app).ok
    heartbeat.beat(settings_of(app).instance_dir)
    check = scanner_check(app)
    assert not check.ok
    assert "StreamMaxLength" in check.cure


def test_check_says_when_the_scanner_hides_its_limits(make_app: Any) -> None:
    with running_clamd(AlertExceedsMax="no") as silent:
        check = scanner_check(make_app(clamd_url=silent.server))
    assert check.ok
    assert "AlertExceedsMax" in check.detail


def test_overview_has_the_check(ada: Browser) -> None:
    page = ada.get("/admin").text
    assert "Scanner" in page
    assert "Nobody listens at unix:/nowhere/clamd.sock" in page
