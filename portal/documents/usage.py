"""How much room each person takes: counted along with every change, and counted again here."""

from __future__ import annotations

from sqlalchemy import BigInteger, ScalarSelect, cast, func, or_, select, update

from portal import audit
from portal.database import transaction
from portal.extensions import db
from portal.models import Document, OpenUpload, User, Version

_USED: ScalarSelect[int] = (
    select(cast(func.coalesce(func.sum(Version.size_bytes), 0), BigInteger))
    .join(Document, Document.id == Version.document_id)
    .where(Document.owner_id == User.id)
    .correlate(User)
    .scalar_subquery()
)
_RESERVED: ScalarSelect[int] = (
    select(cast(func.coalesce(func.sum(OpenUpload.length_bytes), 0), BigInteger))
    .where(OpenUpload.owner_id == User.id, OpenUpload.document_id.is_(None))
    .correlate(User)
    .scalar_subquery()
)


def wrong_figures() -> dict[int, str]:
    """Whose figures are not the sum of what they have: id and address."""
    found = db.session.execute(
        select(User.id, User.email)
        .where(or_(User.used_bytes != _USED, User.reserved_bytes != _RESERVED))
        .order_by(User.email)
    ).all()
    db.session.commit()
    return {row.id: row.email for row in found}


def recount() -> int:
    """Correct the figures that are wrong; answers how many people's were."""
    corrected = 0
    for user_id in wrong_figures():
        with transaction() as session:
            # Whoever takes room in this directory changes this row first, and so waits.
            session.execute(select(User.id).where(User.id == user_id).with_for_update())
            email, used, reserved, real_used, real_reserved = session.execute(
                select(User.email, User.used_bytes, User.reserved_bytes, _USED, _RESERVED).where(
                    User.id == user_id
                )
            ).one()
            if (used, reserved) == (real_used, real_reserved):
                continue
            session.execute(
                update(User)
                .where(User.id == user_id)
                .values(used_bytes=real_used, reserved_bytes=real_reserved)
            )
            audit.record(
                audit.Action.USAGE_CORRECTED,
                owner=email,
                used_bytes=real_used,
                reserved_bytes=real_reserved,
                said_used_bytes=used,
                said_reserved_bytes=reserved,
            )
            corrected += 1
    return corrected
