"""Work that rests in proportion."""

from __future__ import annotations

import time

import pytest

from portal.jobs.pace import Pace


def test_rest_is_so_many_times_as_long_as_the_work() -> None:
    rests: list[float] = []
    pace = Pace(rests.append, 7)
    time.sleep(0.02)
    pace.keep()
    assert rests[0] >= 7 * 0.02


def test_neither_rest_nor_what_is_left_out_counts_as_work() -> None:
    rests: list[float] = []

    def rest(seconds: float) -> None:
        rests.append(seconds)
        time.sleep(0.2)

    pace = Pace(rest, 1)
    pace.keep()
    pace.keep()
    time.sleep(0.2)
    pace.begin()
    pace.keep()
    assert max(rests) < 0.2


def test_what_rest_raises_ends_the_work() -> None:
    def rest(seconds: float) -> None:
        raise KeyError(seconds)

    with pytest.raises(KeyError):
        Pace(rest, 1).keep()
