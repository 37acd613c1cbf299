"""Has a child process take the text out of a file, and kills it at its limits.

Files are made by strangers, and parsers have holes: the child gets the bytes through a pipe, has no
way to the storage, the database or the keys (`portal.confinement`), and what it answers is not
believed to be more than text. Whatever happens to it, the worker goes on.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portal.confinement import limits as confinement
from portal.confinement import starting
from portal.jobs.children import end, running
from portal.search.extract.ocr import program

#: Where the package `extract` lies: the child imports it alone, not the whole portal.
_HERE = Path(__file__).resolve().parent
_MIB = 1024 * 1024
#: Larger files are not read.
LARGEST_FILE = 128 * _MIB
#: Of text and source, so much is read.
_TEXT_BYTES = 4 * _MIB
#: Characters kept of one document.
LONGEST_TEXT = 1_000_000
_LOOK_SECONDS = 0.5
_LONGEST_PROBLEM = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """What one child may take."""

    memory_bytes: int = 1024 * _MIB
    #: Of work.
    cpu_seconds: int = 30
    #: From its start to its answer, work or not: on a busy machine it waits for everybody.
    seconds: float = 600
    characters: int = LONGEST_TEXT
    #: Whether it works only while nobody else wants the processor.
    only_idle: bool = True


@dataclass(frozen=True, slots=True)
class Text:
    """What was read of a document."""

    text: str
    #: Whether it is the beginning only.
    is_cut: bool


class Unreadable(Exception):
    """Nothing can be read. Its words say why; another try would end the same."""


class Killed(Unreadable):
    """The child went over a limit or broke down. Another try may end otherwise."""


def limits_for(reader: str) -> Limits:
    """What a reader may take: reading scans needs minutes, everything else seconds."""
    if reader == "picture" or _may_run(reader):
        return Limits(cpu_seconds=300, seconds=1800)
    return Limits()


def _may_run(reader: str) -> str | None:
    """The program that a reader runs, where it runs any."""
    return program() if reader in {"picture", "pdf"} else None


def read(
    reader: str,
    pieces: Iterator[bytes],
    limits: Limits,
    beat: Callable[[], None] = lambda: None,
) -> Text:
    """The text of a file whose bytes are `pieces`, taken out by `reader`.

    `beat` is called now and then; what it raises ends the child. Raises `Unreadable`, `Killed`, and
    what reading `pieces` raises.
    """
    command = starting.module(
        _HERE,
        "extract.child",
        [reader, str(limits.characters)],
        confinement.Limits(limits.memory_bytes, limits.cpu_seconds, only_idle=limits.only_idle),
        _may_run(reader),
    )
    environment = {"PATH": os.environ.get("PATH", os.defpath), "OMP_THREAD_LIMIT": "1"}
    with (
        running(command, subprocess.PIPE, environment, may_wait=limits.only_idle) as process,
        _Feeding(process, reader, pieces) as feeding,
    ):
        try:
            answer = _answer(process, limits, beat)
        finally:
            end(process)
    if feeding.error is not None:
        raise feeding.error
    if process.returncode != 0 and not answer:
        raise Killed(_reason(process.returncode))
    return _understood(answer, limits)


class _Feeding:
    """Hands the bytes over, from a thread of its own: the child may not take them all."""

    def __init__(
        self, process: subprocess.Popen[bytes], reader: str, pieces: Iterator[bytes]
    ) -> None:
        self.error: Exception | None = None
        self._process = process
        self._pieces = pieces
        self._left = _TEXT_BYTES if reader == "text" else LARGEST_FILE
        self._thread = threading.Thread(target=self._feed, name="feeding a reader")

    def __enter__(self) -> _Feeding:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._thread.join()

    def _feed(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 - it is a pipe
        try:
            for piece in self._pieces:
                stdin.write(piece[: self._left])
                self._left -= len(piece)
                if self._left <= 0:
                    break
        except BrokenPipeError:
            pass  # it had enough, or is dead
        except Exception as error:  # noqa: BLE001 - it is raised where the text is waited for
            self.error = error
            self._process.kill()
        finally:
            with suppress(BrokenPipeError):
                stdin.close()


def _answer(process: subprocess.Popen[bytes], limits: Limits, beat: Callable[[], None]) -> bytes:
    """What the child says before it ends, or before it is too late."""
    stdout = process.stdout
    assert stdout is not None  # noqa: S101 - it is a pipe
    longest = 12 * limits.characters + 1000  # each character escaped as two halves
    until = time.monotonic() + limits.seconds
    said = bytearray()
    # Not select(): it knows no descriptor above 1023.
    poll = select.poll()
    poll.register(stdout, select.POLLIN)
    while True:
        beat()
        if time.monotonic() > until:
            raise Killed("Reading it takes too long.")
        if not poll.poll(_LOOK_SECONDS * 1000):
            continue
        piece = os.read(stdout.fileno(), 256 * 1024)
        said += piece
        if len(said) > longest:
            raise Killed("It holds more than is read.")
        if not piece:
            return bytes(said)


def _reason(code: int) -> str:
    if code in {-signal.SIGXCPU, -signal.SIGKILL}:
        return "Reading it takes too long."
    if code in {-signal.SIGABRT, -signal.SIGTRAP}:
        return "It takes more memory than a document may."
    return "It is damaged."


def _understood(answer: bytes, limits: Limits) -> Text:
    try:
        found: Any = json.loads(answer)
        text, problem, is_cut = found["text"], found["problem"], found["is_cut"]
        if not (isinstance(text, str) and isinstance(problem, str) and isinstance(is_cut, bool)):
            raise TypeError(answer[:50])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Killed("It is damaged.") from error
    if problem:
        raise Unreadable(problem[:_LONGEST_PROBLEM])
    return Text(text[: limits.characters], is_cut)
