"""The full-text index, whichever database keeps it.

Every word is marked with its owner. A search looks at the postings of one person's words alone:
it costs what that person has, however many others there are, and cannot find what is theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, cast

from sqlalchemy import ColumnElement

from portal import database
from portal.search import postgresql, sqlite
from portal.search.asking import Term


class Index(Protocol):
    """What a database's own full-text index can do with marked words."""

    def stored(self, marked: Sequence[str]) -> str: ...
    def holds(self, terms: Sequence[Term]) -> ColumnElement[bool]: ...


def stored(owner_id: int, words: Sequence[str]) -> str:
    """The column `SearchPassage.words` for these words of that owner's, in their order."""
    return _index().stored([_marked(owner_id, word) for word in words])


def holds(owner_id: int, terms: Sequence[Term]) -> ColumnElement[bool]:
    """The condition on `SearchPassage` for one of that owner's that holds any of `terms`."""
    marked = [
        replace(term, words=tuple(_marked(owner_id, word) for word in term.words)) for term in terms
    ]
    return _index().holds(marked)


def _marked(owner_id: int, word: str) -> str:
    # The digits end at the first x, so no owner's mark begins another's.
    return f"{owner_id}x{word}"


def _index() -> Index:
    return cast(Index, sqlite if database.is_sqlite() else postgresql)
