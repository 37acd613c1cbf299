"""The worker of a running portal reads what comes in within seconds, and after every kill."""

from __future__ import annotations

import json
import os
import signal
import time

from jobs.test_worker import until, worker_of
from live import real_files
from live.client import Client
from live.fixtures import live_portal, own_database
from search import made

__all__ = ["own_database"]

ALICE = "alice@example.org"


def found(client: Client, q: str) -> list[str]:
    answer = client.get(f"/documents?q={q}", accept="application/json")
    return sorted(each["name"] for each in answer.json()["documents"])


def test_upload_is_found_by_its_text_within_seconds_and_after_a_kill(own_database: str) -> None:
    with live_portal(own_database) as portal:
        portal.create_user(ALICE)
        portal.start()
        alice = portal.client(ALICE)
        began = time.monotonic()
        alice.upload_one("a.pdf", real_files.pdf("needle"))
        assert until(lambda: found(alice, "needle") == ["a.pdf"], 30)
        took = time.monotonic() - began
        for number in range(20):
            alice.upload_one(f"{number}.docx", made.docx())
        alice.upload_one("bomb.docx", made.xml_bomb())
        assert until(lambda: worker_of(portal))
        os.kill(worker_of(portal), signal.SIGKILL)
        wanted = sorted(["a.pdf", *(f"{number}.docx" for number in range(20))])
        assert until(lambda: found(alice, "needle") == wanted, 150)
        told = json.loads(portal.manage("doctor", "--json", check=False).stdout)
        (check,) = [each for each in told["checks"] if each["name"] == "Search"]
        assert check["ok"]
        assert until(
            lambda: "1 file could not be read" in portal.manage("doctor", check=False).stdout, 60
        )
        again = portal.manage("reindex").stdout
        assert "22 documents are read anew" in again
        assert until(lambda: "to be read" not in portal.manage("doctor", check=False).stdout, 150)
        assert found(alice, "needle") == wanted
        assert portal.stop() == 0
        assert "Traceback" not in portal.last_words()
    assert took < 20, took
