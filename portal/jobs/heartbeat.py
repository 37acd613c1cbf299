"""A sign of life: the worker touches a file, `doctor` and the admin pages look at its age."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

_NAME = "worker.alive"


def beat(instance_dir: Path) -> None:
    """Say that the worker is alive now."""
    path = instance_dir / _NAME
    path.touch(mode=0o600, exist_ok=True)


def stop(instance_dir: Path) -> None:
    """Say that the worker has ended by itself, as it was told."""
    (instance_dir / _NAME).unlink(missing_ok=True)


def age(instance_dir: Path) -> timedelta | None:
    """How long ago the worker said so; None where it never did."""
    try:
        return timedelta(seconds=max(0.0, time.time() - (instance_dir / _NAME).stat().st_mtime))
    except FileNotFoundError:
        return None
