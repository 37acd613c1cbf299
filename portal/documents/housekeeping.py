"""What the worker does on its clock, and `purge` on demand: removing what has had its time."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select

from portal import audit, storage
from portal.accounts import api_tokens
from portal.accounts.known_devices import KEPT as DEVICE_KEPT
from portal.audit import reading
from portal.config import Settings
from portal.database import transaction
from portal.documents import folders, resumable, retention, usage, versions
from portal.documents.lifecycle import delete_all_for_ever
from portal.extensions import db
from portal.models import (
    DiscardedBlob,
    Document,
    EmailChange,
    Folder,
    KnownDevice,
    Mail,
    PasswordReset,
    PendingSignIn,
    Preview,
    Session,
    Throttle,
    User,
    Version,
    utcnow,
)

log = logging.getLogger(__name__)

#: How long the bytes of a deleted document stay, so that a running backup still finds them.
BLOB_GRACE = timedelta(hours=1)
#: Longer than any upload: a file without a row, or an unfinished one, is then an orphan.
ORPHAN_GRACE = timedelta(days=1)

#: How long it can be seen what became of a mail. None is on its way for so long.
MAIL_DAYS = timedelta(days=30)

_BATCH = 200


@dataclass(frozen=True, slots=True)
class Purged:
    """How many of each were removed."""

    #: Moved to the trash because a rule says so.
    trashed: int
    documents: int
    #: Older than all that are kept of their document.
    versions: int
    blobs: int
    orphans: int
    unfinished: int
    uploads: int
    sessions: int
    tokens: int
    mails: int
    addresses: int
    #: People whose used or reserved room was not the sum of what they have.
    figures: int


def purge(settings: Settings) -> Purged:
    """Remove what is over: trash, bytes, orphans, unfinished uploads, sessions, tokens, mails.

    Safe to run at any time, by several at once, and again after an interruption.
    """
    with audit.acting(audit.Origin("system")):
        return Purged(
            trashed=retention.trash_what_is_due(),
            documents=_old_trash(settings),
            versions=versions.trim(settings),
            blobs=_discarded_blobs(),
            orphans=_remove(orphans()),
            unfinished=_remove(_left_behind()),
            uploads=resumable.expire(),
            sessions=_old_sessions(settings),
            tokens=api_tokens.forget_expired(),
            mails=_old_mails(),
            addresses=_old_addresses(),
            figures=usage.recount(),
        )


def orphans() -> list[storage.Stored]:
    """Blobs without a row that are old enough to be nobody's any more."""
    before = utcnow() - ORPHAN_GRACE
    old = [found for found in storage.current().blobs() if found.modified_at < before]
    # Between its last byte and its row an upload may be interrupted; it is gone on with.
    known = resumable.blobs_under_way()
    for start in range(0, len(old), _BATCH):
        some = [found.blob for found in old[start : start + _BATCH]]
        known |= set(db.session.scalars(select(Version.blob).where(Version.blob.in_(some))))
        known |= set(db.session.scalars(select(Preview.blob).where(Preview.blob.in_(some))))
        known |= set(
            db.session.scalars(select(DiscardedBlob.blob).where(DiscardedBlob.blob.in_(some)))
        )
    db.session.commit()
    return [found for found in old if found.blob not in known]


def _left_behind() -> list[storage.Stored]:
    """Unfinished bytes that nobody goes on with."""
    found = list(storage.current().abandoned(utcnow() - ORPHAN_GRACE))
    under_way = resumable.blobs_under_way()
    return [each for each in found if each.final_blob not in under_way]


def of_known_owners(found: list[storage.Stored]) -> list[storage.Stored]:
    """Those of `found` that this database may judge: nothing at all, where it is not whole.

    Started with another database (a mistyped setting, a copy brought back from last week),
    the portal sees files of other owners, or of rows that this database has not. They are
    somebody's documents all the same. The row of an account always stays, so an owner that
    is not there means another database.
    """
    if reading.is_behind():
        return []
    owners = {owner.hex for owner in db.session.scalars(select(User.public_id))}
    db.session.commit()
    return [each for each in found if each.blob.partition("/")[0] in owners]


def _remove(found: list[storage.Stored]) -> int:
    ours = of_known_owners(found) if found else []
    return sum(_is_removed(each.blob) for each in ours)


def _is_removed(blob: str) -> bool:
    """Remove a blob; one that a failing disk does not let go keeps no other from being removed."""
    try:
        storage.current().remove(blob)
    except OSError:
        log.exception("a file that nobody needs could not be removed: %s", blob)
        return False
    return True


def _old_trash(settings: Settings) -> int:
    before = utcnow() - timedelta(days=settings.trash_days)
    total = delete_all_for_ever(Document.trashed_at < before)
    folders.forget(Folder.trashed_at < before)
    return total


def _discarded_blobs() -> int:
    before = utcnow() - BLOB_GRACE
    blobs = db.session.scalars(
        select(DiscardedBlob.blob).where(DiscardedBlob.discarded_at < before)
    ).all()
    db.session.commit()
    removed = 0
    for blob in blobs:
        # Bytes first: a row left by a crash is only tried again.
        if not _is_removed(blob):
            continue
        with transaction() as session:
            session.execute(delete(DiscardedBlob).where(DiscardedBlob.blob == blob))
        removed += 1
    return removed


def _old_sessions(settings: Settings) -> int:
    now = utcnow()
    idle = now - timedelta(minutes=settings.session_idle_minutes)
    with transaction() as session:
        ended = session.execute(
            delete(Session)
            .where(
                (Session.expires_at <= now)
                | (Session.is_remembered.is_(False) & (Session.last_seen_at < idle))
            )
            .returning(Session.id)
        ).all()
        session.execute(delete(PendingSignIn).where(PendingSignIn.expires_at <= now))
        session.execute(delete(Throttle).where(Throttle.ends_at <= now))
        session.execute(delete(KnownDevice).where(KnownDevice.last_seen_at <= now - DEVICE_KEPT))
    return len(ended)


def _old_mails() -> int:
    with transaction() as session:
        gone = session.execute(
            delete(Mail)
            .where(Mail.created_at < utcnow() - MAIL_DAYS, Mail.next_try_at.is_(None))
            .returning(Mail.id)
        ).all()
    return len(gone)


def _old_addresses() -> int:
    """Mailed addresses to choose a password or to agree to another e-mail address."""
    now = utcnow()
    with transaction() as session:
        resets = session.execute(
            delete(PasswordReset).where(PasswordReset.expires_at <= now).returning(PasswordReset.id)
        ).all()
        changes = session.execute(
            delete(EmailChange).where(EmailChange.expires_at <= now).returning(EmailChange.id)
        ).all()
    return len(resets) + len(changes)
