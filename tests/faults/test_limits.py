"""Limits of a process are told like a full disk, and nothing is half-done."""

from __future__ import annotations

from faults.limits import Limited
from live.fixtures import live_portal


def test_process_that_may_write_or_open_no_more_refuses_and_recovers(own_database: str) -> None:
    with live_portal(own_database) as portal:
        limited = Limited(portal)
        limited.begin()
        limited.everything()
        assert not limited.witness.found.broken, limited.answers
        assert 507 in limited.answers, limited.answers
