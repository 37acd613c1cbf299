"""Office documents: LibreOffice makes a PDF of them, in a child of its own, and that is drawn.

It is used where it is installed and never needed. Each document gets a profile folder of its
own, so that none meets what another has left. Its settings keep LibreOffice at the document
alone: otherwise it would fetch, from this machine and for this machine's address, whatever a
document names as a picture of its own, and draw it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from portal.confinement import starting
from portal.confinement.limits import Limits
from portal.confinement.walls import Walls
from portal.jobs.children import running
from portal.previews.child import ENVIRONMENT, Failed, Impossible, Stopped, judge
from portal.previews.kinds import MIB, soffice

LIMITS = Limits(memory_bytes=4096 * MIB, cpu_seconds=90, file_bytes=128 * MIB, open_files=512)
WALL_SECONDS = 240.0
#: Programs and libraries, fonts, and how they are set up.
_PROGRAMS = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ld.so.cache"),
    *("/etc/fonts", "/var/cache/fontconfig", "/var/lib/fontconfig"),
    *("/etc/libreoffice", "/var/lib/libreoffice", "/var/spool/libreoffice"),
    *("/etc/localtime", "/etc/nsswitch.conf", "/etc/passwd"),
)

#: No links to other files and addresses, no macros, nothing brought up to date from elsewhere.
_SETTINGS = (
    ("Common/Security/Scripting", "BlockUntrustedRefererLinks", "true"),
    ("Common/Security/Scripting", "DisableMacrosExecution", "true"),
    ("Writer/Content/Update", "Link", "2"),
    ("Calc/Content/Update", "Link", "2"),
)
_SETTING = (
    '<item oor:path="/org.openoffice.Office.{}"><prop oor:name="{}" oor:op="fuse" '
    'oor:finalized="true"><value>{}</value></prop></item>'
)
_PROFILE = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<oor:items xmlns:oor="http://openoffice.org/2001/registry">'
    f"{''.join(_SETTING.format(*each) for each in _SETTINGS)}</oor:items>"
)


@contextmanager
def as_pdf(
    document: int, folder: Path, stop: threading.Event, *, again: bool = False
) -> Iterator[int]:
    """A descriptor of the PDF that LibreOffice makes of the one behind `document`; `again` where
    that failed before (see `child.draw`).

    Everything happens in a new folder inside `folder`, which is gone afterwards. Raises
    `Impossible`, `Failed` or `Stopped`.
    """
    program = soffice()
    if program is None:
        raise Impossible("kind")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="office-", dir=folder) as name:
        place = Path(name)
        _copy(document, place / "document")
        settings = place / "profile" / "user" / "registrymodifications.xcu"
        settings.parent.mkdir(parents=True)
        settings.write_text(_PROFILE, encoding="utf-8")
        arguments = [
            program,
            "--headless",
            "--norestore",
            f"-env:UserInstallation=file://{place}/profile",
            "--convert-to",
            "pdf",
            "--outdir",
            str(place / "out"),
            str(place / "document"),
        ]
        environment = {**ENVIRONMENT, "HOME": name, "TMPDIR": name}
        convert = command(arguments, name, again=again)
        with (
            open(os.devnull, "rb") as nothing,
            running(convert, nothing.fileno(), environment, may_wait=not again) as process,
        ):
            _wait(process, stop)
        try:
            made = os.open(place / "out" / "document.pdf", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise Impossible("damaged") from error
        try:
            yield made
        finally:
            os.close(made)


def command(arguments: list[str], own: str, *, again: bool = False) -> list[str]:
    """A command that runs a program within `LIMITS`, without a network, in the folder `own`."""
    programs = (*_PROGRAMS, _home_of(arguments[0]))
    # LibreOffice asks by a socket there whether it runs already, whatever `TMPDIR` says.
    walls = Walls(runnable=programs, own=own, sockets="/tmp")  # noqa: S108
    return starting.program(arguments, replace(LIMITS, only_idle=not again), walls)


def _home_of(program: str) -> str:
    """The folder a program is installed in."""
    place, name = os.path.split(os.path.dirname(os.path.realpath(program)))
    return place if name == "program" else os.path.join(place, name)


def _wait(process: subprocess.Popen[bytes], stop: threading.Event) -> None:
    deadline = time.monotonic() + WALL_SECONDS
    assert process.stdout is not None  # noqa: S101 - for the type checker
    while True:
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            if stop.is_set():
                raise Stopped from None
            if time.monotonic() > deadline:
                raise Failed("it took too long") from None
        else:
            break
    if process.returncode < 0:
        raise judge(process)


def _copy(document: int, path: Path) -> None:
    os.lseek(document, 0, os.SEEK_SET)
    with os.fdopen(os.dup(document), "rb") as source, path.open("xb") as target:
        shutil.copyfileobj(source, target, MIB)
