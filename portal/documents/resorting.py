"""Writing the keys by which names are sorted anew, after the site's order has changed.

The worker does it a batch at a time, and how far it has come is in the database with the keys
themselves: whoever is killed leaves a whole batch or none, and several workers go on where any
of them was. In the meantime lists have some names in the old order and some in the new one;
their pages still go forward only, so that none goes on for ever.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from portal import collation
from portal.config import Settings
from portal.database import transaction
from portal.documents import names
from portal.extensions import db
from portal.models import Document, Folder, NameOrder

log = logging.getLogger(__name__)

_BATCH = 500
#: The log says how far it is each time that another so many rows were looked at.
_TOLD_EVERY = 100_000
_THE_ROW = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """How many documents have their keys in the order of the setting, as far as is known."""

    done: int
    total: int


def begin(settings: Settings) -> bool:
    """Have all keys written in the order of the settings; answers whether there is work left.

    Called once by each worker that starts: where two have other settings, the later one is
    right, and they do not undo each other's work for ever.
    """
    order = collation.of(settings.sort_locale).order
    if _is_done(order):
        return False
    with transaction() as session:
        row = _locked(session)
        if row is None:
            row = NameOrder(id=_THE_ROW, written_in="")
            session.add(row)
        if row.written_in != order:
            row.written_in, row.last_folder_id, row.last_document_id = order, 0, 0
            log.info("names of folders and documents are put in %s", called(settings))
        return row.last_folder_id is not None or row.last_document_id is not None


def go_on(settings: Settings) -> bool:
    """Write the next keys; answers whether to go on.

    Not where all are written, nor where a worker that started later wants another order.
    """
    order = collation.of(settings.sort_locale).order
    with transaction() as session:
        row = _locked(session)
        if row is None or row.written_in != order:
            log.warning("another worker, which started later, has another PORTAL_SORT_LOCALE")
            return False
        if row.last_folder_id is not None:
            row.last_folder_id = _write(session, Folder, row.last_folder_id, settings)
        elif row.last_document_id is not None:
            row.last_document_id = _write(session, Document, row.last_document_id, settings)
            if row.last_document_id is None:
                log.info("all names are in %s", called(settings))
        return row.last_folder_id is not None or row.last_document_id is not None


def progress(settings: Settings) -> Progress | None:
    """How far the worker is; None where all keys are in the order of the settings."""
    order = collation.of(settings.sort_locale).order
    if _is_done(order):
        return None
    row = db.session.get(NameOrder, _THE_ROW, populate_existing=True)
    last = row.last_document_id if row is not None and row.written_in == order else 0
    total = select(func.count(Document.id))
    done = total.where(Document.id <= last) if last is not None else total
    found = Progress(db.session.scalar(done) or 0, db.session.scalar(total) or 0)
    db.session.commit()
    return found


def called(settings: Settings) -> str:
    """The order of the settings, in words."""
    return f"the order of “{settings.sort_locale}”" if settings.sort_locale else "root order"


def _is_done(order: str) -> bool:
    row = db.session.get(NameOrder, _THE_ROW, populate_existing=True)
    if row is None:
        done = order == collation.FIRST_ORDER
    else:
        todo = (row.last_folder_id, row.last_document_id)
        done = row.written_in == order and todo == (None, None)
    db.session.commit()
    return done


def _locked(session: Session) -> NameOrder | None:
    return session.get(NameOrder, _THE_ROW, with_for_update=True, populate_existing=True)


def _write(
    session: Session, table: type[Folder | Document], last: int, settings: Settings
) -> int | None:
    """Write the keys after row `last`; answers up to which, None at the end."""
    ids = session.scalars(
        select(table.id).where(table.id > last).order_by(table.id).limit(_BATCH)
    ).all()
    if not ids:
        return None
    # What somebody is changing at this moment is left for the next time: whoever waits for
    # nobody can be in no deadlock.
    free = session.execute(
        select(table.id, table.name, table.name_sort)
        .where(table.id.in_(ids))
        .with_for_update(skip_locked=True, key_share=True)
    ).all()
    changed = [
        {"id": row.id, "name_sort": key}
        for row in free
        if (key := names.sort_key(row.name, settings.sort_locale)) != row.name_sort
    ]
    if changed:
        session.execute(update(table), changed)
    kept_back = set(ids) - {row.id for row in free}
    reached = min(kept_back) - 1 if kept_back else ids[-1]
    if reached // _TOLD_EVERY != last // _TOLD_EVERY:
        log.info("names are put in another order: up to %s %d", table.__tablename__, reached)
    return reached
