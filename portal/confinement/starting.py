"""How a child that opens what strangers made is started, in the parent: as a command line."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from portal.confinement import places
from portal.confinement.limits import Limits
from portal.confinement.walls import Walls

#: Under it lies this package, which the child imports alone; last, so that nothing there stands
#: in the place of a module of Python's.
_HERE = str(Path(__file__).resolve().parents[1])
_START = (
    "import sys; sys.path.append(sys.argv[1]); from confinement import child; "
    "child.main(sys.argv[2:])"
)


def module(
    folder: Path, name: str, arguments: list[str], limits: Limits, may_run: str | None = None
) -> list[str]:
    """A command whose process calls `main` of the module `name` in `folder` with `arguments`.

    It reads that folder and what Python is made of, changes nothing, opens no socket, and runs
    `may_run`, if that is given, and no other program.
    """
    readable, runnable = places.of_program(may_run) if may_run else ((), ())
    given = {"folder": str(folder), "module": name}
    return _command(given, Walls(readable, runnable), limits, arguments)


def program(arguments: list[str], limits: Limits, walls: Walls) -> list[str]:
    """A command whose process becomes the program that is the first of `arguments`."""
    return _command({"folder": "", "module": ""}, walls, limits, arguments)


def _command(
    given: dict[str, str], walls: Walls, limits: Limits, arguments: list[str]
) -> list[str]:
    whole = json.dumps({**given, "walls": asdict(walls), "limits": asdict(limits)})
    return [sys.executable, "-I", "-B", "-c", _START, _HERE, whole, *arguments]
