"""A database that somebody else holds: nothing can be written for ten seconds."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import create_engine

from faults.oracle import OWNERS, Witness
from live.client import Client
from live.running import LivePortal

SECONDS = 10
CLIENTS = 4


class Held:
    """A portal whose database is held from outside while documents come in."""

    def __init__(self, portal: LivePortal) -> None:
        self.portal = portal
        self.witness = Witness(portal)
        self.answers: list[int] = []
        self.slowest = 0.0
        self._clients: list[Client] = []

    def begin(self) -> None:
        self.witness.begin()
        self.witness.upload("first.bin", b"1" * 5000)
        self._clients = [self.witness.another_client(OWNERS[0]) for _ in range(CLIENTS)]

    def everything(self) -> None:
        self.by_another_program()
        if not self.portal.settings.get("PORTAL_DATABASE_URL"):
            self._use_while("one of ours got stuck", self._line())
        self.witness.clean_up()

    def by_another_program(self) -> None:
        self._use_while("another program writes", self._transaction())

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """As any program could hold it."""
        address = self.portal.settings.get("PORTAL_DATABASE_URL")
        engine = create_engine(address or f"sqlite:///{self.portal.instance / 'portal.db'}")
        hold = "LOCK TABLE users, documents, audit_head IN EXCLUSIVE MODE"
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql(hold if address else "BEGIN EXCLUSIVE")
                yield
                connection.rollback()
        finally:
            engine.dispose()

    @contextmanager
    def _line(self) -> Iterator[None]:
        """As a process of the portal's own would that got stuck while it was writing."""
        with (self.portal.instance / "writer.lock").open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _use_while(self, where: str, hold: AbstractContextManager[None]) -> None:
        """Upload from several clients while it is held; all must be answered, and be well after."""
        until = time.monotonic() + SECONDS
        threads = [
            threading.Thread(target=self._upload, args=(where, each, until))
            for each in range(CLIENTS)
        ]
        with hold:
            for thread in threads:
                thread.start()
            while time.monotonic() < until:
                page = self.witness.clients[OWNERS[0]].get("/documents")
                if page.status != 200:
                    self.witness.found.wrong_answers.append(f"{page.status}: list, {where}")
                time.sleep(1)
        for thread in threads:
            thread.join(60)
        self.witness.wait_until_ready()
        after = self.witness.upload(f"{where}-after.bin", b"1" * 70_000)
        if after is None or after.status != 201:
            self.witness.found.unhealthy.append(f"{after} after {where}")
        self.witness.look(thorough=True)

    def _upload(self, where: str, number: int, until: float) -> None:
        for count in range(1000):
            if time.monotonic() > until:
                return
            began = time.monotonic()
            name = f"{where}-{number}-{count}.bin"
            answer = self.witness.upload(name, b"1" * 70_000, client=self._clients[number])
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.answers.append(answer.status if answer else 0)
            if answer is None or answer.status != 201:
                self.witness.check_refusal(answer, f"{name}")
