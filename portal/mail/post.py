"""Putting mails on their way, as part of the change they tell about."""

from __future__ import annotations

import logging
import uuid

from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from portal.config import Settings
from portal.database import after_transaction, in_transaction
from portal.errors import PortalError
from portal.extensions import db
from portal.mail import delivery
from portal.mail.composing import Letter, compose
from portal.models import Mail, utcnow
from portal.sealing import seal

log = logging.getLogger(__name__)


def put(
    letter: Letter, recipient: str, *, name: str = "", held: bool = False, later: bool = False
) -> Mail:
    """Mail `letter`, within the present `transaction()`: it is sent exactly if that is kept.

    With a mail server the worker sends it within seconds. Without one it is in the outbox as
    soon as the transaction has ended; with `later` the worker puts it there too, so that
    whoever waits for the answer cannot tell a mail by the time it took. What is `held` is
    sent by nobody before `delivery.send_held`.
    """
    if not in_transaction():
        raise RuntimeError("a mail outside transaction()")
    settings: Settings = current_app.extensions["settings"]
    public_id = uuid.uuid4()
    subject, message = compose(letter, recipient, name, settings, public_id)
    mail = Mail(
        public_id=public_id,
        recipient=recipient,
        kind=letter.kind,
        subject=subject,
        # Written so that mail servers without 8BITMIME take it; other letters are UTF-8.
        sealed_message=seal(message.decode("utf-8"), delivery.SEALED_FOR, settings),
        next_try_at=None if held else utcnow(),
    )
    session = db.session()
    session.add(mail)
    session.flush()
    if settings.smtp_url is None and not held and not later:
        mail_id = mail.id
        after_transaction(lambda: _into_the_outbox(mail_id, settings))
    return mail


def _into_the_outbox(mail_id: int, settings: Settings) -> None:
    """What fails here is told to nobody: the act is done, and the worker tries again."""
    try:
        delivery.deliver(mail_id, settings)
    except (PortalError, SQLAlchemyError) as error:
        log.warning("a mail waits for the worker: %s", type(error).__name__)
