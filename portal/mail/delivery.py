"""Handing mails over: to the mail server, or without one into the outbox.

A mail is claimed before it is handed over, by moving its next try behind a lease. Whoever dies
in between leaves a mail that is tried again when the lease is over: it may come twice, never
not at all.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, select, update

from portal import audit
from portal.config import Settings
from portal.database import transaction
from portal.extensions import db
from portal.mail import outbox, smtp
from portal.mail.composing import on_the_wire, one_line, sender
from portal.models import Mail, utcnow
from portal.sealing import NotOurs, unseal

log = logging.getLogger(__name__)

#: What the messages are sealed for.
SEALED_FOR = "mail"
#: How long after each try that did not work the next one comes: about a day in all.
PAUSES = tuple(timedelta(minutes=each) for each in (1, 5, 15, 30, 60, 120, 240, 480, 480))
#: Longer than any conversation with a mail server.
LEASE = timedelta(minutes=15)
_BATCH = 50
_LONGEST_PROBLEM = 500


class NotHandedOver(Exception):
    """The text says why, for an admin; `for_good`: another try would meet the same answer."""

    def __init__(self, problem: str, *, for_good: bool = False) -> None:
        super().__init__(one_line(problem)[:_LONGEST_PROBLEM])
        self.for_good = for_good


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mail; `problem` is empty where it was handed over."""

    mail_id: int
    problem: str = ""


def deliver_due(settings: Settings, stop: threading.Event | None = None) -> int:
    """Hand over the mails whose time has come, until `stop`; answers how many were taken."""
    due = db.session.scalars(
        select(Mail.id)
        .where(Mail.sent_at.is_(None), Mail.next_try_at <= utcnow())
        .order_by(Mail.next_try_at)
        .limit(_BATCH)
    ).all()
    db.session.commit()
    taken = 0
    for mail_id in due:
        if stop is not None and stop.is_set():
            break
        outcome = deliver(mail_id, settings)
        taken += outcome is not None and not outcome.problem
    return taken


def deliver(mail_id: int, settings: Settings) -> Outcome | None:
    """Hand over one mail if its time has come; None where it has not, or somebody else does."""
    return _deliver(mail_id, settings, Mail.next_try_at <= utcnow(), gives_up=False)


def send_held(mail_id: int, settings: Settings) -> Outcome | None:
    """Hand over a mail that was held, once: it is not tried again."""
    held = and_(Mail.next_try_at.is_(None), Mail.tries == 0)
    return _deliver(mail_id, settings, held, gives_up=True)


def _deliver(
    mail_id: int, settings: Settings, condition: object, *, gives_up: bool
) -> Outcome | None:
    lease = utcnow() + LEASE
    with transaction() as session:
        claimed = session.execute(
            update(Mail)
            .where(Mail.id == mail_id, Mail.sent_at.is_(None), condition)  # type: ignore[arg-type]
            # No problem and a try behind it: that is how a mail looks that is being sent.
            .values(next_try_at=lease, tries=Mail.tries + 1, problem="")
            .returning(Mail.id)
            .execution_options(synchronize_session=False)
        ).one_or_none()
        if claimed is None:
            return None
        mail = session.get_one(Mail, mail_id, populate_existing=True)
        facts = (mail.recipient, mail.sealed_message, mail.tries)
        name = f"{mail.created_at:%Y%m%dT%H%M%SZ}-{mail.kind}-{mail.public_id}.eml"
    recipient, sealed, tries = facts
    try:
        _hand_over(name, recipient, sealed, settings)
    except NotHandedOver as error:
        _note_problem(mail_id, lease, tries, error, gives_up=gives_up)
        return Outcome(mail_id, str(error))
    with transaction() as session:
        # Whatever others made of it in the meantime: it is sent, and its secrets go.
        session.execute(
            update(Mail)
            .where(Mail.id == mail_id)
            .values(sent_at=utcnow(), next_try_at=None, sealed_message="", problem="")
        )
    return Outcome(mail_id)


def _hand_over(name: str, recipient: str, sealed: str, settings: Settings) -> None:
    try:
        message = unseal(sealed, SEALED_FOR, settings).encode()
    except NotOurs as error:
        problem = "It was written with another secret key and cannot be read any more."
        raise NotHandedOver(problem, for_good=True) from error
    if settings.smtp_url is None:
        try:
            outbox.write(settings, name, message)
        except OSError as error:
            raise NotHandedOver(f"The outbox cannot be written to: {error.strerror}.") from error
        return
    try:
        smtp.send(
            settings.smtp_url, settings.host, sender(settings)[1], on_the_wire(recipient), message
        )
    except smtp.NotTaken as error:
        raise NotHandedOver(str(error), for_good=error.for_good) from error


def _note_problem(
    mail_id: int, lease: datetime, tries: int, error: NotHandedOver, *, gives_up: bool
) -> None:
    gives_up = gives_up or error.for_good or tries > len(PAUSES)
    next_try_at = None if gives_up else utcnow() + PAUSES[tries - 1]
    with audit.acting(audit.Origin("system")), transaction() as session:
        mail = session.execute(
            select(Mail)
            # Once the lease is over, the mail is somebody else's.
            .where(Mail.id == mail_id, Mail.next_try_at == lease, Mail.sent_at.is_(None))
            .with_for_update()
        ).scalar_one_or_none()
        if mail is None:
            return
        mail.next_try_at, mail.problem = next_try_at, str(error)
        if gives_up:
            audit.record(
                audit.Action.MAIL_FAILED,
                owner=mail.recipient,
                kind=mail.kind,
                tries=tries,
                problem=str(error),
            )
    log.warning("a mail (%s) was not handed over: %s", "given up" if gives_up else tries, error)
