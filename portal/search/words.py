"""How text becomes words, on every database the same way and in every script.

Words are folded, so that neither case, width nor accents part what a reader takes for the same.
Scripts that put no spaces between words (Chinese, Japanese, Thai and others) are cut into pairs
of characters that overlap: a word of them is found as these pairs in a row.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

#: Longer words are cut; nobody types them.
LONGEST_WORD = 64
#: Words of a passage, and how many of them it shares with the next: no phrase is longer.
PASSAGE_WORDS = 1500
OVERLAP = 24
#: Characters of a passage, where its words are long.
_PASSAGE_CHARACTERS = 30_000
#: Thai, Lao, Tibetan, Myanmar, Hangul's letters, Khmer, kana, bopomofo, Han, and Hangul (whose
#: endings stand without a space).
_UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u19e0-\u19ff\u3005-\u3007"
    "\u3040-\u30ff\u3100-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f"
    "\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
#: Accents and other marks without which words are written as well: of Latin, Greek and
#: Cyrillic letters, Hebrew points, Arabic vowels.
_MARKS = re.compile("[\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u064b-\u065f\u0670]")
#: Invisible: hyphens that may break a word, joiners, and what PDFs put at the end of a line.
_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff\ufffe\u0002]")


class Word(NamedTuple):
    """A word as the index has it, and where it stands in the text."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a text with its words."""

    text: str
    words: list[str]


def prepare(text: str) -> str:
    """`text` with one way to write each character; what is stored and shown."""
    plain = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    return "".join(char if char.isprintable() or char in "\t\n" else " " for char in plain)


@lru_cache(maxsize=20_000)
def fold(word: str) -> str:
    """A word without what does not count."""
    if word.isascii():
        return word.lower()[:LONGEST_WORD]
    letters = _MARKS.sub("", unicodedata.normalize("NFD", word.casefold()))
    return unicodedata.normalize("NFC", letters)[:LONGEST_WORD]


def words_of(text: str, start: int = 0) -> Iterator[Word]:
    """The words of a prepared text from there on, in their order."""
    for run in _runs().finditer(text, start):
        if run.lastgroup == "unspaced":
            yield from _pairs(run[0], run.start())
        elif word := fold(run[0]):
            yield Word(word, run.start(), run.end())


def is_unspaced(char: str) -> bool:
    """Whether words of this character's script stand without spaces between them."""
    run = _runs().match(char)
    return run is not None and run.lastgroup == "unspaced"


def passages(text: str) -> Iterator[Passage]:
    """A prepared text in parts that overlap by a few words."""
    held: list[Word] = []
    is_new = False
    for word in words_of(text):
        held.append(word)
        is_new = True
        if len(held) == PASSAGE_WORDS or word.end - held[0].start > _PASSAGE_CHARACTERS:
            yield _passage(text, held)
            held = held[-OVERLAP:] if len(held) > OVERLAP else []
            is_new = False
    if held and is_new:
        yield _passage(text, held)


def _passage(text: str, held: list[Word]) -> Passage:
    return Passage(text[held[0].start : held[-1].end], [word.text for word in held])


def _pairs(run: str, start: int) -> Iterator[Word]:
    """Pairs that overlap, and the last character alone: each character begins a word."""
    for place in range(len(run)):
        pair = run[place : place + 2]
        yield Word(pair, start + place, start + place + len(pair))


@cache
def _runs() -> re.Pattern[str]:
    # `\w` leaves out the marks that are vowels in the scripts of India and its neighbours.
    higher = map(chr, range(0x300, 0x1E950))
    marks = "".join(char for char in higher if unicodedata.category(char) in {"Mn", "Mc"})
    letter = f"(?![{_UNSPACED}])(?:[^\\W_]|[{marks}])"
    spaced = f"(?:[A-Za-z0-9]+|{letter})+"  # the first of these for speed
    return re.compile(f"(?P<unspaced>[{_UNSPACED}]+)|(?P<spaced>{spaced})")
