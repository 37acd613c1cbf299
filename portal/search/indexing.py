"""Reading what waits, and putting it into the index."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from portal import storage
from portal.errors import PortalError
from portal.jobs import giving_way
from portal.jobs.holding import Held, Stopped
from portal.jobs.pace import Pace
from portal.search import reading, waiting, words
from portal.search.reading import Killed, Unreadable
from portal.search.waiting import Claim, Lost
from portal.search.words import Passage
from portal.storage import BlobMissing

log = logging.getLogger(__name__)

#: So many times as long as it worked itself each thread rests while the server is at work: whoever
#: holds Python, or the place in the line of writers, cannot be made to wait as a child can.
REST = 7.0
#: While it is not: somebody may want to write all the same.
QUIET_REST = 1.0
#: However long it waited for others: a claim does not last for ever.
LONGEST_REST_SECONDS = 5.0


def index_due(stop: threading.Event | None = None) -> int:
    """Read what is due until nothing is, or until `stop`; answers how many are done with."""
    stop = stop or threading.Event()
    pace = Pace(partial(_rest, stop), 1)
    done, last, is_newest = 0, 0, False
    while not stop.is_set() and waiting.is_due():
        is_newest = not is_newest
        claim = waiting.claim(None if is_newest else last)
        if claim is None:
            break
        if not is_newest:
            last = claim.uploaded_by_id
        try:
            done += _index(claim, stop, pace)
        except Lost:
            log.info("a document was deleted, or read by somebody else, in the meantime")
        pace.keep()
    while not stop.is_set() and waiting.sweep():
        pace.keep()
    return done


def _rest(stop: threading.Event, worked_seconds: float) -> None:
    share = REST if giving_way.is_busy() else QUIET_REST
    stop.wait(min(share * worked_seconds, LONGEST_REST_SECONDS))


def _index(claim: Claim, stop: threading.Event, pace: Pace) -> bool:
    held = Held(claim, waiting.renew, waiting.LEASE, stop)
    try:
        try:
            text = _read(claim, held)
        finally:
            pace.begin()  # until here a child has worked, which waits for everybody by itself
        passages = _passages(text, held, pace)
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
    waiting.keep(held.claim, passages, pace.keep)
    return True


def _passages(text: str, held: Held[Claim], pace: Pace) -> list[Passage]:
    found = []
    for passage in words.passages(words.prepare(text)):
        found.append(passage)
        pace.keep()
        held.beat()
    return found


def _read(claim: Claim, held: Held[Claim]) -> str:
    if claim.tries > len(waiting.PAUSES) + 1:  # the worker itself died of it
        raise Unreadable("Reading it was broken off each time.")
    if claim.size_bytes > reading.LARGEST_FILE and claim.reader != "text":
        raise Unreadable("It is too large to be read.")
    # Where nobody ever stops wanting the processor, the next try has its share of it.
    limits = replace(reading.limits_for(claim.reader), only_idle=claim.tries <= 1)
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
