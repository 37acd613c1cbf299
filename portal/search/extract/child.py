"""The child process: takes a file from its standard input, answers text in JSON, or dies.

It limits itself before it looks at the first byte, and cannot raise the limits again.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import signal
import sys

from .collected import Collected, Full, NoText

#: Which module has each reader's `read`.
_MODULES = {"text": "plain", "picture": "ocr"}
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def main(arguments: list[str]) -> None:
    """`reader`, characters to answer at most, bytes of memory, seconds of work."""
    reader, *numbers = arguments
    characters, memory, seconds = map(int, numbers)
    _limit(memory, seconds)
    out, problem, is_cut = Collected(characters), "", False
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


def _limit(memory: int, seconds: int) -> None:
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.nice(19)  # whoever downloads comes first
    for what, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(what, (limit, limit))
    sys.setrecursionlimit(500)
