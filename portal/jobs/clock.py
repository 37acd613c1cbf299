"""What the worker does by the clock. Each task runs inside the app's context."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict

from flask import Flask, current_app
from huey import Huey, crontab

from portal.documents import housekeeping, resumable
from portal.extensions import db

log = logging.getLogger(__name__)


def set_clock(queue: Huey, app: Flask) -> None:
    """Have every periodic task done by the worker of `queue`, for `app`."""
    every_five_minutes = crontab(minute="*/5")
    queue.periodic_task(every_five_minutes, name="tidy")(_within(app, tidy))
    queue.periodic_task(crontab(), name="finish")(_within(app, finish_uploads))  # every minute
    queue.on_startup(name="finish")(_within(app, finish_uploads))


def tidy() -> None:
    """Remove what has had its time, and say so in the log if there was any."""
    purged = housekeeping.purge(current_app.extensions["settings"])
    removed = {name: count for name, count in asdict(purged).items() if count}
    if removed:
        counts = ", ".join(f"{count} {name}" for name, count in removed.items())
        log.info("removed what had its time: %s", counts)


def finish_uploads() -> None:
    """Store uploads that were whole when something was killed."""
    if finished := resumable.finish_whole(current_app.extensions["settings"]):
        log.info("stored %d uploads that were interrupted at their end", finished)


def _within(app: Flask, task: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        with app.app_context():
            try:
                task()
            finally:
                db.session.remove()

    return run
