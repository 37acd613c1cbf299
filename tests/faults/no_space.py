"""Disks without room or without inodes: of the documents, of the database, of temporary files.

What cannot be stored is refused with 507, or 503 and Retry-After; what needs no room goes on;
nothing half-done stays; and once there is room again, nobody has to help.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from faults.disks import Disk, Ext4Disk, MemoryDisk
from faults.oracle import LISTED, OWNERS, Witness
from live.client import Answer
from live.fixtures import live_portal
from live.running import PASSWORD, LivePortal

MIB = 1024 * 1024
SIZES = (0, 100, 50_000, 3_000_000)
#: A disk of that size is too small for `doctor`.
WITHOUT = ("Room for documents",)


class Tight:
    """A portal whose three folders are small disks."""

    def __init__(self, portal: LivePortal, disks: dict[str, Disk], seed: int) -> None:
        self.portal = portal
        self.disks = disks
        self.witness = Witness(portal)
        self.answers: list[str] = []
        self._chance = random.Random(seed)

    def begin(self) -> None:
        self.witness.begin()
        for number in range(4):
            self.witness.upload(f"first-{number}.bin", self._chance.randbytes(5000))
        self.witness.look()

    def without_room(self, which: str, how: str, take: Callable[[Disk], None]) -> None:
        """Take the room of one disk with `take`, use the portal, give it back, and look."""
        disk, witness = self.disks[which], self.witness
        take(disk)
        for size in SIZES:
            name = f"{which}-{how}-{size}.bin"
            answer = witness.upload(name, self._chance.randbytes(size))
            self._note(f"upload of {size} bytes", which, how, answer)
            if which == "documents" and size == max(SIZES) and answer and answer.status != 507:
                self.witness.found.wrong_answers.append(f"{answer.status}, {how} for documents")
        client, whole = witness.clients[OWNERS[0]], [sent for sent in witness.sent if sent.is_whole]
        first = next(sent for sent in whole if sent.may_be == {LISTED})
        for path in ("/documents", "/trash", "/account", first.address):
            self._note(f"page {path[:12]}", which, how, client.get(path), due=200)
        download = client.get(f"{first.address}/download")
        self._note("download", which, how, download, due=200 if which != "database" else None)
        fields = {"email": OWNERS[0], "password": PASSWORD}
        sign_in = self.portal.visitor().post("/login", fields)
        self._note("sign-in", which, how, sign_in, due=303 if which != "database" else None)
        self._note("delete", which, how, witness.delete(first))
        disk.make_room()
        after = witness.upload(f"{which}-{how}-after.bin", b"there is room again")
        self._note("upload afterwards", which, how, after, due=201)
        witness.wait_until_ready()
        witness.look(thorough=True)

    def _note(
        self, what: str, which: str, how: str, answer: Answer | None, due: int | None = None
    ) -> None:
        where = f"{what}, {how} for the {which}"
        status = answer.status if answer else 0
        self.answers.append(f"{where}: {status}")
        if status == due or (due is None and status in {201, 200, 303}):
            return
        if due is None:
            self.witness.check_refusal(answer, where)
        else:
            self.witness.found.wrong_answers.append(f"{status} instead of {due}: {where}")

    def everything(self) -> None:
        """Take the room of every disk, in every way."""
        for which in self.disks:
            self.without_room(which, "no room", lambda disk: disk.fill())
            self.without_room(which, "little room", lambda disk: disk.fill(leave=2 * MIB))
            self.without_room(which, "no inodes", lambda disk: disk.take_inodes())
        self.witness.clean_up(without=WITHOUT)


@contextmanager
def tight(seed: int, database: str = "", *, in_memory: bool) -> Iterator[Tight]:
    """A portal, not yet started, on small disks, or for its own folder on a piece of memory."""
    with live_portal(database) as portal:
        temporary = portal.folder / "tmp"
        portal.settings["TMPDIR"] = str(temporary)
        own: Disk = Ext4Disk(portal.instance, 48 * MIB, 512)
        if in_memory:
            own = MemoryDisk(portal.instance, 24 * MIB, 512)
        with (
            own,
            Ext4Disk(portal.files, 48 * MIB, 512) as documents,
            MemoryDisk(temporary, 4 * MIB, 512) as passing,
        ):
            disks = {"documents": documents, "database": own, "temporary files": passing}
            try:
                yield Tight(portal, disks, seed)
            finally:
                portal.kill()
