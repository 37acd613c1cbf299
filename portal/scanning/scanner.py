"""Scanning what waits, and writing down what was found."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

from sqlalchemy import or_, select, update

from portal import audit, storage
from portal.config import Scanner, Settings
from portal.database import transaction
from portal.errors import PortalError
from portal.jobs.holding import Held, Stopped
from portal.mail import notices
from portal.mail.composing import one_line
from portal.models import Document, Role, Scan, User, Version, utcnow
from portal.previews import keeping
from portal.scanning import clamd, waiting
from portal.scanning.clamd import Infected, NotScanned, ScannerAway
from portal.scanning.waiting import Claim, Lost
from portal.storage import BlobMissing

log = logging.getLogger(__name__)

_LONGEST_THREAT = 200


def scan_due(settings: Settings, stop: threading.Event | None = None) -> int:
    """Scan what is due until nothing is, or until `stop`; answers of how many it is known.

    Raises `ScannerAway`: then nothing was claimed, and no try counts.
    """
    server = settings.clamd_url
    if server is None or not waiting.is_due():
        return 0
    clamd.ping(server)
    stop = stop or threading.Event()
    known, last = 0, 0
    while not stop.is_set() and (claim := waiting.claim(last)):
        last = claim.uploaded_by_id
        try:
            known += _scan(claim, server, stop)
        except Lost:
            log.info("a document was deleted, or scanned by somebody else, in the meantime")
    return known


def _scan(claim: Claim, server: Scanner, stop: threading.Event) -> bool:
    held = Held(claim, waiting.renew, waiting.LEASE, stop)
    try:
        verdict = clamd.scan(server, _pieces(claim), held.beat)
    except (ScannerAway, Stopped) as error:
        waiting.give_back(held.claim)
        if isinstance(error, ScannerAway):
            raise
        return False
    except NotScanned as error:
        log.warning(
            "version %d of document %s was not scanned (try %d): %s",
            claim.number,
            claim.document_id,
            claim.tries + 1,
            error,
        )
        waiting.put_off(held.claim)
        return False
    if isinstance(verdict, Infected):
        _block(claim, verdict.threat)
    else:
        waiting.mark_clean(held.claim)
    return True


def _pieces(claim: Claim) -> Iterator[bytes]:
    try:
        yield from storage.current().read(claim.blob, 0, claim.size_bytes, claim.size_bytes)
    except (BlobMissing, PortalError, OSError) as error:
        raise NotScanned(f"Its file cannot be read: {error}") from error


def _block(claim: Claim, threat: str) -> None:
    """Let nobody have the bytes ever again, and tell those whom it concerns.

    Whoever else may scan the same bytes by now, and whatever they were called before: malware
    was found in them.
    """
    threat = one_line(threat)[:_LONGEST_THREAT]
    with audit.acting(audit.Origin("system")), transaction() as session:
        blocked = session.execute(
            update(Version)
            .where(Version.id == claim.version_id, Version.scan != Scan.INFECTED)
            .values(
                scan=Scan.INFECTED,
                scanned_at=utcnow(),
                next_scan_at=None,
                scan_tries=0,
                threat=threat,
            )
            .returning(Version.document_id, Version.uploaded_by_id, Version.sha256)
            .execution_options(synchronize_session=False)
        ).one_or_none()
        if blocked is None:
            raise Lost
        keeping.discard([claim.version_id])
        document = session.get_one(Document, blocked.document_id, populate_existing=True)
        owner = session.get_one(User, document.owner_id)
        audit.record(
            audit.Action.INFECTED,
            document=document.public_id,
            owner=owner.email,
            name=document.name,
            version=claim.number,
            sha256=blocked.sha256.hex(),
            threat=threat,
        )
        concerned = or_(
            User.id.in_((document.owner_id, blocked.uploaded_by_id)), User.role == Role.ADMIN
        )
        people = session.scalars(
            select(User).where(concerned, User.disabled_at.is_(None)).order_by(User.id)
        ).all()
        for person in people:
            notices.tell_of_malware(person, document, owner, threat)
    log.warning("malware was found in document %s: %s", document.public_id, threat)
