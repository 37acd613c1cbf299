"""kill -9 at random moments loses nothing and shows nothing half-done."""

from __future__ import annotations

import os
import random

from faults.crashes import Storm
from live.fixtures import IS_FULL, live_portal


def test_what_was_acknowledged_survives_kill_9_whole(module_database: str) -> None:
    seed = int(os.environ.get("PORTAL_TEST_SEED") or random.randrange(10**6))
    with live_portal(module_database) as portal:
        storm = Storm(portal, seed)
        storm.run(300 if IS_FULL else 6)
        figures = storm.figures()
        said = f"PORTAL_TEST_SEED={seed}\n{figures}\n" + "\n".join(storm.broken)
        assert not storm.broken, said
        assert figures["acknowledged"] > storm.kills, said
        assert figures["cut off"] > 0, said
