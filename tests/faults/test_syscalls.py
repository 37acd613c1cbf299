"""Every system call that changes files may be the last one, or may fail, and nothing is lost."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator

import pytest

from faults.needs import or_skipped
from faults.syscalls import ACTS, ERRORS, Bench, spread, until_done
from live.fixtures import IS_FULL, live_portal

SEED = int(os.environ.get("PORTAL_TEST_SEED") or random.randrange(10**6))


@pytest.fixture(scope="module")
def bench(module_database: str) -> Iterator[Bench]:
    """A portal to break acts on; what was found is looked at when all is done."""
    with live_portal(module_database) as portal:
        yield Bench(portal, SEED)


@or_skipped
def test_kill_9_at_any_call_of_an_upload_or_a_delete_loses_nothing(bench: Bench) -> None:
    bench.begin()
    chance = random.Random(SEED)
    for number, act in enumerate(ACTS):
        if IS_FULL:
            assert until_done(lambda at, act=act: bench.kill_at(act, at, alone=at % 5 == 0)) > 1
            continue
        for at in spread(bench.length(act), 1, chance):
            bench.kill_at(act, at, alone=number % 4 == 3)
    if IS_FULL:
        assert until_done(bench.kill_removal_at) > 1
    else:
        for at in spread(20, 1, chance):
            bench.kill_removal_at(at)
    assert bench.points, f"PORTAL_TEST_SEED={SEED}"
    bench.witness.clean_up()
    assert not bench.witness.found.broken, f"PORTAL_TEST_SEED={SEED} {bench.points}"


@or_skipped
def test_no_failing_call_of_an_upload_or_a_delete_is_answered_as_done(bench: Bench) -> None:
    bench.begin()
    chance = random.Random(SEED)
    for act, error in itertools.product(ACTS, ERRORS):
        if IS_FULL:
            assert until_done(lambda at, act=act, error=error: bench.fail_at(act, at, error)) > 1
            continue
        for at in spread(bench.length(act), 2, chance):
            bench.fail_at(act, at, error)
    bench.witness.clean_up()
    assert not bench.witness.found.broken, f"PORTAL_TEST_SEED={SEED}"
