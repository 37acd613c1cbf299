"""What somebody typed, as what is looked for.

Words stand for themselves, the last one also for what begins with it, and so does `word*`; what
stands in quotes is looked for as it is. No other sign means anything, and none is handed on: what
reaches a database are words, as `portal.search.words` cuts them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from portal.search import words

#: More of what was typed is not looked at.
LONGEST = 255
_MOST_TERMS = 8
_OPENING, _CLOSING = '"“”„«»「『', '"“”«»」』'
_TERM = re.compile(rf"[{_OPENING}]([^{_OPENING}{_CLOSING}]*)[{_CLOSING}]?|([^\s{_OPENING}]+)")


@dataclass(frozen=True, slots=True)
class Term:
    """A word, or words in a row."""

    words: tuple[str, ...]
    #: Whether the last word is only how a word begins.
    is_prefix: bool
    #: As it was typed, without quotes and stars: names are searched by their parts.
    typed: str


@dataclass(frozen=True)
class Question:
    """A whole search; one without terms (signs alone) is looked for in names."""

    typed: str = ""

    @cached_property
    def text(self) -> str:
        """What was typed, with one way to write each character."""
        return words.prepare(self.typed[:LONGEST]).strip()

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """All of these have to be there, in the name or in the text."""
        found: dict[Term, None] = {}
        if "\0" in self.typed:  # nobody types it, and it stands in no name and no text
            return ()
        pieces = list(_TERM.finditer(self.text))
        for piece in pieces:
            is_last = piece is pieces[-1]
            if term := _term(piece[1], piece[2], is_last=is_last):
                found[term] = None
        return tuple(found)[:_MOST_TERMS]

    def __bool__(self) -> bool:
        return bool(self.typed.strip())


def _term(quoted: str | None, bare: str | None, *, is_last: bool) -> Term | None:
    typed = (quoted or bare or "").strip()
    is_prefix = bare is not None and (is_last or typed.endswith("*"))
    typed = typed.strip("*") if bare else typed
    found = list(words.words_of(typed))
    if not found:
        return None
    in_a_row = [word.text for word in found[: words.OVERLAP]]
    last = found[-1]
    if words.is_unspaced(typed[last.start]):
        # The text may go on where the search ends: a pair is looked for, or what begins so.
        is_alone = len(found) == 1 or found[-2].end <= last.start
        is_prefix = is_alone
        if not is_alone and len(found) <= words.OVERLAP:
            in_a_row.pop()
    return Term(tuple(in_a_row), is_prefix and len(found) <= words.OVERLAP, typed)
