"""Passwords: the rule, the hash, and the check that takes the same time for everybody."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import threading
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import bcrypt

from portal.accounts import common
from portal.accounts.lanes import Lanes
from portal.errors import Busy, Invalid

SHORTEST = 12
LONGEST = 1024
RULE = f"At least {SHORTEST} characters. A few unrelated words are easy to remember and strong."

#: zxcvbn's scale goes from 0 to 4; below this a guess succeeds in under a million tries.
_WEAKEST_SCORE = 2
_IN_WORDS = ("very weak", "weak", "fair", "good", "strong")
#: zxcvbn takes quadratic time; what follows can only make a password stronger.
_JUDGED_CHARACTERS = 72
#: zxcvbn tries every reading of the signs that stand for letters: with all of them at once
#: one password would take it seconds. Nobody spells words with more kinds of them than this.
_MOST_SIGNS_FOR_LETTERS = 6
_SIGNS_FOR_LETTERS = frozenset("4@8({[<369!1|7+$5%02")
#: How long somebody waits at most for the judge, in seconds.
_JUDGE_SECONDS = 5
#: Parts of names and addresses shorter than this are in every other word.
_SHORTEST_PART = 3
#: Letters a password must have beside one's own name.
_LETTERS_BESIDE = 4
_SALT_LENGTH = 29

#: The others wait, or are told to come back: see `lanes`.
_LANES = Lanes(lanes=max(1, (os.cpu_count() or 1) // 2), line=12)
#: zxcvbn keeps the words of whoever it judges for in one place for all threads.
_judge = threading.Lock()


@dataclass(frozen=True, slots=True)
class Verdict:
    """How strong a password is, from 0 to 4, and which rule it breaks, if any."""

    score: int
    problem: str | None

    @property
    def words(self) -> str:
        """The verdict as people read it while they type."""
        return self.problem or f"Strength: {_IN_WORDS[self.score]}."


def check_rules(password: str, about: Iterable[str] = (), field: str = "password") -> None:
    """Refuse a password that breaks the rule; `about` is what an acquaintance would try.

    That is the person's own e-mail address and name, and the name of the portal. Raises
    `Invalid` with the rule under the name of `field`, `Busy` where too many are judged.
    """
    if problem := judge(password, about).problem:
        raise Invalid(problem, errors={field: problem})


def judge(password: str, about: Iterable[str] = ()) -> Verdict:
    """How strong `password` is, and the rule it breaks. Raises `Busy` under a flood."""
    # Longer ones are refused unread: to fold a megabyte takes time.
    text = unicodedata.normalize("NFKC", password[: LONGEST + 1])
    if len(password) > LONGEST or len(text) > LONGEST:
        return Verdict(0, f"Use at most {LONGEST} characters.")
    parts = _parts(about)
    if len(text) < SHORTEST:
        return Verdict(min(1, _score(text, parts)), f"Use at least {SHORTEST} characters.")
    if _is_own(text, parts):
        return Verdict(
            0,
            "Choose something other than your own name or e-mail address or the name of this"
            " portal, also with numbers behind.",
        )
    if common.is_common(text):
        return Verdict(
            0,
            "This is one of the most common passwords, so it is easy to guess."
            " Try a few unrelated words.",
        )
    score = _score(text, parts)
    if score < _WEAKEST_SCORE:
        return Verdict(score, "This one is easy to guess. Try a few unrelated words.")
    return Verdict(score, None)


def hash_password(password: str, rounds: int) -> str:
    """A salted bcrypt hash of the whole password, however long it is. Raises `Busy`."""
    salt = bcrypt.gensalt(rounds)
    digest = _digest(password, salt)
    return _LANES.run(lambda: bcrypt.hashpw(digest, salt)).decode("ascii")


def refuse_when_busy() -> None:
    """Raise `Busy` where `check_password` would, before a try is counted and a row written.

    Under a flood that is most of what is answered.
    """
    _LANES.refuse_when_full()


def check_password(password: str, password_hash: str | None, rounds: int) -> bool:
    """Whether `password` is the one hashed; takes as long where there is no hash at all.

    Raises `Busy` where so many are being checked that this one would wait for long.
    """
    stored = (password_hash or _dummy_hash(rounds)).encode("ascii")
    digest = _digest(password, stored[:_SALT_LENGTH])
    matches = _LANES.run(lambda: bcrypt.checkpw(digest, stored))
    return matches and password_hash is not None


def not_current() -> Invalid:
    """The refusal where somebody changes what their current password protects, and it is wrong."""
    problem = "This is not your current password."
    return Invalid(problem, errors={"current_password": problem})


def _parts(about: Iterable[str]) -> list[str]:
    """Every word of what is known about a person, the longest first."""
    found: set[str] = set()
    for item in about:
        text = common.folded(item)
        found |= {text, text.partition("@")[0], *re.split(r"[\W_]+", text)}
        found.add("".join(text.split()))
    return sorted((part for part in found if len(part) >= _SHORTEST_PART), key=len, reverse=True)


def _is_own(text: str, parts: list[str]) -> bool:
    """Whether next to nothing is left of `text` without one's own words, digits and signs."""
    rest = common.folded(text)
    for part in parts:
        rest = rest.replace(part, " ")
    if rest == common.folded(text):
        return False
    letters = [char for char in rest if unicodedata.category(char)[0] == "L" or char > "\u2fff"]
    return len(letters) < _LETTERS_BESIDE


def _score(text: str, parts: list[str]) -> int:
    # Its lists of words take 12 MB: only a process in which somebody chooses a password pays.
    from zxcvbn import zxcvbn

    judged = _with_few_signs(text[:_JUDGED_CHARACTERS])
    if not judged:
        return 0
    if not _judge.acquire(timeout=_JUDGE_SECONDS):
        raise Busy("Too many passwords are being judged.", retry_after=_JUDGE_SECONDS)
    try:
        return int(zxcvbn(judged, user_inputs=parts)["score"])
    finally:
        _judge.release()


def _with_few_signs(text: str) -> str:
    """`text` with at most so many kinds of signs that stand for letters; others become one."""
    kinds = [char for char in dict.fromkeys(text) if char in _SIGNS_FOR_LETTERS]
    spare = "".join(kinds[_MOST_SIGNS_FOR_LETTERS:])
    return text.translate(str.maketrans(spare, "~" * len(spare)))


def _digest(password: str, salt: bytes) -> bytes:
    # bcrypt reads 72 bytes and stops at NUL: an HMAC keyed with the salt carries all of it.
    text = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    return base64.b64encode(hmac.digest(salt, text, hashlib.sha256))


def _dummy_hash(rounds: int) -> str:
    """A hash of no password: checking it is the same work from the first time on."""
    return f"$2b${rounds:02d}${'nobodyhasthispassword.'}{'a' * 31}"
