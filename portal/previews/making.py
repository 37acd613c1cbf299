"""Drawing what waits, and keeping what was drawn beside the documents of its owner."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from portal import storage
from portal.config import Settings
from portal.database import transaction
from portal.errors import PortalError
from portal.models import Preview
from portal.previews import child, kinds, office, waiting
from portal.previews.child import Answer, Failed, Frame, Impossible, Stopped
from portal.previews.keeping import discard_pictures, discard_superseded
from portal.previews.kinds import Kind
from portal.previews.waiting import Claim, Lost
from portal.storage import BlobMissing

log = logging.getLogger(__name__)

#: How often it is looked through all versions, for what a newly installed program can draw, or
#: what became the newest again.
ALL_SECONDS = 3600.0
#: How often it is looked for new ones while others are drawn.
LOOK_SECONDS = 1.0


class Looker:
    """Finds versions that were never looked at: new ones each time, all of them now and then."""

    def __init__(self) -> None:
        self._after_id = 0
        self._is_at_end = False
        self._again_at = 0.0

    def look(self) -> bool:
        """Put some into the queue; answers whether there may be more at once."""
        if self._is_at_end and time.monotonic() > self._again_at:
            self._after_id, self._is_at_end = 0, False
            discard_superseded()
        here = waiting.newest_id()
        last = waiting.enqueue(self._after_id)
        if last is not None:
            self._after_id = last
            return True
        if not self._is_at_end:
            self._is_at_end, self._again_at = True, time.monotonic() + ALL_SECONDS
        self._after_id = here
        return False


def draw_due(
    settings: Settings, stop: threading.Event | None = None, looker: Looker | None = None
) -> int:
    """Draw what is due until nothing is, or until `stop`; answers of how many it is known.

    With a `looker`, what comes meanwhile gets its turn too.
    """
    stop = stop or threading.Event()
    known, last, look_at = 0, 0, time.monotonic() + LOOK_SECONDS
    while not stop.is_set() and (claim := waiting.claim(last)):
        last = claim.uploaded_by_id
        if looker is not None and time.monotonic() >= look_at:
            looker.look()
            look_at = time.monotonic() + LOOK_SECONDS
        try:
            if claim.tries >= waiting.TRIES:  # whoever tried last died of it
                waiting.refuse(claim, "failed")
                continue
            known += _draw(claim, settings, stop)
        except Lost:
            log.info("a document was deleted, or drawn by somebody else, in the meantime")
        except Stopped:
            with suppress(Lost):
                waiting.give_back(claim)
    return known


def _draw(claim: Claim, settings: Settings, stop: threading.Event) -> bool:
    made: list[Preview] = []
    try:
        try:
            page_count = _pictures(claim, settings, stop, made)
        except (Impossible, Failed) as error:
            # A page of death costs the pages after it, and no others.
            page_count = len(_pages(made))
            if not page_count:
                _discard(made)
                return _note(claim, error)
            log.info("document %s was drawn up to page %d", claim.document_id, page_count)
        _keep(claim, made, page_count)
    except BaseException:
        _discard(made)
        raise
    return True


def _note(claim: Claim, error: Exception) -> bool:
    if isinstance(error, Impossible):
        waiting.refuse(claim, str(error))
        log.info("there is no picture of document %s: %s", claim.document_id, error)
        return True
    log.warning(
        "document %s could not be drawn (try %d): %s", claim.document_id, claim.tries + 1, error
    )
    return not waiting.put_off(claim)


def _pages(made: list[Preview]) -> list[Preview]:
    """What can be looked at large, if there is a thumbnail as well."""
    sizes = {each.size for each in made}
    return [each for each in made if each.page] if {"small", "large"} <= sizes else []


def _pictures(claim: Claim, settings: Settings, stop: threading.Event, made: list[Preview]) -> int:
    """Have everything drawn into `made`; answers how many pages there are."""
    kind = kinds.drawable(claim.media_type)
    if kind is None:
        raise Impossible("kind")
    again = claim.tries > 0
    with ExitStack() as stack:
        document = stack.enter_context(_opened(claim, kind))
        if kind is Kind.OFFICE:
            folder = settings.instance_dir / "cache" / "office"
            document = stack.enter_context(office.as_pdf(document, folder, stop, again=again))
            kind = Kind.PDF
        answer: Answer = child.draw(kind, claim.media_type, document, stop, again=again)
        for frame in answer.frames:
            made.append(_stored(claim, frame))  # noqa: PERF401 - kept whatever comes next
        return answer.page_count


@contextmanager
def _opened(claim: Claim, kind: Kind) -> Iterator[int]:
    """A descriptor with the bytes of a version, on no disk where the system can do that."""
    length = claim.size_bytes
    if kind is Kind.TEXT:
        length = min(length, kinds.TEXT_BYTES)
    elif length > kinds.LARGEST_BYTES[kind]:
        raise Impossible("too_large")
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("document")
    else:
        descriptor, name = tempfile.mkstemp()
        os.unlink(name)
    try:
        try:
            for piece in storage.current().read(claim.blob, 0, length, claim.size_bytes):
                os.write(descriptor, piece)
        except (BlobMissing, PortalError, OSError) as error:
            raise Failed(f"its file cannot be read: {error}") from error
        yield descriptor
    finally:
        os.close(descriptor)


def _stored(claim: Claim, frame: Frame) -> Preview:
    incoming = storage.current().receive(claim.owner_id)
    try:
        incoming.write(frame.data)
        blob = incoming.keep()
    except PortalError as error:
        raise Failed(f"there is no room for it: {error}") from error
    finally:
        incoming.discard()
    return Preview(
        version_id=claim.version_id,
        size=frame.size.value,
        page=frame.page,
        blob=blob,
        size_bytes=len(frame.data),
        media_type=frame.media_type,
        width=frame.width,
        height=frame.height,
    )


def _keep(claim: Claim, made: list[Preview], page_count: int) -> None:
    """One change: the new pictures, without those of before."""
    with transaction() as session:
        waiting.mark_made(claim, page_count)
        discard_pictures([claim.version_id])
        session.add_all(made)


def _discard(made: list[Preview]) -> None:
    for each in made:
        storage.current().remove(each.blob)
