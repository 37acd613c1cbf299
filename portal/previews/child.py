"""Running the child that draws: one for each document, killed when it takes too much.

What it is given is an open file and nothing else: no database, no settings, no secret. What it
answers was made by whoever made the document, for all one knows, and is counted and checked.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from portal.confinement import starting
from portal.confinement.limits import Limits
from portal.jobs.children import running
from portal.models.preview import Size
from portal.previews.kinds import MIB, Kind

#: Where the package `drawing` lies.
_HERE = Path(__file__).resolve().parent
#: Not ours: what a child of the worker gets.
ENVIRONMENT = {"PATH": os.defpath, "LANG": "C.UTF-8"}
_TEXT_TYPE, _PICTURE_TYPE = "text/plain; charset=utf-8", "image/webp"
#: What a child may use, by what it draws. Wall seconds are for a machine that is busy: it waits
#: for everybody. With LibreOffice before it, they are less than a claim lasts.
LIMITS = {
    Kind.IMAGE: (Limits(memory_bytes=1024 * MIB, cpu_seconds=20), 240.0),
    Kind.PDF: (Limits(memory_bytes=1024 * MIB, cpu_seconds=60), 300.0),
    Kind.TEXT: (Limits(memory_bytes=512 * MIB, cpu_seconds=10), 240.0),
}
#: Of one picture, and of all of a document together.
LARGEST_FRAME, LARGEST_ANSWER, LONGEST_LINE = 8 * MIB, 96 * MIB, 4096
#: What nobody but the child's own limits, or its own fault, ends it with.
_OWN_FAULT = frozenset(
    {
        signal.SIGXCPU,
        signal.SIGABRT,
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGILL,
        signal.SIGFPE,
        signal.SIGTRAP,
        signal.SIGSYS,
        signal.SIGXFSZ,
    }
)
_SLICE_SECONDS = 0.2


class Impossible(Exception):
    """It will never be drawn; the word says why."""


class Failed(Exception):
    """It was not drawn this time: the machine was busy, or something unforeseen happened."""


class Stopped(Exception):
    """The worker was told to stop in the middle of it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture, or the text, as the child handed it over."""

    size: Size
    page: int
    width: int
    height: int
    media_type: str
    data: bytes = field(repr=False)


@dataclass(slots=True)
class Answer:
    """The frames of a child as they come; `page_count` is known when they have ended."""

    frames: Iterator[Frame]
    page_count: int = 0


def draw(
    kind: Kind, media_type: str, document: int, stop: threading.Event, *, again: bool = False
) -> Answer:
    """Have the document behind the descriptor `document` drawn.

    It waits until nobody else wants the processor, unless it is tried `again`. Going through the
    frames raises `Impossible`, `Failed` or `Stopped`; what came before that is whole.
    """
    limits, seconds = LIMITS[kind]
    limits = replace(limits, only_idle=not again)
    answer = Answer(iter(()))
    command = starting.module(_HERE, "drawing.child", [kind.value, media_type], limits)
    answer.frames = _frames(answer, command, document, seconds, stop, may_wait=not again)
    return answer


def judge(process: subprocess.Popen[bytes]) -> Exception:
    """What the end of a child without an answer means."""
    code = process.wait()
    if -code in _OWN_FAULT:
        return Impossible("limits")
    return Failed(f"the child ended with {code}")


def _frames(
    answer: Answer,
    command: list[str],
    document: int,
    seconds: float,
    stop: threading.Event,
    *,
    may_wait: bool,
) -> Iterator[Frame]:
    with running(command, document, ENVIRONMENT, may_wait=may_wait) as process:
        pipe = _Pipe(process, time.monotonic() + seconds, stop)
        while True:
            facts = pipe.facts()
            if "impossible" in facts:
                raise Impossible(str(facts["impossible"])[:20])
            if "failed" in facts:
                raise Failed(str(facts["failed"])[:200])
            if facts.get("end") is True:
                answer.page_count = _whole(facts.get("pages"), 10**9)
                return
            yield _frame(facts, pipe)


def _frame(facts: dict[str, Any], pipe: _Pipe) -> Frame:
    try:
        size = Size(facts["size"])
    except (KeyError, ValueError) as error:
        raise Failed("an answer that is not understood") from error
    data = pipe.take(_whole(facts.get("bytes"), LARGEST_FRAME))
    # By what stands in it, not by what is said of it.
    is_picture = data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    if (size is Size.TEXT) == is_picture:
        raise Failed("no picture")
    return Frame(
        size=size,
        page=_whole(facts.get("page"), 10**6),
        width=_whole(facts.get("width"), 10**5),
        height=_whole(facts.get("height"), 10**5),
        media_type=_PICTURE_TYPE if is_picture else _TEXT_TYPE,
        data=data,
    )


def _whole(value: object, most: int) -> int:
    if not isinstance(value, int) or not 0 <= value <= most:
        raise Failed("a figure that cannot be")
    return value


class _Pipe:
    """What a child writes, within its time and within bounds."""

    def __init__(
        self, process: subprocess.Popen[bytes], deadline: float, stop: threading.Event
    ) -> None:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        self._process = process
        self._descriptor = process.stdout.fileno()
        self._deadline = deadline
        self._stop = stop
        self._have = bytearray()
        self._total = 0

    def facts(self) -> dict[str, Any]:
        """The next line of JSON."""
        while (place := self._have.find(b"\n")) < 0:
            if len(self._have) > LONGEST_LINE:
                raise Failed("a line without an end")
            self._more()
        line = bytes(self._have[:place])
        del self._have[: place + 1]
        try:
            facts = json.loads(line)
        except ValueError as error:
            raise Failed("an answer that is not understood") from error
        if not isinstance(facts, dict):
            raise Failed("an answer that is not understood")
        return facts

    def take(self, length: int) -> bytes:
        """The next so many bytes."""
        while len(self._have) < length:
            self._more()
        taken = bytes(self._have[:length])
        del self._have[:length]
        return taken

    def _more(self) -> None:
        # Not select(): it knows no descriptor above 1023.
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        while not poll.poll(_SLICE_SECONDS * 1000):
            if self._stop.is_set():
                raise Stopped
            if time.monotonic() > self._deadline:
                raise Failed("it took too long")
        piece = os.read(self._descriptor, 256 * 1024)
        if not piece:
            raise judge(self._process)
        self._total += len(piece)
        if self._total > LARGEST_ANSWER:
            raise Impossible("limits")
        self._have += piece
