"""Passwords that everybody thinks of, and that are therefore tried first.

The words are the ones that come with zxcvbn, on this machine: 30,000 passwords of real leaks,
and 60,000 words and names. Almost all are shorter than the rule allows, so what counts is
what people make of them: a year behind, a word twice, a row of the keyboard, signs for letters.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

#: What hands walk along. Backwards counts too.
_ROWS = (
    "1234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "wxcvbn",
    "1qaz",
    "2wsx",
    "3edc",
    "4rfv",
    "5tgb",
    "6yhn",
    "7ujm",
    "йцукенгшщзхъ",
    "фывапролджэ",
    "ячсмитьбю",
)
_STEPS = frozenset(
    step for row in _ROWS for one, two in pairwise(row) for step in (one + two, two + one)
)
#: Made famous by being called good or bad ones; and the word itself, as people say it.
_FAMOUS = frozenset(
    {
        *("passwort", "contrasena", "motdepasse", "senha", "wachtwoord", "haslo", "heslo"),
        *("losenord", "salasana", "jelszo", "parola", "sifre", "пароль", "密码", "パスワード"),
        "correcthorsebatterystaple",
        "horsebatterystaple",
        "thisismypassword",
        "mypasswordis",
        "iamtheadmin",
        "opensesame",
        "whatismypassword",
        "donttellanyone",
    }
)
_SIGNS_FOR_LETTERS = str.maketrans("@4831!05$7+", "aabeliosstt")
_OTHER_READING = str.maketrans("@4831!05$7+", "aabeiiosstt")
#: What people put around a word when a rule asks for more: signs, and digits.
_ENDS = re.compile(r"^[\W_]*(\d*)[\W_]*(.*?)[\W_]*(\d*)[\W_]*$", re.DOTALL)
#: A year, or a number for the month; longer ones count where they are a row of keys.
_FEW_DIGITS = 4
#: A password shorter than so many different ways to go on is a walk along rows.
_MEAN_WALK = 4
#: What is repeated must be longer than this to be worth anything.
_SHORT_UNIT = 6


def is_common(password: str) -> bool:
    """Whether `password`, in any case and width, is a common one or one simply dressed up."""
    text = folded(password)
    compact = "".join(text.split())
    if not compact or _is_walk(compact):
        return True
    unit = _unit(compact)
    if len(unit) < len(compact) and (len(unit) < _SHORT_UNIT or unit.isdigit()):
        return True
    return any(_is_word(each) for each in {text, compact, unit})


def folded(text: str) -> str:
    """`text` without case, width and accents."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    marks = unicodedata.normalize("NFD", plain)
    return unicodedata.normalize(
        "NFC", "".join(char for char in marks if unicodedata.category(char) != "Mn")
    )


def _is_word(text: str) -> bool:
    # Its lists of words take 12 MB: only a process in which somebody chooses a password pays.
    from zxcvbn.matching import RANKED_DICTIONARIES

    lists = [words for name, words in RANKED_DICTIONARIES.items() if name != "user_inputs"]
    bare = _bare(text)
    core = _unit(bare)
    readings = {
        reading
        for each in (text, bare, core)
        for reading in (
            each,
            each.translate(_SIGNS_FOR_LETTERS),
            each.translate(_OTHER_READING),
        )
    }
    readings |= {reading[::-1] for reading in readings}
    readings.discard("")
    if any(_is_walk(reading) for reading in (bare, core) if reading):
        return True
    return any(reading in words for reading in readings for words in (_FAMOUS, *lists))


def _bare(text: str) -> str:
    """`text` without what people put around a word; itself where that is more than a habit."""
    found = _ENDS.match(text)
    if found is None:
        return text
    before, bare, behind = found.groups()
    simple = all(len(part) <= _FEW_DIGITS or _is_walk(part) for part in (before, behind))
    return bare if simple else text


def _is_walk(text: str) -> bool:
    """Whether `text` is made of few runs along rows of keys, letters or digits, or of one key."""
    runs = 1 + sum(one != two and one + two not in _STEPS for one, two in pairwise(text))
    return len(text) >= _MEAN_WALK * runs


def _unit(text: str) -> str:
    """The shortest text of which `text` is a repetition; itself where it repeats nothing."""
    start = (text + text).find(text, 1)
    return text[:start]
