"""A server process that may make no larger files, or open no more: `prlimit`."""

from __future__ import annotations

import itertools
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.oracle import OWNERS, Witness
from faults.tracing import server_of
from live.running import LivePortal

SIZES = (100, 60_000, 300_000, 13_000_000)


class Limited:
    """A portal whose server process is given limits while it runs."""

    def __init__(self, portal: LivePortal) -> None:
        self.portal = portal
        self.witness = Witness(portal)
        self.answers: list[int] = []

    def begin(self) -> None:
        self.witness.begin("--workers", "1")
        self.witness.upload("first.bin", b"1" * 5000)
        self._client = self.portal.client(OWNERS[0], timeout=10)

    def with_file_size(self, most: int) -> None:
        """Upload while no file may grow beyond `most` bytes, the database's neither."""
        with _limit(server_of(self.portal), resource.RLIMIT_FSIZE, most):
            self._upload(f"fsize-{most}")
        self._recover(f"fsize-{most}")

    def with_open_files(self, more: int) -> None:
        """Upload, and ask for pages, while only `more` files than now can be open."""
        server = server_of(self.portal)
        with _limit(server, resource.RLIMIT_NOFILE, _number_after(server, more)):
            self._upload(f"nofile-{more}")
        self._recover(f"nofile-{more}")

    def _upload(self, where: str) -> None:
        for size in SIZES:
            answer = self.witness.upload(f"{where}-{size}.bin", b"1" * size, client=self._client)
            self.answers.append(answer.status if answer else 0)
            # Without a number for it, no connection is taken: none was that has no answer.
            if answer is not None and answer.status != 201:
                self.witness.check_refusal(answer, f"upload of {size} bytes, {where}")

    def _recover(self, where: str) -> None:
        self._client.close()
        self.witness.wait_until_ready()
        after = self.witness.upload(f"{where}-after.bin", b"1" * max(SIZES))
        if after is None or after.status != 201:
            self.witness.found.unhealthy.append(f"{after} when {where} was over")
        self.witness.look(thorough=True)

    def everything(self) -> None:
        # The last one is beyond what the database and its journal ever take.
        for most in (0, 50_000, 12_000_000):
            self.with_file_size(most)
        for more in (0, 1, 2, 5):
            self.with_open_files(more)
        self.witness.clean_up()


def _number_after(pid: int, more: int) -> int:
    """The lowest number of a file below which only `more` are free."""
    taken = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    free = (number for number in itertools.count() if number not in taken)
    return next(itertools.islice(free, more, None))


@contextmanager
def _limit(pid: int, which: int, soft: int) -> Iterator[None]:
    before = resource.prlimit(pid, which)
    resource.prlimit(pid, which, (min(soft, before[0]) if before[0] >= 0 else soft, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, which, before)
