"""Tokens from the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from live.fixtures import live_portal, own_database
from live.running import LivePortal

__all__ = ["own_database"]

ALICE = "alice@example.org"


@pytest.fixture
def portal(own_database: str) -> Iterator[LivePortal]:
    with live_portal(own_database) as portal:
        portal.create_user(ALICE)
        yield portal


def ask(portal: LivePortal, token: str, path: str = "/documents") -> Any:
    return portal.visitor().get(path, authorization=f"Bearer {token}")


def test_token_is_printed_once_and_alone_and_works_until_it_is_revoked(portal: LivePortal) -> None:
    made = portal.manage("create-token", ALICE, "--name", "Backup at home")
    token = made.stdout.removesuffix("\n")
    assert re.fullmatch(r"dp_[A-Za-z0-9_-]{43}", token)
    assert "“Backup at home”" in made.stderr
    assert "documents:read" in made.stderr
    assert token not in made.stderr
    portal.start()
    assert ask(portal, token).status == 200
    listed = portal.manage("list-tokens", ALICE).stdout
    assert token not in listed
    (line,) = listed.splitlines()
    assert "token “Backup at home”" in line
    assert re.search(r"used \d{4}-\d\d-\d\d \d\d:\d\d UTC from 127\.0\.0\.1", line)
    revoked = portal.manage("revoke-token", ALICE, line.split()[0])
    assert revoked.stdout == "“Backup at home” stopped working.\n"
    assert ask(portal, token).status == 401
    assert portal.manage("list-tokens", ALICE).stdout == ""


def test_token_has_the_scopes_and_days_it_was_given(portal: LivePortal) -> None:
    scopes = ("--scope", "documents:write", "--scope", "shares:write")
    token = portal.manage("create-token", ALICE, "--name", "x", *scopes, "--days", "7").stdout
    portal.manage("create-token", ALICE, "--name", "y", "--app-password")
    newest, first = portal.manage("list-tokens", ALICE).stdout.splitlines()
    assert "documents:write,shares:write  token “x”" in first
    assert "never used" in first
    assert "documents:read  app password “y”" in newest
    portal.start()
    assert ask(portal, token.strip()).status == 403
    assert ask(portal, token.strip(), "/share-links").status == 200


def test_what_is_refused_is_said_in_a_line(portal: LivePortal) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    for arguments, code, words in (
        (("create-token", "nobody@example.org", "--name", "x"), 1, "no account"),
        (("create-token", ALICE, "--name", "x", "--scope", "admin"), 1, "Only an admin"),
        (("create-token", ALICE, "--name", " "), 1, "Enter a name"),
        (("create-token", ALICE), 2, "--name"),
        (("create-token", ALICE, "--name", "x", "--days", "366"), 2, "366"),
        (("create-token", ALICE, "--name", "x", "--scope", "everything"), 2, "everything"),
        (("revoke-token", ALICE, nobody), 1, "no token with this id"),
        (("revoke-token", "nobody@example.org", nobody), 1, "no account"),
        (("revoke-token", ALICE, "one"), 2, "one"),
        (("list-tokens", "nobody@example.org"), 1, "no account"),
    ):
        done = portal.manage(*arguments, check=False)
        assert (done.returncode, done.stdout) == (code, ""), arguments
        assert words in done.stderr
        assert "Traceback" not in done.stderr
