from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from browser.chromium import Visit, executable, launched
from conftest import missing
from live.client import Bytes
from live.fixtures import live_portal, module_database, own_database, portal
from live.running import LivePortal
from post_office import PostOffice, post_office

__all__ = ["module_database", "own_database", "portal"]

#: Opens a browser of one's own: signed in where an address is given, else a stranger's.
Open = Callable[..., Visit]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = executable()
    if path is None:
        missing("Chromium", "apt-get install chromium")
    with launched(str(path)) as browser:
        yield browser


@pytest.fixture
def visit(chromium: Browser, portal: LivePortal) -> Iterator[Open]:
    """Make visits to the portal; at the end no page may have complained."""
    visits: list[Visit] = []

    def open_visit(email: str = "", at: LivePortal | None = None, **options: Any) -> Visit:
        made = Visit(chromium, at or portal, **options)
        visits.append(made)
        return made.be((at or portal).client(email)) if email else made

    yield open_visit
    complaints = [complaint for made in visits for complaint in made.complaints]
    for made in visits:
        made.close()
    assert complaints == []


#: As a list shows them, the last one uploaded first.
FIVE = ["five.txt", "four.txt", "three.txt", "two.txt", "one.txt"]


@pytest.fixture(scope="module")
def five_documents(module_database: str) -> Iterator[LivePortal]:
    """A running portal with Alice, who has uploaded `FIVE`: each its own name, a hundred times."""
    with live_portal(module_database) as portal:
        portal.start()
        portal.invite(portal.set_up(), "alice@example.org", "Alice Archer")
        alice = portal.client("alice@example.org")
        for name in reversed(FIVE):
            alice.upload_one(name, Bytes(name.encode() * 100))
        yield portal


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with post_office() as office:
        yield office


@pytest.fixture
def mailing(own_database: str, office: PostOffice) -> Iterator[LivePortal]:
    """A running portal that sends its mail, with Ada, who is an admin, and Alice."""
    settings = {
        "PORTAL_SMTP_URL": f"smtp://127.0.0.1:{office.port}",
        "PORTAL_MAIL_FROM": "Documents <portal@example.org>",
    }
    with live_portal(own_database, **settings) as portal:
        portal.create_user("ada@example.org", "Ada Admin", admin=True)
        portal.create_user("alice@example.org", "Alice Archer")
        portal.start()
        yield portal
