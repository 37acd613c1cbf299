"""Legal holds: what an admin holds, nobody can delete until an admin releases it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session, aliased

from portal import audit
from portal.access import Person
from portal.database import transaction
from portal.documents import keeping
from portal.documents.keeping import place_in_words
from portal.errors import Conflict, Invalid, NotFound
from portal.extensions import db
from portal.models import Document, Folder, LegalHold, User, utcnow

Thing = TypeVar("Thing", Document, Folder)

LONGEST_REASON = 2000
#: Holds on one page.
PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold as an admin sees it."""

    public_id: uuid.UUID
    owner_id: uuid.UUID
    owner_name: str
    owner_email: str
    #: What is held: a document or a folder by its name, or everything.
    place: str
    reason: str
    placed_at: datetime
    placed_by: str


def place(
    admin: Person,
    owner: User,
    reason: str,
    *,
    document_id: uuid.UUID | None = None,
    folder_id: uuid.UUID | None = None,
) -> uuid.UUID:
    """Hold a document, or a folder with all below it, or all that `owner` has; answers its id.

    In force when this returns, also for what lies in the trash and for what comes later. Raises
    `Invalid` without a reason, `NotFound` for what is not `owner`'s.
    """
    reason = _checked(reason)
    if not admin.is_admin or (document_id is not None and folder_id is not None):
        raise NotFound
    with transaction() as session:
        keeping.stand_in_line([owner.id])
        document = _one(session, Document, owner, document_id)
        folder = _one(session, Folder, owner, folder_id)
        hold = LegalHold(
            owner_id=owner.id,
            document_id=document.id if document else None,
            folder_id=folder.id if folder else None,
            reason=reason,
            placed_by_id=admin.user_id,
        )
        session.add(hold)
        session.flush()
        audit.record(
            audit.Action.HOLD_PLACED,
            document=document_id,
            owner=owner.email,
            place=_in_words(document, folder, owner),
            hold=str(hold.public_id),
            reason=reason,
        )
        return hold.public_id


def release(admin: Person, hold_id: uuid.UUID, reason: str) -> None:
    """Release a hold. What no other hold and no rule keeps can be deleted again.

    However many try at once, one succeeds. Raises `Invalid` without a reason, `Conflict` for a
    hold that was released already, `NotFound` for one that never was.
    """
    reason = _checked(reason)
    if not admin.is_admin:
        raise NotFound
    with transaction() as session:
        hold = session.execute(
            select(LegalHold).where(LegalHold.public_id == hold_id).with_for_update()
        ).scalar_one_or_none()
        if hold is None:
            raise NotFound
        released = session.execute(
            update(LegalHold)
            .where(LegalHold.id == hold.id, keeping.IS_LIVE)
            .values(released_at=utcnow(), released_by_id=admin.user_id, release_reason=reason)
            .returning(LegalHold.id)
        ).one_or_none()
        if released is None:
            raise Conflict("This hold was released already.", cure="Look at the list again.")
        document = session.get(Document, hold.document_id) if hold.document_id else None
        folder = session.get(Folder, hold.folder_id) if hold.folder_id else None
        owner = session.get_one(User, hold.owner_id)
        audit.record(
            audit.Action.HOLD_RELEASED,
            document=document.public_id if document else None,
            owner=owner.email,
            place=_in_words(document, folder, owner),
            hold=str(hold_id),
            reason=reason,
        )


def live(owner: User | None = None, before: uuid.UUID | None = None) -> tuple[list[Hold], bool]:
    """The holds that hold, newest first, and whether there are more; of one owner or everybody.

    `before` is the last one of the page before.
    """
    conditions: list[ColumnElement[bool]] = [keeping.IS_LIVE]
    if owner is not None:
        conditions.append(LegalHold.owner_id == owner.id)
    if before is not None:
        last = select(LegalHold.id).where(LegalHold.public_id == before).scalar_subquery()
        conditions.append(LegalHold.id < last)
    placer = aliased(User)
    rows: Sequence[Any] = db.session.execute(
        select(LegalHold, User, Document.name, Folder.name, placer.name)
        .join(User, User.id == LegalHold.owner_id)
        .join(placer, placer.id == LegalHold.placed_by_id)
        .outerjoin(Document, Document.id == LegalHold.document_id)
        .outerjoin(Folder, Folder.id == LegalHold.folder_id)
        .where(*conditions)
        .order_by(LegalHold.id.desc())
        .limit(PAGE_SIZE + 1)
    ).all()
    holds = [
        Hold(
            public_id=hold.public_id,
            owner_id=whose.public_id,
            owner_name=whose.name,
            owner_email=whose.email,
            place=f"“{document}”" if document is not None else place_in_words(folder),
            reason=hold.reason,
            placed_at=hold.placed_at,
            placed_by=placed_by,
        )
        for hold, whose, document, folder, placed_by in rows[:PAGE_SIZE]
    ]
    return holds, len(rows) > PAGE_SIZE


def check_may_delete_account(owner_id: int) -> None:
    """Raise `Conflict` while anything of an account is held or kept; within a transaction.

    Also a hold on an empty account or folder counts: it was placed for a reason.
    """
    keeping.stand_in_line([owner_id])
    holds = db.session.scalars(
        select(LegalHold.id).where(LegalHold.owner_id == owner_id, keeping.IS_LIVE)
    ).all()
    if holds:
        many = "A legal hold covers" if len(holds) == 1 else f"{len(holds)} legal holds cover"
        raise Conflict(
            f"{many} documents of this account, so it cannot be deleted.",
            cure="It can be once the holds are released, under Legal holds.",
        )
    staying = db.session.scalar(
        select(Document.id)
        .where(Document.owner_id == owner_id, keeping.must_stay([owner_id]))
        .limit(1)
    )
    if staying is not None:
        raise Conflict(
            "A rule of retention keeps documents of this account, so it cannot be deleted yet.",
            cure="Wait until they need not be kept any more, or change the rule.",
        )


def _one(
    session: Session, kind: type[Thing], owner: User, thing_id: uuid.UUID | None
) -> Thing | None:
    if thing_id is None:
        return None
    found = session.execute(
        select(kind).where(kind.public_id == thing_id, kind.owner_id == owner.id)
    ).scalar_one_or_none()
    if found is None:
        raise NotFound
    return found


def _in_words(document: Document | None, folder: Folder | None, owner: User) -> str:
    if document is not None:
        return f"“{document.name}”"
    return place_in_words(folder.name if folder else None, owner=owner.email)


def _checked(reason: str) -> str:
    text = reason.replace("\0", " ").strip()
    if not text:
        raise Invalid(errors={"reason": "Say why: the audit log keeps it."})
    if len(text) > LONGEST_REASON:
        raise Invalid(errors={"reason": f"At most {LONGEST_REASON:,} characters."})
    return text
