"""What is done with several documents in one go: all of it, or nothing."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from portal import access, audit
from portal.access import Person
from portal.database import transaction
from portal.documents import lifecycle
from portal.errors import Invalid
from portal.models import Document

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


def move(
    person: Person, document_ids: Sequence[uuid.UUID], folder_id: uuid.UUID | None
) -> Sequence[Document]:
    """Move documents into a folder of the same person's, or to the top; as `trash`."""
    with transaction():
        folder = None if folder_id is None else access.folder_for(person, folder_id)
        moved = []
        for document_id in _chosen(document_ids):
            document = access.document_for(person, document_id)
            row = None if folder is None else folder.id
            if document.folder_id != row:
                document.folder_id = row
                audit.record(
                    audit.Action.MOVED,
                    document=document_id,
                    owner=person.email,
                    name=document.name,
                    folder="" if folder is None else folder.name,
                )
            moved.append(document)
        return moved


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
