"""The worker carries mail: within seconds, and to the end when it is told to stop."""

from __future__ import annotations

import time

from live.fixtures import live_portal, own_database
from live.running import LivePortal
from post_office import post_office
from soon import soon

__all__ = ["own_database"]

ALICE = "alice@example.org"


def forget_password(portal: LivePortal) -> None:
    visitor = portal.visitor()
    token = visitor.hidden("/forgot-password", "csrf_token")
    answer = visitor.post("/forgot-password", {"email": ALICE, "csrf_token": token})
    assert answer.status == 303


def test_without_a_mail_server_the_mail_is_in_the_outbox_within_seconds(own_database: str) -> None:
    with live_portal(own_database) as portal:
        portal.create_user(ALICE)
        portal.start()
        forget_password(portal)
        assert soon(lambda: list(portal.instance.glob("outbox/*-reset-*.eml")))


def test_mail_in_hand_is_sent_before_the_worker_stops(own_database: str) -> None:
    with post_office() as office:
        settings = {
            "PORTAL_SMTP_URL": f"smtp://127.0.0.1:{office.port}",
            "PORTAL_MAIL_FROM": "portal@example.org",
        }
        with live_portal(own_database, **settings) as portal:
            portal.create_user(ALICE)
            portal.start()

            def stop() -> None:
                office.before = lambda: None
                portal.terminate()
                time.sleep(1)

            office.before = stop
            forget_password(portal)
            assert portal.wait() == 0
            assert len(office.taken) == 1
            portal.start()
            time.sleep(3)
            assert len(office.taken) == 1, "it was sent once more"
            assert "Traceback" not in portal.last_words()
