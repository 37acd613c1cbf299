"""What must stay: whether legal holds and rules of retention let a document be deleted.

Decided in one place and in the database's own words, inside the transaction that deletes. A hold
or a rule on a folder reaches every folder below it, found by rows that name their parent.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CTE, ColumnElement, and_, case, exists, func, or_, select
from sqlalchemy.orm import aliased

from portal import audit
from portal.access import Person
from portal.errors import Conflict, Held, Kept
from portal.extensions import db
from portal.models import Document, Folder, LegalHold, RetentionRule, User, utcnow

IS_LIVE = LegalHold.released_at.is_(None)
#: A hold on all that its owner has.
IS_WHOLE = and_(LegalHold.folder_id.is_(None), LegalHold.document_id.is_(None))


@dataclass(frozen=True, slots=True)
class Keeping:
    """Why a document stays, and until when; when a rule moves it to the trash."""

    #: Since when a legal hold covers it; None where none does.
    held_since: datetime | None = None
    #: Before that nobody can delete it; None where no rule keeps it now.
    kept_until: datetime | None = None
    #: The place whose rule keeps it, in words.
    kept_by: str = ""
    #: When a rule moves it to the trash, unless a hold covers it then.
    goes_at: datetime | None = None
    goes_by: str = ""

    @property
    def must_stay(self) -> bool:
        """Whether nobody can delete it at this moment."""
        return self.held_since is not None or self.kept_until is not None


def stand_in_line(owner_ids: Iterable[int]) -> None:
    """Lock owners, within a transaction: who deletes and who holds go one after the other.

    To be asked before any document is locked, and before `must_stay` decides. A hold that was
    answered with success is then seen by everybody who deletes.
    """
    ids = sorted(set(owner_ids))
    if ids:
        db.session.execute(
            select(User.id)
            .where(User.id.in_(ids))
            .order_by(User.id)
            .with_for_update(key_share=True)
        ).all()


def must_stay(owner_ids: Sequence[int] | None = None) -> ColumnElement[bool]:
    """The condition on `Document` for what nobody can delete now; never NULL.

    `owner_ids` are those of the documents, None for everybody's.
    """
    now = utcnow()
    held = _reach("held", LegalHold, owner_ids, IS_LIVE)
    ruled = _reach("kept", RetentionRule, owner_ids, _can_keep(now))
    return or_(
        exists().where(IS_LIVE, _names_it()).correlate(Document),
        exists().where(held.c.folder_id == Document.folder_id).correlate(Document),
        exists().where(_covers(ruled), _keeps(now, _days_in_use(owner_ids))).correlate(Document),
    )


def folder_must_stay(owner_ids: Sequence[int] | None = None) -> ColumnElement[bool]:
    """The condition on `Folder` for one whose row nobody can delete now; never NULL.

    A hold covers it, or something that must stay lies right in it. What lies in folders in it
    is asked of those.
    """
    held = _reach("held_folders", LegalHold, owner_ids, IS_LIVE)
    return or_(
        exists().where(held.c.folder_id == Folder.id).correlate(Folder),
        exists().where(IS_LIVE, IS_WHOLE, LegalHold.owner_id == Folder.owner_id).correlate(Folder),
        exists().where(Document.folder_id == Folder.id, must_stay(owner_ids)).correlate(Folder),
    )


def of(*conditions: ColumnElement[bool], owner_ids: Sequence[int]) -> dict[uuid.UUID, Keeping]:
    """Why the documents of those owners that meet `conditions` stay; one query for them all."""
    now = utcnow()
    held = _reach("held", LegalHold, owner_ids, IS_LIVE)
    ruled = _reach("ruled", RetentionRule, owner_ids)
    nearest = deleting(owner_ids)
    held_since = (
        select(func.min(LegalHold.placed_at))
        .where(IS_LIVE, or_(_names_it(), _is_in_reach(held, LegalHold)))
        .correlate(Document)
        .scalar_subquery()
    )
    place = aliased(Folder)
    rows = db.session.execute(
        select(
            Document.public_id,
            Document.uploaded_at,
            Document.restored_at,
            held_since.label("held_since"),
            RetentionRule,
            place.name.label("place_name"),
            is_nearest(nearest).label("is_nearest"),
        )
        .select_from(Document)
        .outerjoin(RetentionRule, _covers(ruled))
        .outerjoin(place, place.id == RetentionRule.folder_id)
        .where(Document.owner_id.in_(owner_ids), *conditions)
        .order_by(Document.id, RetentionRule.id)
    ).all()
    found: dict[uuid.UUID, Keeping] = {}
    for row in rows:
        known = found.get(row.public_id, Keeping(held_since=row.held_since))
        found[row.public_id] = _with_rule(known, row, now) if row.RetentionRule else known
    return found


def of_document(document: Document) -> Keeping:
    """Why one document stays."""
    found = of(Document.id == document.id, owner_ids=[document.owner_id])
    return found.get(document.public_id, Keeping())


def of_several(owner: Person, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Keeping]:
    """Why the documents of those ids stay, as far as they are `owner`'s; one query, or none."""
    if not ids:
        return {}
    return of(Document.public_id.in_(ids), owner_ids=[owner.user_id])


def of_folders(owner: Person, ids: Sequence[int]) -> dict[int, Keeping]:
    """Why folders of `owner`'s stay, each with all in it and below it: what
    `check_may_delete_folder` would say of those rows, in two queries, or none."""
    if not ids:
        return {}
    now, owners = utcnow(), [owner.user_id]
    roots = select(Folder.id.label("root"), Folder.id).where(Folder.id.in_(ids))
    start = roots.cte("tree", recursive=True)
    tree = start.union(select(start.c.root, Folder.id).join(start, Folder.parent_id == start.c.id))
    held = _reach("held", LegalHold, owners, IS_LIVE)
    holds = db.session.execute(
        select(tree.c.root, func.min(LegalHold.placed_at))
        .join(LegalHold, or_(IS_WHOLE, _reaches(held, tree, LegalHold), _names_in(tree)))
        .where(LegalHold.owner_id == owner.user_id, IS_LIVE)
        .group_by(tree.c.root)
    )
    found = {root: Keeping(held_since=since) for root, since in holds}
    kept = _reach("kept", RetentionRule, owners, _can_keep(now))
    is_kept = or_(RetentionRule.folder_id.is_(None), _reaches(kept, tree, RetentionRule))
    place = aliased(Folder)
    rules = db.session.execute(
        select(
            tree.c.root,
            RetentionRule,
            place.name.label("place_name"),
            func.max(Document.uploaded_at).label("uploaded_at"),
        )
        .join(Document, Document.folder_id == tree.c.id)
        .join(RetentionRule, is_kept)
        .outerjoin(place, place.id == RetentionRule.folder_id)
        .where(RetentionRule.owner_id == owner.user_id, _can_keep(now))
        .group_by(tree.c.root, RetentionRule.id, place.name)
        .order_by(RetentionRule.id)
    )
    for row in rules:
        found[row.root] = _kept_by(found.get(row.root, Keeping()), row, now)
    return found


def deleting(owner_ids: Sequence[int] | None = None) -> CTE:
    """Folders and, as `of_id`, the rule by which what lies right in them goes: the nearest one."""
    nearer = aliased(RetentionRule)
    has_own = exists().where(nearer.folder_id == Folder.id, nearer.delete_after_days.is_not(None))
    return _reach(
        "deleting",
        RetentionRule,
        owner_ids,
        RetentionRule.delete_after_days.is_not(None),
        goes_on=~has_own,
    )


def is_nearest(nearest: CTE) -> ColumnElement[bool]:
    """The condition for the one `RetentionRule` by which a `Document` is deleted.

    A folder's rule beats that of the folders above it, and theirs beats the owner's.
    """
    in_folder = exists().where(nearest.c.folder_id == Document.folder_id).correlate(Document)
    return and_(
        RetentionRule.delete_after_days.is_not(None),
        case(
            (
                RetentionRule.folder_id.is_(None),
                and_(RetentionRule.owner_id == Document.owner_id, ~in_folder),
            ),
            else_=_is_in_reach(nearest, RetentionRule),
        ),
    )


def check_may_delete(document: Document) -> None:
    """Raise `Held` or `Kept`, which is in the audit log, for what nobody can delete now.

    Within a transaction, after `stand_in_line`.
    """
    owners = [document.owner_id]
    if db.session.scalar(select(Document.id).where(Document.id == document.id, must_stay(owners))):
        raise refusal(document, of(Document.id == document.id, owner_ids=owners))


def check_may_delete_folder(folder: Folder) -> None:
    """As `check_may_delete`, for a folder with all that is in it and below it.

    A folder that a hold covers stays, even an empty one: what comes later is to be held too.
    """
    stand_in_line([folder.owner_id])
    owners = [folder.owner_id]
    held = _reach("held", LegalHold, owners, IS_LIVE)
    below = _below(folder.id)
    hold: datetime | None = db.session.execute(
        select(func.min(LegalHold.placed_at)).where(
            IS_LIVE,
            or_(
                LegalHold.id.in_(select(held.c.of_id).where(held.c.folder_id == folder.id)),
                LegalHold.folder_id.in_(select(below.c.id)),
                and_(IS_WHOLE, LegalHold.owner_id == folder.owner_id),
            ),
        )
    ).scalar_one()
    if hold is not None:
        raise _refused(folder, Keeping(held_since=hold), audit.Action.DELETION_REFUSED)
    inside = Document.folder_id.in_(select(below.c.id))
    staying = db.session.execute(
        select(Document)
        .where(Document.owner_id == folder.owner_id, inside, must_stay(owners))
        .order_by(Document.id)
        .limit(1)
    ).scalar_one_or_none()
    if staying is not None:
        raise refusal(staying, of(Document.id == staying.id, owner_ids=owners))


def check_may_leave(
    owner_id: int,
    target_id: int | None,
    documents: Sequence[Document] = (),
    folders: Sequence[Folder] = (),
) -> None:
    """Raise `Held` or `Kept` where going to the folder `target_id` would escape what keeps them.

    Within a transaction, before the change. None is the top. What is held or kept by a folder
    may move about below it, and never out of it.
    """
    stand_in_line([owner_id])
    now = utcnow()
    places = {each.folder_id for each in documents} | {each.parent_id for each in folders}
    held = _reaching("held", LegalHold, owner_id, {*places, target_id}, IS_LIVE)
    ruled = _reaching("kept", RetentionRule, owner_id, {*places, target_id}, _can_keep(now))
    ids = {of_id for found in ruled.values() for of_id in found}
    rules = {
        rule.id: rule
        for rule in db.session.scalars(select(RetentionRule).where(RetentionRule.id.in_(ids)))
    }
    holds_there, rules_there = held.get(target_id, set()), ruled.get(target_id, set())
    moved: list[tuple[Document | Folder, int | None, datetime]] = [
        *((each, each.folder_id, each.uploaded_at) for each in documents),
        # What lies in a folder may be of any age, so a folder counts as new.
        *((each, each.parent_id, now) for each in folders),
    ]
    for thing, place, uploaded_at in moved:
        if leaves := held.get(place, set()) - holds_there:
            since = db.session.scalar(
                select(func.min(LegalHold.placed_at)).where(LegalHold.id.in_(leaves))
            )
            raise _refused(thing, Keeping(held_since=since), audit.Action.MOVE_REFUSED)
        for rule_id in ruled.get(place, set()) - rules_there:
            until = kept_until(rules[rule_id], uploaded_at)
            if until is not None and until > now:
                raise _refused(thing, Keeping(kept_until=until), audit.Action.MOVE_REFUSED)


def refusal(document: Document, reasons: dict[uuid.UUID, Keeping]) -> Conflict:
    """The refusal to delete `document`, in the audit log and in words."""
    # A hold released between two looks leaves no reason, and is refused all the same.
    why = reasons.get(document.public_id, Keeping())
    return _refused(document, why, audit.Action.DELETION_REFUSED)


def kept_until(rule: RetentionRule, uploaded_at: datetime) -> datetime | None:
    """Until when `rule` keeps what was uploaded then; None where it only deletes."""
    ends = [rule.keep_until] if rule.keep_until is not None else []
    if rule.keep_days is not None:
        ends.append(uploaded_at + timedelta(days=rule.keep_days))
    return max(ends, default=None)


def spoken_day(moment: datetime) -> str:
    """A moment as refusals name it."""
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _refused(thing: Document | Folder, why: Keeping, action: audit.Action) -> Conflict:
    owner = db.session.execute(select(User.email).where(User.id == thing.owner_id)).scalar_one()
    error = _in_words(thing.name, why, is_move=action is audit.Action.MOVE_REFUSED)
    audit.record_alone(
        action,
        document=thing.public_id if isinstance(thing, Document) else None,
        owner=owner,
        name=thing.name,
        reason=error.reason,
    )
    return error


def _in_words(name: str, why: Keeping, *, is_move: bool) -> Held | Kept:
    what = "taken out of its folder" if is_move else "deleted"
    if why.held_since is None and why.kept_until is not None:
        by = f" by the rule for {why.kept_by}" if why.kept_by else ""
        until = spoken_day(why.kept_until)
        return Kept(f"“{name}” is kept until {until}{by}, so it cannot be {what} before that.")
    since = f" since {spoken_day(why.held_since)}" if why.held_since else ""
    return Held(
        f"“{name}” is held by the administration{since}, so it cannot be {what}.",
        cure="Move it within the folder that is held, or ask an admin." if is_move else None,
    )


def _with_rule(known: Keeping, row: Any, now: datetime) -> Keeping:
    rule: RetentionRule = row.RetentionRule
    known = _kept_by(known, row, now)
    goes_at, goes_by = known.goes_at, known.goes_by
    if row.is_nearest and rule.delete_after_days is not None:
        counts_from = max(row.uploaded_at, row.restored_at or row.uploaded_at)
        goes_at = counts_from + timedelta(days=rule.delete_after_days)
        goes_by = place_in_words(row.place_name)
    if goes_at is not None and known.kept_until is not None:
        goes_at = max(goes_at, known.kept_until)
    return replace(known, goes_at=goes_at, goes_by=goes_by)


def _kept_by(known: Keeping, row: Any, now: datetime) -> Keeping:
    """What is known, with the rule of `row` where that keeps longer."""
    until = kept_until(row.RetentionRule, row.uploaded_at)
    if until is None or until <= max(now, known.kept_until or now):
        return known
    return replace(known, kept_until=until, kept_by=place_in_words(row.place_name))


def place_in_words(folder_name: str | None, *, owner: str = "") -> str:
    """Where a rule holds: the folder of that name, or everything somebody has."""
    if folder_name is not None:
        return f"the folder “{folder_name}”"
    return f"all documents of {owner}" if owner else "all documents"


def _reach(
    name: str,
    kind: type[LegalHold] | type[RetentionRule],
    owner_ids: Sequence[int] | None,
    *conditions: ColumnElement[bool],
    goes_on: ColumnElement[bool] | None = None,
) -> CTE:
    """Every folder that the holds or rules of `kind` reach, and which one as `of_id`."""
    first = select(kind.folder_id.label("folder_id"), kind.id.label("of_id")).where(
        kind.folder_id.is_not(None), *conditions
    )
    if owner_ids is not None:
        first = first.where(kind.owner_id.in_(owner_ids))
    reach = first.cte(name, recursive=True)
    further = select(Folder.id, reach.c.of_id).join(reach, Folder.parent_id == reach.c.folder_id)
    if goes_on is not None:
        further = further.where(goes_on)
    return reach.union(further)  # not UNION ALL: should there ever be a cycle, it ends


def _below(folder_id: int) -> CTE:
    """A folder and every folder below it."""
    below = select(Folder.id).where(Folder.id == folder_id).cte("below", recursive=True)
    return below.union(select(Folder.id).join(below, Folder.parent_id == below.c.id))


def _reaching(
    name: str,
    kind: type[LegalHold] | type[RetentionRule],
    owner_id: int,
    places: set[int | None],
    *conditions: ColumnElement[bool],
) -> dict[int | None, set[int]]:
    """Which holds or rules on folders reach each of `places`."""
    reach = _reach(name, kind, [owner_id], *conditions)
    found: dict[int | None, set[int]] = {}
    for place, of_id in db.session.execute(
        select(reach.c.folder_id, reach.c.of_id).where(
            reach.c.folder_id.in_([place for place in places if place is not None])
        )
    ):
        found.setdefault(place, set()).add(of_id)
    return found


def _covers(ruled: CTE) -> ColumnElement[bool]:
    """The condition on `RetentionRule` and `Document` for a rule that holds for it."""
    return or_(
        and_(
            RetentionRule.folder_id.is_(None),
            RetentionRule.owner_id == Document.owner_id,
        ),
        _is_in_reach(ruled, RetentionRule),
    )


def _names_it() -> ColumnElement[bool]:
    """The condition on `LegalHold` and `Document` for a hold on just that, or on everything."""
    return or_(
        LegalHold.document_id == Document.id,
        and_(IS_WHOLE, LegalHold.owner_id == Document.owner_id),
    )


def _names_in(tree: CTE) -> ColumnElement[bool]:
    """The condition on `LegalHold` for a hold on a document right in a folder of `tree`."""
    return (
        exists()
        .where(Document.folder_id == tree.c.id, Document.id == LegalHold.document_id)
        .correlate(tree, LegalHold)
    )


def _reaches(
    reach: CTE, tree: CTE, kind: type[LegalHold] | type[RetentionRule]
) -> ColumnElement[bool]:
    """The condition on `kind` for a hold or rule that reaches a folder of `tree`."""
    return (
        exists()
        .where(reach.c.folder_id == tree.c.id, reach.c.of_id == kind.id)
        .correlate(tree, kind)
    )


def _is_in_reach(reach: CTE, kind: type[LegalHold] | type[RetentionRule]) -> ColumnElement[bool]:
    """The condition on `kind` and `Document` for a hold or rule that reaches its folder."""
    return (
        exists()
        .where(reach.c.folder_id == Document.folder_id, reach.c.of_id == kind.id)
        .correlate(Document, kind)
    )


def _can_keep(now: datetime) -> ColumnElement[bool]:
    """The condition on `RetentionRule` for one that may keep something at this moment."""
    return or_(RetentionRule.keep_days.is_not(None), RetentionRule.keep_until > now)


def _keeps(now: datetime, days_in_use: Sequence[int]) -> ColumnElement[bool]:
    """The condition on `RetentionRule` and `Document` for a rule that keeps it now."""
    # Written out for each figure in use: databases differ in adding days to a column, and the
    # moments in Python are exact.
    by_days = (
        and_(
            RetentionRule.keep_days == days,
            Document.uploaded_at > now - timedelta(days=days),
        )
        for days in days_in_use
    )
    return or_(RetentionRule.keep_until > now, *by_days)


def _days_in_use(owner_ids: Sequence[int] | None) -> Sequence[int]:
    query = select(RetentionRule.keep_days).where(RetentionRule.keep_days.is_not(None)).distinct()
    if owner_ids is not None:
        query = query.where(RetentionRule.owner_id.in_(owner_ids))
    return [days for days in db.session.scalars(query) if days is not None]
