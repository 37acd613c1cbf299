"""What a search finds: by name, and in the texts that may be read."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy import cast as as_type

from portal.access import Person, readable_scans, visible_documents
from portal.documents.names import KEY_BREAK, fold
from portal.extensions import db
from portal.models import Document, SearchPassage, SearchText, Version
from portal.search import index, snippets
from portal.search.asking import Question, Term
from portal.search.snippets import Piece

#: No document has this id.
_NONE = 0


@dataclass(frozen=True, slots=True)
class Excerpts:
    """What a page of found documents shows of their texts."""

    #: By the id of the document's row; those found by their name alone have none.
    by_document: Mapping[int, Sequence[Piece]]
    #: How many of the person's documents could not be read, and are found by their name alone.
    unreadable: int


def found(person: Person, question: Question) -> ColumnElement[bool]:
    """The condition on `Document` for what `question` finds in names, and in texts of `person`'s.

    It allows nothing by itself: `access.visible_documents` goes with it.
    """
    by_name = _name_has(question.typed.strip())
    if not question.terms:
        return by_name
    by_words = (
        or_(
            _name_has(term.typed),
            tuple_(Document.id, Document.version).in_(_texts_with(person, [term])),
        )
        for term in question.terms
    )
    return or_(by_name, and_(*by_words))


def found_by_name(question: Question) -> ColumnElement[bool]:
    """The condition on `Document` for names alone: for whoever may not know what texts say."""
    by_name = _name_has(question.typed.strip())
    by_words = [_name_has(term.typed) for term in question.terms]
    return or_(by_name, and_(*by_words)) if by_words else by_name


def excerpts(person: Person, question: Question, document_ids: Sequence[int]) -> Excerpts:
    """What the texts of found documents say about `question`; one query."""
    unreadable = select(literal(_NONE), as_type(func.count(), String)).where(
        SearchText.owner_id == person.user_id,
        SearchText.problem != "",
        Document.id == SearchText.document_id,
        Document.version == SearchText.version,
        visible_documents(person),
    )
    asked = unreadable
    if document_ids and question.terms:
        first = (
            _texts_with(person, question.terms)
            .with_only_columns(func.min(SearchPassage.id))
            .join(Document, Document.id == SearchText.document_id)
            .where(
                Document.id.in_(document_ids),
                Document.version == SearchText.version,
                visible_documents(person),
            )
            .group_by(SearchText.document_id)
        )
        passages = (
            select(SearchText.document_id, SearchPassage.text)
            .join(SearchText, SearchText.id == SearchPassage.text_id)
            .where(SearchPassage.id.in_(first))
        )
        asked = union_all(unreadable, passages)  # type: ignore[assignment]
    count, by_document = 0, {}
    for document_id, text in db.session.execute(asked):
        if document_id == _NONE:
            count = int(text)
        elif pieces := snippets.cut(text, question.terms):
            by_document[document_id] = pieces
    return Excerpts(by_document, count)


def _texts_with(person: Person, terms: Sequence[Term]) -> Select[Any, Any]:
    """Document and version of the texts that hold any of `terms` and may be read."""
    return (
        select(SearchText.document_id, SearchText.version)
        .join(SearchPassage, SearchPassage.text_id == SearchText.id)
        .join(
            Version,
            and_(
                Version.document_id == SearchText.document_id, Version.number == SearchText.version
            ),
        )
        .where(
            index.holds(person.user_id, terms),
            SearchText.owner_id == person.user_id,
            SearchText.document_id.is_not(None),
            Version.scan.in_(readable_scans()),
        )
    )


def _name_has(typed: str) -> ColumnElement[bool]:
    """The condition for a part of a name, whatever its case, width and accents."""
    # No name has NUL in it, and not every database can be asked for it.
    folded = fold(typed).replace("\0", "\ufffd")
    has = Document.name_key.contains(folded, autoescape=True)
    if not folded.isascii() or any(char.isdigit() for char in folded):
        letters = unicodedata.normalize("NFKD", folded)
        folded = "".join(char for char in letters if not unicodedata.combining(char))
    if any(char.isdigit() for char in folded):
        return has  # the names that are sorted by have their numbers written otherwise
    return or_(has, _letters_have(folded))


def _letters_have(folded: str) -> ColumnElement[bool]:
    """The condition for a part of a name without its accents.

    What stands before a break is written for sorting: there an å may be a kind of z.
    """
    key = Document.name_sort
    escaped = "".join(f"/{char}" if char in "/%_" else char for char in folded)
    return or_(
        and_(~key.contains(KEY_BREAK), key.contains(folded, autoescape=True)),
        key.like(f"%{KEY_BREAK}%{escaped}%", escape="/"),
    )
