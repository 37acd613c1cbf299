"""The rows of the table: what is measured, and how, with any one system; here, downloads."""

from __future__ import annotations

import hashlib
import http.client
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import clients
from beside_rows import beside_rows
from measuring import CPU, GROWN, MB, PEAK, Bench, Figures, MeasuringError, Metric, Row, percentile
from processes import Watch
from systems import System
from upload_rows import UPLOAD_ROWS, Way, as_usual, in_parts
from wire import Target
from zip_rows import ZIP_ROW

WRK_SCRIPT = Path(__file__).resolve().parent / "wrk_report.lua"


def prepare(bench: Bench, system: System) -> None:
    """Give a system the files that the rows download, and check that they come back whole."""
    plan = bench.plan
    for size in (plan.large_bytes, plan.medium_bytes, plan.small_bytes):
        bench.kept[system.label, size] = _upload_and_check(bench, system, size, as_usual)
    if system.speaks_tus:
        files = system.files()
        path = _upload_and_check(bench, system, plan.medium_bytes, in_parts)
        system.discard([path], system.files() - files)
    small = system.target(bench.path(system, plan.small_bytes))
    bench.run(clients.probe, small, 50, 1.0, plan.probe_patience)


def _upload_and_check(bench: Bench, system: System, size: int, way: Way) -> str:
    name = bench.fresh_name()
    path = system.download_path(name, way(bench, system, name, size))
    _check_whole(system, path, bench.source, size)
    return path


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


def _small_rate(target: Target, connections: int, seconds: int) -> float:
    seen = _wrk(target, connections, seconds)
    if not seen["requests"] or seen["bad_status"]:
        raise MeasuringError(f"not every answer was the file: {seen}")
    return seen["requests"] / (seen["microseconds"] / 1e6)


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
        ZIP_ROW,
        *UPLOAD_ROWS,
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
        *beside_rows(_small_rate),
    )
}
