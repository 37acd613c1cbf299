"""kill -9 of the whole portal at random moments of uploads, and what must be true afterwards.

The oracle after each: healthy within ten seconds without help; every acknowledged document is
listed, downloads whole with its SHA-256, and is audited once; every listed one is whole;
`doctor` finds nothing once `purge` has run; usage is the sum of the sizes.
"""

from __future__ import annotations

import csv
import hashlib
import http.client
import io
import json
import os
import random
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import create_engine, text

from live.client import Bytes, Client
from live.running import LivePortal

CLIENTS = 8
OWNERS = ("alice@example.org", "bob@example.org")
HEALTHY_SECONDS = 10
#: Every so many kills all is looked at, not only what is new.
THOROUGH_EVERY = 100
DAY = 86_400


@dataclass
class Sent:
    """One upload: what it was, and whether the portal said that it is safe."""

    owner: str
    name: str
    size: int
    sha256: str
    address: str = ""
    status: int = 0


@dataclass
class Figures:
    """What a run did and found; the lists say what broke which promise."""

    kills: int = 0
    kills_while_starting: int = 0
    uploads: int = 0
    acknowledged: int = 0
    cut_off: int = 0
    stored_unacknowledged: int = 0
    refused: int = 0
    bytes_acknowledged: int = 0
    orphans_removed: int = 0
    median_start_seconds: float = 0
    slowest_start_seconds: float = 0
    lost: list[str] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    unaudited: list[str] = field(default_factory=list)
    unhealthy: list[str] = field(default_factory=list)

    @property
    def broken(self) -> list[str]:
        return [*self.lost, *self.partial, *self.unaudited, *self.unhealthy]

    def lines(self) -> list[str]:
        """The figures as lines for people."""
        return [
            f"{name.replace('_', ' ')}: {len(value) if isinstance(value, list) else value}"
            for name, value in vars(self).items()
        ]


class Storm:
    """Uploads and kills on one portal, which is started when `run` begins."""

    def __init__(self, portal: LivePortal, seed: int) -> None:
        self.portal = portal
        self.figures = Figures()
        self._chance = random.Random(seed)
        self._seed = seed
        self._sent: list[Sent] = []
        self._whole: set[str] = set()
        self._clients: list[tuple[str, Client]] = []
        self._starts: list[float] = []
        self._lock = threading.Lock()
        self._patience: float = HEALTHY_SECONDS

    def run(self, kills: int, say: Callable[[str], None] = lambda line: None) -> Figures:
        """Kill the portal `kills` times; answers what was found, and leaves the portal running."""
        # A machine that is busy with other things is given more time, in proportion.
        self._patience = max(HEALTHY_SECONDS, 5 * self.portal.start())
        ada = self.portal.set_up()
        for owner in OWNERS:
            self.portal.invite(ada, owner, owner.partition("@")[0])
        self._clients = [
            (owner, self.portal.client(owner, timeout=20))
            for owner in (OWNERS[number % len(OWNERS)] for number in range(CLIENTS))
        ]
        for number in range(1, kills + 1):
            self._upload_until_killed(number)
            if self._chance.random() < 0.1:
                self._kill_while_starting()
            self._start()
            self._look(thorough=number % THOROUGH_EVERY == 0 or number == kills)
            if number % 10 == 0:
                say(f"{number} kills, {self.figures.uploads} uploads, {self.figures.broken}")
        self._clean()
        return self.figures

    # -- Breaking ------------------------------------------------------------------------------

    def _upload_until_killed(self, number: int) -> None:
        over = threading.Event()
        threads = [
            threading.Thread(target=self._upload, args=(number, each, over))
            for each in range(len(self._clients))
        ]
        for thread in threads:
            thread.start()
        time.sleep(self._chance.uniform(0.01, 0.25))
        over.set()
        self.portal.kill()
        for thread in threads:
            thread.join(60)
        self.figures.kills += 1

    def _upload(self, number: int, client: int, over: threading.Event) -> None:
        owner, http_client = self._clients[client]
        chance = random.Random(f"{self._seed} {number} {client}")
        for count in range(100):
            if over.is_set():
                return
            small = chance.random() < 0.7
            size = chance.randrange(0, 65_536) if small else chance.randrange(65_536, 3_000_000)
            data = chance.randbytes(size)
            name = f"{number:04}-{client}-{count:03}.bin"
            sent = Sent(owner, name, size, hashlib.sha256(data).hexdigest())
            with self._lock:
                self._sent.append(sent)
            try:
                answer = http_client.upload([(name, Bytes(data))])
            except (OSError, http.client.HTTPException):
                return
            sent.status = answer.status
            if answer.status == 201:
                sent.address = answer.json()["documents"][0]["url"]

    def _kill_while_starting(self) -> None:
        killer = threading.Timer(self._chance.uniform(0.1, 1.5), self.portal.kill)
        killer.start()
        try:
            self.portal.start()
        except AssertionError:
            pass
        finally:
            killer.join()
        self.portal.kill()
        self.figures.kills_while_starting += 1

    def _start(self) -> None:
        for _, client in self._clients:
            client.close()  # what it is connected to is gone
        seconds = self.portal.start()
        self._starts.append(seconds)
        self.figures.slowest_start_seconds = round(max(self._starts), 2)
        self.figures.median_start_seconds = round(statistics.median(self._starts), 2)
        if seconds > self._patience:
            self.figures.unhealthy.append(f"healthy only after {seconds:.1f} s")

    # -- Looking -------------------------------------------------------------------------------

    def _look(self, *, thorough: bool) -> None:
        """Compare what the portal has with what it was sent; what is whole stays known."""
        known = set() if thorough else self._whole
        listed: dict[str, str] = {}
        for owner in OWNERS:
            client = next(each for who, each in self._clients if who == owner)
            of_owner = client.listed(known)
            listed |= of_owner
            by_name = {each.name: each for each in self._sent if each.owner == owner}
            for address, name in of_owner.items():
                if address not in known:
                    self._check_whole(client, address, by_name.get(name))
        for sent in self._sent:
            if sent.address and sent.address not in listed and sent.address not in known:
                self.figures.lost.append(f"{sent.name} was acknowledged and is not listed")
        self._whole |= listed.keys()
        self._count(listed)
        if thorough:
            self._check_audit(listed)
            self._check_usage(listed)

    def _check_whole(self, client: Client, address: str, sent: Sent | None) -> None:
        if sent is None:
            self.figures.partial.append(f"{address} is listed under a name nobody sent")
            return
        try:
            _, size, digest = client.download(f"{address}/download")
        except (AssertionError, OSError, http.client.HTTPException) as error:
            self.figures.partial.append(f"{sent.name} cannot be downloaded: {error}")
            return
        if (size, digest) != (sent.size, sent.sha256):
            self.figures.partial.append(f"{sent.name} has {size} bytes of {sent.size}")

    def _count(self, listed: dict[str, str]) -> None:
        figures, sent = self.figures, self._sent
        figures.uploads = len(sent)
        figures.acknowledged = sum(1 for each in sent if each.address)
        figures.bytes_acknowledged = sum(each.size for each in sent if each.address)
        figures.cut_off = sum(1 for each in sent if not each.status)
        figures.refused = sum(1 for each in sent if each.status not in {0, 201})
        figures.stored_unacknowledged = len(self._whole) - figures.acknowledged

    def _check_audit(self, listed: dict[str, str]) -> None:
        table = self.portal.client("ada@example.org").get("/admin/audit.csv")
        events: dict[str, int] = {}
        for line in csv.DictReader(io.StringIO(table.text.removeprefix("\ufeff"))):
            if line["action"] == "document.uploaded":
                events[line["document"]] = events.get(line["document"], 0) + 1
        for address, name in listed.items():
            count = events.pop(address.rpartition("/")[2], 0)
            if count != 1:
                self.figures.unaudited.append(f"{name} has {count} events of its upload")
        self.figures.unaudited += [f"{name} is audited and not listed" for name in events]

    def _check_usage(self, listed: dict[str, str]) -> None:
        size = {(each.owner, each.name): each.size for each in self._sent}
        engine = create_engine(
            self.portal.settings.get("PORTAL_DATABASE_URL")
            or f"sqlite:///{self.portal.instance / 'portal.db'}"
        )
        with engine.connect() as connection:
            said = connection.execute(text("SELECT email, used_bytes FROM users")).all()
        engine.dispose()
        for owner, used in said:
            names = [name for name in listed.values() if (owner, name) in size]
            real = sum(size[owner, name] for name in names)
            if used != real:
                self.figures.unhealthy.append(f"{owner} uses {used} bytes, should be {real}")

    def _clean(self) -> None:
        """Let the orphans be old, purge, and see that they alone went."""
        old = time.time() - 3 * DAY
        before = [path for path in self.portal.files.rglob("*") if path.is_file()]
        for path in before:
            os.utime(path, (old, old))
        self.portal.manage("purge")
        after = [path for path in self.portal.files.rglob("*") if path.is_file()]
        self.figures.orphans_removed = len(before) - len(after)
        if len(after) != len(self._whole):
            self.figures.unhealthy.append(f"{len(after)} files for {len(self._whole)} documents")
        self._look(thorough=True)
        verdict = json.loads(self.portal.manage("doctor", "--deep", "--json", check=False).stdout)
        self.figures.unhealthy += [
            f"doctor: {check['name']}: {check['detail']}"
            for check in verdict["checks"]
            if not check["ok"]
        ]
