"""Accounts from the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pyotp
import pytest

from live.fixtures import live_portal, own_database
from live.running import PASSWORD, LivePortal

__all__ = ["own_database"]

ALICE, ADA = "alice@example.org", "ada@example.org"


@pytest.fixture
def bare(own_database: str) -> Iterator[LivePortal]:
    """A portal that was never started."""
    with live_portal(own_database) as portal:
        yield portal


def test_an_account_can_be_made_before_the_first_start(bare: LivePortal) -> None:
    done = bare.manage("create-user", ALICE, "--admin", "--password-stdin", text=PASSWORD)
    assert done.stdout == f"Made an account for {ALICE}.\n"
    bare.start()
    assert bare.client(ALICE).get("/admin").status == 200
    assert "/setup?token=" not in bare.last_words()


def test_without_a_password_an_invitation_is_printed(bare: LivePortal) -> None:
    done = bare.manage("create-user", ALICE, "--name", "Alice Archer")
    link = done.stdout.splitlines()[-1]
    assert link.startswith(f"{bare.url}/invitations/")
    bare.start()
    page = bare.visitor().get(link.removeprefix(bare.url))
    assert page.status == 200
    assert "Alice Archer" in page.text


def test_disabling_and_a_new_password_end_every_session(bare: LivePortal) -> None:
    bare.create_user(ALICE)
    bare.start()
    client = bare.client(ALICE)
    assert client.get("/documents").status == 200
    bare.manage("disable-user", ALICE)
    assert client.get("/documents").status == 302
    bare.manage("enable-user", ALICE)
    assert client.get("/documents").status == 302, "an old session lives again"
    again = bare.client(ALICE)
    bare.manage("set-password", ALICE, "--password-stdin", text="seven calm otters float\n")
    assert again.get("/documents").status == 302


def happened(portal: LivePortal, action: str) -> list[dict[str, str]]:
    """The events of one kind, as the command line exports them."""
    lines = portal.manage("audit", "export", "--format", "jsonl").stdout.splitlines()
    return [event for event in map(json.loads, lines) if event["action"] == action]


def test_somebody_is_made_an_admin_and_a_user_again(bare: LivePortal) -> None:
    bare.create_user(ALICE, "Alice Archer")
    bare.create_user(ADA, admin=True)
    bare.start()
    client = bare.client(ALICE)
    assert client.get("/admin").status == 404
    assert bare.manage("make-admin", ALICE).stdout == f"{ALICE} is an admin.\n"
    assert client.get("/admin").status == 200
    assert bare.manage("make-user", ALICE).stdout == f"{ALICE} is no admin.\n"
    assert client.get("/admin").status == 404
    assert client.get("/documents").status == 200
    changes = happened(bare, "user.changed")
    assert [(e["actor"], e["owner"]) for e in changes] == [("command line", ALICE)] * 2
    assert "Alice Archer" in client.get("/account").text


def test_people_are_listed(bare: LivePortal) -> None:
    bare.create_user(ADA, "Ada Admin", admin=True)
    bare.manage("create-user", ALICE, "--name", "Alice Archer")
    listed = [line.split() for line in bare.manage("list-users").stdout.splitlines()]
    assert listed == [
        [ADA, "admin", "active", "never", "Ada", "Admin"],
        [ALICE, "user", "invited", "never", "Alice", "Archer"],
    ]
    (event,) = happened(bare, "admin.people_listed")
    assert event["actor"] == "command line"


def test_sessions_are_listed_and_ended(bare: LivePortal) -> None:
    bare.create_user(ALICE)
    bare.create_user(ADA, admin=True)
    bare.start()
    assert bare.manage("list-sessions", ALICE).stdout == f"{ALICE} is signed in nowhere.\n"
    clients = [bare.client(ALICE), bare.client(ALICE)]
    ada = bare.client(ADA)
    listed = bare.manage("list-sessions", ALICE).stdout.splitlines()
    assert len(listed) == 2
    for line in listed:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC  127\.0\.0\.1  Unknown browser", line)
    assert len(happened(bare, "user.sessions_listed")) == 2
    done = bare.manage("end-sessions", ALICE)
    assert done.stdout == f"{ALICE} was signed out on 2 devices.\n"
    for client in clients:
        assert client.get("/documents").status == 302
    assert ada.get("/documents").status == 200
    assert [e["owner"] for e in happened(bare, "user.sessions_ended")] == [ALICE]
    assert bare.client(ALICE).get("/documents").status == 200


def test_who_lost_their_phone_is_helped(bare: LivePortal) -> None:
    bare.create_user(ALICE)
    bare.start()
    client = bare.client(ALICE)
    page = client.get("/account/two-factor").text
    found = re.search(r'value="([A-Z2-7]{32})"', page)
    assert found
    code = pyotp.TOTP(found[1]).now()
    client.post_json("/account/two-factor", {"action": "enable", "code": code})
    half_way = bare.visitor().post("/login", {"email": ALICE, "password": PASSWORD})
    assert half_way.location == "/login/two-factor"
    done = bare.manage("reset-two-factor", ALICE)
    assert done.stdout.startswith(f"{ALICE} signs in with the password alone")
    assert client.get("/documents").status == 302
    assert bare.client(ALICE).get("/documents").status == 200
    again = bare.manage("reset-two-factor", ALICE, check=False)
    assert (again.returncode, again.stderr) == (1, "Error: alice has no two-factor sign-in.\n")


def test_what_is_refused_is_said_in_a_line_without_a_traceback(bare: LivePortal) -> None:
    bare.manage("create-user", ALICE, "--admin", "--password-stdin", text=PASSWORD)
    for arguments, text, words in (
        (("create-user", ALICE), "", f"There is already an account for {ALICE}."),
        (("create-user", "nonsense"), "", "e-mail"),
        (("create-user", "b@example.org", "--password-stdin"), "short\n", "at least 12"),
        (("create-user", "b@example.org", "--password-stdin"), "", "no password"),
        (("set-password", "nobody@example.org", "--password-stdin"), PASSWORD, "no account"),
        (("disable-user", ALICE), "", "last active admin"),
        (("make-user", ALICE), "", "last active admin"),
        (("make-admin", "nobody@example.org"), "", "no account"),
        (("make-user", "nobody@example.org"), "", "no account"),
        (("list-sessions", "nobody@example.org"), "", "no account"),
        (("end-sessions", "nobody@example.org"), "", "no account"),
        (("enable-user", "nobody@example.org"), "", "no account"),
        (("unlink-provider", ALICE), "", "not linked"),
    ):
        done = bare.manage(*arguments, text=text, check=False)
        assert done.returncode == 1, arguments
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert words in done.stderr


def test_a_password_is_not_taken_from_the_arguments(bare: LivePortal) -> None:
    bare.create_user(ALICE)
    done = bare.manage("set-password", ALICE, check=False)
    assert done.returncode == 2
    assert "--password-stdin" in done.stderr
