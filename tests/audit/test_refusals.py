"""Refusals a stranger can cause at will: the first are written, the others counted, none lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from conftest import Browser
from portal import audit
from portal.audit import reading, refusals
from portal.audit.journal import Origin, acting
from portal.audit.refusals import WRITTEN
from portal.models import utcnow
from stage import at_once, events

COUNTED = "access.refusals_counted"


@pytest.fixture
def clock(time_machine: Any) -> Iterator[Any]:
    start = utcnow()
    time_machine.move_to(start, tick=False)

    def later(**how_long: float) -> None:
        time_machine.move_to(start + timedelta(**how_long), tick=False)

    return later  # type: ignore[return-value]


def refuse(app: Flask, times: int = 1, address: str = "192.0.2.1", email: str = "a@b.org") -> None:
    with app.app_context(), acting(Origin("visitor", address, "Firefox")):
        for _ in range(times):
            audit.record_refusal(audit.Action.SIGN_IN_REFUSED, email=email, reason="throttled")


def altogether(app: Flask) -> int:
    """How many refusals the log tells of."""
    return len(events(app, "session.refused")) + sum(
        event.detail["count"] for event in events(app, COUNTED)
    )


def test_first_ones_are_written_as_they_are(app: Flask, clock: Any) -> None:
    refuse(app, WRITTEN)
    written = events(app, "session.refused")
    assert len(written) == WRITTEN
    assert written[0].detail == {"email": "a@b.org", "reason": "throttled"}


def test_those_that_follow_are_counted_and_written_once_a_minute(
    app: Flask, visitor: Browser, clock: Any
) -> None:
    refuse(app, WRITTEN + 30)
    refuse(app, 12, email="c@d.org")
    assert len(events(app)) == WRITTEN
    clock(seconds=59)
    visitor.get("/healthz")
    assert len(events(app)) == WRITTEN
    clock(seconds=60)
    visitor.get("/healthz")
    (count,) = events(app, COUNTED)
    assert (count.actor, count.detail["count"]) == ("visitor", 42)
    assert count.detail["kinds"] == {"session.refused: throttled": 42}
    assert count.detail["accounts"] == {"a@b.org": 30, "c@d.org": 12}
    assert altogether(app) == WRITTEN + 42
    visitor.get("/healthz")
    assert len(events(app, COUNTED)) == 1


def test_count_says_where_from(app: Flask, visitor: Browser, clock: Any) -> None:
    refuse(app, WRITTEN + 1, "192.0.2.7")
    clock(minutes=2)
    visitor.get("/healthz")
    with app.app_context():
        (line,), _ = reading.page(reading.Filters(action=COUNTED))
    assert (line.address, line.sentence) == (
        "192.0.2.7",
        "Was refused 1 times more from the same address",
    )


def test_addresses_are_counted_apart_and_an_ipv6_network_as_one(
    app: Flask, visitor: Browser, clock: Any
) -> None:
    for number in range(WRITTEN + 5):
        refuse(app, 1, f"2001:db8::{number:x}")
    refuse(app, 3, "192.0.2.2")
    assert len(events(app, "session.refused")) == WRITTEN + 3
    clock(minutes=1)
    visitor.get("/healthz")
    assert [event.detail["count"] for event in events(app, COUNTED)] == [5]


def test_after_the_window_refusals_are_written_again(
    app: Flask, visitor: Browser, clock: Any
) -> None:
    refuse(app, WRITTEN + 5)
    clock(minutes=14)
    refuse(app, 5)
    assert len(events(app, "session.refused")) == WRITTEN
    clock(minutes=16)
    visitor.get("/healthz")
    refuse(app, 5)
    assert len(events(app, "session.refused")) == WRITTEN + 5
    assert altogether(app) == WRITTEN + 15


def test_none_is_lost_when_many_come_at_once(app: Flask) -> None:
    at_once(16, lambda _number: refuse(app, 25))
    refusals.write_counts(app)
    assert len(events(app, "session.refused")) == WRITTEN
    assert altogether(app) == 16 * 25
    refusals.write_counts(app)
    assert altogether(app) == 16 * 25


def test_count_names_a_bounded_number_of_accounts(app: Flask) -> None:
    refuse(app, WRITTEN)
    for number in range(300):
        refuse(app, 1, email=f"person{number}@example.org")
    refusals.write_counts(app)
    (count,) = events(app, COUNTED)
    assert (count.detail["count"], count.detail["other_accounts"]) == (300, 280)
    assert len(count.detail["accounts"]) == 20


def test_addresses_that_are_forgotten_leave_their_counts(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "_REMEMBERED", 30)
    refuse(app, WRITTEN + 4, "192.0.2.1")
    for number in range(40):
        refuse(app, 1, f"198.51.100.{number}")
    assert [event.detail["count"] for event in events(app, COUNTED)] == [4]
    assert len(app.extensions["refusals"]._places) <= 31


def test_guessing_visitor_fills_no_log(app: Flask, visitor: Browser) -> None:
    token = visitor.token()
    data = {"email": "nobody@example.org", "password": "a wrong guess", "csrf_token": token}
    statuses = [visitor.client.post("/login", data=data).status_code for _ in range(100)]
    assert statuses == [401] * 10 + [429] * 90
    refusals.write_counts(app)
    assert len(events(app)) == 10 + WRITTEN + 1
    assert altogether(app) == 100


def test_trying_made_up_links_fills_no_log(app: Flask, visitor: Browser) -> None:
    for number in range(100):
        assert visitor.get(f"/s/made-up-{number}").status_code == 404
    refusals.write_counts(app)
    assert len(events(app)) == WRITTEN + 1
    (count,) = events(app, COUNTED)
    assert count.detail["kinds"] == {"share_link.refused: unknown": 80}


def test_throttled_tries_at_a_link_are_in_the_log(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed, password="open sesame")
    for _ in range(12):
        visitor.post(link["path"], {"password": "a wrong guess"})
    reasons = [event.detail["reason"] for event in events(app, "share_link.refused")]
    assert reasons == ["wrong password"] * 10 + ["throttled"] * 2
    assert {event.owner for event in events(app, "share_link.refused")} == {"alice@example.org"}
