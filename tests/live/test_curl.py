"""curl, the program: what it sends arrives, what it saves has the right name."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from conftest import missing
from live.client import Bytes, Client
from live.running import LivePortal

MIB = 1024 * 1024
CURL = ("curl", "-sS", "--noproxy", "*", "--max-time", "30")


@pytest.fixture(scope="module")
def alice(portal: LivePortal) -> Client:
    return portal.client("alice@example.org")


def curl(client: Client, *arguments: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run curl as this person, in `folder`."""
    if shutil.which("curl") is None:
        missing("curl", "apt-get install curl")
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    sign_in = ["-H", f"Cookie: {cookies}", "-H", f"X-CSRFToken: {client.token()}"]
    return subprocess.run(
        [
            "curl",
            "-sS",
            "--noproxy",
            "*",
            "--max-time",
            "30",
            *(sign_in if cookies else []),
            *arguments,
        ],
        cwd=folder,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "LC_ALL": "C.UTF-8"},
        timeout=40,
    )


NAMES = [
    "deed.pdf",
    "two words.pdf",
    "Grüße.pdf",
    "日本語.pdf",
    "100%.pdf",
    ".hidden",
    'the "one".txt',
]


@pytest.mark.parametrize("name", NAMES)
def test_curl_saves_under_a_fitting_name(
    portal: LivePortal, alice: Client, tmp_path: Path, name: str
) -> None:
    content = name.encode() * 100
    made = alice.upload_one(name, Bytes(content))
    done = curl(alice, "-OJ", portal.url + made["download_url"], folder=tmp_path)
    assert done.returncode == 0, done.stderr
    [path] = tmp_path.iterdir()
    assert path.read_bytes() == content
    # Older ones know `filename` and not `filename*`: they get the fallback, extension and all.
    assert path.name == name or path.name.isascii(), path.name
    assert path.name[0] != "."
    assert path.suffix == Path(name).suffix or name == ".hidden"


def test_curl_uploads_a_form(portal: LivePortal, alice: Client, tmp_path: Path) -> None:
    (tmp_path / 'a "quoted" ümlaut.txt').write_bytes(b"from curl\n")
    (tmp_path / "second.txt").write_bytes(b"and another\n")
    done = curl(
        alice,
        "-F", 'file=@"a \\"quoted\\" ümlaut.txt"',
        "-F", "file=@second.txt",
        "-H", "Accept: application/json",
        portal.url + "/documents",
        folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)["documents"]
    assert [each["name"] for each in made] == ['a "quoted" ümlaut.txt', "second.txt"]
    assert made[0]["sha256"] == hashlib.sha256(b"from curl\n").hexdigest()


def test_curl_goes_on_with_a_broken_download(
    portal: LivePortal, alice: Client, tmp_path: Path
) -> None:
    content = random.Random(3).randbytes(3 * MIB)
    made = alice.upload_one("resumed.bin", Bytes(content))
    (tmp_path / "part.bin").write_bytes(content[:1_234_567])
    address = portal.url + made["download_url"]
    done = curl(alice, "-C", "-", "-o", "part.bin", "-D", "heads", address, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "heads").read_text().startswith("HTTP/1.1 206")
    assert (tmp_path / "part.bin").read_bytes() == content


def test_curl_gets_the_ranges_it_asks_for(
    portal: LivePortal, alice: Client, tmp_path: Path
) -> None:
    content = random.Random(5).randbytes(100_000)
    address = portal.url + alice.upload_one("ranges.bin", Bytes(content))["download_url"]
    for asked, expected in [("0-0", content[:1]), ("10-99", content[10:100]), ("-7", content[-7:])]:
        assert curl(alice, "-r", asked, address, folder=tmp_path).stdout == expected
    past = curl(alice, "-r", "100000-", "-o", "x", "-w", "%{http_code}", address, folder=tmp_path)
    assert past.stdout == b"416"


def test_an_upload_that_waits_for_100_continue_is_told_to(
    portal: LivePortal, alice: Client, tmp_path: Path
) -> None:
    (tmp_path / "patient.bin").write_bytes(random.Random(6).randbytes(2 * MIB))
    began = time.monotonic()
    done = curl(
        alice,
        "-v",
        "-F", "file=@patient.bin",
        "-H", "Expect: 100-continue",
        "-H", "Accept: application/json",
        "--expect100-timeout", "20",
        portal.url + "/documents",
        folder=tmp_path,
    )  # fmt: skip
    assert b"< HTTP/1.1 100" in done.stderr, done.stderr
    assert b"< HTTP/1.1 201" in done.stderr
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("expect", ["Expect:", "Expect: 100-continue"])
def test_a_visitor_with_a_large_upload_is_sent_to_sign_in_promptly(
    portal: LivePortal, tmp_path: Path, expect: str
) -> None:
    (tmp_path / "large.bin").write_bytes(bytes(64 * MIB))
    began = time.monotonic()
    done = curl(
        portal.visitor(),
        "-F", "file=@large.bin",
        "-H", expect,
        "-o", "answer",
        "-w", "%{http_code} %{redirect_url}",
        portal.url + "/documents",
        folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == f"302 {portal.url}/login?next=%2Fdocuments"
    assert time.monotonic() - began < 10
    assert not portal.incoming()


def test_curl_takes_a_shared_document_and_its_name(
    portal: LivePortal, alice: Client, tmp_path: Path
) -> None:
    made = alice.upload_one("for the bank.pdf", Bytes(b"%PDF-1.7 for the bank"))
    link = alice.post_json(f"{made['url']}/share-links", {"expires_in_days": "1"})
    done = curl(portal.visitor(), "-LOJ", "-d", "", link["url"] + "/download", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "for the bank.pdf").read_bytes() == b"%PDF-1.7 for the bank"
