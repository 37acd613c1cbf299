"""kill -9, or an error, at every system call that changes files: of an upload and of a delete.

One portal with one server process, so that it is known which one answers. Each call of an act is
a point: the act is done anew for each, broken there, and all is looked at.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from faults.oracle import ABSENT, OWNERS, Sent, Witness
from faults.pieces import Sending
from faults.tracing import Call, Tracing, check_can_trace, server_of
from live.client import Answer
from live.running import MANAGE, LivePortal

SMALL, LARGE = 10_000, 3_000_000
#: What answers what was done: 204 for pieces.
DONE = {201, 204}
#: How long an upload of which all came waits at most for its document after a start.
FINISHED_SECONDS = 10
#: Errors of a disk, and of one without room.
ERRORS = ("EIO", "ENOSPC")
#: What may fail although the answer says done: what these write is safe elsewhere already (the
#: head of the audit log, the log's pages on their way into the database); what cannot be removed
#: is left to `purge`; and SQLite ignores by itself that a folder could not be synced.
NOT_DECISIVE = (
    "openat instance/audit-head.json",
    "pwrite64 instance/audit-head.json",
    "pwrite64 instance/portal.db",
    "fdatasync instance/portal.db",
    "ftruncate instance/portal.db",
    "fdatasync instance",
    "flock instance/writer.lock",
    "unlink files/…/.incoming/…",
    "unlink files/…/…",
)
WRITE_AHEAD = "instance/portal.db-wal"
#: This call only hints.
HINT = "sync_file_range"


@dataclass(frozen=True)
class Act:
    """One request, prepared; and what its sender does when it was broken."""

    do: Callable[[], Answer | None]
    #: Told whether the whole portal was started again.
    afterwards: Callable[[bool], object] = lambda _started: None


@dataclass(frozen=True)
class Point:
    """Where an act was broken."""

    act: str
    at: int
    call: Call
    answer: int


class Bench:
    """One portal on which acts are broken at their system calls."""

    def __init__(self, portal: LivePortal, seed: int = 0) -> None:
        self.portal = portal
        self.witness = Witness(portal)
        self.points: list[Point] = []
        self._chance = random.Random(seed)
        self._names = itertools.count(1)
        self._lengths: dict[str, int] = {}

    def begin(self) -> None:
        """Start the portal, unless it was; raises `Impossible` or `Lacking`."""
        check_can_trace()
        if not self.witness.sent:
            self.witness.begin("--workers", "1")
            self.witness.upload("first.bin", b"the folders are there")

    # -- Acts: each is prepared, and then is one request ---------------------------------------

    def upload(self, size: int) -> Act:
        name, data = self._file(size)
        return Act(lambda: self.witness.upload(name, data))

    def delete(self) -> Act:
        sent = self._document()
        return Act(lambda: self.witness.delete(sent))

    def delete_for_ever(self) -> Act:
        sent = self._document()
        self.witness.delete(sent)
        return Act(lambda: self.witness.purge(sent))

    def announce(self, *, with_all: bool = False) -> Act:
        sending = Sending(self.witness, *self._file(SMALL))
        content = sending.data if with_all else None
        return Act(lambda: sending.begin(content), lambda _: sending.address and sending.finish())

    def send_piece(self) -> Act:
        sending = self._begun()
        return Act(lambda: sending.send(SMALL), lambda _: sending.finish())

    def send_last_piece(self) -> Act:
        sending = self._begun()
        sending.send(SMALL)
        return Act(
            lambda: sending.send(len(sending.data)),
            lambda started: self._finish(sending, ask=not started),
        )

    def give_up(self) -> Act:
        sending = self._begun()
        sending.send(SMALL)
        return Act(sending.give_up, lambda _: sending.sent.is_open and self._look_at(sending))

    def _file(self, size: int) -> tuple[str, bytes]:
        number = next(self._names)  # each has a size of its own, to be known by
        return f"{number:04}.bin", self._chance.randbytes(size + number)

    def _document(self) -> Sent:
        answer = self.upload(SMALL).do()
        assert answer is not None, self.portal.last_words()
        assert answer.status == 201, answer
        return self.witness.sent[-1]

    def _begun(self) -> Sending:
        sending = Sending(self.witness, *self._file(LARGE))
        answer = sending.begin()
        assert answer is not None, self.portal.last_words()
        assert answer.status == 201, answer
        return sending

    def _look_at(self, sending: Sending) -> None:
        """Given up or not, one of the two."""
        answer = sending.give_up()
        if answer is None or answer.status not in {204, 404}:
            self.witness.found.unhealthy.append(f"{answer} to giving up {sending.sent.name}")
        sending.sent.is_open = False

    def _finish(self, sending: Sending, *, ask: bool) -> None:
        """Go on with an upload. One of which all came is to be stored by itself after a start."""
        sizes = {path.stat().st_size for path in self.witness.files()}
        if not ask and sending.sent.size in sizes:
            deadline = time.monotonic() + FINISHED_SECONDS
            while sending.sent.name not in self.witness.clients[OWNERS[0]].listed().values():
                if time.monotonic() > deadline:
                    self.witness.found.unhealthy.append(f"{sending.sent.name} waits to be stored")
                    break
                time.sleep(0.1)
        sending.finish()

    def prepared(self, act: str) -> Act:
        """The next one of its kind."""
        return ACTS[act](self)

    # -- Breaking ------------------------------------------------------------------------------

    def length(self, act: str) -> int:
        """How many calls an act makes, about."""
        if act in self._lengths:
            return self._lengths[act]
        prepared = self.prepared(act)
        with Tracing(self.portal, server_of(self.portal)) as tracing:
            answer = prepared.do()
        assert answer is not None, self.portal.last_words()
        assert answer.status in DONE, answer
        self._lengths[act] = len(tracing.calls)
        return self._lengths[act]

    def kill_at(self, act: str, at: int, *, alone: bool = False) -> bool:
        """kill -9 at one call: of every process, or of the server's `alone`, which must come back.

        Answers False where the act was done before it came to so many calls.
        """
        prepared = self.prepared(act)
        how = "kill" if alone else "kill-group"
        with Tracing(self.portal, server_of(self.portal), at=at, do=how) as tracing:
            answer = prepared.do()
        if not self._was_reached(act, at, tracing, answer):
            return False
        if alone:
            self.witness.hang_up()
            self.witness.wait_until_ready()
        else:
            self.witness.start()
        prepared.afterwards(not alone)
        self.witness.look()
        return True

    def fail_at(self, act: str, at: int, error: str) -> bool:
        """Let one call fail; the answer must say so, and nothing may have happened.

        Answers False where the act was done before it came to so many calls.
        """
        prepared = self.prepared(act)
        before = [sent.may_be for sent in self.witness.sent]
        with Tracing(self.portal, server_of(self.portal), at=at, do=error) as tracing:
            answer = prepared.do()
        if not self._was_reached(act, at, tracing, answer):
            return False
        point = self.points[-1]
        where = f"{error} at {at}: {point.call} of {act}"
        if answer is None or answer.status not in DONE:
            for sent, may_be in itertools.zip_longest(
                self.witness.sent, before, fillvalue=frozenset({ABSENT})
            ):
                # One in pieces, all of which came, waits to be stored.
                sent.may_be = sent.may_be if sent.is_open else may_be
            self.witness.check_refusal(answer, where)
        elif _is_decisive(tracing.calls[:at]):
            self.witness.found.wrong_answers.append(f"{answer.status} in spite of {where}")
        prepared.afterwards(False)
        self.witness.look()
        return True

    def kill_removal_at(self, at: int) -> bool:
        """kill -9 of `purge` at one call, while it removes the bytes of a deleted document."""
        self.delete_for_ever().do()
        self.witness.make_old()
        with Tracing(self.portal, command=(*MANAGE, "purge"), at=at, do="kill") as tracing:
            tracing.wait()
        if not self._was_reached("removal", at, tracing, None):
            return False
        self.witness.look()
        return True

    def _was_reached(self, act: str, at: int, tracing: Tracing, answer: Answer | None) -> bool:
        if len(tracing.calls) < at:
            return False
        point = Point(act, at, tracing.calls[at - 1], answer.status if answer else 0)
        self.points.append(point)
        return True


ACTS: dict[str, Callable[[Bench], Act]] = {
    "upload": lambda bench: bench.upload(SMALL),
    "large upload": lambda bench: bench.upload(LARGE),
    "delete": Bench.delete,
    "delete for ever": Bench.delete_for_ever,
    "announcement of pieces": Bench.announce,
    "announcement with all": lambda bench: bench.announce(with_all=True),
    "piece": Bench.send_piece,
    "last piece": Bench.send_last_piece,
    "giving up": Bench.give_up,
}


def _is_decisive(calls: list[Call]) -> bool:
    """Whether what was asked for cannot be done without the last of these calls."""
    call = calls[-1]
    if str(call) in NOT_DECISIVE or call.name == HINT:
        return False
    # A log that is synced once more is about to be copied into the database.
    earlier = [str(each) for each in calls[:-1] if each.path == WRITE_AHEAD]
    return call.path != WRITE_AHEAD or earlier[-1:] != [f"fdatasync {WRITE_AHEAD}"]


def until_done(break_at: Callable[[int], bool]) -> int:
    """Break an act at one call after the other until it is done before; answers how many."""
    return sum(1 for _ in itertools.takewhile(break_at, itertools.count(1)))


def spread(length: int, count: int, chance: random.Random) -> Iterable[int]:
    """`count` of the numbers from 1 to `length`, one from each of as many equal spans."""
    bounds = [round(length * number / count) for number in range(count + 1)]
    return [chance.randint(low + 1, high) for low, high in itertools.pairwise(bounds) if high > low]
