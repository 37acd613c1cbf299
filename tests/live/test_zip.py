"""Several documents as one ZIP, over the wire."""

from __future__ import annotations

import hashlib
import http.client
import io
import random
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest

from live.client import Bytes, Client, pieces_of
from live.running import LivePortal

ALICE = "alice@example.org"
MIB = 1024 * 1024


@dataclass
class Zeros:
    """A large file that takes no room here."""

    size: int

    def pieces(self) -> Iterator[bytes]:
        piece = bytes(MIB)
        for _ in range(self.size // MIB):
            yield piece


def asked(client: Client, *urls: str) -> http.client.HTTPResponse:
    """Ask for a ZIP; its bytes are still to be read."""
    fields = [("csrf_token", client.token()), *(("id", url.split("/")[2]) for url in urls)]
    body = urlencode(fields).encode()
    form = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": str(len(body)),
    }
    return client.open("POST", "/documents/zip", [body], form)


def test_zip_is_whole_and_as_long_as_it_said(portal: LivePortal) -> None:
    alice = portal.client(ALICE)
    contents = [random.Random(number).randbytes(700_000) for number in range(3)]
    urls = [alice.upload_one(f"{n}.bin", Bytes(each))["url"] for n, each in enumerate(contents)]
    response = asked(alice, *urls)
    assert response.status == 200
    assert response.headers["Accept-Ranges"] == "none"
    data = response.read()
    assert len(data) == int(response.headers["Content-Length"])
    found = zipfile.ZipFile(io.BytesIO(data))
    assert [found.read(f"{number}.bin") for number in range(3)] == contents


def test_connection_is_cut_where_a_document_is_not_what_was_uploaded(portal: LivePortal) -> None:
    alice = portal.client(ALICE)
    first = alice.upload_one("first.bin", Bytes(random.Random(1).randbytes(400_000)))
    second = alice.upload_one("second.bin", Bytes(random.Random(2).randbytes(500_000)))
    for path in portal.files.rglob("*"):
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == second["sha256"]:
            damaged = bytearray(path.read_bytes())
            damaged[250_000] ^= 1
            path.write_bytes(damaged)
    response = asked(alice, first["url"], second["url"])
    assert response.status == 200
    with pytest.raises(http.client.IncompleteRead) as cut:
        response.read()
    alice.close()
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(cut.value.partial))
    assert asked(portal.client(ALICE), first["url"]).read(4) == b"PK\3\4"


def test_memory_does_not_grow_with_the_zip(portal: LivePortal) -> None:
    alice = portal.client(ALICE)
    urls = [alice.upload_one(f"{n}.bin", Zeros(32 * MIB))["url"] for n in range(6)]
    sum(map(len, pieces_of(asked(alice, urls[0]))))
    portal.forget_memory_peak()
    before = portal.memory_peak()
    total = sum(map(len, pieces_of(asked(alice, *urls))))
    assert total > 6 * 32 * MIB
    assert portal.memory_peak() - before < 48 * MIB
