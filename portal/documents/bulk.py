"""What is done with several documents in one go: all of it, or nothing."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from portal import access, audit
from portal.access import Person
from portal.database import transaction
from portal.documents import lifecycle
from portal.errors import Invalid
from portal.models import Document, Folder

#: All are changed in one transaction, which keeps everybody else who writes waiting.
MOST = 500


def trash(person: Person, document_ids: Sequence[uuid.UUID]) -> Sequence[Document]:
    """Move documents to the trash; their links stop until they are restored.

    Raises, having changed nothing, what `lifecycle.trash` raises for any of them, and `Invalid`
    for none or for more than `MOST`.
    """
    with transaction():
        return [lifecycle.trash(person, each) for each in _chosen(document_ids)]


def restore(person: Person, document_ids: Sequence[uuid.UUID]) -> Sequence[Document]:
    """Take documents out of the trash; as `trash`."""
    with transaction():
        return [lifecycle.restore(person, each) for each in _chosen(document_ids)]


@dataclass(frozen=True, slots=True)
class Moved:
    """Documents in their new place."""

    documents: Sequence[Document]
    #: The name of the folder they are in; empty for the top.
    place: str
    #: The one place all of them were in, as a form names it; None where there were several.
    before: str | None


def move(person: Person, document_ids: Sequence[uuid.UUID], folder_id: uuid.UUID | None) -> Moved:
    """Move documents into a folder of the same person's, or to the top; as `trash`."""
    with transaction() as session:
        folder = None if folder_id is None else access.folder_to_fill(person, folder_id)
        row, place = (None, "") if folder is None else (folder.id, folder.name)
        documents = [access.document_for(person, each) for each in _chosen(document_ids)]
        moved = Moved(documents, place, _one_place(session, documents))
        for document in documents:
            if document.folder_id != row:
                document.folder_id = row
                audit.record(
                    audit.Action.MOVED,
                    document=document.public_id,
                    owner=person.email,
                    name=document.name,
                    place=place,
                )
    return moved


def _one_place(session: Session, documents: Sequence[Document]) -> str | None:
    rows = {each.folder_id for each in documents}
    if len(rows) != 1:
        return None
    (row,) = rows
    return "" if row is None else str(session.get_one(Folder, row).public_id)


def _chosen(document_ids: Sequence[uuid.UUID]) -> Sequence[uuid.UUID]:
    # In one order, so that two who choose the same ones wait for each other.
    chosen = sorted(set(document_ids))
    if not chosen:
        problem = "Choose at least one document."
        raise Invalid(problem, cure="", errors={"id": problem})
    if len(chosen) > MOST:
        problem = f"At most {MOST} documents can be changed in one go. Choose fewer."
        raise Invalid(problem, cure="", errors={"id": problem})
    return chosen
