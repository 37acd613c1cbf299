#!/usr/bin/env python3
"""The portal's one entrance: sees that its requirements are there, then hands over to `portal.cli`.

Nothing but the standard library can be imported before that, so all it takes is in this file, which
also has to parse on an old Python (no f-strings) to be able to say that it is too old.
"""

import os
import sys

RUNNING = "%d.%d" % sys.version_info[:2]
if sys.version_info < (3, 11):
    sys.exit(
        "manage.py: needs Python 3.11 or newer, this is %s. Try: python3.12 manage.py" % RUNNING
    )
if os.name != "posix":
    sys.exit("manage.py: needs Linux or macOS. On Windows, use WSL.")

import fcntl
import hashlib
import shutil
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python3")
STAMPS = os.path.join(VENV, "installed")
INSIDE = os.path.realpath(sys.prefix) == os.path.realpath(VENV)


def lines(*path: str) -> list[str]:
    """Return the lines of a file of the checkout; none if there is no such file."""
    try:
        with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def pins(lock: str) -> list[str]:
    """List what a lock file names, as `package==version` with its marker, if it has one."""
    return [line.rstrip(" \\") for line in lines(lock) if line[:1].isalnum()]


def is_installed_here(lock: str) -> bool:
    """Tell whether the Python that runs this has what a lock file names, in these versions."""
    for pin in pins(lock):
        name, _, wanted = pin.partition(" ;")[0].partition("==")
        try:
            if version(name.partition("[")[0]) != wanted:
                return False
        except PackageNotFoundError:
            if " ;" not in pin:  # a marker says that other machines need it, perhaps not this one
                return False
    return True


def fingerprint(lock: str) -> str:
    """Identify the content of a lock file."""
    return hashlib.sha256("\n".join(lines(lock)).encode()).hexdigest()


def stamps() -> dict[str, str]:
    """Tell what `.venv` was made of: its Python and lock files; nothing while it is not whole."""
    made = dict(line.split() for line in lines(STAMPS))
    was_replaced = INSIDE and made.get("python") != RUNNING  # by an upgrade of the system
    return made if os.path.exists(PYTHON) and not was_replaced else {}


def show(progress: str, end: str = "") -> None:
    """Show how far the preparation is: one line written over on a terminal, lines elsewhere."""
    start, end = ("\r\033[K", end) if sys.stderr.isatty() else ("", "\n")
    print(start + progress, end=end, file=sys.stderr, flush=True)


def run(*command: str, count: int = 0) -> None:
    """Run an installer and show how far it is; if it fails, show its last words and the cure."""
    said: list[str] = []
    fetched = 0
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=subprocess.STDOUT, text=True, close_fds=False
    ) as process:
        for line in process.stdout or ():
            said.append(line)
            fetched += line.startswith(("Collecting ", "Processing "))
            if line.startswith(("Installing ", "Resolved ")) and os.path.exists(STAMPS):
                os.remove(
                    STAMPS
                )  # from here on .venv changes; a failed download leaves it as it was
            if count and sys.stderr.isatty():
                show("Fetching the requirements: %d of %d" % (min(fetched, count), count))
    if process.returncode:
        sys.exit(
            "".join(said[-3:])
            + "manage.py: the requirements could not be installed, for the reason above. "
            "Check the network and the free space, then start again."
        )


def prepare(lock: str) -> None:
    """Make `.venv` or bring it up to date. The stamp comes last: without it all is made anew."""
    began, made, uv = time.monotonic(), stamps(), shutil.which("uv")
    if not (uv or find_spec("ensurepip")):  # Debian ships the one without the other
        sys.exit("manage.py: Python's venv module is missing. Try: apt install python3-venv")
    show("Preparing .venv: once, and again when the requirements change", end="\n")
    if not (made and (uv or os.path.exists(os.path.join(VENV, "bin", "pip")))):
        base = os.path.join(sys.base_prefix, "bin", "python" + RUNNING)  # not one inside .venv
        python = base if os.path.exists(base) else sys.executable
        shutil.rmtree(VENV, ignore_errors=True)
        run(*([uv, "venv", "--python", python] if uv else [python, "-m", "venv"]), VENV)
        made = {"python": RUNNING}
    pip = [uv, "pip", "install", "--python", PYTHON] if uv else [PYTHON, "-m", "pip", "install"]
    run(*pip, "--require-hashes", "-r", os.path.join(ROOT, lock), count=len(pins(lock)))
    made.update({name: fingerprint(name) for name in {lock, "requirements.txt"}})
    with open(STAMPS + ".new", "w", encoding="utf-8") as file:
        file.writelines("%s %s\n" % item for item in made.items())
    os.replace(STAMPS + ".new", STAMPS)
    show("Requirements installed in %d s" % (time.monotonic() - began), end="\n")


def main() -> None:
    """Run the command line of the portal where its requirements are, installing them if need be."""
    lock = "requirements-test.txt" if sys.argv[1:2] == ["test"] else "requirements.txt"
    is_ready = stamps().get(lock) == fingerprint(lock)
    if is_ready if INSIDE else is_installed_here(lock):
        try:
            from portal.cli import main as portal

            portal()
        except KeyboardInterrupt:  # while it was still being imported
            sys.exit(130)
        return
    folder = os.open(ROOT, os.O_RDONLY)
    os.set_inheritable(folder, True)  # an installer that outlives a kill -9 of this keeps the lock
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # two starts at once: the second waits for the first
        if stamps().get(lock) != fingerprint(lock):
            prepare(lock)
    except KeyboardInterrupt:
        sys.exit("\nmanage.py: interrupted. The next start begins anew.")
    except OSError as error:
        sys.exit("manage.py: could not prepare .venv: %s" % error)
    os.close(folder)
    os.execv(PYTHON, [PYTHON, *sys.argv])


if __name__ == "__main__":
    main()
