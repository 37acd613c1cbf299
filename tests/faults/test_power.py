"""A power cut after the answer takes nothing back."""

from __future__ import annotations

import os
import random

import pytest

from faults.needs import or_skipped
from faults.power import house
from faults.tracing import check_can_trace
from live.fixtures import IS_FULL

SEED = int(os.environ.get("PORTAL_TEST_SEED") or random.randrange(10**6))


@pytest.fixture(autouse=True)
def _on_sqlite(database_kind: str) -> None:
    """What PostgreSQL has committed is PostgreSQL's promise, and the files are the same."""
    if database_kind != "sqlite":
        pytest.skip("the power is cut in the tests on SQLite")


@or_skipped
def test_what_was_acknowledged_survives_power_loss_whole() -> None:
    with house(SEED) as home:
        home.begin()
        for _ in range(10 if IS_FULL else 2):
            for _ in range(9 if IS_FULL else 1):
                home.upload_until_dark()
            home.delete_until_dark()
        home.witness.clean_up()
        assert not home.witness.found.broken, f"PORTAL_TEST_SEED={SEED}"


@or_skipped
def test_power_cuts_show_a_sync_that_is_missing() -> None:
    check_can_trace()
    with house(SEED) as home:
        home.begin()
        found = home.witness.found
        home.upload_without("fsync", directories=True)
        assert found.partial, "a name nobody synced outlived the power cut"
        found.partial.clear()
        home.upload_without("fdatasync")
        assert found.lost, "a row nobody synced outlived the power cut"
