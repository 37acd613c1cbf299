"""A real clamd with one signature: the EICAR test file, wherever it stands in a file."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import missing
from live.running import free_port
from portal.config import Scanner
from portal.scanning import clamd as client

#: Joined here, so that no file of ours is what scanners look for.
_HALVES = (rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$", b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*")
EICAR = b"".join(_HALVES)
#: What it is called; clamd adds that it is no signature of its makers.
THREAT = "Portal.Test.UNOFFICIAL"
#: More than this clamd does not take.
MIB = 1024 * 1024
START_SECONDS = 30


class Clamd:
    """A scanner on a socket and a loopback port; may be killed and started again."""

    def __init__(self, folder: Path, **options: str) -> None:
        self.folder = folder
        self.socket = folder / "clamd.sock"
        self.port = free_port()
        self.server = Scanner(path=str(self.socket))
        self.by_network = Scanner(host="127.0.0.1", port=self.port)
        self._process: subprocess.Popen[bytes] | None = None
        database = folder / "signatures"
        database.mkdir()
        (database / "portal.ndb").write_text(f"Portal.Test:0:*:{EICAR.hex()}\n")
        settings = {
            "Foreground": "yes",
            "LocalSocket": str(self.socket),
            "TCPAddr": "127.0.0.1",
            "TCPSocket": str(self.port),
            "DatabaseDirectory": str(database),
            "TemporaryDirectory": str(folder),
            "StreamMaxLength": "8M",
            "AlertExceedsMax": "yes",
            **options,
        }
        lines = [f"{name} {value}\n" for name, value in settings.items()]
        (folder / "clamd.conf").write_text("".join(lines))

    @property
    def url(self) -> str:
        """As the portal's setting has it."""
        return str(self.server)

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.socket.unlink(missing_ok=True)
        with (self.folder / "clamd.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["clamd", "-c", str(self.folder / "clamd.conf")], stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                client.ping(self.server)
                client.ping(self.by_network)
            except client.ScannerAway:
                time.sleep(0.02)
            else:
                return
        self.kill()
        raise AssertionError((self.folder / "clamd.log").read_text())

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it at once, whatever it does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def hang(self) -> None:
        """Let it take connections and say nothing."""
        os.kill(self.pid, signal.SIGSTOP)


@contextmanager
def running_clamd(**options: str) -> Iterator[Clamd]:
    """A clamd for as long as the block lasts."""
    if shutil.which("clamd") is None:
        missing("clamd", "apt-get install --no-install-recommends clamav-daemon clamav")
    folder = Path(tempfile.mkdtemp(prefix="portal-clamd-"))
    clamd = Clamd(folder, **options)
    try:
        clamd.start()
        yield clamd
    finally:
        clamd.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def clamd() -> Iterator[Clamd]:
    """One for many tests, which leave it running."""
    with running_clamd() as clamd:
        yield clamd


@pytest.fixture
def own_clamd() -> Iterator[Clamd]:
    """One for a test that stops it."""
    with running_clamd() as clamd:
        yield clamd


def zipped(content: bytes, name: str = "inside.txt", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", method) as archive:
        archive.writestr(name, content)
    return into.getvalue()


def pdf(content: bytes) -> bytes:
    """A small whole PDF with `content` in a stream of it."""
    parts = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
    ]
    body, places = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, start=1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 5\n0000000000 65535 f \n" + table
    return body + head + b"trailer << /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(body)
