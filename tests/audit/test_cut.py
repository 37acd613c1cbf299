"""A log that lost its end is noticed, also after it has grown again."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from conftest import Browser
from portal import audit
from portal.audit import reading
from portal.extensions import db


def _cut(app: Flask, events: int) -> None:
    """What somebody with the database's file in hand can do."""
    with app.app_context(), db.engine.begin() as connection:
        if db.engine.dialect.name != "sqlite":
            pytest.skip("there the owner of the tables alone can take the trigger away")
        connection.execute(text("DROP TRIGGER audit_events_no_delete"))
        seq = connection.execute(text("SELECT max(seq) FROM audit_events")).scalar_one() - events
        connection.execute(text("DELETE FROM audit_events WHERE seq > :seq"), {"seq": seq})
        connection.execute(
            text(
                "UPDATE audit_head SET seq = :seq,"
                " hash = (SELECT hash FROM audit_events WHERE seq = :seq)"
            ),
            {"seq": seq},
        )


def test_end_cut_off_is_noticed_after_the_log_has_grown_again(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    for _ in range(3):
        alice.get(deed["download_url"])
    with app.app_context():
        assert reading.verify_live().ok
    _cut(app, 2)
    for _ in range(5):
        assert alice.get(deed["download_url"]).status_code == 200
    with app.app_context():
        verdict = reading.verify_live()
        assert not verdict.ok
        assert reading.is_behind()
        assert audit.record_alone(audit.Action.AUDIT_EXPORTED) is None
        assert reading.verify_live().problem == verdict.problem
