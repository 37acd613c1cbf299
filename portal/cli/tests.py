"""The one command that tests everything."""

from __future__ import annotations

import itertools
import os
import sys

import click

from portal.config import ROOT


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...]) -> None:
    """Run the test suite, on all cores. Arguments go to pytest."""
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *_parallel(arguments), *arguments])


def _parallel(arguments: tuple[str, ...]) -> list[str]:
    """The options that spread the tests over all cores, unless the caller decided about that."""
    alone = ("-n", "--numprocesses", "--pdb", "--trace", "-h", "--help", "--version", "-V")
    has_decided = any(
        argument in alone or argument.startswith(("-n", "--numprocesses=", "-pno:xdist"))
        for argument in arguments
    )
    if has_decided or ("-p", "no:xdist") in itertools.pairwise(arguments):
        return []
    # A file of tests shares what it starts, such as a portal or a browser. The tests know best
    # in which order to begin them.
    return ["-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"]


COMMANDS = (test,)
