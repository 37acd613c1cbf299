"""Rich Text Format: its words, without fonts, colours, styles and pictures."""

from __future__ import annotations

import re

from .collected import Collected

_PIECE = re.compile(
    r"\\([a-z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-f]{2})|\\([^a-z])|([{}])|[\r\n]+|([^\\{}\r\n]+)",
    re.IGNORECASE,
)
#: Groups that are not what a reader sees.
_SILENT = frozenset(
    {"fonttbl", "colortbl", "stylesheet", "info", "pict", "object", "themedata", "datastore"}
    | {"latentstyles", "listtable", "listoverridetable", "rsidtbl", "generator", "xmlnstbl"}
    | {"fldinst"}
)
_SPACES = {"par": "\n", "line": "\n", "sect": "\n", "page": "\n", "row": "\n", "tab": "\t"}
_SPACES |= {"cell": "\t", "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’"}
_SPACES |= {"ldblquote": "“", "rdblquote": "”", "bullet": "•", "~": " ", "_": "-"}


def read(data: bytes, out: Collected) -> None:
    text = data.decode("latin-1")
    page = re.search(r"\\ansicpg(\d{3,5})", text[:2000])
    encoding = f"cp{page[1]}" if page else "cp1252"
    # Of each open group: whether it is silent, and how many characters stand in for one in Unicode.
    groups, silent, substitutes, skip = list[tuple[bool, int]](), False, 1, 0
    for word, number, byte, symbol, brace, plain in _PIECE.findall(text):
        if brace == "{":
            groups.append((silent, substitutes))
        elif brace == "}":
            silent, substitutes = groups.pop() if groups else (False, 1)
            skip = 0
        elif word in _SILENT or symbol == "*":
            silent = True
        elif word == "uc":
            substitutes = int(number or 1)
        elif silent:
            continue
        elif word == "u":
            out.add(_character(int(number or 0)))
            skip = substitutes
        elif skip and (byte or plain):
            taken = min(skip, len(plain)) if plain else 1
            skip -= taken
            out.add(plain[taken:])
        elif byte:
            out.add(_byte(byte, encoding))
        else:
            out.add(plain or _SPACES.get(word or symbol, symbol if symbol in "\\{}" else ""))


def _character(number: int) -> str:
    code = number % 65536
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else chr(code)


def _byte(digits: str, encoding: str) -> str:
    try:
        return bytes.fromhex(digits).decode(encoding, "replace")
    except LookupError:
        return bytes.fromhex(digits).decode("cp1252", "replace")
