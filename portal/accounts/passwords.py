"""Passwords: the rule, the hash, and the check that takes the same time for everybody."""

from __future__ import annotations

import base64
import hashlib
import hmac
import unicodedata
from collections.abc import Iterable

import bcrypt

from portal.errors import Invalid

SHORTEST = 12
LONGEST = 1024
RULE = f"At least {SHORTEST} characters. A few unrelated words are easy to remember and strong."

#: zxcvbn's scale goes from 0 to 4; below this a guess succeeds in under a million tries.
_WEAKEST_SCORE = 2
#: zxcvbn takes quadratic time; what follows can only make a password stronger.
_JUDGED_CHARACTERS = 72
_SALT_LENGTH = 29


def check_rules(password: str, about: Iterable[str] = (), field: str = "password") -> None:
    """Refuse a password that breaks the rule; `about` is the person's own e-mail and name.

    Raises `Invalid` with the rule under the name of `field`.
    """
    if problem := _problem(password, [word for word in about if word]):
        raise Invalid(problem, errors={field: problem})


def hash_password(password: str, rounds: int) -> str:
    """A salted bcrypt hash of the whole password, however long it is."""
    salt = bcrypt.gensalt(rounds)
    return bcrypt.hashpw(_digest(password, salt), salt).decode("ascii")


def check_password(password: str, password_hash: str | None, rounds: int) -> bool:
    """Whether `password` is the one hashed; takes as long where there is no hash at all."""
    stored = (password_hash or _dummy_hash(rounds)).encode("ascii")
    matches = bcrypt.checkpw(_digest(password, stored[:_SALT_LENGTH]), stored)
    return matches and password_hash is not None


def _problem(password: str, about: list[str]) -> str | None:
    text = unicodedata.normalize("NFKC", password)
    if len(text) < SHORTEST:
        return f"Use at least {SHORTEST} characters."
    if len(password) > LONGEST or len(text) > LONGEST:
        return f"Use at most {LONGEST} characters."
    own = {word.casefold() for item in about for word in (item, item.partition("@")[0])}
    if text.casefold() in own:
        return "Choose something other than your own name or e-mail address."
    # Its lists of words take 12 MB: only a process in which somebody chooses a password pays.
    from zxcvbn import zxcvbn

    judged = zxcvbn(text[:_JUDGED_CHARACTERS], user_inputs=sorted(own))
    if judged["score"] < _WEAKEST_SCORE:
        return "This one is easy to guess. Try a few unrelated words."
    return None


def _digest(password: str, salt: bytes) -> bytes:
    # bcrypt reads 72 bytes and stops at NUL: an HMAC keyed with the salt carries all of it.
    text = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    return base64.b64encode(hmac.digest(salt, text, hashlib.sha256))


def _dummy_hash(rounds: int) -> str:
    """A hash of no password: checking it is the same work from the first time on."""
    return f"$2b${rounds:02d}${'nobodyhasthispassword.'}{'a' * 31}"
