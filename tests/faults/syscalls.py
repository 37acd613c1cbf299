"""kill -9, or an error, at every system call that changes files: of an upload and of a delete.

One portal with one server process, so that it is known which one answers. Each call of an act is
a point: the act is done anew for each, broken there, and all is looked at.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from faults.oracle import ABSENT, Sent, Witness
from faults.tracing import Call, Tracing, check_can_trace, server_of
from live.client import Answer
from live.running import MANAGE, LivePortal

SMALL, LARGE = 10_000, 3_000_000
#: Errors of a disk, and of one without room.
ERRORS = ("EIO", "ENOSPC")
#: What may fail although the answer is 201: what these write is safe elsewhere already (the head
#: of the audit log, the log's pages on their way into the database) or is a sign of life; and
#: SQLite ignores by itself that a folder could not be synced.
NOT_DECISIVE = (
    "openat instance/audit-head.json",
    "pwrite64 instance/audit-head.json",
    "pwrite64 instance/portal.db",
    "fdatasync instance/portal.db",
    "ftruncate instance/portal.db",
    "fdatasync instance",
    "flock instance/writer.lock",
)
#: This call only hints.
HINT = "sync_file_range"


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
        self.acts: dict[str, Callable[[], Callable[[], Answer | None]]] = {
            "upload": lambda: self._upload(SMALL),
            "large upload": lambda: self._upload(LARGE),
            "delete": self._delete,
            "delete for ever": self._delete_for_ever,
        }
        self._chance = random.Random(seed)
        self._names = itertools.count(1)

    def begin(self) -> None:
        """Start the portal, unless it was; raises `Impossible` or `Lacking`."""
        check_can_trace()
        if not self.witness.sent:
            self.witness.begin("--workers", "1")
            self.witness.upload("first.bin", b"the folders are there")

    # -- Acts: each is prepared, and then is one request ---------------------------------------

    def _upload(self, size: int) -> Callable[[], Answer | None]:
        name, data = f"{next(self._names):04}.bin", self._chance.randbytes(size)
        return lambda: self.witness.upload(name, data)

    def _document(self) -> Sent:
        answer = self._upload(SMALL)()
        assert answer is not None, self.portal.last_words()
        assert answer.status == 201, answer
        return self.witness.sent[-1]

    def _delete(self) -> Callable[[], Answer | None]:
        sent = self._document()
        return lambda: self.witness.delete(sent)

    def _delete_for_ever(self) -> Callable[[], Answer | None]:
        sent = self._document()
        self.witness.delete(sent)
        return lambda: self.witness.purge(sent)

    # -- Breaking ------------------------------------------------------------------------------

    def length(self, act: str) -> int:
        """How many calls an act makes."""
        do = self.acts[act]()
        with Tracing(self.portal, server_of(self.portal)) as tracing:
            answer = do()
        assert answer is not None, self.portal.last_words()
        assert answer.status == 201, answer
        return len(tracing.calls)

    def kill_at(self, act: str, at: int, *, alone: bool = False) -> bool:
        """kill -9 at one call: of every process, or of the server's `alone`, which must come back.

        Answers False where the act was done before it came to so many calls.
        """
        do = self.acts[act]()
        how = "kill" if alone else "kill-group"
        with Tracing(self.portal, server_of(self.portal), at=at, do=how) as tracing:
            answer = do()
        if not self._was_reached(act, at, tracing, answer):
            return False
        if alone:
            self.witness.hang_up()
            self.witness.wait_until_ready()
        else:
            self.witness.start()
        self.witness.look()
        return True

    def fail_at(self, act: str, at: int, error: str) -> bool:
        """Let one call fail; the answer must say so, and nothing may have happened.

        Answers False where the act was done before it came to so many calls.
        """
        do = self.acts[act]()
        before = [sent.may_be for sent in self.witness.sent]
        with Tracing(self.portal, server_of(self.portal), at=at, do=error) as tracing:
            answer = do()
        if not self._was_reached(act, at, tracing, answer):
            return False
        point = self.points[-1]
        where = f"{error} at {at}: {point.call} of {act}"
        if answer is None or answer.status != 201:
            for sent, may_be in itertools.zip_longest(
                self.witness.sent, before, fillvalue=frozenset({ABSENT})
            ):
                sent.may_be = may_be
            self.witness.check_refusal(answer, where)
        elif str(point.call) not in NOT_DECISIVE and point.call.name != HINT:
            self.witness.found.wrong_answers.append(f"201 in spite of {where}")
        self.witness.look()
        return True

    def kill_removal_at(self, at: int) -> bool:
        """kill -9 of `purge` at one call, while it removes the bytes of a deleted document."""
        self._delete_for_ever()()
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


def until_done(break_at: Callable[[int], bool]) -> int:
    """Break an act at one call after the other until it is done before; answers how many."""
    return sum(1 for _ in itertools.takewhile(break_at, itertools.count(1)))


def spread(length: int, count: int, chance: random.Random) -> Iterable[int]:
    """`count` of the numbers from 1 to `length`, one from each of as many equal spans."""
    bounds = [round(length * number / count) for number in range(count + 1)]
    return [chance.randint(low + 1, high) for low, high in itertools.pairwise(bounds) if high > low]
