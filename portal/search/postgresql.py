"""The index on PostgreSQL: a `tsvector` beside each passage, and GIN over all of them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, cast
from sqlalchemy.dialects.postgresql import TSQUERY

from portal.models import SearchPassage
from portal.search.asking import Term

#: PostgreSQL keeps so many places of one word (`MAXNUMPOS`), and counts them up to 16383.
_MOST_PLACES = 255


def stored(marked: Sequence[str]) -> str:
    """Words as a `tsvector` is written. They hold nothing that would have to be escaped."""
    places: dict[str, list[int]] = {}
    for place, word in enumerate(marked, 1):
        places.setdefault(word, []).append(place)
    return " ".join(
        f"'{word}':{','.join(map(str, where[:_MOST_PLACES]))}" for word, where in places.items()
    )


def holds(terms: Sequence[Term]) -> ColumnElement[bool]:
    """The condition on `SearchPassage` for one that holds any of these marked terms."""
    query = " | ".join(f"({_phrase(term)})" for term in terms)
    return SearchPassage.words.op("@@")(cast(query, TSQUERY))


def _phrase(term: Term) -> str:
    in_a_row = [f"'{word}'" for word in term.words]
    return " <-> ".join(in_a_row) + (":*" if term.is_prefix else "")
