"""Guessing at a running portal of two processes: limits hold across them, nobody else waits."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from live.client import Client
from live.fixtures import live_portal
from live.running import PASSWORD, LivePortal

WRONG = "three quiet herons waded"
ALICE = "alice@example.org"


@pytest.fixture(scope="module")
def portal(module_database: str) -> Iterator[LivePortal]:
    """Two processes behind one proxy, which is this test: it says where a request comes from."""
    with live_portal(module_database, PORTAL_TRUSTED_PROXIES="1") as portal:
        portal.start("--workers", "2")
        portal.set_up()
        portal.create_user(ALICE, "Alice Archer")
        portal.create_user("bob@example.org", "Bob Baker")
        yield portal


def guess(client: Client, token: str, email: str, address: str, password: str = WRONG) -> int:
    fields = {"email": email, "password": password, "csrf_token": token}
    return client.post("/login", fields, X_Forwarded_For=address).status


def visitors(portal: LivePortal, count: int) -> list[tuple[Client, str]]:
    """Clients with a connection and a token each, spread over both processes."""
    made = []
    for _ in range(count):
        client = portal.visitor()
        made.append((client, client.hidden("/login", "csrf_token")))
    return made


def test_of_a_hundred_guesses_at_the_same_moment_at_most_ten_are_judged(
    portal: LivePortal,
) -> None:
    people = visitors(portal, 100)
    start = threading.Barrier(100)

    def act(number: int) -> int:
        start.wait()
        return guess(*people[number], ALICE, f"198.51.100.{number}")

    with ThreadPoolExecutor(100) as threads:
        statuses = Counter(threads.map(act, range(100)))
    # Beyond its line a process says 503 and gives the try back: never one more than the limit.
    assert statuses[401] <= 10
    assert set(statuses) <= {401, 429, 503}
    client, token = people[0]
    while guess(client, token, ALICE, "203.0.113.9") != 429:
        pass
    assert guess(client, token, ALICE, "203.0.113.9", PASSWORD) == 429


def test_flood_of_sign_ins_leaves_everybody_else_served(portal: LivePortal) -> None:
    """Sixty people guess at as many accounts without a pause; Bob reads his documents."""
    bob = portal.client("bob@example.org")

    def reads() -> list[float]:
        took = []
        for _ in range(40):
            began = time.monotonic()
            assert bob.get("/documents").status == 200
            took.append(time.monotonic() - began)
        return sorted(took)

    reads()
    quiet = statistics.median(reads())
    people = visitors(portal, 60)
    stop = threading.Event()

    def flood(number: int) -> Counter[int]:
        statuses: Counter[int] = Counter()
        while not stop.is_set():
            client, token = people[number]
            email = f"a{number}.{statuses.total()}@example.org"
            statuses[guess(client, token, email, f"198.51.{number}.{statuses.total() % 250}")] += 1
            if statuses[503]:
                time.sleep(0.05)
        return statuses

    with ThreadPoolExecutor(60) as threads:
        floods = [threads.submit(flood, number) for number in range(60)]
        time.sleep(1)
        try:
            took = reads()
        finally:
            stop.set()
        statuses = sum((each.result() for each in floods), Counter())
    assert set(statuses) <= {401, 503}
    assert statuses[401]
    assert statuses[503]
    # The flood's own sixty clients want the same cores as the portal.
    assert statistics.median(took) < max(1.5, 30 * quiet)
    assert took[-2] < 5


def test_counts_in_memory_are_written_when_the_portal_stops(own_database: str) -> None:
    with live_portal(own_database) as portal:
        portal.start("--workers", "1")
        ada = portal.set_up()
        visitor = portal.visitor()
        for number in range(30):
            assert visitor.get(f"/s/made-up-{number}").status == 404
        ada.close()
        visitor.close()
        assert portal.stop() == 0
        exported = portal.manage("audit", "export", "--format", "jsonl").stdout
        assert exported.count('"share_link.refused"') == 20
        assert '"access.refusals_counted"' in exported
        assert "share_link.refused: unknown" in exported
        assert portal.manage("audit", "verify").returncode == 0
