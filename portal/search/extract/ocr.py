"""Reading scans, where the program `tesseract` is installed. Never required."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache

from .collected import Collected

#: More languages at once take longer and read worse.
_MOST_LANGUAGES = 5
_NOT_LANGUAGES = frozenset({"osd", "equ"})


@cache
def program() -> str | None:
    """Where it is, looked for once: every upload asks."""
    return shutil.which("tesseract")


def read(data: bytes, out: Collected) -> None:
    out.add(words(data))


def words(picture: bytes) -> str:
    """What stands in a picture; nothing where it cannot be read."""
    tesseract = program()
    if tesseract is None:
        return ""
    done = subprocess.run(
        [tesseract, "-", "-", "-l", _languages(tesseract)],
        input=picture,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


@cache
def _languages(tesseract: str) -> str:
    told = subprocess.run(
        [tesseract, "--list-langs"], capture_output=True, check=False, text=True
    ).stdout.splitlines()[1:]
    there = [each for each in told if each and each not in _NOT_LANGUAGES]
    return "+".join(there[:_MOST_LANGUAGES]) or "eng"
