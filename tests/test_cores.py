"""Which processor requests are answered on."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from typing import Any, TypeVar

import pytest

from live.fixtures import live_portal, own_database
from live.running import LivePortal
from portal import cores
from portal.accounts.lanes import Lanes
from portal.storage.pace import SMALL_BYTES

__all__ = ["own_database"]

ALL = os.sched_getaffinity(0)
Result = TypeVar("Result")

pytestmark = pytest.mark.skipif(len(ALL) < 2, reason="one processor leaves no choice")


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[int]]:
    """This process's home is its second processor."""
    monkeypatch.setattr(cores, "_all", frozenset())
    monkeypatch.setattr(cores, "_home", frozenset())
    cores.choose_home(1)
    yield {sorted(ALL)[1]}
    assert os.sched_getaffinity(0) == ALL, "the tests' own thread was moved"


def in_a_thread(work: Callable[[], Result]) -> Result:
    done: list[Result] = []
    thread = threading.Thread(target=lambda: done.append(work()))
    thread.start()
    thread.join()
    return done[0]


def place() -> set[int]:
    return os.sched_getaffinity(0)


def answered(environ: dict[str, str], answer: Iterable[bytes] | None = None) -> list[set[int]]:
    """Where the application, and whoever takes the answer, run."""
    places: list[set[int]] = []

    def application(_environ: Any, _start: Any) -> Iterable[bytes]:
        places.append(place())
        return [b"short"] if answer is None else answer

    def work() -> list[set[int]]:
        cores.Homely(application)(environ, lambda *_: None)  # type: ignore[arg-type,return-value]
        places.append(place())
        return places

    return in_a_thread(work)


def test_each_process_has_its_own_home_until_all_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    homes = []
    for number in range(len(ALL) + 1):
        monkeypatch.setattr(cores, "_home", frozenset())
        cores.choose_home(number)
        homes.append(set(cores._home))
    monkeypatch.setattr(cores, "_all", frozenset())
    assert homes == [*({one} for one in sorted(ALL)), {min(ALL)}]


def test_a_thread_stays_roams_and_comes_home(home: set[int]) -> None:
    def work() -> list[set[int]]:
        places = [place()]
        for move in (cores.stay, cores.roam, cores.roam, cores.stay):
            move()
            places.append(place())
        return places

    assert in_a_thread(work) == [ALL, home, ALL, ALL, home]


def test_a_thread_started_at_home_can_leave_it(home: set[int]) -> None:
    def work() -> tuple[set[int], set[int]]:
        cores.stay()
        return in_a_thread(place), in_a_thread(lambda: (cores.roam(), place())[1])

    assert in_a_thread(work) == (home, ALL)


def test_without_a_home_nothing_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_all", frozenset())
    assert in_a_thread(lambda: (cores.stay(), place())[1]) == ALL


def test_a_processor_kept_from_the_portal_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_all", frozenset())
    monkeypatch.setattr(cores, "_home", frozenset())

    def work() -> tuple[set[int], set[int]]:
        os.sched_setaffinity(0, {max(ALL)})
        cores.choose_home(0)
        cores.stay()
        stayed = place()
        cores.roam()
        return stayed, place()

    assert in_a_thread(work) == ({max(ALL)}, {max(ALL)})


def test_a_lost_processor_fails_no_request(home: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_home", frozenset({max(ALL) + 64}))
    assert answered({}) == [ALL, ALL]


@pytest.mark.parametrize("environ", [{}, {"CONTENT_LENGTH": ""}, {"CONTENT_LENGTH": "65536"}])
def test_what_is_short_is_answered_at_home(home: set[int], environ: dict[str, str]) -> None:
    assert SMALL_BYTES == 65536
    assert answered(environ) == [home, home]


@pytest.mark.parametrize(
    "environ",
    [{"CONTENT_LENGTH": "65537"}, {"CONTENT_LENGTH": "x"}, {"HTTP_TRANSFER_ENCODING": "chunked"}],
)
def test_a_long_body_is_taken_in_anywhere(home: set[int], environ: dict[str, str]) -> None:
    assert answered(environ) == [ALL, ALL]


def test_a_long_answer_is_handed_out_anywhere(home: set[int]) -> None:
    assert answered({}, iter([b"long"])) == [home, ALL]


def test_passwords_are_hashed_anywhere(home: set[int]) -> None:
    def work() -> set[int]:
        cores.stay()
        return Lanes(1, 1).run(place)

    assert in_a_thread(work) == ALL


def homes(portal: LivePortal) -> dict[int, set[int]]:
    """The homes of the server's processes, which answer something first."""
    for _ in range(64):
        client = http.client.HTTPConnection("127.0.0.1", portal.port, timeout=30)
        with closing(client), suppress(OSError):  # one of them may just have been killed
            client.request("GET", "/healthz")
            client.getresponse().read()
    found = {}
    for pid in portal.children():
        places = []
        with suppress(OSError):
            places = [os.sched_getaffinity(int(name)) for name in os.listdir(f"/proc/{pid}/task")]
        if alone := [place for place in places if len(place) == 1]:
            assert ALL in places, "what serves the connections is to run anywhere"
            found[pid] = set.union(*alone)
    return found


def test_the_processes_of_the_server_share_the_processors(own_database: str) -> None:
    with live_portal(own_database) as portal:
        portal.start()
        before = homes(portal)
        assert sorted(before.values(), key=min) == [{one} for one in sorted(ALL)]
        killed = next(iter(before))
        os.kill(killed, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while len(after := homes(portal)) < len(before) or killed in after:
            assert time.monotonic() < deadline, portal.last_words()
            time.sleep(0.2)
        assert sorted(after.values(), key=min) == [{one} for one in sorted(ALL)]
