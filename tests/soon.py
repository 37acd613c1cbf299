"""Waiting for what other processes and threads do."""

from __future__ import annotations

import time
from collections.abc import Callable


def soon(is_true: Callable[[], object], seconds: float = 20) -> bool:
    """Whether it becomes true within so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_true():
            return True
        time.sleep(0.05)
    return False
