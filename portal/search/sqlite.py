"""The index on SQLite: a table of FTS5 beside the passages, kept in step by triggers."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, column, select, table

from portal.models import SearchPassage
from portal.models.search import SQLITE_INDEX
from portal.search.asking import Term

_INDEX = table(SQLITE_INDEX, column("rowid"), column("words"))


def stored(marked: Sequence[str]) -> str:
    """Words as the column takes them: FTS5 parts them at spaces, and at nothing else in them."""
    return " ".join(marked)


def holds(terms: Sequence[Term]) -> ColumnElement[bool]:
    """The condition on `SearchPassage` for one that holds any of these marked terms."""
    query = " OR ".join(_phrase(term) for term in terms)
    return SearchPassage.id.in_(select(_INDEX.c.rowid).where(_INDEX.c.words.op("MATCH")(query)))


def _phrase(term: Term) -> str:
    # In quotes nothing has a meaning; words hold none.
    return f'"{" ".join(term.words)}"' + (" *" if term.is_prefix else "")
