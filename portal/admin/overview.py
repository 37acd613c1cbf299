"""The figures of the admin's front page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import case, func, select

from portal.access import has_downloads_left, link_is_live
from portal.audit import Action
from portal.extensions import db
from portal.models import AuditEvent, Document, ShareLink, User, utcnow

DAYS = 14


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of what is there now."""

    people: int
    documents: int
    stored_bytes: int
    live_links: int


@dataclass(frozen=True, slots=True)
class Day:
    """What went in and out on one day (UTC)."""

    date: date
    uploads: int
    downloads: int


def figures() -> Figures:
    """Counts of people, documents outside the trash, bytes in all, and links that work."""
    people = db.session.scalar(select(func.count()).where(User.deleted_at.is_(None))) or 0
    documents = db.session.scalar(select(func.count()).where(Document.trashed_at.is_(None))) or 0
    stored = db.session.scalar(select(func.coalesce(func.sum(User.used_bytes), 0))) or 0
    live_links = db.session.scalar(
        select(func.count(ShareLink.id))
        .join(Document, Document.id == ShareLink.document_id)
        .join(User, User.id == ShareLink.created_by_id)
        .where(link_is_live(utcnow()), has_downloads_left())
    )
    return Figures(people, documents, int(stored), live_links or 0)


def days() -> list[Day]:
    """Uploads and downloads of the last two weeks, from the audit log, oldest day first."""
    today = utcnow().date()
    first = today - timedelta(days=DAYS - 1)
    start = datetime.combine(first, time(), UTC)
    day = func.date(AuditEvent.at)
    counted = db.session.execute(
        select(
            day,
            func.sum(case((AuditEvent.action == Action.UPLOADED.value, 1), else_=0)),
            func.sum(case((AuditEvent.action == Action.DOWNLOADED.value, 1), else_=0)),
        )
        .where(
            AuditEvent.at >= start,
            AuditEvent.action.in_([Action.UPLOADED.value, Action.DOWNLOADED.value]),
        )
        .group_by(day)
    )
    found = {str(row[0]): (int(row[1]), int(row[2])) for row in counted}
    return [
        Day(each, *found.get(each.isoformat(), (0, 0)))
        for each in (first + timedelta(days=n) for n in range(DAYS))
    ]
