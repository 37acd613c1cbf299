"""What was sent to a portal and what it said, and whether the portal keeps to it.

After whatever was done to the portal: every acknowledged document is listed, downloads whole with
its SHA-256 and is audited exactly once; every listed one is whole; what was deleted stays deleted;
usage is the sum of the sizes; `doctor --deep` finds nothing, and once `purge` has run over old
leftovers, only the files of documents are left.
"""

from __future__ import annotations

import csv
import hashlib
import http.client
import io
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, create_engine, text

from live.client import Answer, Bytes, Client
from live.running import LivePortal

OWNERS = ("alice@example.org", "bob@example.org")
HEALTHY_SECONDS = 10
DRAWING_SECONDS = 30
OLD = timedelta(days=3)

#: Where a document can be. What was asked for and not acknowledged may be in either place.
ABSENT, LISTED, TRASHED = "absent", "listed", "in the trash"

#: What is set aside for people, and the uploads in pieces for which it should be.
_RESERVED_AND_DUE = """
    SELECT email, reserved_bytes, (
        SELECT coalesce(sum(length_bytes), 0) FROM open_uploads
        WHERE owner_id = users.id AND document_id IS NULL
    ) FROM users
"""
_PICTURES = "SELECT blob FROM previews"
_UPLOADED = "SELECT count(*) FROM audit_events WHERE action = 'document.uploaded'"


@dataclass
class _Books:
    """What the portal's database said at one moment, beside the lists of documents."""

    uploaded: int
    events: Counter[tuple[str, str]]
    used: dict[str, int]
    apart: list[tuple[str, int, int]]


@dataclass
class Sent:
    """One upload: what it was, and where its document may be after what the portal said."""

    owner: str
    name: str
    size: int
    sha256: str
    address: str = ""
    #: Of the answer to the upload; 0 where none came.
    status: int = 0
    may_be: frozenset[str] = frozenset({ABSENT})
    #: It certainly was there, now or once: acknowledged, or seen.
    was_there: bool = False
    #: It comes in pieces and is not stored yet, as far as is known: that may happen at any time.
    is_open: bool = False
    #: That it is whole was seen; bytes never change.
    is_whole: bool = False

    @property
    def id(self) -> str:
        return self.address.rpartition("/")[2]


@dataclass
class Findings:
    """The lists say what broke which promise; all is well while they are empty."""

    lost: list[str] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    undeleted: list[str] = field(default_factory=list)
    unaudited: list[str] = field(default_factory=list)
    unhealthy: list[str] = field(default_factory=list)
    wrong_answers: list[str] = field(default_factory=list)

    @property
    def broken(self) -> list[str]:
        return [problem for problems in vars(self).values() for problem in problems]


class Witness:
    """Acts for the owners on one portal, remembers what it was told, and looks whether it holds."""

    def __init__(self, portal: LivePortal) -> None:
        self.portal = portal
        self.sent: list[Sent] = []
        self.found = Findings()
        self.starts: list[float] = []
        self.orphans_removed = 0
        self.clients: dict[str, Client] = {}
        self._more: list[Client] = []
        self._patience: float = HEALTHY_SECONDS
        self._lock = threading.Lock()
        self._arguments: tuple[str, ...] = ()

    # -- The portal ----------------------------------------------------------------------------

    def begin(self, *arguments: str) -> None:
        """Start a new portal and give the owners their accounts."""
        self._arguments = arguments
        # A machine that is busy with other things is given more time, in proportion.
        self._patience = max(HEALTHY_SECONDS, 5 * self.portal.start(*arguments))
        ada = self.portal.set_up()
        for owner in OWNERS:
            self.portal.invite(ada, owner, owner.partition("@")[0])
            self.clients[owner] = self.portal.client(owner, timeout=30)

    def another_client(self, owner: str) -> Client:
        """One more connection of the same person, with a session of its own."""
        client = self.portal.client(owner, timeout=30)
        self._more.append(client)
        return client

    def start(self) -> None:
        """Start the portal again, which must be healthy in time without help."""
        self.portal.kill()
        self.hang_up()
        self._healthy_after(self.portal.start(*self._arguments))

    def hang_up(self) -> None:
        """Forget connections to what is gone."""
        for client in [*self.clients.values(), *self._more]:
            client.close()

    def wait_until_ready(self) -> None:
        """Wait until the portal, which was left alone, is healthy again."""
        began = time.monotonic()
        while not self.portal.is_ready():
            if time.monotonic() - began > 3 * self._patience:
                self.found.unhealthy.append(f"not ready again\n{self.portal.last_words()}")
                return
            time.sleep(0.05)
        self._healthy_after(time.monotonic() - began)

    def _healthy_after(self, seconds: float) -> None:
        self.starts.append(seconds)
        if seconds > self._patience:
            self.found.unhealthy.append(f"healthy only after {seconds:.1f} s")

    # -- What the owners do --------------------------------------------------------------------

    def upload(
        self, name: str, data: bytes, owner: str = OWNERS[0], client: Client | None = None
    ) -> Answer | None:
        """Upload a document; answers None where no answer came."""
        sent = self.note(name, data, owner)
        try:
            answer = (client or self.clients[owner]).upload([(name, Bytes(data))])
        except (OSError, http.client.HTTPException):
            return None
        sent.status = answer.status
        if answer.status == 201:
            self.acknowledged(sent, answer.json()["documents"][0]["url"])
        return answer

    def note(self, name: str, data: bytes, owner: str = OWNERS[0]) -> Sent:
        """Remember that an upload begins: from now on its document may be there."""
        digest = hashlib.sha256(data).hexdigest()
        sent = Sent(owner, name, len(data), digest, may_be=frozenset({ABSENT, LISTED}))
        with self._lock:
            self.sent.append(sent)
        return sent

    def acknowledged(self, sent: Sent, address: str) -> None:
        sent.status, sent.address, sent.may_be = 201, address, frozenset({LISTED})
        sent.was_there, sent.is_open = True, False

    def delete(self, sent: Sent) -> Answer | None:
        """Put a document into the trash."""
        return self._move(sent, f"{sent.address}/delete", TRASHED)

    def purge(self, sent: Sent) -> Answer | None:
        """Delete a document in the trash for ever."""
        return self._move(sent, f"/trash/{sent.id}/purge", ABSENT)

    def _move(self, sent: Sent, path: str, to: str) -> Answer | None:
        sent.may_be |= {to}
        try:
            answer = self.clients[sent.owner].post(path, accept="application/json")
        except (OSError, http.client.HTTPException):
            return None
        if answer.status == 201:
            sent.may_be = frozenset({to})
        return answer

    def check_refusal(self, answer: Answer | None, where: str) -> None:
        """See that what could not be done was refused rightly: 507, or 503 with Retry-After."""
        if answer is None:
            self.found.wrong_answers.append(f"no answer: {where}\n{self.portal.last_words()}")
        elif answer.status == 503 and not answer.headers["Retry-After"]:
            self.found.wrong_answers.append(f"503 without Retry-After: {where}")
        elif answer.status not in {503, 507}:
            self.found.wrong_answers.append(f"{answer.status}: {where}: {answer.text[:300]}")

    # -- Looking -------------------------------------------------------------------------------

    def look(self, *, thorough: bool = False) -> None:
        """Compare what the portal has with what it was told and said.

        What was undecided is settled by it: seen once, it stays so. Without `thorough` only the
        newest documents are looked at, back to a page on which all are known to be whole.
        """
        known = () if thorough else {sent.address for sent in self.sent if sent.is_whole}
        uploaded, seen = self._uploaded(), self._see(known)
        books = self._books() if thorough else None
        while books and books.uploaded != uploaded:
            # The worker finished an upload in between: what was seen is not of one moment.
            uploaded, seen, books = self._uploaded(), self._see(known), self._books()
        for owner in OWNERS:
            listed, trashed = seen[owner]
            mine = [sent for sent in self.sent if sent.owner == owner]
            for sent in mine:
                self._find(sent, listed, trashed)
                if sent.address in known and sent.may_be == {LISTED}:
                    continue  # perhaps on a page that was not asked for
                self._compare(sent, listed, trashed)
            strange = listed.keys() - {sent.address for sent in mine}
            self.found.partial += [f"{each} is listed and nobody sent it" for each in strange]
        if books:
            self._check_audit(books.events)
            self._check_usage(books)

    def _see(self, known: Collection[str]) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
        """What each owner finds in their list and in their trash."""
        return {owner: (self.clients[owner].listed(known), self._trash(owner)) for owner in OWNERS}

    def _books(self) -> _Books:
        with self._database() as connection:
            uploaded = int(connection.execute(text(_UPLOADED)).scalar_one())
            used = connection.execute(text("SELECT email, used_bytes FROM users")).all()
            apart = connection.execute(text(_RESERVED_AND_DUE)).all()
        table = self.portal.client("ada@example.org").get("/admin/audit.csv")
        return _Books(
            uploaded=uploaded,
            events=Counter(
                (line["action"], line["document"])
                for line in csv.DictReader(io.StringIO(table.text.removeprefix("\ufeff")))
            ),
            used={str(email): int(size) for email, size in used},
            apart=[(str(email), int(reserved), int(due)) for email, reserved, due in apart],
        )

    def _uploaded(self) -> int:
        with self._database() as connection:
            return int(connection.execute(text(_UPLOADED)).scalar_one())

    def _find(self, sent: Sent, listed: dict[str, str], trashed: dict[str, str]) -> None:
        """Learn the address of a document whose answer was cut off."""
        if not sent.address:
            addresses = {name: address for address, name in {**trashed, **listed}.items()}
            sent.address = addresses.get(sent.name, "")

    def _compare(self, sent: Sent, listed: dict[str, str], trashed: dict[str, str]) -> None:
        is_at = ABSENT
        if sent.address in listed or sent.address in trashed:
            is_at = LISTED if sent.address in listed else TRASHED
        if is_at not in sent.may_be:
            what = f"{sent.name} is {is_at}, should be {' or '.join(sorted(sent.may_be))}"
            was_deleted = LISTED not in sent.may_be
            (self.found.undeleted if was_deleted else self.found.lost).append(what)
        if is_at != ABSENT or not sent.is_open:
            sent.may_be, sent.is_open = frozenset({is_at}), False
        sent.was_there |= is_at != ABSENT
        if is_at == LISTED and not sent.is_whole:
            self._check_whole(sent)

    def _check_whole(self, sent: Sent) -> None:
        try:
            _, size, digest = self.clients[sent.owner].download(f"{sent.address}/download")
        except (AssertionError, OSError, http.client.HTTPException) as error:
            self.found.partial.append(f"{sent.name} cannot be downloaded: {error!r}")
            return
        if (size, digest) != (sent.size, sent.sha256):
            self.found.partial.append(f"{sent.name} has {size} bytes of {sent.size}, or others")
        sent.is_whole = True

    def _trash(self, owner: str) -> dict[str, str]:
        """The name of every document in somebody's trash by its address."""
        found: dict[str, str] = {}
        path = "/trash"
        while path:
            answer = self.clients[owner].get(path, accept="application/json")
            assert answer.status == 200, answer
            page = answer.json()
            found |= {f"/documents/{each['id']}": each["name"] for each in page["documents"]}
            path = page["next"] or ""
        return found

    def _check_audit(self, events: Counter[tuple[str, str]]) -> None:
        for sent in [sent for sent in self.sent if sent.was_there]:
            is_gone = sent.may_be == {ABSENT}
            for action, due in (("document.uploaded", 1), ("document.purged", int(is_gone))):
                count = events.pop((action, sent.id), 0)
                if count != due:
                    self.found.unaudited.append(f"{sent.name} has {count} events {action}")
        self.found.unaudited += [
            f"{document} is audited and was never seen"
            for action, document in events
            if action == "document.uploaded"
        ]

    def _check_usage(self, books: _Books) -> None:
        for owner in OWNERS:
            real = sum(each.size for each in self._kept() if each.owner == owner)
            if books.used[owner] != real:
                used = f"{owner} uses {books.used[owner]} bytes"
                self.found.unhealthy.append(f"{used}, should be {real}")
        self.found.unhealthy += [
            f"{email} has {reserved} bytes set aside, should be {due}"
            for email, reserved, due in books.apart
            if reserved != due
        ]

    def _kept(self) -> list[Sent]:
        """Whatever has bytes: listed or in the trash."""
        return [sent for sent in self.sent if sent.may_be <= {LISTED, TRASHED}]

    @contextmanager
    def _database(self) -> Iterator[Connection]:
        engine = create_engine(
            self.portal.settings.get("PORTAL_DATABASE_URL")
            or f"sqlite:///{self.portal.instance / 'portal.db'}"
        )
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    # -- The end -------------------------------------------------------------------------------

    def make_old(self) -> None:
        """Let files and discarded bytes be old, so that `purge` may remove what is nobody's.

        Uploads in pieces are old as well: whoever wants to go on with them does so before.
        """
        moment = datetime.now(UTC) - OLD
        for path in self.files():
            os.utime(path, (moment.timestamp(), moment.timestamp()))
        with self._database() as connection:
            for change in (
                "UPDATE discarded_blobs SET discarded_at = :moment",
                "UPDATE open_uploads SET expires_at = :moment WHERE document_id IS NULL",
            ):
                connection.execute(text(change), {"moment": moment.replace(tzinfo=None)})

    def clean_up(self, without: Collection[str] = ()) -> None:
        """Purge old leftovers, and see that they alone went and nothing else is found.

        `without` names checks of `doctor` that what was done here makes fail.
        """
        self.look(thorough=True)
        before = len(self.files())
        self.make_old()
        self.portal.manage("purge")
        self.orphans_removed += before - len(self.files())
        if (documents := self._count_documents()) != len(self._kept()):
            self.found.unhealthy.append(f"{documents} files for {len(self._kept())} documents")
        for sent in self.sent:
            sent.is_whole = False
        self.look(thorough=True)
        verdict = json.loads(self.portal.manage("doctor", "--deep", "--json", check=False).stdout)
        self.found.unhealthy += [
            f"doctor: {check['name']}: {check['detail']}"
            for check in verdict["checks"]
            if not check["ok"] and check["name"] not in without
        ]
        self.hang_up()

    def _count_documents(self) -> int:
        """How many files are no picture's, as soon as that is what it should be, or at the end.

        A picture has its file a moment before its row.
        """
        deadline = time.monotonic() + DRAWING_SECONDS
        while True:
            found = {f"{path.parent.name}/{path.name}" for path in self.files()}
            with self._database() as connection:
                found.difference_update(connection.execute(text(_PICTURES)).scalars())
            if len(found) == len(self._kept()) or time.monotonic() > deadline:
                return len(found)
            time.sleep(0.2)

    def files(self) -> list[Path]:
        """Every file in the folder of documents, those on their way in too."""
        return [path for path in self.portal.files.rglob("*") if path.is_file()]
