"""Is all well? The checks behind `doctor` and the list on the admin's front page."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from portal import storage
from portal.audit import reading
from portal.config import GIB, ROOT, Settings, is_loopback
from portal.documents import housekeeping, integrity, resorting, usage
from portal.errors import PortalError
from portal.extensions import db
from portal.jobs import heartbeat
from portal.mail import outbox, smtp
from portal.models import Document, Mail, OpenUpload, User, Version, utcnow
from portal.presentation import filesize, spoken
from portal.previews import waiting as drawing
from portal.scanning import clamd, waiting
from portal.scanning.clamd import NotScanned
from portal.search import waiting as to_index
from portal.storage import BlobMissing

#: The worker beats far more often than this.
WORKER_SILENCE = timedelta(minutes=5)
#: A file that waits longer for the scanner needs somebody to look.
LONGEST_WAIT = timedelta(minutes=30)
_SINCE = "The oldest of them was uploaded on {}."
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how it is, and what to do where it is not well."""

    name: str
    ok: bool
    detail: str
    cure: str = ""


def quick(settings: Settings) -> list[Check]:
    """What can be told at once, for a page."""
    return [
        _address(settings),
        _folders(settings),
        _room(),
        _worker(settings),
        _mail(settings),
        _scanner(settings),
        _verified(settings),
        _admins(),
    ]


def everything(settings: Settings, *, deep: bool = False) -> Iterator[Check]:
    """Every check; `deep` reads every stored byte and compares its hash."""
    yield _address(settings)
    yield _folders(settings)
    database = _database()
    yield database
    if not database.ok:
        return
    yield _room()
    yield _worker(settings)
    yield _mail_server(settings)
    yield _scanner(settings)
    yield _verified(settings)
    yield _search()
    yield _order_of_names(settings)
    yield _admins()
    yield _rows_have_files(deep=deep)
    yield _files_have_rows()
    yield _usage()
    yield _open_uploads()
    yield _previews()
    yield _audit_log()


def _address(settings: Settings) -> Check:
    name = "Encrypted connection"
    if settings.is_https:
        return Check(name, True, f"People use {settings.base_url}.")
    host = settings.host.rpartition(":")[0] or settings.host
    if is_loopback(host):
        detail = f"Not needed yet: {settings.base_url} can be reached from this machine alone."
        return Check(name, True, f"{detail} Put a proxy with https in front before others use it.")
    return Check(
        name,
        False,
        f"People use {settings.base_url}: passwords and documents travel readably.",
        "Put a proxy with https in front and set PORTAL_BASE_URL to its https address.",
    )


def _folders(settings: Settings) -> Check:
    name = "Private folders"
    for path in (settings.files_dir, settings.instance_dir):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            return Check(name, False, f"Others can look into {path.name}.", f"chmod 700 {path}")
    for file in _secrets(settings.instance_dir):
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            return Check(name, False, f"Others can read {file.name}.", f"chmod 600 {file}")
    writable = all(os.access(p, os.W_OK) for p in (settings.files_dir, settings.instance_dir))
    if not writable:
        return Check(name, False, "The folders cannot be written to.", "Give them to this user.")
    return Check(name, True, "Documents, keys and database are readable for the portal alone.")


def _secrets(instance_dir: Path) -> list[Path]:
    names = ("secret.key", "portal.db", "config.toml", "audit-head.json")
    return [path for name in names if (path := instance_dir / name).exists()]


def _database() -> Check:
    name = "Database"
    newest = ScriptDirectory(str(ROOT / "migrations")).get_current_head()
    try:
        with db.engine.connect() as connection:
            present = MigrationContext.configure(connection).get_current_revision()
    except SQLAlchemyError:
        return Check(name, False, "It cannot be reached.", "Check PORTAL_DATABASE_URL.")
    if present != newest:
        return Check(name, False, "Its tables are not up to date.", "Run: manage.py upgrade")
    return Check(name, True, "It answers, and its tables are up to date.")


def _room() -> Check:
    free = storage.current().free_bytes()
    name = "Room for documents"
    if free is None:
        return Check(name, True, "The document store sets no limit.")
    detail = f"{free / 1e9:.1f} GB are free."
    if free < GIB:
        return Check(name, False, detail, "Make room, or move the files folder to a larger disk.")
    return Check(name, True, detail)


def worker_runs(settings: Settings) -> bool:
    """Whether the background worker gave a sign of life lately."""
    age = heartbeat.age(settings.instance_dir)
    return age is not None and age <= WORKER_SILENCE


def _worker(settings: Settings) -> Check:
    name = "Background worker"
    age = heartbeat.age(settings.instance_dir)
    if not worker_runs(settings):
        seen = (
            "never seen" if age is None else f"last seen {int(age.total_seconds() // 60)} min ago"
        )
        return Check(name, False, f"It is not running ({seen}).", "Start: manage.py run")
    return Check(name, True, "It is running.")


def _mail(settings: Settings) -> Check:
    """Whether mails go to people, and did; asks no mail server."""
    name = "Mail"
    if settings.smtp_url is None:
        return Check(
            name,
            False,
            "There is no mail server: invitations, new passwords and warnings are only written"
            " to the outbox folder.",
            "Set PORTAL_SMTP_URL and PORTAL_MAIL_FROM, then send a test mail.",
        )
    failed = _failed_mails()
    if failed:
        detail = "A mail did not arrive." if failed == 1 else f"{failed} mails did not arrive."
        return Check(name, False, detail, "Look at the page “Mail” to see why.")
    return Check(name, True, f"Mails go through {settings.smtp_url.host}.")


def _mail_server(settings: Settings) -> Check:
    """Whether the mail server answers and lets us in. An outbox in use is no fault."""
    server = settings.smtp_url
    if server is None:
        detail = f"There is no mail server; mails are written to {outbox.folder(settings)}."
        return Check("Mail", True, detail)
    try:
        smtp.check(server, settings.host)
    except smtp.NotTaken as error:
        return Check("Mail", False, str(error), "Check PORTAL_SMTP_URL.")
    return _mail(settings)


def _failed_mails() -> int:
    """Mails that were given up: nobody tries them again."""
    given_up = select(func.count(Mail.id)).where(
        Mail.sent_at.is_(None), Mail.next_try_at.is_(None), Mail.tries > 0
    )
    count = db.session.scalar(given_up) or 0
    db.session.commit()
    return count


def _scanner(settings: Settings) -> Check:
    """Whether documents are scanned, how many wait for it, and how many are blocked."""
    name = "Scanner"
    figures = waiting.figures(settings)
    blocked = _count(figures.blocked, "is blocked", "are blocked") if figures.blocked else ""
    server = settings.clamd_url
    if server is None:
        detail = f"There is none: documents are not checked for malware. {blocked}"
        return Check(name, True, detail.strip())
    wait = blocked
    if figures.waiting and figures.oldest_at:
        since = spoken(figures.oldest_at, None)
        wait = f"{_count(figures.waiting, 'waits', 'wait')} {_SINCE.format(since)} {blocked}"
    try:
        clamd.ping(server)
        version = clamd.version(server)
        tells_limits = clamd.tells_limits(server)
    except NotScanned as error:
        cure = "Start clamd, or correct PORTAL_CLAMD_URL. Until then nothing new can be downloaded."
        return Check(name, False, f"{error} {wait}".strip(), cure)
    detail = f"{version} answers. {wait}".strip()
    if figures.oldest_at and utcnow() - figures.oldest_at > LONGEST_WAIT and worker_runs(settings):
        cure = (
            "The portal's log says why. Files may be larger than clamd takes (StreamMaxLength,"
            " MaxFileSize and MaxScanSize in clamd.conf), or it works through older ones."
        )
        return Check(name, False, detail, cure)
    if not tells_limits:
        detail += " It calls clean what is too large or too nested for it to look into:"
        detail += " set AlertExceedsMax yes in clamd.conf."
    return Check(name, True, detail)


def _verified(settings: Settings) -> Check:
    """How far the round is in which every stored file is hashed again, and what it found."""
    name = "Stored files"
    found = integrity.progress(settings)
    if settings.verify_days:
        days = "day" if settings.verify_days == 1 else f"{settings.verify_days} days"
        how_far = f"Verified within the last {days}: {found.verified:,} of {found.total:,}."
    else:
        how_far = "They are not verified, because PORTAL_VERIFY_DAYS is 0."
    if not found.damaged:
        return Check(name, True, how_far)
    which = [f"{each.document_id} (version {each.number})" for each in integrity.findings(5)]
    more = " …" if found.damaged > len(which) else ""
    return Check(
        name,
        False,
        f"{_count(found.damaged, 'is damaged', 'are damaged')} {', '.join(which)}{more}. {how_far}",
        "Put them back from a backup, each under its own name, then run: manage.py verify",
    )


def _search() -> Check:
    """How many documents wait to be read for searching, and how many cannot be."""
    figures = to_index.figures()
    told = []
    if figures.waiting:
        told.append(_count(figures.waiting, "waits to be read", "wait to be read"))
    if figures.unreadable:
        could_not = "could not be read and is found by its name alone"
        told.append(_count(figures.unreadable, could_not, could_not.replace(" is ", " are ")))
    return Check("Search", True, " ".join(told) or "Every document with text in it was read.")


def _order_of_names(settings: Settings) -> Check:
    """Whether lists are in the order that is set, or how far the worker is with it."""
    name = "Order of names"
    order = resorting.called(settings)
    found = resorting.progress(settings)
    if found is None:
        return Check(name, True, f"Lists are in {order}.")
    how_far = f"{found.done:,} of {found.total:,} documents are done"
    return Check(name, True, f"The worker is putting lists in {order}: {how_far}.")


def _count(number: int, one: str, more: str) -> str:
    return f"1 file {one}." if number == 1 else f"{number} files {more}."


def _admins() -> Check:
    admins = db.session.scalar(
        select(func.count()).where(User.role == "admin", User.disabled_at.is_(None))
    )
    name = "Admins"
    if not admins:
        return Check(name, False, "Nobody is an admin.", "manage.py create-user EMAIL --admin")
    return Check(name, True, f"{admins} active." if admins > 1 else "1 active; a second is wise.")


def _rows_have_files(*, deep: bool) -> Check:
    """Every version has its bytes, as many as there should be; `deep`: the very same ones."""
    name = "Every document has its file"
    total, broken, last = 0, [], 0
    while True:
        rows = db.session.execute(
            select(Version.id, Version.blob, Version.size_bytes, Version.sha256, Document.public_id)
            .join(Document, Document.id == Version.document_id)
            .where(Version.id > last)
            .order_by(Version.id)
            .limit(_BATCH)
        ).all()
        db.session.commit()
        for row in rows:
            total, last = total + 1, row.id
            if not _is_whole(row.blob, row.size_bytes, row.sha256 if deep else None):
                broken.append(str(row.public_id))
        if len(rows) < _BATCH:
            break
    if broken:
        some = ", ".join(broken[:5]) + (" …" if len(broken) > 5 else "")
        return Check(
            name, False, f"{len(broken)} missing or damaged: {some}", "Bring them from a backup."
        )
    how = "read and compared" if deep else "there and as long as they should be"
    return Check(name, True, f"{total} files are {how}.")


def _is_whole(blob: str, size_bytes: int, sha256: bytes | None) -> bool:
    try:
        pieces = storage.current().read(blob, 0, size_bytes if sha256 else 0, size_bytes)
        if sha256 is None:
            next(pieces, None)
            return True
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(piece)
    except (BlobMissing, PortalError, OSError):
        return False
    return digest.digest() == sha256


def _files_have_rows() -> Check:
    name = "Every file has its document"
    strays = housekeeping.orphans()
    if len(housekeeping.of_known_owners(strays)) < len(strays):
        return Check(
            name,
            False,
            f"{len(strays)} files belong to no document; the database is not the one they"
            " were stored with, so they are kept.",
            "Check PORTAL_INSTANCE_DIR, PORTAL_FILES_DIR and PORTAL_DATABASE_URL.",
        )
    if strays:
        detail = f"{len(strays)} files belong to no document."
        return Check(name, False, detail, "Run: manage.py purge")
    return Check(name, True, "No stray files.")


def _usage() -> Check:
    """Each person's figures are the sums of their versions and of their unfinished uploads."""
    name = "Used room"
    if wrong := list(usage.wrong_figures().values()):
        detail = f"The figure is wrong for {', '.join(wrong[:5])}."
        return Check(name, False, detail, "Run: manage.py purge")
    return Check(name, True, "Everybody's figure is the sum of their files.")


def _open_uploads() -> Check:
    """What is on its way in, and whether what was given up goes away."""
    name = "Unfinished uploads"
    now = utcnow()
    count, room, overdue = db.session.execute(
        select(
            func.count(),
            func.coalesce(func.sum(OpenUpload.length_bytes), 0),
            func.count().filter(OpenUpload.expires_at < now - WORKER_SILENCE * 3),
        ).where(OpenUpload.document_id.is_(None))
    ).one()
    db.session.commit()
    if overdue:
        detail = f"{overdue} were left alone for too long and still take room."
        return Check(name, False, detail, "Run: manage.py purge")
    if not count:
        return Check(name, True, "None.")
    return Check(name, True, f"{count}, for which {filesize(room)} are set aside.")


def _previews() -> Check:
    """How many pictures are yet to be made, and of how many documents there will be none."""
    figures = drawing.figures()
    detail = _count(figures.waiting, "waits", "wait") if figures.waiting else "None waits."
    if figures.impossible:
        detail += f" Of {figures.impossible} there can be no picture."
    return Check("Previews", True, detail)


def _audit_log() -> Check:
    name = "Audit log"
    try:
        verdict = reading.verify_live()
    except (OSError, ValueError):
        detail = "The newest head cannot be read from audit-head.json."
        return Check(name, False, detail, "Keep a copy, and bring the file from a backup.")
    if not verdict.ok:
        return Check(name, False, verdict.problem, "Keep a copy and find out who changed it.")
    return Check(name, True, f"{verdict.events} events, nothing changed or cut off.")
