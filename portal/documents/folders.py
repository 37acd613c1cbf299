"""Folders: made, renamed, moved, put into the trash with all that is in them, and taken out.

Everything is found by rows, never by joining names. Whoever changes a tree of folders takes the
row of its owner first, as every upload does, so changes of one tree come one after the other:
two moves at once cannot make a circle, nor two folders of one name.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    and_,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from portal import audit
from portal.access import (
    Person,
    Place,
    document_for,
    folder_for,
    trashed_folder_for,
    trashed_folders,
    way_to,
    ways_to,
)
from portal.database import transaction
from portal.documents import keeping, names
from portal.errors import Conflict, FileNameRejected, Invalid
from portal.extensions import db
from portal.models import (
    Document,
    Folder,
    LegalHold,
    OpenUpload,
    RetentionRule,
    User,
    utcnow,
)


class FolderThere(Conflict):
    """Of the folders beside each other no two may have one name, whatever the case."""

    title = "There is a folder of this name"
    reason = "same_name"
    cure = "Choose another name, or use the folder that is there."

    def __init__(self, name: str) -> None:
        what = f"There is a folder called “{name}” here already."
        super().__init__(what, errors={"name": f"{what} {self.cure}"})


class IntoItself(Conflict):
    """A folder would lie in itself, and could be reached from nowhere."""

    title = "A folder cannot lie in itself"
    reason = "into_itself"
    what = "A folder cannot be moved into itself or into a folder inside it."
    cure = "Choose a folder outside of it."


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """A folder as it is after a change."""

    public_id: uuid.UUID
    name: str
    #: The folder it lies in; None at the top.
    parent: Place | None


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved, and between which folders; None is the top."""

    public_id: uuid.UUID
    name: str
    before: Place | None
    after: Place | None


def create(person: Person, raw_name: str, parent_id: uuid.UUID | None) -> FolderFacts:
    """Make a folder in another, or at the top.

    Raises `Invalid` for a name that breaks the rules and where it would lie too deep,
    `FolderThere`, and `NotFound` for the other folder.
    """
    name = _clean(raw_name)
    with transaction() as session:
        lock(session, person.user_id)
        way = way_to(person, parent_id) if parent_id else []
        if len(way) + 1 > names.DEEPEST_PATH:
            raise _too_deep("name")
        parent = way[-1] if way else None
        _refuse_twin(session, person.user_id, parent, name)
        folder = Folder(
            public_id=uuid.uuid4(),
            owner_id=person.user_id,
            parent_id=parent.id if parent else None,
            **names.in_row(name),
        )
        session.add(folder)
        made = FolderFacts(folder.public_id, name, parent)
        _record(audit.Action.FOLDER_CREATED, person, made.public_id, name=name)
    return made


def rename(person: Person, folder_id: uuid.UUID, raw_name: str) -> FolderFacts:
    """Give a folder another name. Raises what `create` raises."""
    folder_for(person, folder_id)
    name = _clean(raw_name)
    with transaction() as session:
        lock(session, person.user_id)
        folder, parent = _with_parent(person, folder_id)
        if folder.name != name:
            _refuse_twin(session, person.user_id, parent, name, but=folder.id)
            old_name = folder.name
            for column, value in names.in_row(name).items():
                setattr(folder, column, value)
            _record(audit.Action.FOLDER_RENAMED, person, folder_id, old_name=old_name, name=name)
        return FolderFacts(folder_id, name, parent)


def move(person: Person, folder_id: uuid.UUID, parent_id: uuid.UUID | None) -> Moved:
    """Put a folder with all that is in it into another, or at the top. No document changes.

    Raises `IntoItself`, `FolderThere`, `Invalid` where it would lie too deep, and `NotFound`.
    """
    with transaction() as session:
        lock(session, person.user_id)
        folder, before = _with_parent(person, folder_id)
        way = way_to(person, parent_id) if parent_id else []
        if folder.id in {place.id for place in way}:
            raise IntoItself
        after = way[-1] if way else None
        if before == after:
            return Moved(folder_id, folder.name, before, after)
        if len(way) + _height(session, folder) > names.DEEPEST_PATH:
            raise _too_deep("parent")
        _refuse_twin(session, person.user_id, after, folder.name)
        keeping.check_may_leave(person.user_id, after.id if after else None, folders=[folder])
        folder.parent_id = after.id if after else None
        moved = Moved(folder_id, folder.name, before, after)
        _record_move(audit.Action.FOLDER_MOVED, person, moved, folder=str(folder_id))
    return moved


def move_document(person: Person, document_id: uuid.UUID, folder_id: uuid.UUID | None) -> Moved:
    """Put a document into a folder, or at the top. Raises `NotFound`."""
    document_for(person, document_id)
    with transaction() as session:
        lock(session, person.user_id)
        document = document_for(person, document_id)
        after = _place(folder_for(person, folder_id)) if folder_id else None
        before = _place(session.get_one(Folder, document.folder_id)) if document.folder_id else None
        moved = Moved(document_id, document.name, before, after)
        if before != after:
            keeping.check_may_leave(person.user_id, after.id if after else None, [document])
            document.folder_id = after.id if after else None
            _record_move(audit.Action.MOVED, person, moved, document=document_id)
    return moved


def outermost(person: Person, folder_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Of live folders those that lie in none of the others. Raises `NotFound`."""
    chosen = set(folder_ids)
    return [
        way[-1].public_id
        for way in ways_to(person, folder_ids)
        if chosen.isdisjoint(place.public_id for place in way[:-1])
    ]


def last_first(person: Person, folder_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Folders of the trash, the one that went there last first: others may have lain in it."""
    when = db.session.execute(
        select(Folder.public_id, Folder.trashed_at).where(
            Folder.public_id.in_(folder_ids), trashed_folders(person)
        )
    )
    place = {row.public_id: row.trashed_at for row in when}
    return sorted(folder_ids, key=lambda each: place.get(each, utcnow()), reverse=True)


def trash(person: Person, folder_id: uuid.UUID) -> FolderFacts:
    """Put a folder and everything live in it into the trash, as one thing.

    The links of its documents stop until it is restored.
    """
    with transaction() as session:
        lock(session, person.user_id)
        folder, parent = _with_parent(person, folder_id)
        keeping.check_may_delete_folder(folder)
        inside = select(below(folder.id).c.id)
        now = utcnow()
        went = session.execute(
            update(Document)
            .where(Document.folder_id.in_(inside), Document.trashed_at.is_(None))
            .values(trashed_at=now, trashed_with_id=folder.id)
            .returning(Document.id)
            .execution_options(synchronize_session=False)
        ).all()
        session.execute(
            update(Folder)
            .where(Folder.id.in_(inside), Folder.id != folder.id)
            .values(trashed_at=now, trashed_with_id=folder.id)
            .execution_options(synchronize_session=False)
        )
        folder.trashed_at = now
        gone = FolderFacts(folder_id, folder.name, parent)
        _record(
            audit.Action.FOLDER_TRASHED, person, folder_id, name=folder.name, documents=len(went)
        )
    return gone


def restore(person: Person, folder_id: uuid.UUID) -> FolderFacts:
    """Take a folder out of the trash, with exactly what went there with it.

    It comes back to where it was, or to the top if that is gone; and beside a folder that has
    its name by now, it gets a number.
    """
    trashed_folder_for(person, folder_id)
    with transaction() as session:
        lock(session, person.user_id)
        folder = trashed_folder_for(person, folder_id)
        parent = live_place(session, folder.parent_id)
        if parent is not None:
            depth = len(way_to(person, parent.public_id))
            if depth + _height(session, folder, in_trash=True) > names.DEEPEST_PATH:
                parent = None
        if parent is None and folder.parent_id is not None:
            keeping.check_may_leave(person.user_id, None, folders=[folder])
        name, number = folder.name, 1
        while _twin(session, person.user_id, parent, name) is not None:
            number += 1
            name = names.numbered(folder.name, number)
        folder.parent_id = parent.id if parent else None
        for column, value in names.in_row(name).items():
            setattr(folder, column, value)
        folder.trashed_at = None
        for kind in (Folder, Document):
            back_at = {"restored_at": utcnow()} if kind is Document else {}
            session.execute(
                update(kind)
                .where(kind.trashed_with_id == folder.id)
                .values(trashed_at=None, trashed_with_id=None, **back_at)
                .execution_options(synchronize_session=False)
            )
        back = FolderFacts(folder_id, name, parent)
        _record(audit.Action.FOLDER_RESTORED, person, folder_id, name=name)
    return back


def forget(condition: ColumnElement[bool]) -> int:
    """Delete the rows of those folders of the trash whose documents are gone, and what is in them.

    `condition` is on `Folder`, for such as lie there by themselves. What was put into the trash
    before them stays there, and has its place at the top from now on. Answers how many went.
    """
    is_over = and_(condition, Folder.trashed_at.is_not(None), Folder.trashed_with_id.is_(None))
    with transaction() as session:
        # Before anything is asked: nobody holds or restores between the question and the end.
        keeping.stand_in_line(session.scalars(select(Folder.owner_id).where(is_over).distinct()))
        roots = session.scalars(
            select(Folder.id).where(is_over, ~exists().where(Document.trashed_with_id == Folder.id))
        ).all()
        went_with = func.coalesce(Folder.trashed_with_id, Folder.id)
        staying = session.scalars(
            select(went_with).where(went_with.in_(roots), keeping.folder_must_stay())
        ).all()
        chosen = session.execute(
            select(Folder, User.email)
            .join(User, User.id == Folder.owner_id)
            .where(Folder.id.in_(set(roots) - set(staying)))
        ).all()
        for folder, owner in chosen:
            ids = select(Folder.id).where(
                or_(Folder.id == folder.id, Folder.trashed_with_id == folder.id)
            )
            remove(session, ids)
            audit.record(
                audit.Action.FOLDER_PURGED,
                owner=owner,
                folder=str(folder.public_id),
                name=folder.name,
            )
    return len(chosen)


def remove(session: Session, ids: Select[int]) -> None:
    """Delete the rows of folders, after their documents. `ids` is a SELECT of them."""
    for place in (Document.folder_id, OpenUpload.folder_id, Folder.parent_id):
        session.execute(
            update(place.class_)
            .where(place.in_(ids))
            .values({place.key: None})
            .execution_options(synchronize_session=False)
        )
    session.execute(delete(RetentionRule).where(RetentionRule.folder_id.in_(ids)))
    session.execute(
        delete(LegalHold).where(LegalHold.folder_id.in_(ids), LegalHold.released_at.is_not(None))
    )
    gone = delete(Folder).where(Folder.id.in_(ids))
    session.execute(gone.execution_options(synchronize_session=False))


def lock(session: Session, owner_id: int) -> None:
    """Wait for everybody else who changes this owner's folders; to be asked before reading them."""
    session.execute(select(User.id).where(User.id == owner_id).with_for_update(key_share=True))


def live_place(session: Session, folder_row: int | None) -> Place | None:
    """The folder of that row, unless it is in the trash or gone: None, which is the top."""
    if folder_row is None:
        return None
    folder = session.scalar(
        select(Folder).where(Folder.id == folder_row, Folder.trashed_at.is_(None))
    )
    return _place(folder) if folder else None


def below(folder_row: int) -> CTE:
    """The live folder of that row and every one in it, by their rows (`id`)."""
    return _tree(Folder.id == folder_row, Folder.trashed_at.is_(None))


def paths(owner_id: int, rows: Sequence[int]) -> dict[int, str]:
    """Where the live folders of those rows lie, in words to be shown: "Taxes / 2026"."""
    if not rows:
        return {}
    start = select(
        Folder.id.label("of"), Folder.name, Folder.parent_id, literal(0).label("steps")
    ).where(Folder.id.in_(rows), Folder.owner_id == owner_id)
    way = start.cte(recursive=True)
    way = way.union_all(
        select(way.c.of, Folder.name, Folder.parent_id, way.c.steps + 1).join(
            way, Folder.id == way.c.parent_id
        )
    )
    found: dict[int, list[str]] = {}
    for of, name in db.session.execute(select(way.c.of, way.c.name).order_by(way.c.steps.desc())):
        found.setdefault(of, []).append(name)
    return {of: " / ".join(each) for of, each in found.items()}


def _tree(start: ColumnElement[bool], also: ColumnElement[bool]) -> CTE:
    tree = select(Folder.id, literal(1).label("height")).where(start, also).cte(recursive=True)
    return tree.union_all(
        select(Folder.id, tree.c.height + 1).join(tree, Folder.parent_id == tree.c.id).where(also)
    )


def _height(session: Session, folder: Folder, *, in_trash: bool = False) -> int:
    """How many folders lie inside each other there, itself counted."""
    also = (
        or_(Folder.id == folder.id, Folder.trashed_with_id == folder.id)
        if in_trash
        else Folder.trashed_at.is_(None)
    )
    tree = _tree(Folder.id == folder.id, also)
    return session.scalar(select(func.max(tree.c.height))) or 1


def _with_parent(person: Person, folder_id: uuid.UUID) -> tuple[Folder, Place | None]:
    folder = folder_for(person, folder_id)
    parent = db.session.get(Folder, folder.parent_id) if folder.parent_id else None
    return folder, _place(parent) if parent else None


def _place(folder: Folder) -> Place:
    return Place(folder.id, folder.public_id, folder.name)


def _twin(
    session: Session, owner_id: int, parent: Place | None, name: str, but: int | None = None
) -> str | None:
    """The name of the live folder that has this one there, whatever its case."""
    beside = Folder.parent_id == parent.id if parent else Folder.parent_id.is_(None)
    return session.scalar(
        select(Folder.name).where(
            and_(Folder.owner_id == owner_id, Folder.trashed_at.is_(None), beside),
            Folder.name_key == names.fold(name),
            Folder.id != (but or 0),
        )
    )


def _refuse_twin(
    session: Session, owner_id: int, parent: Place | None, name: str, but: int | None = None
) -> None:
    if (there := _twin(session, owner_id, parent, name, but)) is not None:
        raise FolderThere(there)


def _clean(raw_name: str) -> str:
    try:
        return names.clean_folder(raw_name)
    except FileNameRejected as error:
        problem = f"{error.what} {error.cure}"
        raise Invalid(problem, errors={"name": problem}) from error


def _too_deep(field: str) -> Invalid:
    refusal = names.too_deep()
    problem = f"{refusal.what} {refusal.cure}"
    return Invalid(problem, cure="", errors={field: problem})


def _record(action: audit.Action, person: Person, folder_id: uuid.UUID, **detail: Any) -> None:
    audit.record(action, owner=person.email, folder=str(folder_id), **detail)


def _record_move(action: audit.Action, person: Person, moved: Moved, **which: Any) -> None:
    audit.record(
        action,
        owner=person.email,
        name=moved.name,
        place=moved.after.name if moved.after else "",
        old_place=moved.before.name if moved.before else "",
        **which,
    )
