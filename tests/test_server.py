"""The server: real processes on loopback, and the parts that can be looked at alone."""

from __future__ import annotations

import http.client
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from live.fixtures import live_portal, module_database, own_database, portal
from live.running import LivePortal
from portal import server

__all__ = ["module_database", "own_database", "portal"]


def connection(portal: LivePortal) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", portal.port, timeout=30)


def test_a_visitor_who_uploads_is_sent_to_sign_in_while_the_body_still_comes(
    portal: LivePortal,
) -> None:
    body = io.BytesIO(bytes(64 * 1024 * 1024))
    with closing(connection(portal)) as client:
        headers = {"Content-Length": str(body.getbuffer().nbytes)}
        client.request("POST", "/documents", body, headers)
        answer = client.getresponse()
        answer.read()
        assert answer.status == 302
        assert answer.headers["Location"].startswith("/login")
        client.request("GET", "/healthz")
        assert client.getresponse().status == 200, "the connection was not usable any more"


def test_who_asks_first_is_answered_before_sending_the_body(portal: LivePortal) -> None:
    with socket.create_connection(("127.0.0.1", portal.port), timeout=10) as client:
        client.sendall(
            b"POST /documents HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
            b"Content-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n" % portal.port
        )
        assert client.recv(12) == b"HTTP/1.1 302"


@pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_a_thousand_silent_connections_shut_nobody_out(
    portal: LivePortal, beginning: bytes
) -> None:
    silent = []
    try:
        for _ in range(1100):
            client = socket.create_connection(("127.0.0.1", portal.port), timeout=10)
            client.sendall(beginning)
            silent.append(client)
        for _ in range(8):
            with closing(connection(portal)) as client:
                client.request("GET", "/healthz")
                assert client.getresponse().status == 200
    finally:
        for client in silent:
            client.close()


def test_secrets_are_not_in_the_environment_that_requests_get() -> None:
    """granian copies `os.environ` into every request."""
    with tempfile.TemporaryDirectory() as folder:
        lines = (
            "import multiprocessing, os\n"
            "from portal import config, server\n"
            "settings = config.load()\n"
            "server.worker_application(settings, os.getppid(), multiprocessing.Event(), 1, 0)\n"
            "print(*os.environ, sep='\\n')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", lines],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(server.__file__).parents[1],
            env={
                **os.environ,
                "HTTP_X_FORWARDED_FOR": "6.6.6.6",
                "PORTAL_SECRET_KEY": "s" * 40,
                "PORTAL_INSTANCE_DIR": f"{folder}/instance",
                "PORTAL_FILES_DIR": f"{folder}/files",
            },
            timeout=60,
        )
    names = done.stdout.split()
    assert "PATH" in names
    assert [name for name in names if name.startswith(("PORTAL_", "HTTP_"))] == []


def test_it_answers_only_once_the_set_up_link_was_printed(own_database: str) -> None:
    with live_portal(own_database) as portal:
        portal.start()
        assert portal.setup_link().startswith(portal.url)


@pytest.mark.parametrize("numbers", [[signal.SIGINT], [signal.SIGINT, signal.SIGTERM] * 3])
def test_ctrl_c_reaches_every_process_and_stops_them_at_once(
    own_database: str, numbers: list[signal.Signals]
) -> None:
    """granian alone hangs when two signals come together, until it is killed."""
    with live_portal(own_database) as portal:
        portal.start()
        for number in numbers:
            os.killpg(portal.pid, number)
        assert portal.wait(15) == 0
        assert portal.pids() == []
        assert "Traceback" not in portal.last_words()


def test_a_port_in_use_is_one_clear_line(portal: LivePortal) -> None:
    done = portal.manage("run", "--port", str(portal.port), check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: 127.0.0.1:{portal.port} cannot be used (Address already in use);"
        " stop what runs there or choose another --port.\n"
    )


def test_reserve_finds_a_free_port() -> None:
    address, port = server.reserve("localhost", 0)
    assert address in {"127.0.0.1", "::1"}
    assert server.reserve(address, port)[1] == port


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("192.0.2.1", 0, "cannot be used"),
        ("no-such-host.invalid", 0, "no address"),
        ("127.0.0.1", 70000, "There is no port 70000"),
        ("127.0.0.1", -1, "There is no port -1"),
    ],
)
def test_addresses_that_cannot_be_had_are_refused_in_words(
    host: str, port: int, words: str
) -> None:
    with pytest.raises(server.CannotServe, match=words):
        server.reserve(host, port)


class Body:
    """A request's body that tells how much of it was read."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int = -1) -> bytes:
        taken = min(self.left, size if size >= 0 else self.left)
        self.left -= taken
        return bytes(taken)


class Answer:
    """An answer that must be closed, and before the rest of the body is read."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.left_when_closed = -1

    def __iter__(self) -> Iterator[bytes]:
        yield b"answer"

    def close(self) -> None:
        self.left_when_closed = self.body.left


def drained(body: Body, environ: dict[str, Any]) -> tuple[Answer, Iterable[bytes]]:
    answer = Answer(body)
    app = server.Drained(lambda environ, start_response: answer)
    return answer, app({"wsgi.input": body, **environ}, lambda *_: lambda _: None)


def test_the_rest_of_a_body_is_read_after_the_answer() -> None:
    body = Body(1_000_000)
    answer, sent = drained(body, {"CONTENT_LENGTH": "1000000"})
    assert list(sent) == [b"answer"]
    assert body.left == 1_000_000
    sent.close()  # type: ignore[attr-defined]
    assert answer.left_when_closed == 1_000_000
    assert body.left == 0


@pytest.mark.parametrize(
    "environ",
    [{}, {"CONTENT_LENGTH": "0"}, {"CONTENT_LENGTH": "5", "HTTP_EXPECT": "100-continue"}],
)
def test_without_a_body_on_its_way_nothing_is_read(environ: dict[str, Any]) -> None:
    body = Body(5)
    answer, sent = drained(body, environ)
    assert sent is answer


@pytest.mark.parametrize(
    ("status", "environ", "is_ended"),
    [
        ("409 CONFLICT", {"CONTENT_LENGTH": "1000000"}, True),
        ("302 FOUND", {"HTTP_TRANSFER_ENCODING": "chunked"}, True),
        ("409 CONFLICT", {"CONTENT_LENGTH": "1000000", "HTTP_EXPECT": "100-continue"}, True),
        ("204 NO CONTENT", {"CONTENT_LENGTH": "1000000"}, False),
        ("422 UNPROCESSABLE", {"CONTENT_LENGTH": "1000"}, False),
        ("404 NOT FOUND", {}, False),
    ],
)
def test_an_answer_before_the_end_of_a_long_body_ends_the_connection(
    status: str, environ: dict[str, Any], is_ended: bool
) -> None:
    told: list[tuple[str, str]] = []

    def refuse(_environ: Any, start_response: Any) -> list[bytes]:
        start_response(status, [])
        return []

    app = server.Drained(refuse)
    app({"wsgi.input": Body(0), **environ}, lambda _status, headers: told.extend(headers))  # type: ignore[arg-type,func-returns-value]
    assert told == ([("Connection", "close")] if is_ended else [])


def test_a_body_without_end_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "DRAIN_SECONDS", 0.1)
    body = Body(10**15)
    _, sent = drained(body, {"HTTP_TRANSFER_ENCODING": "chunked"})
    began = time.monotonic()
    sent.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 5
    assert body.left > 0


def test_requests_wait_until_the_server_is_open() -> None:
    opened = threading.Event()
    app = server.Opened(opened, lambda environ, start_response: [b"answer"])  # type: ignore[arg-type]
    answers: list[bytes] = []
    asking = threading.Thread(target=lambda: answers.extend(app({}, lambda *_: lambda _: None)))
    asking.start()
    asking.join(0.2)
    assert answers == []
    opened.set()
    asking.join(5)
    assert answers == [b"answer"]
