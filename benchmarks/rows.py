"""The rows of the table: what is measured, and how, with any one system."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.pool import AsyncResult, Pool
from pathlib import Path
from typing import TypeVar

import clients
from plan import Plan
from processes import Watch
from systems import System
from wire import Target

WRK_SCRIPT = Path(__file__).resolve().parent / "wrk_report.lua"
MB = 1_000_000

Figures = dict[str, float]
Result = TypeVar("Result")


class MeasuringError(Exception):
    """A figure that could not be had; the text says why."""


@dataclass(frozen=True)
class Metric:
    """One figure of a row."""

    key: str
    title: str
    higher_is_better: bool = False
    digits: int = 1
    worst: bool = False  # report the worst round instead of the median


@dataclass
class Bench:
    """What every row needs: the plan, the source file, and processes for the load clients."""

    plan: Plan
    source: Path
    pool: Pool
    kept: dict[tuple[str, int], str] = field(default_factory=dict)
    _names: int = 0

    def fresh_name(self) -> str:
        """A file name that was not used before."""
        self._names += 1
        return f"document-{self._names:06}.bin"

    def run(self, client: Callable[..., Result], *arguments: object) -> Result:
        """Run a load client in a process of its own and wait for it, but not for ever."""
        return self.start(client, *arguments).get(timeout=self.plan.patience * 2)

    def start(self, client: Callable[..., Result], *arguments: object) -> AsyncResult[Result]:
        """Run a load client in a process of its own and go on."""
        return self.pool.apply_async(client, arguments)

    def path(self, system: System, size: int) -> str:
        """Where that system keeps the file of that size which `prepare` gave it."""
        return self.kept[system.label, size]


@dataclass(frozen=True)
class Row:
    """One line of the plan: a name, what it shows, its figures, and how to get them."""

    name: str
    title: str
    metrics: tuple[Metric, ...]
    measure: Callable[[Bench, System], Figures]


def prepare(bench: Bench, system: System) -> None:
    """Give a system the files that the rows download, and check that they come back whole."""
    plan = bench.plan
    for size in (plan.large_bytes, plan.medium_bytes, plan.small_bytes):
        name = bench.fresh_name()
        form = system.upload(name)
        answered = bench.run(clients.upload, form, bench.source, size, plan.patience)
        path = system.download_path(name, answered.body)
        _check_whole(system, path, bench.source, size)
        bench.kept[system.label, size] = path
    small = system.target(bench.path(system, plan.small_bytes))
    bench.run(clients.probe, small, 50, 1.0, plan.probe_patience)


def _check_whole(system: System, path: str, source: Path, size: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", system.port, timeout=60)
    cookie = system.target(path).cookie
    connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
    response = connection.getresponse()
    received = 0
    digest, expected = hashlib.sha256(), hashlib.sha256()
    with source.open("rb") as file:
        # The upload client makes the first bytes new each time.
        received += len(response.read(16))
        file.seek(16)
        while data := response.read(MB):
            received += len(data)
            digest.update(data)
            expected.update(file.read(len(data)))
    connection.close()
    if response.status != 200 or received != size or digest.digest() != expected.digest():
        raise MeasuringError(
            f"{path} answered {response.status} with {received} of {size} bytes, or other ones"
        )


def _download(bench: Bench, system: System) -> Figures:
    plan = bench.plan
    with Watch(system.server) as before:
        target = system.target(bench.path(system, plan.medium_bytes))
        bench.run(clients.download, target, plan.medium_bytes, plan.patience)
    with Watch(system.server) as watch:
        target = system.target(bench.path(system, plan.large_bytes))
        seconds = bench.run(clients.download, target, plan.large_bytes, plan.patience)
    return {
        "mb_s": plan.large_bytes / MB / seconds,
        "cpu_s": watch.cpu_seconds,
        "peak_mb": watch.peak_bytes / MB,
        "grown_mb": (watch.peak_bytes - before.peak_bytes) / MB,
    }


def _small_downloads(connections: int) -> Callable[[Bench, System], Figures]:
    def measure(bench: Bench, system: System) -> Figures:
        plan = bench.plan
        target = system.target(bench.path(system, plan.small_bytes))
        with Watch(system.server) as watch:
            seen = _wrk(target, connections, plan.small_seconds)
        requests = seen["requests"]
        if not requests or seen["bad_status"] or seen["bytes"] / requests < plan.small_bytes:
            raise MeasuringError(f"not every answer was the file: {seen}")
        return {
            "per_s": requests / (seen["microseconds"] / 1e6),
            "p99_ms": seen["p99_us"] / 1000,
            "cpu_us": watch.cpu_seconds * 1e6 / requests,
            "peak_mb": watch.peak_bytes / MB,
        }

    return measure


def _wrk(target: Target, connections: int, seconds: int) -> dict[str, int]:
    command = [
        *("wrk", "--threads", str(min(2, connections)), "--connections", str(connections)),
        *("--duration", f"{seconds}s", "--timeout", "10s", "--script", str(WRK_SCRIPT)),
        f"http://127.0.0.1:{target.port}{target.path}",
    ]
    if target.cookie:
        command += ["--header", f"Cookie: {target.cookie}"]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=seconds + 60
    )
    if done.returncode:
        raise MeasuringError(f"wrk: {done.stderr.strip()[-300:]}")
    seen: dict[str, int] = json.loads(done.stdout.strip().splitlines()[-1])
    return seen


def _large_upload(bench: Bench, system: System) -> Figures:
    plan = bench.plan
    before = _one_upload(bench, system, plan.medium_bytes)
    figures = _one_upload(bench, system, plan.large_bytes)
    return figures | {"grown_mb": figures["peak_mb"] - before["peak_mb"]}


def _one_upload(bench: Bench, system: System, size: int) -> Figures:
    name = bench.fresh_name()
    form = system.upload(name)
    files = system.files()
    os.sync()
    with Watch(system.server) as watch:
        answered = bench.run(clients.upload, form, bench.source, size, bench.plan.patience)
        new = system.files() - files
        syncing = _make_durable(new)
    if sum(file.stat().st_size for file in new) < size:
        raise MeasuringError(f"no file of {size} bytes was stored")
    system.discard(system.download_path(name, answered.body), new)
    return {
        "answer_mb_s": size / MB / answered.seconds,
        "durable_mb_s": size / MB / (answered.seconds + syncing),
        "cpu_s": watch.cpu_seconds,
        "peak_mb": watch.peak_bytes / MB,
    }


def _make_durable(files: set[Path]) -> float:
    """Sync those files and their folders; the seconds it took (next to none when it was done)."""
    started = time.perf_counter()
    for path in [*files, *{file.parent for file in files}]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return time.perf_counter() - started


def _small_uploads(bench: Bench, system: System) -> Figures:
    plan = bench.plan
    forms = [system.upload(bench.fresh_name()) for _ in range(plan.upload_count)]
    os.sync()
    with Watch(system.server) as watch:
        burst = bench.run(
            clients.upload_many, forms, plan.upload_bytes, plan.upload_clients, plan.patience
        )
    return {
        "per_s": (plan.upload_count - burst.failures) / burst.seconds,
        "p99_ms": percentile(burst.latencies, 99) * 1000,
        "failures": burst.failures,
        "cpu_ms": watch.cpu_seconds * 1000 / plan.upload_count,
        "peak_mb": watch.peak_bytes / MB,
    }


def _slow_readers(bench: Bench, system: System) -> Figures:
    plan = bench.plan
    small = system.target(bench.path(system, plan.small_bytes))
    large = system.target(bench.path(system, plan.large_bytes))
    probing = (small, plan.probes_per_second, plan.probe_seconds, plan.probe_patience)
    settle = 2.0
    pace = plan.slow_bytes_per_second
    idle = bench.run(clients.probe, *probing)
    with Watch(system.server) as watch:
        # They stay until the last small download was answered or given up.
        slow_seconds = settle + plan.probe_seconds + plan.probe_patience
        trickle = bench.start(clients.read_slowly, large, plan.slow_readers, pace, slow_seconds)
        time.sleep(settle)
        busy = bench.run(clients.probe, *probing)
        served = trickle.get(timeout=plan.patience)
    system.recover(small.path, plan.patience)
    return {
        "idle_p95_ms": percentile(idle.latencies, 95) * 1000,
        "idle_p99_ms": percentile(idle.latencies, 99) * 1000,
        "p95_ms": percentile(busy.latencies, 95) * 1000,
        "p99_ms": percentile(busy.latencies, 99) * 1000,
        "failures": busy.failures,
        "served": served.served,
        "peak_mb": watch.peak_bytes / MB,
    }


def percentile(values: list[float], percent: float) -> float:
    """The value that `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


PEAK = Metric("peak_mb", "peak memory, MB", digits=0)
GROWN = Metric("grown_mb", "memory grown, MB", digits=0, worst=True)
CPU = Metric("cpu_s", "server CPU, s", digits=2)


def _small_row(connections: int) -> Row:
    people = "1 connection" if connections == 1 else f"{connections} connections"
    return Row(
        f"small-{connections}",
        f"small downloads, {people}",
        (
            Metric("per_s", "downloads/s", higher_is_better=True, digits=0),
            Metric("p99_ms", "p99, ms", digits=2),
            Metric("cpu_us", "server CPU a download, µs", digits=0),
            PEAK,
        ),
        _small_downloads(connections),
    )


ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        Row(
            "download",
            "one large download",
            (Metric("mb_s", "MB/s", higher_is_better=True, digits=0), CPU, PEAK, GROWN),
            _download,
        ),
        _small_row(1),
        _small_row(16),
        _small_row(64),
        Row(
            "upload-large",
            "one large form upload",
            (
                Metric("durable_mb_s", "MB/s until durable", higher_is_better=True, digits=0),
                Metric("answer_mb_s", "MB/s until answered", higher_is_better=True, digits=0),
                CPU,
                PEAK,
                GROWN,
            ),
            _large_upload,
        ),
        Row(
            "upload-small",
            "many small form uploads, 8 clients",
            (
                Metric("per_s", "files/s", higher_is_better=True, digits=0),
                Metric("p99_ms", "p99, ms"),
                Metric("failures", "failed", digits=0, worst=True),
                Metric("cpu_ms", "server CPU a file, ms", digits=2),
                PEAK,
            ),
            _small_uploads,
        ),
        Row(
            "slow-readers",
            "small downloads beside slow readers",
            (
                Metric("p99_ms", "p99 beside them, ms", digits=2),
                Metric("idle_p99_ms", "p99 without them, ms", digits=2),
                Metric("p95_ms", "p95 beside them, ms", digits=2),
                Metric("idle_p95_ms", "p95 without them, ms", digits=2),
                Metric("failures", "not answered in time", digits=0, worst=True),
                Metric("served", "slow readers served", higher_is_better=True, digits=0),
                PEAK,
            ),
            _slow_readers,
        ),
    )
}
