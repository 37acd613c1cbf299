"""Commands of the portal, each in a process of its own that is forked once all is imported.

A process that has to import everything first takes a second, most of what a short command takes.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

#: The server from which the processes are forked; one for each process of the tests.
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(
    [
        "live.commands",
        "portal.cli",
        *(
            f"portal.cli.{family}"
            for family in ("audit_log", "demo", "people", "serve", "tests", "tokens", "upkeep")
        ),
    ]
)


def manage(
    arguments: tuple[str, ...], text: str, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Do what `manage.py` does with these arguments, on a Python that has imported it before."""
    with tempfile.TemporaryDirectory(prefix="portal-command-") as name:
        folder = Path(name)
        (folder / "in").write_text(text, "utf-8")
        process = _FORKED.Process(target=_main, args=(arguments, folder, dict(environment)))
        process.start()
        try:
            process.join(timeout)
            if process.exitcode is None:
                raise subprocess.TimeoutExpired(["manage.py", *arguments], timeout)
            out, err = (_text(folder / each) for each in ("out", "err"))
            return subprocess.CompletedProcess(arguments, process.exitcode, out, err)
        finally:
            process.kill()
            process.join()
            process.close()


def _text(path: Path) -> str:
    with path.open(encoding="utf-8") as file:  # with one kind of line end, as from a pipe
        return file.read()


def _main(arguments: tuple[str, ...], folder: Path, environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["manage.py", *arguments]
    for number, (name, flags) in enumerate(
        (("in", os.O_RDONLY), ("out", os.O_WRONLY | os.O_CREAT), ("err", os.O_WRONLY | os.O_CREAT))
    ):
        descriptor = os.open(folder / name, flags, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    from portal.cli import main

    main()
