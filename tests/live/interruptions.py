"""A portal behind a proxy that cuts connections, and what must be true of an upload afterwards."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from live.client import Client
from live.cutting_proxy import CuttingProxy, cutting_proxy
from live.fixtures import live_portal
from live.running import LivePortal

ALICE = "alice@example.org"


@dataclass
class Line:
    """A portal, and the line to it, which can be cut."""

    portal: LivePortal
    proxy: CuttingProxy
    token: str
    alice: Client
    ada: Client

    @property
    def endpoint(self) -> str:
        return f"{self.proxy.url}/api/v1/uploads"

    def restart(self) -> None:
        """kill -9, and start again on the same port."""
        self.portal.kill()
        self.portal.start()
        for client in (self.alice, self.ada):  # theirs has ended with the server
            client.close()

    def documents(self, name: str) -> list[str]:
        """The addresses of Alice's documents of that name."""
        return [path for path, shown in self.alice.listed().items() if shown == name]

    def happened(self, action: str, name: str) -> int:
        """How many audit events of that kind are about something of that name."""
        page = self.ada.get("/admin/audit.csv")
        assert page.status == 200, page
        rows = csv.DictReader(io.StringIO(page.text.lstrip("\ufeff")))
        return sum(
            row["action"] == action and json.loads(row["detail"]).get("name") == name
            for row in rows
        )


@contextmanager
def line_to_portal(database: str) -> Iterator[Line]:
    """A running portal, reached through a proxy, with Ada, who is an admin, and Alice."""
    with cutting_proxy() as proxy, live_portal(database) as portal:
        proxy.target = portal.port
        portal.url = proxy.url
        portal.start()
        ada = portal.set_up()
        portal.invite(ada, ALICE, "Alice Archer")
        alice = portal.client(ALICE)
        yield Line(portal, proxy, make_token(alice), alice, ada)


def make_token(client: Client) -> str:
    """A token of a program that reads and writes documents, made on the page."""
    scopes = [("scope", "documents:read"), ("scope", "documents:write")]
    fields = [("action", "create"), ("name", "A program"), ("days", "1"), *scopes]
    answer = client.post("/account/tokens", fields)
    page = client.get(answer.location) if answer.status == 303 else answer
    found = re.search(r"dp_[A-Za-z0-9_-]{43}", page.text)
    assert found, (answer.status, page.text[:2000])
    return found.group()


def make_file(folder: Path, name: str, size: int) -> Path:
    """A file that is nowhere the same."""
    path = folder / name
    path.write_bytes(random.Random(name).randbytes(size))
    return path


def assert_stored_once(line: Line, path: Path) -> None:
    """One document, one event, the very bytes, and nothing left over."""
    addresses = line.documents(path.name)
    assert len(addresses) == 1, addresses
    content = path.read_bytes()
    _, size, digest = line.alice.download(f"{addresses[0]}/download")
    assert (size, digest) == (len(content), hashlib.sha256(content).hexdigest())
    facts = line.alice.get(addresses[0], accept="application/json").json()
    assert (facts["size"], facts["sha256"]) == (size, digest)
    assert line.happened("document.uploaded", path.name) == 1
    assert line.portal.incoming() == []
