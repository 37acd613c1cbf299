"""What breaking things needs of a machine, and whether its lack can be cured.

A program that is not installed, or a user who could become root, is a lack of the set-up: where
every part must be there, the test fails. What the system refuses to root itself (a container
without loop devices, another processor) is no part that anybody forgot: the test is skipped, and
says why.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import pytest

from conftest import missing

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Lacking(Exception):
    """Something is not there, and could be; the text says what and how."""

    def __init__(self, part: str, cure: str) -> None:
        super().__init__(f"{part} is missing: {cure}")
        self.part, self.cure = part, cure


class Impossible(Exception):
    """This machine cannot do it, whoever asks; the text says why."""


def or_skipped(test: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Let a test be skipped where the machine cannot do what it needs.

    Where every part must be there it fails instead, if only the set-up is at fault.
    """

    @functools.wraps(test)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return test(*args, **kwargs)
        except Lacking as lack:
            missing(lack.part, lack.cure)
            raise
        except Impossible as reason:
            pytest.skip(str(reason))

    return run


def programs(*names: str) -> None:
    """Raises `Lacking` unless all of these programs are installed."""
    for name in names:
        if shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
            raise Lacking(name, "apt install e2fsprogs mount")


def root() -> None:
    """Raises `Lacking` for somebody who could become root, `Impossible` for others."""
    if os.geteuid() == 0:
        return
    if shutil.which("sudo") and not subprocess.run(["sudo", "-n", "true"], stderr=-3).returncode:
        raise Lacking("Root", "run these tests with sudo")
    raise Impossible("mounting needs root, and there is no way to become it here")
