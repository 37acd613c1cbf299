"""What admins see of mails: which did not arrive and why, another try, and a test."""

from __future__ import annotations

import uuid

from sqlalchemy import select, update

from portal.config import Settings
from portal.database import transaction
from portal.errors import Conflict, NotFound
from portal.extensions import db
from portal.mail import delivery, letters, post
from portal.models import Mail, utcnow

PAGE_SIZE = 100


def page(before: int | None = None) -> tuple[list[Mail], int | None]:
    """Mails not handed over, newest first, and the number to go on before (None at the end)."""
    query = select(Mail).where(Mail.sent_at.is_(None)).order_by(Mail.id.desc()).limit(PAGE_SIZE + 1)
    if before is not None:
        query = query.where(Mail.id < before)
    found = db.session.scalars(query).all()
    return list(found[:PAGE_SIZE]), found[PAGE_SIZE - 1].id if len(found) > PAGE_SIZE else None


def retry(mail_id: uuid.UUID, settings: Settings) -> None:
    """Try again now, and from then on as with a new mail.

    Raises `NotFound`, or `Conflict` for a mail that is sent or being sent.
    """
    with transaction() as session:
        mail = session.execute(
            update(Mail)
            .where(
                Mail.public_id == mail_id,
                Mail.sent_at.is_(None),
                # Without a problem it waits for its first try, or is being sent just now.
                Mail.problem != "",
            )
            .values(next_try_at=utcnow(), tries=0)
            .returning(Mail.id)
            .execution_options(synchronize_session=False)
        ).one_or_none()
        if mail is None:
            if session.scalar(select(Mail.id).where(Mail.public_id == mail_id)) is None:
                raise NotFound
            raise Conflict("This mail was sent, or is on its way at this moment.")
    if settings.smtp_url is None:
        delivery.deliver(mail.id, settings)


def send_test(email: str, name: str, settings: Settings) -> str:
    """Send a test mail and wait for the outcome: what went wrong, or nothing. Not tried again."""
    with transaction():
        mail_id = post.put(letters.test(), email, name=name, held=True).id
    outcome = delivery.send_held(mail_id, settings)
    return outcome.problem if outcome else ""
