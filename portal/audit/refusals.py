"""Refusals that anybody can cause as often as they like, without an account.

Each one as an event of its own would let a stranger fill the log, and the disk has to be waited
for each time. The first of an address are written as they are; those that follow are counted,
and the count is written about once a minute. Nothing is left out but the single moments.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from flask import Flask, current_app

from portal.addresses import network_of
from portal.audit.actions import Action
from portal.audit.journal import Origin, acting, iso, origin, record_alone
from portal.errors import Busy
from portal.models import utcnow

#: How many refusals of one address in one window are events of their own, in each process.
WRITTEN = 20
WINDOW = timedelta(minutes=15)
#: How long a count is kept in memory at most; what a crash loses is no older.
REPORTED_EVERY = timedelta(minutes=1)
#: Addresses a process remembers; beyond, the oldest are forgotten, their counts written.
_REMEMBERED = 10_000
#: Different accounts that one count names; the others are summed.
_NAMED = 20


@dataclass(slots=True)
class _Place:
    """What one address was refused lately."""

    began_at: datetime
    written: int = 0
    #: Since when, where from, and what of: only while there is a count.
    counted_since: datetime | None = None
    where: Origin = field(default_factory=Origin)
    kinds: Counter[str] = field(default_factory=Counter)
    accounts: Counter[str] = field(default_factory=Counter)


def record_refusal(
    action: Action,
    *,
    document: uuid.UUID | None = None,
    owner: str = "",
    reason: str,
    **detail: Any,
) -> None:
    """Note that a visitor was refused: as an event, or in the count of their address.

    Raises `Busy` as `record_alone` does.
    """
    refusals: _Refusals = current_app.extensions["refusals"]
    account = str(detail.get("email") or owner)
    if refusals.is_one_of_many(f"{action.value}: {reason}", account):
        return
    record_alone(action, document=document, owner=owner, reason=reason, **detail)


def write_counts(app: Flask) -> None:
    """Write every count that waits; for the end of a process."""
    with app.app_context():
        refusals: _Refusals = app.extensions["refusals"]
        refusals.write(lambda _place: True)


def init_app(app: Flask) -> None:
    """Write counts that are due at the next request, whoever makes it."""
    refusals = app.extensions["refusals"] = _Refusals()

    @app.before_request
    def write_what_is_due() -> None:
        if refusals.is_due():
            with suppress(Busy):  # they wait for a better moment; this request goes on
                refusals.write_due()


class _Refusals:
    """The refusals of the last minutes in this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        #: By network, the longest known first.
        self._places: dict[str, _Place] = {}
        self._due_at: datetime | None = None

    def is_one_of_many(self, kind: str, account: str) -> bool:
        """Whether the present address was refused often lately; then this one was counted."""
        here, now = origin.get(), utcnow()
        network = network_of(here.address)
        with self._lock:
            place = self._places.get(network)
            if place is None or (place.counted_since is None and now - place.began_at >= WINDOW):
                self._places.pop(network, None)
                place = self._places[network] = _Place(now)
            if place.written < WRITTEN:
                place.written += 1
                is_counted = False
            else:
                if place.counted_since is None:
                    place.counted_since = now
                    self._due_at = self._due_at or now + REPORTED_EVERY
                place.where = here
                place.kinds[kind] += 1
                place.accounts[account] += bool(account)
                is_counted = True
            is_full = len(self._places) > _REMEMBERED
        if is_full:
            self._forget_oldest()
        return is_counted

    def is_due(self) -> bool:
        return self._due_at is not None and utcnow() >= self._due_at

    def write_due(self) -> None:
        """Write what was counted for long enough."""
        before = utcnow() - REPORTED_EVERY
        self.write(lambda place: bool(place.counted_since and place.counted_since <= before))

    def write(self, is_wanted: Callable[[_Place], bool]) -> None:
        """Write the counts of the places that are wanted, one event each. Raises `Busy`."""
        with self._lock:
            taken = [
                place
                for place in self._places.values()
                if place.counted_since is not None and is_wanted(place)
            ]
            counts = [_take(place) for place in taken]
            left = [p.counted_since for p in self._places.values() if p.counted_since]
            self._due_at = min(left) + REPORTED_EVERY if left else None
        _write(counts)

    def _forget_oldest(self) -> None:
        with self._lock:
            oldest = [self._places.pop(key) for key in list(self._places)[: _REMEMBERED // 10]]
            counts = [_take(place) for place in oldest if place.counted_since is not None]
        with suppress(Busy):
            _write(counts)


@dataclass(frozen=True, slots=True)
class _Count:
    where: Origin
    detail: dict[str, Any]


def _take(place: _Place) -> _Count:
    """The count of a place, which begins anew."""
    since = place.counted_since or place.began_at
    named = dict(place.accounts.most_common(_NAMED))
    detail: dict[str, Any] = {
        "count": place.kinds.total(),
        "since": iso(since),
        "kinds": dict(place.kinds),
        "accounts": {account: count for account, count in named.items() if account},
        "other_accounts": max(0, len(place.accounts) - len(named)),
    }
    count = _Count(place.where, detail)
    place.counted_since = None
    place.kinds, place.accounts = Counter(), Counter()
    return count


def _write(counts: list[_Count]) -> None:
    for count in counts:
        with acting(count.where):
            record_alone(Action.REFUSALS_COUNTED, **count.detail)
