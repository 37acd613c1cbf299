"""kill -9 at random moments loses nothing and shows nothing half-done."""

from __future__ import annotations

import os
import random

from faults.crashes import Storm
from live.fixtures import IS_FULL, live_portal


def test_what_was_acknowledged_survives_kill_9_whole(module_database: str) -> None:
    seed = int(os.environ.get("PORTAL_TEST_SEED") or random.randrange(10**6))
    with live_portal(module_database) as portal:
        figures = Storm(portal, seed).run(300 if IS_FULL else 6)
        said = f"PORTAL_TEST_SEED={seed}\n" + "\n".join([*figures.lines(), *figures.broken])
        assert not figures.broken, said
        assert figures.acknowledged > figures.kills, said
        assert figures.cut_off > 0, said
