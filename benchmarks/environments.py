"""A virtual environment for each Python system beside the portal, made once and kept."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent


def ensure(name: str, cache: Path) -> Path:
    """The interpreter of the environment called `name`, made when it is missing or outdated.

    Its locked requirements are benchmarks/<name>/requirements.txt.
    """
    requirements = HERE / name / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    folder = cache / name
    python = folder / "bin" / "python"
    mark = folder / "made-from"
    if python.exists() and mark.exists() and mark.read_text() == digest:
        return python
    if folder.exists():
        shutil.rmtree(folder)
    venv.create(folder, with_pip=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    command = [*pip, "--require-hashes", "-r", str(requirements)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise OSError(f"could not install {requirements}:\n{done.stderr.strip()[-2000:]}")
    mark.write_text(digest)
    return python


def version(python: Path, package: str) -> str:
    """The installed version of a package in that environment."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run(
        [str(python), "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()
