"""A few words around what was found, in pieces: marks are made by the page, never by text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from portal.search import words
from portal.search.asking import Term
from portal.search.words import Word

_SPACES = re.compile(r"\s+")
#: Characters around the first thing found.
_BEFORE = 60
_LONGEST = 260


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text, and whether it is what was looked for."""

    text: str
    is_hit: bool


def cut(text: str, terms: Sequence[Term]) -> list[Piece]:
    """The part of a passage where most of `terms` stand; nothing where none does."""
    hits = _hits(list(words.words_of(text)), terms)
    if not hits:
        return []
    start = _best_start(hits)
    begin = _boundary(text, max(0, start - _BEFORE), start)
    end = min(len(text), begin + _LONGEST)
    if end < len(text):
        end = max(text.rfind(" ", begin, end), start + 1) if " " in text[start:end] else end
    pieces = [] if begin == 0 else [Piece("… ", is_hit=False)]
    place = begin
    for hit_start, hit_end, _ in hits:
        if hit_start < place or hit_end > end:
            continue
        pieces.append(Piece(_one_line(text[place:hit_start]), is_hit=False))
        pieces.append(Piece(_one_line(text[hit_start:hit_end]), is_hit=True))
        place = hit_end
    pieces.append(Piece(_one_line(text[place:end]), is_hit=False))
    if end < len(text):
        pieces.append(Piece(" …", is_hit=False))
    return [piece for piece in pieces if piece.text]


def _hits(held: list[Word], terms: Sequence[Term]) -> list[tuple[int, int, int]]:
    """Where something stands: from, to, and the number of its term; in order, none twice."""
    found = []
    for number, term in enumerate(terms):
        for place in range(len(held) - len(term.words) + 1):
            row = held[place : place + len(term.words)]
            if _is(row, term):
                end = row[-1].end
                if term.is_prefix and words.is_unspaced(term.words[-1][0]):
                    end = row[-1].start + len(term.words[-1])
                found.append((row[0].start, end, number))
    return sorted(found, key=lambda hit: (hit[0], -hit[1]))


def _is(row: Sequence[Word], term: Term) -> bool:
    *before, last = (word.text for word in row)
    if tuple(before) != term.words[:-1]:
        return False
    return last.startswith(term.words[-1]) if term.is_prefix else last == term.words[-1]


def _best_start(hits: Sequence[tuple[int, int, int]]) -> int:
    """Where a stretch begins that shows as many different terms as can be."""
    best, most = hits[0][0], 0
    for place, (start, _, _) in enumerate(hits[:500]):
        seen = {
            number
            for begin, end, number in hits[place : place + 50]
            if end - start <= _LONGEST - _BEFORE
        }
        if len(seen) > most:
            best, most = start, len(seen)
    return best


def _boundary(text: str, begin: int, start: int) -> int:
    """The beginning of a word from there on, where one begins before `start`."""
    if begin == 0:
        return 0
    space = text.find(" ", begin, start)
    return begin if space < 0 else space + 1


def _one_line(text: str) -> str:
    return _SPACES.sub(" ", text)
