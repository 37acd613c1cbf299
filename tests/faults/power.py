"""Power cuts: after an answer, nothing reaches the disks any more, and they are mounted anew.

Files and database are on two file systems, because on one the database's own sync would save the
names of files whose folder nobody synced. kill -9 could never show such things: what a process
has written stays with the system.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from faults.disks import Ext4Disk
from faults.needs import programs, root
from faults.oracle import ABSENT, LISTED, OWNERS, Witness
from faults.tracing import Tracing, server_of
from live.client import Answer, Client
from live.fixtures import live_portal
from live.running import LivePortal

CLIENTS = 4
SIZES = (0, 1, 5_000, 200_000, 1_300_000, 3_000_000)


class _Evening:
    """The time until the power goes: after so many answers."""

    def __init__(self, house: House, answers: int) -> None:
        self._house = house
        self._answers = answers
        self._lock = threading.Lock()
        self._is_dark = False

    def is_over_after(self, answer: Answer | None, name: str) -> bool:
        """Count an answer; cut the power after the last one."""
        with self._lock:
            if self._is_dark:
                # It came while the power was going: no promise, for nobody can have seen it.
                sent = next(sent for sent in self._house.witness.sent if sent.name == name)
                sent.may_be, sent.was_there = sent.may_be | {ABSENT}, False
                return True
            self._answers -= 1
            if answer is None or self._answers <= 0:
                self._house.cut_power()
                self._is_dark = True
            return self._is_dark


class House:
    """A portal on two disks whose power can be cut."""

    def __init__(self, portal: LivePortal, disks: list[Ext4Disk], seed: int) -> None:
        self.portal = portal
        self.disks = disks
        self.witness = Witness(portal)
        self.cuts = 0
        self.in_flight = 0
        self._chance = random.Random(seed)
        self._turn = 0
        self._clients: list[Client] = []

    def begin(self) -> None:
        self.witness.begin("--workers", "1")
        self._clients = [self.witness.another_client(OWNERS[0]) for _ in range(CLIENTS)]

    def cut_power(self) -> None:
        """Take the power from all disks at once, in any order, and from the portal."""
        self._chance.shuffle(self.disks)
        for disk in self.disks:
            disk.cut_power()
        self.portal.kill()
        self.cuts += 1

    def restore_power(self) -> None:
        for disk in self.disks:
            disk.restore_power()
        self.witness.start()

    def upload_until_dark(self) -> None:
        """Upload from several clients, cut the power right after one of the answers, and look."""
        self._turn += 1
        begun = len(self.witness.sent)
        evening = _Evening(self, self._chance.randint(1, 6))
        threads = [
            threading.Thread(
                target=self._upload, args=(evening, each, random.Random(self._chance.random()))
            )
            for each in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        new = self.witness.sent[begun:]
        self.in_flight += sum(1 for sent in new if sent.may_be != {LISTED})
        self.restore_power()
        self.witness.look()

    def _upload(self, evening: _Evening, number: int, chance: random.Random) -> None:
        for count in range(50):
            name = f"{self._turn:04}-{number}-{count:02}.bin"
            data = chance.randbytes(chance.choice(SIZES))
            answer = self.witness.upload(name, data, client=self._clients[number])
            if evening.is_over_after(answer, name):
                return

    def delete_until_dark(self) -> None:
        """Delete a document, for ever too, cut the power right after the answer, and look."""
        kept = [sent for sent in self.witness.sent if sent.may_be == {LISTED}]
        sent = self._chance.choice(kept)
        acts = [self.witness.delete, self.witness.purge]
        for act in acts[: self._chance.randint(1, 2)]:
            answer = act(sent)
            assert answer is not None, self.portal.last_words()
            assert answer.status == 201, answer
        self.cut_power()
        self.restore_power()
        self.witness.look(thorough=True)

    def upload_without(self, *calls: str, directories: bool = False) -> None:
        """Upload to a server whose `calls` do nothing, cut the power, and look."""
        with Tracing(self.portal, server_of(self.portal), skip=calls, directories=directories):
            answer = self.witness.upload(f"without-{'-'.join(calls)}.bin", b"safe?" * 1000)
            assert answer is not None, self.portal.last_words()
            assert answer.status == 201, answer
            self.cut_power()
        self.restore_power()
        self.witness.look()


@contextmanager
def house(seed: int) -> Iterator[House]:
    """A portal, not yet started, on two disks; unmounted and removed at the end."""
    root()
    programs("mkfs.ext4", "mount")
    with (
        live_portal() as portal,
        Ext4Disk(portal.instance) as database,
        Ext4Disk(portal.files) as files,
    ):
        try:
            yield House(portal, [database, files], seed)
        finally:
            portal.kill()
