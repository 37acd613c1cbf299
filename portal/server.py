"""The production server: granian, embedded, one process for each core.

`serve` blocks until SIGTERM or Ctrl-C, lets requests in flight finish, and returns.
"""

from __future__ import annotations

import functools
import logging
import multiprocessing
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.util import Finalize
from types import FrameType
from typing import TYPE_CHECKING, Any

from portal import memory  # before granian

# isort: split
from flask import Flask
from granian import _signals
from granian._granian import WorkerSignal
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from portal import cores, stalled
from portal.audit import refusals
from portal.lifeline import die_with
from portal.storage.pace import SMALL_BYTES

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from multiprocessing.synchronize import Event

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

#: Threads a process may have for requests; made on demand, gone when idle. A slow upload or
#: download holds one for as long as it lasts.
THREADS = 512
#: Connections a process keeps, idle ones included. At granian's default (1024 for all
#: processes) a thousand idle connections would shut everybody else out.
CONNECTIONS = 8192
#: What a connection may buffer. A body comes in pieces of this size at most, and each has its
#: cost; granian holds up to 16 pieces of an answer, so for slow readers those must be small.
BUFFER_BYTES = 128 * 1024
#: How long requests in flight may take to finish once the server was told to stop.
STOP_SECONDS = 30
#: How long the rest of a refused upload is read after the answer went out.
DRAIN_SECONDS = 10
#: How long a request waits at most for the server to be open.
OPENING_SECONDS = 5
#: A process that lived shorter than this failed at starting; the next try waits, ever longer.
YOUNG_SECONDS = 10
LONGEST_PAUSE_SECONDS = 3


class CannotServe(Exception):
    """The server cannot start; the text is one line with the cure."""


def serve(
    app: Flask,
    host: str,
    port: int,
    workers: int | None = None,
    when_ready: Callable[[], None] | None = None,
) -> None:
    """Serve the portal on `host` and `port` until told to stop.

    Its processes are forked: call `lifeline.prepare_to_fork` first.
    `when_ready` is called once, when connections are accepted and before any is answered.
    Raises `CannotServe` where the address is taken or cannot be had, and where the
    processes do not come up.
    """
    address, port = reserve(host, port)
    _raise_open_files_limit()
    opened = multiprocessing.Event()
    server = _Server(address, port, workers or os.cpu_count() or 1, opened, when_ready)
    load = functools.partial(worker_application, app, os.getpid(), opened, port)
    try:
        server.serve(target_loader=load, wrap_loader=False)
    except SystemExit:  # one process had ended by itself while all were being stopped
        log.debug("a process did not wait to be stopped")
    if server.has_given_up:
        raise CannotServe("The server does not come up; what was logged above says why.")


def reserve(host: str, port: int) -> tuple[str, int]:
    """Return the numeric address and the port to serve on; port 0 picks a free one.

    Raises `CannotServe` if another program listens there: the processes share their port
    among themselves (SO_REUSEPORT), so the system would not refuse a second portal on it.
    """
    if not 0 <= port <= 65535:
        raise CannotServe(f"There is no port {port}; choose one from 1024 to 65535.")
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            probe.listen(1)
            address, free_port = probe.getsockname()[:2]
            return str(address), int(free_port)
    except socket.gaierror as error:
        raise CannotServe(f"{host} is no address of this machine; choose another.") from error
    except PermissionError as error:
        raise CannotServe(f"Port {port} is the system's; choose one above 1023.") from error
    except OSError as error:
        raise CannotServe(
            f"{host}:{port} cannot be used ({error.strerror}); stop what runs there"
            " or choose another --port."
        ) from error


def worker_application(
    app: Flask, parent: int, opened: Event, port: int, number: int
) -> WSGIApplication:
    """Have a process of its own, the `number`th, which ends when `parent` ends, answer with `app`.

    It answers nobody before `opened` is set: whoever can reach the portal can then rely on
    its address, and the link of the first start, having been shown.
    """
    # Ctrl-C and the end of a terminal reach every process; it is the parent that stops this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a forked one has the parent's handler
    die_with(parent)
    _signals.set_sync_signals = _stop_signal
    memory.configure()
    cores.choose_home(number)
    _log_like_the_portal()
    stalled.Watch(port).start()
    # What is counted in memory is written when this process is stopped.
    Finalize(None, refusals.write_counts, args=(app,), exitpriority=1)
    # granian copies the environment into every request, where secrets do not belong and a
    # variable HTTP_… would look like a header. The settings have been read.
    for name in [
        name for name in os.environ if name.startswith(("PORTAL_", "HTTP_", memory.ALLOCATOR))
    ]:
        del os.environ[name]
    return Opened(opened, Drained(cores.Homely(InOnePiece(app))))


class Opened:
    """Lets requests wait until the server is open."""

    def __init__(self, opened: Event, application: WSGIApplication) -> None:
        self._opened = opened
        self._is_open = False
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not self._is_open:
            self._opened.wait(OPENING_SECONDS)
            self._is_open = True
        return self._application(environ, start_response)


class InOnePiece:
    """Hands a small answer over whole: to pull it piece by piece costs more than to send it."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        is_small = False

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            nonlocal is_small
            length = next((value for name, value in headers if name == "Content-Length"), None)
            is_small = length is not None and int(length) <= SMALL_BYTES
            return start_response(status, headers, *exc_info)

        answer = self._application(environ, start)
        # The answer to HEAD names a length that it does not have.
        if not is_small or environ["REQUEST_METHOD"] == "HEAD":
            return answer
        try:
            return [b"".join(answer)]
        finally:
            if close := getattr(answer, "close", None):
                close()


class Drained:
    """Reads what is left of a request's body, once its answer has been sent.

    A page may answer without reading the body: a visitor who uploads is sent to sign in. The
    server would then cut the connection while the client is still sending, and most clients
    report that as an error and never show the answer. Whoever stops sending, having got it, is
    told to end the connection, and does not wait for the server to do so.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH", "0")
        has_body = length != "0" or "HTTP_TRANSFER_ENCODING" in environ
        is_small = length.isdecimal() and 0 < int(length) <= SMALL_BYTES

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            if has_body and not is_small and not status.startswith("2"):
                headers = [*headers, ("Connection", "close")]
            return start_response(status, headers, *exc_info)

        answer = self._application(environ, start)
        # Who expects a 100 has not sent the body yet and, having got the answer, will not.
        if has_body and "HTTP_EXPECT" not in environ:
            return _Draining(answer, environ["wsgi.input"])
        return answer


class _Draining:
    def __init__(self, answer: Iterable[bytes], body: Any) -> None:
        self._answer = answer
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)

    def close(self) -> None:
        close = getattr(self._answer, "close", None)
        try:
            if close is not None:
                close()
        finally:
            deadline = time.monotonic() + DRAIN_SECONDS
            while self._body.read(BUFFER_BYTES) and time.monotonic() < deadline:
                pass


class _Server(MPServer):
    """granian with our figures, and its own way of replacing processes that died."""

    def __init__(
        self,
        address: str,
        port: int,
        workers: int,
        opened: Event,
        when_ready: Callable[[], None] | None,
    ) -> None:
        super().__init__(
            "portal:create_app",
            address=address,
            port=port,
            interface=Interfaces.WSGI,
            workers=workers,
            blocking_threads=THREADS,
            backpressure=CONNECTIONS,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(max_buffer_size=BUFFER_BYTES),
            websockets=False,
            # Its warnings are advice about the figures above; errors go where the portal's go.
            log_level=LogLevels.error,
            log_dictconfig={
                "handlers": {},
                "formatters": {},
                "loggers": {"_granian": {"propagate": True}},
            },
            respawn_failed_workers=True,
        )
        _log_like_the_portal()
        #: No process ever answered, so trying on is no use.
        self.has_given_up = False
        self._when_ready = when_ready
        self._opened = opened
        self._pause = 0
        self.on_startup(self._started)

    def _started(self) -> None:
        signal.signal(signal.SIGHUP, self.signal_handler_interrupt)  # to granian it means: reload
        threading.Thread(target=self._look_out, daemon=True).start()

    def _look_out(self) -> None:
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
        place = (reachable.get(self.bind_addr, self.bind_addr), self.bind_port)
        while True:
            try:
                socket.create_connection(place, timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        try:
            if self._when_ready:
                self._when_ready()
        finally:
            self._opened.set()

    def _stop_workers(self) -> None:
        """Tell every process to stop until it does; one that was just starting may not hear."""
        for worker in self.wrks:
            worker.interrupt_by_parent = True
        processes: list[BaseProcess] = [worker.inner for worker in self.wrks]
        deadline = time.monotonic() + STOP_SECONDS
        while running := [process for process in processes if process.is_alive()]:
            for process in running:
                if time.monotonic() < deadline:
                    process.terminate()
                else:
                    process.kill()
            running[0].join(0.2)
        self.wrks.clear()

    def _spawn_worker(  # type: ignore[override] # granian leaves the same argument out
        self, idx: int, target: Any, callback_loader: Callable[[int], WSGIApplication]
    ) -> Any:
        """Tell each process which one it is; whoever replaces it is the same one."""
        return super()._spawn_worker(idx, target, functools.partial(callback_loader, idx))

    def _respawn_workers(
        self,
        workers: list[int],  # noqa: ARG002 (who is dead is looked up at the last moment)
        spawn_target: Any,
        target_loader: Any,
        delay: float = 0,
    ) -> None:
        """Replace the processes that died, and never stop the others because of it.

        granian ends everything when one process dies twice in a row, and where two take
        turns at dying it replaces them without a pause.
        """
        if not self._opened.is_set():
            self.has_given_up = self.interrupt_signal = True
            self.main_loop_interrupt.set()
            return
        dead = [index for index, worker in enumerate(self.wrks) if not worker.inner.is_alive()]
        lived = min((time.monotonic() - self.wrks[index].birth for index in dead), default=0)
        grown = min(2 * self._pause or 1, LONGEST_PAUSE_SECONDS)
        self._pause = 0 if lived > YOUNG_SECONDS else grown
        deadline = time.monotonic() + self._pause
        while time.monotonic() < deadline and not self.interrupt_signal:
            time.sleep(0.1)
        if not self.interrupt_signal:
            super()._respawn_workers(dead, spawn_target, target_loader, delay)
            self.respawned_wrks.clear()


def _log_like_the_portal() -> None:
    """Have granian's own lines look like the portal's, and go where those go."""
    logger = logging.getLogger("_granian")
    logger.handlers[:] = logging.getLogger("portal").handlers
    logger.propagate = False


def _stop_signal() -> WorkerSignal:
    """Take granian's place in listening for SIGTERM, and listen once.

    Its own handler can hang when it is called a second time, as Ctrl-C (to every process)
    followed by the parent's SIGTERM does: the process would then have to be killed.
    """
    told = WorkerSignal()

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        told.set()

    signal.signal(signal.SIGTERM, stop)
    return told


def _raise_open_files_limit() -> None:
    """Allow as many open files as the system lets us: each connection and each document is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, 4 * CONNECTIONS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
