"""Counting guesses: each against its own limit, none forgotten, none held against others."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.accounts import throttle
from portal.accounts.throttle import Limit
from portal.errors import TooManyTries
from portal.extensions import db
from portal.models import Throttle, utcnow
from stage import at_once

ALICE, BOB = throttle.for_account("alice@example.org"), throttle.for_account("bob@example.org")
SMALL = Limit("account", "small", 2, timedelta(minutes=1))


def tries(app: Flask, limit: Limit) -> int | None:
    with app.app_context():
        return db.session.scalar(select(Throttle.tries).where(Throttle.key == limit.key))


def test_try_counts_against_its_own_limits_alone(app: Flask) -> None:
    with app.app_context():
        throttle.count(ALICE, throttle.for_address("192.0.2.1"))
        throttle.count(ALICE)
    assert tries(app, ALICE) == 2
    assert tries(app, throttle.for_address("192.0.2.1")) == 1
    assert tries(app, BOB) is None


def test_limit_is_reached_after_its_tries_and_over_after_its_window(
    app: Flask, time_machine: Any
) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    with app.app_context():
        throttle.count(SMALL)
        time_machine.move_to(start + timedelta(seconds=30), tick=False)
        throttle.count(SMALL)
        with pytest.raises(TooManyTries) as caught:
            throttle.count(SMALL)
        assert caught.value.retry_after == 30
        time_machine.move_to(start + timedelta(seconds=59.9), tick=False)
        with pytest.raises(TooManyTries) as caught:
            throttle.count(SMALL)
        assert caught.value.retry_after == 1
        # A refused try does not make the wait longer.
        time_machine.move_to(start + timedelta(seconds=60), tick=False)
        throttle.count(SMALL)
    assert tries(app, SMALL) == 1


def test_refused_try_is_counted_nowhere(app: Flask) -> None:
    """Who is told to wait did not guess: the count of the address must not grow."""
    address = throttle.for_address("192.0.2.1")
    with app.app_context():
        for _ in range(SMALL.tries):
            throttle.count(SMALL, address)
        for _ in range(5):
            with pytest.raises(TooManyTries):
                throttle.count(SMALL, address)
    assert tries(app, address) == SMALL.tries


def test_success_gives_one_try_back_to_the_others_and_forgets_its_own(app: Flask) -> None:
    here, there = throttle.for_address("192.0.2.1"), throttle.for_address("192.0.2.2")
    with app.app_context():
        for _ in range(3):
            throttle.count(ALICE, here)
        throttle.count(BOB, there)
        throttle.forgive(ALICE, here)
    assert tries(app, ALICE) is None
    assert tries(app, here) == 2
    assert (tries(app, BOB), tries(app, there)) == (1, 1)


def test_no_try_is_given_back_that_was_not_made(app: Flask) -> None:
    here = throttle.for_address("192.0.2.1")
    with app.app_context():
        throttle.count(here)
        for _ in range(3):
            throttle.forgive(ALICE, here)
    assert tries(app, here) == 0


def test_tries_at_the_same_moment_are_all_counted(app: Flask) -> None:
    def count(_number: int) -> None:
        with app.app_context():
            throttle.count(throttle.for_address("192.0.2.1"))

    at_once(20, count)
    assert tries(app, throttle.for_address("192.0.2.1")) == 20


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("", "192.0.2.1", False),
        ("no address", "no address", True),
    ],
)
def test_whole_ipv6_network_is_one_address(one: str, other: str, same: bool) -> None:
    keys = throttle.for_address(one).key, throttle.for_address(other).key
    assert (keys[0] == keys[1]) == same


def test_kinds_do_not_mix() -> None:
    kinds = (
        throttle.for_account,
        throttle.for_address,
        throttle.for_app_passwords,
        throttle.for_link,
        throttle.for_tokens,
    )
    assert len({kind("x").key for kind in kinds}) == len(kinds)
