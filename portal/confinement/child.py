"""The first half of a child: confined before it imports what it is for."""

from __future__ import annotations

import importlib
import json
import os
import sys
from dataclasses import replace

from . import limits, places
from .limits import Limits
from .walls import Walls, put_up


def main(arguments: list[str]) -> None:
    """Be what `starting` says: a module's `main`, or another program."""
    given = json.loads(arguments[0])
    limits.take_on(Limits(**given["limits"]))
    walls = Walls(**given["walls"])
    if folder := given["folder"]:
        sys.path[-1] = folder  # where this package was found; nothing else there is for it
        walls = replace(walls, readable=(*walls.readable, folder, *places.of_python()))
    put_up(walls)
    if not folder:
        os.execv(arguments[1], arguments[1:])
    importlib.import_module(given["module"]).main(*arguments[1:])
