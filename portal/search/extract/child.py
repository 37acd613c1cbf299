"""The child process: takes a file from its standard input, answers text in JSON, or dies.

What confines it (`portal.confinement`) comes before it.
"""

from __future__ import annotations

import importlib
import json
import os
import sys

from .collected import Collected, Full, NoText

#: Which module has each reader's `read`.
_MODULES = {"text": "plain", "picture": "ocr"}


def main(reader: str, characters: str) -> None:
    """Answer so many characters at most of what `reader` takes out, and end this process."""
    sys.setrecursionlimit(500)
    out, problem, is_cut = Collected(int(characters)), "", False
    try:
        data = sys.stdin.buffer.read()
        module = importlib.import_module(f".{_MODULES.get(reader, reader)}", __package__)
        module.read(data, out)
    except Full:
        is_cut = True
    except NoText as error:
        problem = str(error)
    except (MemoryError, RecursionError):
        problem = "It takes more memory than a document may."
    # Half a character, which no database takes.
    text = out.text().encode("utf-8", "replace").decode()
    answer = json.dumps({"text": text, "problem": problem, "is_cut": is_cut})
    sys.stdout.write(answer)
    sys.stdout.flush()
    os._exit(0)  # libraries have nothing left to say
