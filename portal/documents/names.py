"""Names of documents: cleaned once, at the door, and trusted from there on."""

from __future__ import annotations

import re
import unicodedata

from flask import current_app

from portal import collation
from portal.collation import Collation
from portal.config import Settings
from portal.errors import FileNameRejected, TypeRefused

LONGEST = 255
#: Of a name that was not taken, what a page shows.
_LONGEST_SHOWN = 60
_WAY_OUT = "Save it as another kind of file, or ask the person who runs this portal."
#: Folders in folders.
DEEPEST_PATH = 32
#: Characters of the folded name that are kept for sorting; a database index has its limits.
_LONGEST_KEY = 512
#: Bytes of a key: PostgreSQL has room for 2,704 in an index, with all that goes with it.
_LONGEST_KEY_BYTES = 2560
#: Ends the part of a key that is of the site's own order. No name holds it.
KEY_BREAK = "\x01"
_DIGITS = re.compile(r"\d+")
#: Embeddings, overrides and isolates: they make "exe.gpj" read as "jpg.exe".
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean(raw: str) -> str:
    """The name a document gets: NFC, without folders, control or bidirectional characters.

    Raises `FileNameRejected` when nothing is left or more than 255 characters are.
    """
    name = _readable(raw.replace("\\", "/").rpartition("/")[2])
    if not name.strip(" .") or name.isspace():
        raise FileNameRejected(
            "The file has no name.", cure=f"Give it a name of 1 to {LONGEST} characters."
        )
    if len(name) > LONGEST:
        raise FileNameRejected(
            f"The name has {len(name)} characters; {LONGEST} are possible.",
            cure="Give it a shorter name.",
        )
    return name


def clean_folder(raw: str) -> str:
    """The name a folder gets: as a document's, and without spaces around it.

    What separates folders elsewhere is refused: of "2025/26" nobody wants the "26" alone.
    """
    name = _readable(raw).strip()
    if not name.strip(" ."):
        raise FileNameRejected(
            "The folder has no name.", cure=f"Give it a name of 1 to {LONGEST} characters."
        )
    if "/" in name or "\\" in name:
        raise FileNameRejected(
            "A folder's name cannot hold “/” or “\\”.", cure="Use a “-” or a space instead."
        )
    if len(name) > LONGEST:
        raise FileNameRejected(
            f"The name of the folder has {len(name)} characters; {LONGEST} are possible.",
            cure="Give it a shorter name.",
        )
    return name


def numbered(name: str, number: int) -> str:
    """A name beside one that is taken: "Taxes (2)"."""
    ending = f" ({number})"
    return name[: LONGEST - len(ending)].rstrip() + ending


def folders_of(path: str) -> list[str]:
    """The names of the folders in a path from `clean_path`, the outermost first."""
    return path.split("/") if path else []


def shown(raw: str) -> str:
    """A name as the client sent it, made fit for a sentence; empty where nothing can be seen."""
    name = "".join(char for char in raw if not _is_taken_out(char)).strip()
    return name if len(name) <= _LONGEST_SHOWN else f"{name[:_LONGEST_SHOWN]}…"


def clean_path(raw: str) -> str:
    """The folders a file was dropped with, each cleaned like the name of a folder, joined by "/".

    It names folders one after the other, and is never a path on any disk. Raises
    `FileNameRejected` where it is too deep, or a name too long.
    """
    parts = [part for part in raw.replace("\\", "/").split("/") if part.strip(" .")]
    if len(parts) > DEEPEST_PATH:
        raise too_deep()
    return "/".join(clean_folder(part) for part in parts if _readable(part).strip(" ."))


def too_deep() -> FileNameRejected:
    """The refusal of what would lie in too many folders inside each other."""
    return FileNameRejected(
        f"Folders can be nested {DEEPEST_PATH} deep, and this would be deeper.",
        cure="Put it further up, or the inner folders by themselves.",
    )


def fold(text: str) -> str:
    """`text` as it is searched and sorted by: width and case do not matter (NFKC, casefold)."""
    return unicodedata.normalize("NFKC", text).casefold()[:_LONGEST_KEY]


def in_row(name: str) -> dict[str, str]:
    """What the row of a document or a folder says of its clean name, sorted as this site does."""
    settings: Settings = current_app.extensions["settings"]
    return {
        "name": name,
        "name_key": fold(name),
        "name_sort": sort_key(name, settings.sort_locale),
    }


def sort_key(name: str, locale: str = "") -> str:
    """`name` as lists are sorted by it, compared byte by byte.

    Numbers count as numbers ("Page 2" before "Page 10"), and neither case, width nor accents
    part what a reader looks for in the same place ("Émile" beside "emil"), but for the letters
    that `locale` has in a place of their own. With such letters, the key of root order follows
    after `KEY_BREAK`: by that one a name is found without its accents, whatever the locale.
    """
    root = _key(name, collation.of(""))
    own = _key(name, collation.of(locale))
    if own == root:
        return root
    room = _LONGEST_KEY_BYTES - len(root.encode()) - len(KEY_BREAK)
    return own.encode()[:room].decode(errors="ignore") + KEY_BREAK + root


def _key(name: str, order: Collation) -> str:
    letters = order.spell(fold(order.lower_own(name)))
    return _DIGITS.sub(_sortable, letters)[:_LONGEST_KEY]


def _sortable(digits: re.Match[str]) -> str:
    """A number after how many digits it has: the longer one is the larger one."""
    number = str(int(digits[0]))
    return f"{len(number):03}{number}"


def extension(name: str) -> str:
    """What stands after the last dot, folded; empty where there is none.

    Dots and spaces at the end do not count: Windows drops them, and opens "a.exe." as "a.exe".
    Nor do case, width and invisible characters: "a.ｅｘｅ" looks like "a.exe" to whoever opens it.
    """
    seen = "".join(char for char in name if unicodedata.category(char) != "Cf")
    seen = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())
    stem, dot, last = seen.rstrip(". ").rpartition(".")
    return last.strip() if dot and stem else ""


def check_extension(name: str, settings: Settings) -> None:
    """Raise `TypeRefused`, saying the rule, for a name whose ending is not taken here."""
    ending = extension(name)
    allowed, blocked = settings.allowed_extensions, settings.blocked_extensions
    if (allowed and ending not in allowed) or ending in blocked:
        raise TypeRefused(
            f"Files ending in .{ending} are not taken here."
            if ending
            else "Files without an ending are not taken here.",
            cure=f"{rule(settings)} {_WAY_OUT}",
        )


def check(raw: str, settings: Settings) -> str:
    """The name a file gets. Raises `UploadRejected`, with the rule, for one that is not taken."""
    name = clean(raw)
    check_extension(name, settings)
    return name


def rule(settings: Settings) -> str:
    """Which endings are taken, as a sentence; empty where every one is."""
    if settings.allowed_extensions:
        taken = settings.allowed_extensions - settings.blocked_extensions
        return f"Only {', '.join(sorted(taken))}." if taken else "No files are taken."
    if settings.blocked_extensions:
        return f"Anything but {', '.join(sorted(settings.blocked_extensions))}."
    return ""


def _readable(text: str) -> str:
    kept = "".join(char for char in text if not _is_taken_out(char))
    return unicodedata.normalize("NFC", kept)


def _is_taken_out(char: str) -> bool:
    # Cs: half a character, which no database and no header can carry.
    return unicodedata.category(char) in {"Cc", "Cs"} or char in _BIDI
