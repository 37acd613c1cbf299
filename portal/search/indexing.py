"""Reading what waits, and putting it into the index."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from portal import storage
from portal.errors import PortalError
from portal.search import reading, waiting, words
from portal.search.reading import Killed, Unreadable
from portal.search.waiting import Claim, Lost
from portal.storage import BlobMissing

log = logging.getLogger(__name__)

#: How often a claim is renewed while a document is read: several times within its lease.
_RENEW_SECONDS = waiting.LEASE.total_seconds() / 4


class Stopped(Exception):
    """The worker was told to stop while it read."""


def index_due(stop: threading.Event | None = None) -> int:
    """Read what is due until nothing is, or until `stop`; answers how many are done with."""
    stop = stop or threading.Event()
    done = 0
    while not stop.is_set() and waiting.is_due() and (claim := waiting.claim()):
        try:
            done += _index(claim, stop)
        except Lost:
            log.info("a document was deleted, or read by somebody else, in the meantime")
    while not stop.is_set() and waiting.sweep():
        pass
    return done


def _index(claim: Claim, stop: threading.Event) -> bool:
    held = _Held(claim, stop)
    try:
        found = _read(claim, held)
    except Stopped:
        waiting.give_back(held.claim)
        return False
    except Unreadable as error:
        if isinstance(error, Killed) and not claim.is_last:
            log.warning("%s was not read (try %d): %s", claim.public_id, claim.tries, error)
            waiting.put_off(held.claim)
            return False
        log.info("document %s cannot be searched by what it holds: %s", claim.public_id, error)
        waiting.give_up(held.claim, str(error))
        return True
    waiting.keep(held.claim, list(words.passages(words.prepare(found))))
    return True


def _read(claim: Claim, held: _Held) -> str:
    if claim.tries > len(waiting.PAUSES) + 1:  # the worker itself died of it
        raise Unreadable("Reading it was broken off each time.")
    if claim.size_bytes > reading.LARGEST_FILE and claim.reader != "text":
        raise Unreadable("It is too large to be read.")
    limits = reading.limits_for(claim.reader)
    return reading.read(claim.reader, _pieces(claim), limits, held.beat).text


class _Held:
    """A claim that is kept for as long as the reading takes."""

    def __init__(self, claim: Claim, stop: threading.Event) -> None:
        self.claim = claim
        self._stop = stop
        self._renewed_at = time.monotonic()

    def beat(self) -> None:
        """Still at it. Raises `Lost`, or `Stopped`."""
        if self._stop.is_set():
            raise Stopped
        if time.monotonic() - self._renewed_at > _RENEW_SECONDS:
            self.claim = waiting.renew(self.claim)
            self._renewed_at = time.monotonic()


def _pieces(claim: Claim) -> Iterator[bytes]:
    """The bytes, opened here: another thread, which knows no app, hands them to the child."""
    with _readable():
        opened = storage.current().read(claim.blob, 0, claim.size_bytes, claim.size_bytes)
    return _checked(opened)


def _checked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    with _readable():
        yield from pieces


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (BlobMissing, PortalError, OSError) as error:
        raise Killed("Its file cannot be read.") from error
