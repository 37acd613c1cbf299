"""What is done with several documents in one go: all of it, or nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from portal.access import Person
from portal.database import transaction
from portal.documents import folders, keeping, lifecycle
from portal.documents.folders import FolderFacts, Moved
from portal.errors import Invalid
from portal.models import Document

#: All are changed in one transaction, which keeps everybody else who writes waiting.
MOST = 500


@dataclass(frozen=True, slots=True)
class MovedAll:
    """What became of everything that was moved in one go."""

    documents: Sequence[Moved]
    folders: Sequence[Moved]


def trash(
    person: Person, document_ids: Sequence[uuid.UUID], folder_ids: Sequence[uuid.UUID] = ()
) -> tuple[Sequence[Document], Sequence[FolderFacts]]:
    """Move documents and folders to the trash; links stop until they are restored.

    Raises, having changed nothing, what `lifecycle.trash` and `folders.trash` raise for any of
    them, and `Invalid` for none or for more than `MOST`.
    """
    chosen = choose(document_ids, folder_ids)
    with _alone(person):
        # Documents first: one that lies in one of the folders went by itself.
        documents = [lifecycle.trash(person, each) for each in chosen.documents]
        # A folder that lies in another one goes, and comes back, with that.
        outermost = folders.outermost(person, chosen.folders)
        return documents, [folders.trash(person, each) for each in outermost]


def restore(
    person: Person, document_ids: Sequence[uuid.UUID], folder_ids: Sequence[uuid.UUID] = ()
) -> tuple[Sequence[Document], Sequence[FolderFacts]]:
    """Take documents and folders out of the trash; as `trash`."""
    chosen = choose(document_ids, folder_ids)
    with _alone(person):
        # Folders first: documents go back to where they were.
        back = [
            folders.restore(person, each) for each in folders.last_first(person, chosen.folders)
        ]
        return [lifecycle.restore(person, each) for each in chosen.documents], back


def move(
    person: Person,
    document_ids: Sequence[uuid.UUID],
    folder_ids: Sequence[uuid.UUID],
    into: uuid.UUID | None,
) -> MovedAll:
    """Move documents and folders into a folder of the same person's, or to the top; as `trash`."""
    chosen = choose(document_ids, folder_ids)
    with _alone(person):
        return MovedAll(
            documents=[folders.move_document(person, each, into) for each in chosen.documents],
            folders=[folders.move(person, each, into) for each in chosen.folders],
        )


@contextmanager
def _alone(person: Person) -> Iterator[None]:
    """A transaction in which nobody else changes what is `person`'s.

    Who changes one thing stands in line before locking it; so does, here, who changes several:
    otherwise each could have what the other waits for.
    """
    with transaction():
        keeping.stand_in_line([person.user_id])
        yield


@dataclass(frozen=True, slots=True)
class Chosen:
    """Documents and folders, each once."""

    documents: Sequence[uuid.UUID]
    folders: Sequence[uuid.UUID]


def choose(document_ids: Sequence[uuid.UUID], folder_ids: Sequence[uuid.UUID] = ()) -> Chosen:
    """What is to be changed in one go. Raises `Invalid` for none or for more than `MOST`."""
    # In one order, so that two who choose the same ones wait for each other.
    chosen = Chosen(sorted(set(document_ids)), sorted(set(folder_ids)))
    total = len(chosen.documents) + len(chosen.folders)
    if not total:
        problem = "Choose at least one document."
        raise Invalid(problem, cure="", errors={"id": problem})
    if total > MOST:
        problem = f"At most {MOST} documents can be changed in one go. Choose fewer."
        raise Invalid(problem, cure="", errors={"id": problem})
    return chosen
