"""kill -9 of the whole portal at random moments of uploads, and what must be true afterwards."""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable

from faults.oracle import OWNERS, Sent, Witness
from faults.pieces import Sending
from live.client import Client
from live.running import LivePortal

CLIENTS = 8
#: Of the uploads, so many come in pieces.
IN_PIECES = 0.4
#: Every so many kills all is looked at, not only what is new.
THOROUGH_EVERY = 100


class Storm:
    """Uploads and kills on one portal, which is started when `run` begins."""

    def __init__(self, portal: LivePortal, seed: int) -> None:
        self.portal = portal
        self.witness = Witness(portal)
        self.kills = 0
        self.kills_while_starting = 0
        self._chance = random.Random(seed)
        self._seed = seed
        self._clients: list[tuple[str, Client]] = []
        #: What each client sends in pieces and goes on with after a kill.
        self._under_way: list[list[Sending]] = [[] for _ in range(CLIENTS)]
        self.pieces_resumed = 0

    def run(self, kills: int, say: Callable[[str], None] = lambda line: None) -> None:
        """Kill the portal `kills` times, look after each, and leave the portal running."""
        self.witness.begin()
        self._clients = [
            (owner, self.witness.another_client(owner))
            for owner in (OWNERS[number % len(OWNERS)] for number in range(CLIENTS))
        ]
        for number in range(1, kills + 1):
            self._upload_until_killed(number)
            if self._chance.random() < 0.1:
                self._kill_while_starting()
            self.witness.start()
            self.witness.look(thorough=number % THOROUGH_EVERY == 0)
            if number % 10 == 0:
                say(f"{number} kills, {len(self.witness.sent)} uploads, {self.broken}")
        self._finish()
        self.witness.clean_up()

    @property
    def broken(self) -> list[str]:
        return self.witness.found.broken

    def figures(self) -> dict[str, float]:
        """What the run did and found."""
        sent, starts = self.witness.sent, self.witness.starts
        acknowledged = [each for each in sent if each.status == 201]
        return {
            "kills": self.kills,
            "kills while starting": self.kills_while_starting,
            "uploads": len(sent),
            "acknowledged": len(acknowledged),
            "bytes acknowledged": sum(each.size for each in acknowledged),
            "cut off": len(self.cut_off()),
            "stored although the answer was cut off": sum(
                1 for each in self.cut_off() if each.is_whole
            ),
            "refused": sum(1 for each in sent if each.status not in {0, 201}),
            "in pieces, gone on with after a kill": self.pieces_resumed,
            "orphans removed": self.witness.orphans_removed,
            "median seconds of a start": round(statistics.median(starts), 2),
            "slowest start": round(max(starts), 2),
        }

    def cut_off(self) -> list[Sent]:
        return [each for each in self.witness.sent if not each.status]

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
        self.kills += 1

    def _upload(self, number: int, client: int, over: threading.Event) -> None:
        owner, connection = self._clients[client]
        chance = random.Random(f"{self._seed} {number} {client}")
        if not self._go_on(self._under_way[client], over, chance):
            return
        for count in range(100):
            if over.is_set():
                return
            small = chance.random() < 0.7
            size = chance.randrange(0, 65_536) if small else chance.randrange(65_536, 3_000_000)
            name = f"{number:04}-{client}-{count:03}.bin"
            data = chance.randbytes(size)
            if chance.random() < IN_PIECES:
                sending = Sending(self.witness, name, data, owner, connection)
                self._under_way[client].append(sending)
                whole = data if chance.random() < 0.3 else None
                if sending.begin(whole) is None or not self._send(sending, over, chance):
                    return
            elif self.witness.upload(name, data, owner, connection) is None:
                return

    def _go_on(self, sendings: list[Sending], over: threading.Event, chance: random.Random) -> bool:
        """Go on with what was interrupted; answers False where it is interrupted again."""
        for sending in sendings:
            if not sending.address or sending.is_over:
                continue
            self.pieces_resumed += 1
            if sending.ask() is None or not self._send(sending, over, chance):
                return False
        return True

    def _send(self, sending: Sending, over: threading.Event, chance: random.Random) -> bool:
        while not sending.is_over:
            if over.is_set() or sending.send(chance.randrange(1, 1_000_000)) is None:
                return False
        return True

    def _finish(self) -> None:
        """Go on to the end with all that is under way."""
        for sendings in self._under_way:
            for sending in sendings:
                if sending.address:
                    sending.finish()

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
        self.kills_while_starting += 1
