"""The background worker: a process of its own that does what is in the queue and on the clock."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from portal.config import Settings
from portal.documents import integrity, resorting
from portal.errors import PortalError
from portal.extensions import db
from portal.jobs import giving_way, heartbeat, priority
from portal.lifeline import die_with, leave_network
from portal.mail import delivery
from portal.previews import making
from portal.scanning import scanner, waiting
from portal.scanning.clamd import ScannerAway
from portal.search import indexing

log = logging.getLogger(__name__)

#: How often the worker says that it is alive.
BEAT_SECONDS = 15
#: How often the worker looks for mails to send.
MAIL_SECONDS = 1
#: How long it leaves the mails alone after the database could not be asked.
MAIL_PAUSE_SECONDS = 30
#: How often each scanning thread looks for something to scan, and how many there are: two large
#: files keep no small one waiting, and clamd has ten threads itself.
SCAN_SECONDS = 1.0
SCANS_AT_ONCE = 4
#: How long they leave the documents alone after the scanner or the database did not answer.
SCAN_PAUSE_SECONDS = 5.0
#: How often it is looked for documents from the time before there was a scanner.
OLDER_SECONDS = 600
#: How often the worker looks for stored files to verify, and after what trouble it waits how long.
VERIFY_SECONDS = 60.0
VERIFY_PAUSE_SECONDS = 600.0
#: How often each reading thread looks for something to index, and how many there are: a scan that
#: takes minutes keeps nothing else waiting.
INDEX_SECONDS = 1.0
INDEXERS = 2
INDEX_PAUSE_SECONDS = 10.0
#: How often the worker looks for something to draw, and its pause after trouble. One thread: each
#: document costs a process of its own, and the machine has other things to do.
DRAW_SECONDS = 1.0
DRAW_PAUSE_SECONDS = 30.0
#: After each batch of names put in another order, everybody else has this many times as long as it
#: took, and at least so many seconds.
SORT_SHARE = 4
SORT_SECONDS = 0.05
SORT_PAUSE_SECONDS = 30.0
#: How long the task in hand may take to finish once the worker was told to stop.
STOP_SECONDS = 30
#: One that dies at once is started again after this pause at most.
LONGEST_PAUSE_SECONDS = 10
#: One that lived this long did not die at once.
LONG_LIFE_SECONDS = 60


def work(app: Flask, parent: int | None = None) -> None:
    """Work until SIGTERM (or, alone, Ctrl-C), finish the task in hand, and return.

    With `parent`, the process that started this one, it ends when that ends.
    """
    with _nothing_named("psycopg"):  # huey would load it, in case the queue were in PostgreSQL
        from huey.consumer import Consumer

    from portal.jobs import clock
    from portal.jobs.queue import open_queue

    if parent is not None:
        die_with(parent)
        leave_network()
        giving_way.begin(parent)
    stop = threading.Event()
    _obey(stop, parent)
    settings: Settings = app.extensions["settings"]
    logger = logging.getLogger("huey")
    logger.handlers[:] = logging.getLogger("portal").handlers
    logger.setLevel(logging.WARNING)
    queue = open_queue(settings)
    clock.set_clock(queue, app)
    consumer = Consumer(queue, workers=1, max_delay=1, shutdown_timeout=STOP_SECONDS)
    consumer.start()
    _obey(stop, parent)  # again: huey has put its own handlers there
    # A thread of its own: a slow mail server keeps no other work waiting, nor the other way round.
    postman = threading.Thread(target=_carry_mail, args=(app, settings, stop), name="postman")
    postman.start()
    scanners = [
        threading.Thread(target=_scan, args=(app, settings, stop, number), name=f"scanner {number}")
        for number in range(SCANS_AT_ONCE if settings.clamd_url else 0)
    ]
    verifier = threading.Thread(target=_verify, args=(app, settings, stop), name="verifier")
    indexers = [
        threading.Thread(target=_index, args=(app, stop, number), name=f"indexer {number}")
        for number in range(INDEXERS)
    ]
    illustrator = threading.Thread(target=_draw, args=(app, settings, stop), name="illustrator")
    sorter = threading.Thread(target=_sort, args=(app, settings, stop), name="sorter")
    workers = (*scanners, *indexers, verifier, illustrator, sorter)
    for each in workers:
        each.start()
    while True:
        heartbeat.beat(settings.instance_dir)
        if stop.wait(BEAT_SECONDS):
            break
        consumer.check_worker_health()
    consumer.stop(graceful=True)
    for each in (postman, *workers):
        each.join(STOP_SECONDS)
    heartbeat.stop(settings.instance_dir)


def _repeat(
    app: Flask,
    stop: threading.Event,
    act: Callable[[], float | None],
    waiting: str,
    *,
    first: float = 0,
    pause_after_trouble: float,
) -> None:
    """Have `act` done until told to stop; it answers after how many seconds once more, or None.

    `waiting` is what has to wait where it fails, in words for the log.
    """
    pause: float | None = first
    while pause is not None and not stop.wait(pause):
        with app.app_context():
            try:
                pause = act()
            except (PortalError, SQLAlchemyError) as error:
                log.warning("%s: %s", waiting, type(error).__name__)
                pause = pause_after_trouble
            except Exception:
                log.exception(waiting)
                pause = pause_after_trouble
            finally:
                db.session.remove()


def _carry_mail(app: Flask, settings: Settings, stop: threading.Event) -> None:
    """Send what waits to be sent, until told to stop.

    The table of mails is the queue: a mail is in it exactly if the change it tells about is kept,
    and whichever worker of whichever machine comes first takes it.
    """

    def carry() -> float:
        delivery.deliver_due(settings, stop)
        return MAIL_SECONDS

    _repeat(app, stop, carry, "the mails have to wait", pause_after_trouble=MAIL_PAUSE_SECONDS)


def _scan(app: Flask, settings: Settings, stop: threading.Event, number: int) -> None:
    """Scan what waits for it, until told to stop; the first of these threads looks for more."""
    is_away = False
    older = _Older() if number == 0 else None

    def scan() -> float:
        nonlocal is_away
        try:
            scanner.scan_due(settings, stop)
        except ScannerAway as error:
            if not is_away:
                log.warning("documents wait for the scanner. %s", error)
            is_away = True
            return SCAN_PAUSE_SECONDS
        if is_away:
            log.info("the scanner is back")
            is_away = False
        return 0 if older is not None and older.look() else SCAN_SECONDS

    _repeat(
        app,
        stop,
        scan,
        "documents wait to be scanned",
        # One after the other: together they look four times a second.
        first=SCAN_SECONDS * number / SCANS_AT_ONCE,
        pause_after_trouble=SCAN_PAUSE_SECONDS,
    )


def _verify(app: Flask, settings: Settings, stop: threading.Event) -> None:
    """Hash what is stored again, as the setting says, until told to stop."""
    priority.step_back()

    def rest(seconds: float) -> None:
        if stop.wait(seconds):
            raise integrity.Stopped

    def verify() -> float:
        try:
            return 0 if integrity.verify_some(settings, rest) else VERIFY_SECONDS
        except integrity.Stopped:
            return 0

    _repeat(
        app,
        stop,
        verify,
        "stored files wait to be verified",
        pause_after_trouble=VERIFY_PAUSE_SECONDS,
    )


def _index(app: Flask, stop: threading.Event, number: int) -> None:
    """Read what waits to be found by what it holds, until told to stop."""

    def index() -> float:
        indexing.index_due(stop)
        return INDEX_SECONDS

    _repeat(
        app,
        stop,
        index,
        "documents wait to be searched",
        first=INDEX_SECONDS * number / INDEXERS,
        pause_after_trouble=INDEX_PAUSE_SECONDS,
    )


def _draw(app: Flask, settings: Settings, stop: threading.Event) -> None:
    """Draw what waits for a picture, until told to stop."""
    looker = making.Looker()

    def draw() -> float:
        more = looker.look()
        making.draw_due(settings, stop, looker)
        return 0 if more else DRAW_SECONDS

    _repeat(app, stop, draw, "pictures have to wait", pause_after_trouble=DRAW_PAUSE_SECONDS)


def _sort(app: Flask, settings: Settings, stop: threading.Event) -> None:
    """Put names in the order of the settings where they are in another one, then end.

    It keeps its priority: while it writes, others may be waiting for their turn.
    """
    has_begun = False

    def put_in_order() -> float | None:
        nonlocal has_begun
        began = time.monotonic()
        more = resorting.go_on(settings) if has_begun else resorting.begin(settings)
        has_begun = True
        return max(SORT_SECONDS, SORT_SHARE * (time.monotonic() - began)) if more else None

    _repeat(
        app,
        stop,
        put_in_order,
        "names wait to be put in another order",
        pause_after_trouble=SORT_PAUSE_SECONDS,
    )


class _Older:
    """Goes through the versions from the time before there was a scanner, again and again."""

    def __init__(self) -> None:
        self._after_id = 0
        self._next_at = 0.0

    def look(self) -> bool:
        """Put some more into the queue; answers whether there were any."""
        if time.monotonic() < self._next_at:
            return False
        last = waiting.enqueue_older(self._after_id)
        if last is None:
            self._after_id, self._next_at = 0, time.monotonic() + OLDER_SECONDS
            return False
        self._after_id = last
        return True


@contextmanager
def _nothing_named(module: str) -> Iterator[None]:
    """Let `module` be missing while another one is imported; one that is loaded already stays."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


def _obey(stop: threading.Event, parent: int | None) -> None:
    """Have the signals that end a process set `stop`."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Ctrl-C and the end of a terminal reach every process; the parent stops this one.
        is_for_parent = parent is not None and number != signal.SIGTERM
        signal.signal(number, signal.SIG_IGN if is_for_parent else lambda *_: stop.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGHUP})


@contextmanager
def beside(app: Flask) -> Iterator[None]:
    """Keep a worker running in a process of its own for as long as the block lasts.

    One that dies is started again, after ever longer pauses if it dies at once. It is forked:
    see `lifeline.prepare_to_fork`.
    """
    stop, started = threading.Event(), threading.Event()
    keeper = threading.Thread(target=_keep, args=(app, stop, started), name="worker keeper")
    keeper.start()
    started.wait()  # a fork beside a server that is just being made would copy half of it
    try:
        yield
    finally:
        stop.set()
        keeper.join()


def _keep(app: Flask, stop: threading.Event, started: threading.Event) -> None:
    # The child inherits this: Ctrl-C while it is starting would end it with a traceback.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    pause = 0
    while not stop.wait(pause):
        began = time.monotonic()
        process = multiprocessing.Process(
            target=work, args=(app, os.getpid()), name="portal worker"
        )
        process.start()
        started.set()
        while process.is_alive() and not stop.wait(0.2):
            pass
        if process.is_alive():
            process.terminate()
            process.join(STOP_SECONDS + 5)
            process.kill()
            process.join()
            return
        lived_long = time.monotonic() - began > LONG_LIFE_SECONDS
        pause = 1 if lived_long else min(2 * pause or 1, LONGEST_PAUSE_SECONDS)
        if not stop.is_set():
            code = process.exitcode
            log.error("the background worker ended (%s); the next starts in %d s", code, pause)
