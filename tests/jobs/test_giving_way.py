"""Children that may wait stand still while the server is at work."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from live.client import Client
from live.fixtures import live_portal, own_database
from live.running import LivePortal
from portal.jobs import children, giving_way
from portal.jobs.giving_way import Attendant, Server
from soon import soon

__all__ = ["own_database"]

_CHILD = """
while input() == "work":
    for _ in range(10**7):
        pass
"""
_PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {_CHILD!r}], stdin=subprocess.PIPE, text=True)
print("ready", flush=True)
for line in sys.stdin:
    child.stdin.write(line); child.stdin.flush()
child.stdin.close()
child.wait()
"""


class Busy(Server):
    """A server that is at work when a test says so."""

    def __init__(self) -> None:
        super().__init__(os.getpid())
        self.works = False

    def is_busy(self) -> bool:
        return self.works


def states(group: int) -> set[str]:
    """How the processes of a group are, in the letters of proc_pid_stat(5)."""
    found = set()
    for name in os.listdir("/proc"):
        with suppress(OSError, ValueError):
            facts = Path(f"/proc/{int(name)}/stat").read_text().rpartition(")")[2].split()
            if int(facts[2]) == group:
                found.add(facts[0])
    return found


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Busy:
    server = Busy()
    monkeypatch.setattr(giving_way, "_attendant", Attendant(server))
    return server


@pytest.fixture
def two() -> list[str]:
    """The command of a child with a child of its own, both of which sleep."""
    return [sys.executable, "-c", "import os, time; os.fork(); time.sleep(600)"]


def stands(group: int) -> bool:
    return states(group) == {"T"}


def goes_on(group: int) -> bool:
    return "T" not in states(group)


def test_a_child_and_what_it_started_stand_still_as_long_as_the_server_works(
    server: Busy, two: list[str]
) -> None:
    with children.running(two, subprocess.DEVNULL, {}, may_wait=True) as child:
        time.sleep(5 * giving_way.LOOK_SECONDS)
        assert goes_on(child.pid)
        for _ in range(2):
            server.works = True
            assert soon(lambda: stands(child.pid))
            server.works = False
            assert soon(lambda: goes_on(child.pid))


def test_one_that_must_end_stands_still_for_nobody(server: Busy, two: list[str]) -> None:
    server.works = True
    with children.running(two, subprocess.DEVNULL, {}, may_wait=False) as child:
        time.sleep(5 * giving_way.LOOK_SECONDS)
        assert goes_on(child.pid)


def test_a_child_stands_still_so_long_at_most_all_its_times_together(
    server: Busy, two: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(giving_way, "LONGEST_SECONDS", 1.0)
    with children.running(two, subprocess.DEVNULL, {}, may_wait=True) as child:
        server.works = True
        assert soon(lambda: stands(child.pid))
        server.works = False
        assert soon(lambda: goes_on(child.pid))
        server.works = True
        assert soon(lambda: stands(child.pid))
        assert soon(lambda: goes_on(child.pid))
        time.sleep(5 * giving_way.LOOK_SECONDS)
        assert goes_on(child.pid), "it was stopped once more"


def test_one_that_stands_still_ends_with_its_block(server: Busy, two: list[str]) -> None:
    server.works = True
    with children.running(two, subprocess.DEVNULL, {}, may_wait=True) as child:
        assert soon(lambda: stands(child.pid))
    assert child.returncode == -signal.SIGKILL
    assert soon(lambda: states(child.pid) == set())
    names = [thread.name for thread in threading.enumerate()]
    assert soon(lambda: "attendant" not in [each.name for each in threading.enumerate()]), names


def test_the_server_is_at_work_while_its_processes_take_a_processor() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        try:
            assert parent.stdout.readline() == "ready\n"
            server = Server(parent.pid)
            assert soon(lambda: not server.is_busy())
            began = time.monotonic()
            while time.monotonic() < began + 0.5:
                assert not server.is_busy(), "what sleeps is not at work"
                time.sleep(0.02)
            parent.stdin.write("work\n" * 4)
            parent.stdin.flush()
            assert soon(server.is_busy)
            assert soon(lambda: not server.is_busy()), "it has long been quiet"
        finally:
            parent.stdin.close()


def test_what_this_process_does_itself_is_not_the_servers_work() -> None:
    server = Server(os.getppid())
    assert os.getpid() not in server._used_ticks()
    assert os.getpid() in {
        int(pid)
        for task in Path(f"/proc/{os.getppid()}/task").glob("*/children")
        for pid in task.read_text().split()
    }


def test_where_nothing_is_known_of_the_server_it_counts_as_busy(
    monkeypatch: pytest.MonkeyPatch, two: list[str]
) -> None:
    monkeypatch.setattr(giving_way, "_attendant", None)
    assert giving_way.is_busy()
    with children.running(two, subprocess.DEVNULL, {}, may_wait=True) as child:
        time.sleep(5 * giving_way.LOOK_SECONDS)
        assert goes_on(child.pid)


def keep_busy(portal: LivePortal, stop: threading.Event) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", portal.port, timeout=30)) as client:
        while not stop.is_set():
            client.request("GET", "/login")
            client.getresponse().read()


def standing(portal: LivePortal) -> list[int]:
    """What the portal's processes have started and was stopped."""
    pids, found = [portal.pid], []
    while pids:
        pid = pids.pop()
        with suppress(OSError):
            if stands(pid):
                found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                pids.extend(map(int, task.read_text().split()))
    return found


def is_drawn(client: Client, thumbnail: str) -> bool:
    answer = client.get(thumbnail)
    assert answer.status == 200, answer.text
    return answer.headers["Preview-State"] == "made"


def test_what_the_worker_starts_gives_way_to_the_server(own_database: str) -> None:
    with live_portal(own_database) as portal:
        portal.start()
        admin = portal.set_up()
        stop = threading.Event()
        visitors = [threading.Thread(target=keep_busy, args=(portal, stop)) for _ in range(2)]
        for visitor in visitors:
            visitor.start()
        try:
            document = admin.upload_one("a.txt", b"words to be found and drawn")
            assert soon(lambda: standing(portal)), portal.last_words()
        finally:
            stop.set()
            for visitor in visitors:
                visitor.join()
        assert soon(lambda: not standing(portal))
        thumbnail = urlsplit(document["url"]).path + "/thumbnail"
        # Asked seldom: whoever asks all the time keeps the server at work.
        assert soon(lambda: is_drawn(admin, thumbnail) or time.sleep(0.5), 60)
