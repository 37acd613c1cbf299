"""Refusals come before the body: no `100 Continue`, nothing read, and an answer in any case."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress

import pytest

from live.client import Bytes, Client, Form
from live.fixtures import live_portal
from live.running import LivePortal
from portal.server import SMALL_BYTES

LIMIT, QUOTA = 2000, 1_000_000
#: More than the quota, with all that a form can have around files; more than a form of files.
OVER_QUOTA, TOO_LARGE = 3_600_000, 10_000_000
QUICKLY = 5.0
JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def small(module_database: str) -> Iterator[LivePortal]:
    """A portal that takes little, and no programs."""
    with live_portal(
        module_database,
        PORTAL_MAX_UPLOAD_BYTES=str(LIMIT),
        PORTAL_DEFAULT_QUOTA_BYTES=str(QUOTA),
        PORTAL_BLOCKED_EXTENSIONS="exe",
    ) as portal:
        portal.start()
        ada = portal.set_up()
        portal.invite(ada, "alice@example.org", "Alice Archer")
        yield portal


@pytest.fixture(scope="module")
def page(small: LivePortal) -> dict[str, str]:
    """What a page of Alice's sends along."""
    alice = small.client("alice@example.org")
    cookies = "; ".join(f"{name}={value}" for name, value in alice.cookies.items())
    return {"Cookie": cookies, "X-CSRFToken": alice.token(), **JSON}


@pytest.fixture(scope="module")
def tokens(small: LivePortal) -> dict[str, dict[str, str]]:
    """What programs of Alice's send along, by their scope."""
    made = {}
    for scope in ("documents:read", "documents:write"):
        arguments = ("create-token", "alice@example.org", "--name", scope, "--scope", scope)
        made[scope] = {"Authorization": f"Bearer {small.manage(*arguments).stdout.split()[-1]}"}
    return made


def connect(portal: LivePortal) -> socket.socket:
    return socket.create_connection(("127.0.0.1", portal.port), timeout=20)


def head(portal: LivePortal, headers: Mapping[str, str], path: str = "/documents") -> bytes:
    given = {"Host": f"127.0.0.1:{portal.port}", "Content-Type": "multipart/form-data; boundary=x"}
    lines = [f"POST {path} HTTP/1.1", *(f"{k}: {v}" for k, v in {**given, **headers}.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of the next answer, as far as its declared length."""
    came = b""
    while b"\r\n\r\n" not in came:
        piece = connection.recv(65_536)
        assert piece, f"the connection ended after {came!r}"
        came += piece
    first, _, body = came.partition(b"\r\n\r\n")
    length = 0
    for line in first.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    while len(body) < length:
        body += connection.recv(65_536)
    return int(first[9:12]), body


#: Who asks, what they send along, the length they declare, and what they are told.
REFUSALS = [
    ("nobody", {}, 1000, 401, None),
    ("nobody", {"Accept": "text/html"}, 1000, 302, None),
    ("page", {"X-CSRFToken": "wrong"}, 1000, 400, None),
    ("page", {"Origin": "https://elsewhere.example"}, 1000, 400, None),
    ("page", {}, OVER_QUOTA, 413, "over_quota"),
    ("page", {}, TOO_LARGE, 413, "too_large"),
    ("page", {"path": "/admin/users/00000000-0000-4000-8000-000000000000/documents"}, 9, 404, None),
    ("page", {"path": "/nowhere"}, 1000, 404, None),
    ("token", {"Authorization": "Bearer made-up"}, 1000, 401, None),
    ("reader", {}, 1000, 403, None),
    ("token", {}, OVER_QUOTA, 413, "over_quota"),
    ("token", {}, TOO_LARGE, 413, "too_large"),
]


@pytest.fixture(params=REFUSALS, ids=lambda each: f"{each[0]}-{each[3]}-{each[4]}-{each[1]}"[:50])
def refusal(
    request: pytest.FixtureRequest,
    small: LivePortal,
    page: dict[str, str],
    tokens: dict[str, dict[str, str]],
) -> tuple[bytes, int, int, str | None]:
    """The head of a request, the length it declares, and the status and reason it gets."""
    who, also, length, status, reason = request.param
    known = {
        "nobody": JSON,
        "page": page,
        "token": tokens["documents:write"],
        "reader": tokens["documents:read"],
    }[who]
    headers = {**known, **also, "Content-Length": str(length)}
    path = headers.pop("path", "/documents")
    return head(small, headers, path), length, status, reason


def test_who_asks_first_is_refused_without_a_100(
    small: LivePortal, refusal: tuple[bytes, int, int, str | None]
) -> None:
    request, _, status, reason = refusal
    with connect(small) as connection:
        began = time.monotonic()
        connection.sendall(request[:-2] + b"Expect: 100-continue\r\n\r\n")
        told, body = answer(connection)
        assert time.monotonic() - began < QUICKLY
        assert told == status, body
        if reason:
            problem = json.loads(body)
            assert problem["reason"] == reason
            assert problem["detail"].count(".") >= 2


def test_who_does_not_ask_is_answered_before_and_while_it_sends(
    small: LivePortal, refusal: tuple[bytes, int, int, str | None]
) -> None:
    request, length, status, _ = refusal
    with connect(small) as connection:
        connection.sendall(request)
        began = time.monotonic()
        assert answer(connection)[0] == status, "nothing of the body was sent"
        assert time.monotonic() - began < QUICKLY
    with connect(small) as connection:
        connection.sendall(request + bytes(length))  # more than any buffer on the way holds
        assert answer(connection)[0] == status
        with suppress(ConnectionError):
            if length > SMALL_BYTES:  # whoever stops sending then is not waited for
                assert connection.recv(1) == b""
            else:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                assert answer(connection)[0] == 200
    assert not small.incoming()


def form_of(name: str, content: bytes) -> tuple[dict[str, str], bytes]:
    form = Form([("file", name, Bytes(content))])
    headers = {"Content-Type": form.content_type, "Content-Length": str(form.size)}
    return headers, b"".join(form.pieces())


@pytest.mark.parametrize("who", ["page", "token"])
@pytest.mark.parametrize(
    ("name", "size", "status"), [("deed.txt", 10, 201), ("a.exe", 10, 415), ("a.txt", 2001, 413)]
)
def test_what_only_the_body_can_tell_is_asked_for_with_100(
    small: LivePortal,
    page: dict[str, str],
    tokens: dict[str, dict[str, str]],
    who: str,
    name: str,
    size: int,
    status: int,
) -> None:
    known = page if who == "page" else tokens["documents:write"]
    headers, body = form_of(name, b"x" * size)
    with connect(small) as connection:
        connection.sendall(head(small, {**known, **headers, "Expect": "100-continue"}))
        assert answer(connection)[0] == 100
        connection.sendall(body)
        told, text = answer(connection)
        assert told == status, text


def test_many_small_files_may_be_more_than_one_large_one(small: LivePortal) -> None:
    client: Client = small.client("alice@example.org")
    files = [(f"{number}.txt", Bytes(b"x" * LIMIT)) for number in range(40)]
    assert len(client.upload(files).json()["documents"]) == 40
