"""Rules of retention: how long documents are kept, and when they go to the trash by themselves."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, exists, or_, select, update
from sqlalchemy.orm import Session

from portal import audit
from portal.access import Person, folder_for
from portal.database import transaction
from portal.documents import keeping
from portal.documents.keeping import place_in_words
from portal.errors import Conflict, Invalid, NotFound
from portal.extensions import db
from portal.models import Document, Folder, RetentionRule, User, utcnow

#: A hundred years.
LONGEST_DAYS = 36_500
#: Documents moved to the trash in one transaction, so that others get their turn.
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Terms:
    """What a rule says; None where it says nothing of it."""

    keep_days: int | None = None
    keep_until: datetime | None = None
    delete_after_days: int | None = None

    def __post_init__(self) -> None:
        problems = {
            name: f"Enter a number of days from 1 to {LONGEST_DAYS:,}."
            for name in ("keep_days", "delete_after_days")
            if (days := getattr(self, name)) is not None and not 1 <= days <= LONGEST_DAYS
        }
        if problems:
            raise Invalid(errors=problems)

    @property
    def is_empty(self) -> bool:
        return self == Terms()

    @property
    def in_words(self) -> str:
        """What it says, as people and the audit log read it."""
        said = []
        if self.keep_days is not None:
            said.append(f"kept for {_days(self.keep_days)}")
        if self.keep_until is not None:
            said.append(f"kept until {keeping.spoken_day(self.keep_until)}")
        if self.delete_after_days is not None:
            said.append(f"deleted after {_days(self.delete_after_days)}")
        return ", ".join(said) or "nothing"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as a page shows it."""

    public_id: uuid.UUID
    #: None: everything the owner has.
    folder_id: uuid.UUID | None
    folder_name: str | None
    terms: Terms
    #: Whether the owner said after how many days it deletes.
    deletes_for_owner: bool

    @property
    def place(self) -> str:
        return place_in_words(self.folder_name)


def rules_of(owner: User) -> list[Rule]:
    """The rules for what `owner` has: the one for everything first, then by folder."""
    rows = db.session.execute(
        select(RetentionRule, Folder)
        .outerjoin(Folder, Folder.id == RetentionRule.folder_id)
        .where(RetentionRule.owner_id == owner.id)
    ).all()
    rules = [_shown(rule, folder) for rule, folder in rows]
    return sorted(rules, key=lambda rule: (rule.folder_name is not None, rule.folder_name or ""))


def decide(admin: Person, owner: User, folder_id: uuid.UUID | None, terms: Terms) -> None:
    """Set the rule of a place of `owner`'s, as an admin; empty terms remove it.

    A rule that keeps does so from its first moment, also what lies in the trash. Raises
    `NotFound` for a folder that is not there, `Invalid` for a day that is over.
    """
    if not admin.is_admin:
        raise NotFound
    with transaction() as session:
        keeping.stand_in_line([owner.id])
        folder = _folder_of(session, owner.id, folder_id)
        rule = _rule_of(session, owner.id, folder)
        now = utcnow()
        was = rule.keep_until if rule is not None else None
        until = terms.keep_until
        if until is not None and until != was and until <= now:
            raise Invalid(errors={"keep_until": "This day is over. Choose one that is to come."})
        by = rule.delete_set_by_id if rule is not None else None
        if rule is None or rule.delete_after_days != terms.delete_after_days:
            by = admin.user_id
        _write(session, owner, folder, rule, terms, set_by=admin.user_id, delete_set_by=by)


def remove(admin: Person, owner: User, rule_id: uuid.UUID) -> None:
    """Remove a rule, as an admin. Raises `NotFound` for one that is not there."""
    if not admin.is_admin:
        raise NotFound
    with transaction() as session:
        keeping.stand_in_line([owner.id])
        rule = session.execute(
            select(RetentionRule).where(
                RetentionRule.public_id == rule_id, RetentionRule.owner_id == owner.id
            )
        ).scalar_one_or_none()
        if rule is None:
            raise NotFound
        folder = session.get(Folder, rule.folder_id) if rule.folder_id is not None else None
        _write(session, owner, folder, rule, Terms(), set_by=admin.user_id, delete_set_by=None)


def own_rule(person: Person, folder_id: uuid.UUID) -> tuple[Folder, Rule | None]:
    """A folder of `person`'s own and the rule on it, if there is one. Raises `NotFound`."""
    folder = folder_for(person, folder_id)
    rule = _rule_of(db.session(), folder.owner_id, folder)
    return folder, _shown(rule, folder) if rule is not None else None


def decide_own(person: Person, folder_id: uuid.UUID, delete_after_days: int | None) -> None:
    """Have what lies in a folder of one's own go to the trash after so many days; None: no more.

    What the administration decided stands: its own figure for this folder cannot be changed,
    and nowhere can documents be left longer than its rules above it say. Raises `Conflict` or
    `Invalid`.
    """
    folder_for(person, folder_id)
    with transaction() as session:
        keeping.stand_in_line([person.user_id])
        folder = folder_for(person, folder_id)
        owner = session.get_one(User, person.user_id)
        rule = _rule_of(session, owner.id, folder)
        terms = _terms(rule) if rule is not None else Terms()
        is_theirs = rule is None or rule.delete_set_by_id in (None, owner.id)
        if terms.delete_after_days is not None and not is_theirs:
            raise Conflict(
                "The administration decided when documents in this folder are deleted:"
                f" after {_days(terms.delete_after_days)}.",
                cure="Ask an admin of this portal if that is wrong.",
            )
        most = _shortest_of_admins(session, folder)
        if most is not None and delete_after_days is not None and delete_after_days > most:
            problem = (
                f"The administration has documents here deleted after {_days(most)}."
                f" Choose at most {most}, or ask an admin."
            )
            raise Invalid(problem, errors={"delete_after_days": problem})
        wanted = Terms(terms.keep_days, terms.keep_until, delete_after_days)
        _write(
            session,
            owner,
            folder,
            rule,
            wanted,
            set_by=rule.set_by_id if rule is not None else owner.id,
            delete_set_by=owner.id,
        )


def trash_what_is_due() -> int:
    """Move to the trash what rules delete now, as the worker does; answers how many.

    What is held or must be kept longer stays where it is, until it need not.
    """
    rules = db.session.execute(
        select(RetentionRule.id, RetentionRule.owner_id).where(
            RetentionRule.delete_after_days.is_not(None)
        )
    ).all()
    db.session.commit()
    total = 0
    for rule in rules:
        while moved := _trash_some(rule.id, rule.owner_id):
            total += moved
    return total


def _trash_some(rule_id: int, owner_id: int) -> int:
    due = _due(rule_id, owner_id)
    is_any = due is not None and db.session.scalar(due)
    db.session.commit()
    if not is_any:  # as a rule: nobody's turn to write is taken for nothing
        return 0
    with transaction() as session:
        keeping.stand_in_line([owner_id])
        # What was read before may have changed: the rule, what a hold covers, where things lie.
        due = _due(rule_id, owner_id)
        if due is None:
            return 0
        rule = session.get_one(RetentionRule, rule_id)
        folder = session.get(Folder, rule.folder_id) if rule.folder_id is not None else None
        owner = session.get_one(User, owner_id)
        moved = session.execute(
            update(Document)
            .where(Document.id.in_(session.scalars(due).all()), Document.trashed_at.is_(None))
            .values(trashed_at=utcnow())
            .returning(Document.public_id, Document.name)
        ).all()
        for document in moved:
            audit.record(
                audit.Action.TRASHED,
                document=document.public_id,
                owner=owner.email,
                name=document.name,
                rule=_terms(rule).in_words,
                place=place_in_words(folder.name if folder else None),
            )
    return len(moved)


def _due(rule_id: int, owner_id: int) -> Select[int] | None:
    """What a rule moves to the trash now; None where the rule is gone."""
    days = db.session.scalar(
        select(RetentionRule.delete_after_days).where(RetentionRule.id == rule_id)
    )
    if days is None:
        return None
    before = utcnow() - timedelta(days=days)
    governs = (
        exists()
        .where(RetentionRule.id == rule_id, keeping.is_nearest(keeping.deleting([owner_id])))
        .correlate(Document)
    )
    return (
        select(Document.id)
        .where(
            Document.owner_id == owner_id,
            Document.trashed_at.is_(None),
            Document.uploaded_at <= before,
            or_(Document.restored_at.is_(None), Document.restored_at <= before),
            governs,
            ~keeping.must_stay([owner_id]),
        )
        .order_by(Document.uploaded_at, Document.id)
        .limit(_BATCH)
    )


def _write(
    session: Session,
    owner: User,
    folder: Folder | None,
    rule: RetentionRule | None,
    terms: Terms,
    *,
    set_by: int,
    delete_set_by: int | None,
) -> None:
    """Put a rule into the database and the audit log; nothing where nothing changes."""
    was = _terms(rule) if rule is not None else Terms()
    if was == terms:
        return
    place = place_in_words(folder.name if folder else None, owner=owner.email)
    if terms.is_empty:
        session.delete(rule)
        audit.record(
            audit.Action.RETENTION_REMOVED, owner=owner.email, place=place, rule=was.in_words
        )
        return
    if rule is None:
        rule = RetentionRule(owner_id=owner.id, folder_id=folder.id if folder else None)
        session.add(rule)
    rule.keep_days, rule.keep_until = terms.keep_days, terms.keep_until
    rule.delete_after_days = terms.delete_after_days
    rule.set_by_id, rule.set_at = set_by, utcnow()
    rule.delete_set_by_id = delete_set_by if terms.delete_after_days is not None else None
    audit.record(
        audit.Action.RETENTION_SET,
        owner=owner.email,
        place=place,
        rule=terms.in_words,
        before=was.in_words,
    )


def _folder_of(session: Session, owner_id: int, folder_id: uuid.UUID | None) -> Folder | None:
    if folder_id is None:
        return None
    folder = session.execute(
        select(Folder).where(Folder.public_id == folder_id, Folder.owner_id == owner_id)
    ).scalar_one_or_none()
    if folder is None:
        raise NotFound
    return folder


def _rule_of(session: Session, owner_id: int, folder: Folder | None) -> RetentionRule | None:
    place = (
        RetentionRule.folder_id.is_(None)
        if folder is None
        else RetentionRule.folder_id == folder.id
    )
    return session.execute(
        select(RetentionRule).where(RetentionRule.owner_id == owner_id, place)
    ).scalar_one_or_none()


def _shortest_of_admins(session: Session, folder: Folder) -> int | None:
    """After how few days the administration deletes what lies in `folder`, by any rule above."""
    above = select(Folder.id, Folder.parent_id).where(Folder.id == folder.id)
    chain = above.cte("above", recursive=True)
    chain = chain.union(
        select(Folder.id, Folder.parent_id).join(chain, Folder.id == chain.c.parent_id)
    )
    days = session.scalars(
        select(RetentionRule.delete_after_days).where(
            RetentionRule.owner_id == folder.owner_id,
            RetentionRule.delete_after_days.is_not(None),
            RetentionRule.delete_set_by_id != folder.owner_id,
            or_(
                RetentionRule.folder_id.is_(None),
                RetentionRule.folder_id.in_(select(chain.c.id)),
            ),
        )
    )
    return min((each for each in days if each is not None), default=None)


def _terms(rule: RetentionRule) -> Terms:
    return Terms(rule.keep_days, rule.keep_until, rule.delete_after_days)


def _shown(rule: RetentionRule, folder: Folder | None) -> Rule:
    return Rule(
        public_id=rule.public_id,
        folder_id=folder.public_id if folder else None,
        folder_name=folder.name if folder else None,
        terms=_terms(rule),
        deletes_for_owner=rule.delete_set_by_id == rule.owner_id,
    )


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count:,} days"
