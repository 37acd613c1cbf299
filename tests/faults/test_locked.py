"""A database that is held is told as busy, and works again as soon as it is let go."""

from __future__ import annotations

from faults.locked import SECONDS, Held
from live.fixtures import IS_FULL, live_portal


def test_uploads_to_a_held_database_are_stored_or_told_to_wait(own_database: str) -> None:
    with live_portal(own_database) as portal:
        held = Held(portal)
        held.begin()
        if IS_FULL:
            held.everything()
        else:
            held.by_another_program()
        assert not held.witness.found.broken, held.answers
        assert 503 in held.answers, "it was not held long enough to be noticed"
        assert held.slowest < 2 * SECONDS, "somebody was kept waiting"
