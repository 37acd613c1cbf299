"""Reading what waits, and putting it into the index."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from portal import storage
from portal.errors import PortalError
from portal.jobs.holding import Held, Stopped
from portal.search import reading, waiting, words
from portal.search.reading import Killed, Unreadable
from portal.search.waiting import Claim, Lost
from portal.storage import BlobMissing

log = logging.getLogger(__name__)


def index_due(stop: threading.Event | None = None) -> int:
    """Read what is due until nothing is, or until `stop`; answers how many are done with."""
    stop = stop or threading.Event()
    done, last, is_newest = 0, 0, False
    while not stop.is_set() and waiting.is_due():
        is_newest = not is_newest
        claim = waiting.claim(None if is_newest else last)
        if claim is None:
            break
        if not is_newest:
            last = claim.uploaded_by_id
        try:
            done += _index(claim, stop)
        except Lost:
            log.info("a document was deleted, or read by somebody else, in the meantime")
    while not stop.is_set() and waiting.sweep():
        pass
    return done


def _index(claim: Claim, stop: threading.Event) -> bool:
    held = Held(claim, waiting.renew, waiting.LEASE, stop)
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


def _read(claim: Claim, held: Held[Claim]) -> str:
    if claim.tries > len(waiting.PAUSES) + 1:  # the worker itself died of it
        raise Unreadable("Reading it was broken off each time.")
    if claim.size_bytes > reading.LARGEST_FILE and claim.reader != "text":
        raise Unreadable("It is too large to be read.")
    limits = reading.limits_for(claim.reader)
    return reading.read(claim.reader, _pieces(claim), limits, held.beat).text


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
