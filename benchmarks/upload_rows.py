"""The rows about uploads: one large file, many small ones, many at the same time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import upload_clients
from clients import Answered
from measuring import CPU, GROWN, MB, PEAK, Bench, Figures, MeasuringError, Metric, Row, percentile
from processes import Watch
from systems import System
from wire import Tus, Upload

#: Uploads one file of some size under some name.
Way = Callable[[Bench, System, str, int], Answered]
W = TypeVar("W")


def as_usual(bench: Bench, system: System, name: str, size: int) -> Answered:
    """As a form, or what the system has in its place."""
    return bench.run(
        upload_clients.upload, system.upload(name), bench.source, size, bench.plan.patience
    )


def _in_one_piece(bench: Bench, system: System, name: str, size: int) -> Answered:
    return _by_tus(bench, system, name, size, size)


def in_parts(bench: Bench, system: System, name: str, size: int) -> Answered:
    """By tus, in parts of the plan's size over one connection."""
    return _by_tus(bench, system, name, size, bench.plan.part_bytes)


def _by_tus(bench: Bench, system: System, name: str, size: int, part: int) -> Answered:
    return bench.run(
        upload_clients.upload_by_tus,
        _tus(system, name),
        bench.source,
        size,
        part,
        bench.plan.patience,
    )


def _large_upload(bench: Bench, system: System) -> Figures:
    plan = bench.plan
    before = _one_upload(bench, system, plan.medium_bytes, as_usual)
    figures = _one_upload(bench, system, plan.large_bytes, as_usual)
    return figures | {"grown_mb": figures["peak_mb"] - before["peak_mb"]}


def _large_upload_by_tus(bench: Bench, system: System) -> Figures:
    ways: dict[str, Way] = {"": as_usual}
    if system.speaks_tus:
        ways |= {"tus_": _in_one_piece, "parts_": in_parts}
    return _each_way(
        bench, ways, lambda way: _one_upload(bench, system, bench.plan.large_bytes, way)
    )


def _each_way(bench: Bench, ways: dict[str, W], measure: Callable[[W], Figures]) -> Figures:
    """The figures of every way, each with the way's prefix, measured in another order each time."""
    figures: Figures = {}
    for prefix in bench.shuffled(ways):
        figures |= {prefix + key: value for key, value in measure(ways[prefix]).items()}
    return figures


def _one_upload(bench: Bench, system: System, size: int, way: Way) -> Figures:
    name = bench.fresh_name()
    files = system.files()
    os.sync()
    with Watch(system.server) as watch:
        answered = way(bench, system, name, size)
        new = system.files() - files
        syncing = _make_durable(new)
    _clear(system, [system.download_path(name, answered)], new, size)
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


def _clear(system: System, paths: list[str], new: set[Path], expected: int) -> None:
    """Take uploaded files away again; raises where less was stored than was uploaded."""
    stored = sum(file.stat().st_size for file in new)
    system.discard(paths, new)
    if stored < expected:
        raise MeasuringError(f"{stored} of {expected} bytes were stored")


def _small_uploads(bench: Bench, system: System) -> Figures:
    def with_announcement(name: str) -> Upload:
        return _tus(system, name).creation(bench.plan.upload_bytes, with_upload=True)

    ways: dict[str, Callable[[str], Upload]] = {"": system.upload}
    if system.speaks_tus:
        ways["tus_"] = with_announcement
    return _each_way(bench, ways, lambda way: _burst(bench, system, way))


def _burst(bench: Bench, system: System, way: Callable[[str], Upload]) -> Figures:
    plan = bench.plan
    names = [bench.fresh_name() for _ in range(plan.upload_count)]
    forms = [way(name) for name in names]
    files = system.files()
    os.sync()
    with Watch(system.server) as watch:
        burst = bench.run(
            upload_clients.upload_many,
            forms,
            plan.upload_bytes,
            plan.upload_clients,
            plan.patience,
        )
    paths = _paths(system, names, burst.answers)
    _clear(system, paths, system.files() - files, len(paths) * plan.upload_bytes)
    return {
        "per_s": len(burst.answers) / burst.seconds,
        "p99_ms": percentile(burst.latencies, 99) * 1000,
        "failures": burst.failures,
        "cpu_ms": watch.cpu_seconds * 1000 / plan.upload_count,
        "peak_mb": watch.peak_bytes / MB,
    }


def _paths(system: System, names: list[str], answers: dict[int, Answered]) -> list[str]:
    return [system.download_path(names[number], answers[number]) for number in answers]


def _parallel_uploads(bench: Bench, system: System) -> Figures:
    def forms(names: list[str]) -> list[Upload]:
        return [system.upload(name) for name in names]

    def announced(names: list[str]) -> list[Upload]:
        return bench.run(
            upload_clients.announce,
            [_tus(system, name) for name in names],
            bench.plan.parallel_bytes,
            bench.plan.patience,
        )

    ways = {"": forms}
    if system.speaks_tus:
        ways["tus_"] = announced
    return _each_way(bench, ways, lambda way: _crowd(bench, system, way))


def _crowd(bench: Bench, system: System, way: Callable[[list[str]], list[Upload]]) -> Figures:
    plan = bench.plan
    names = [bench.fresh_name() for _ in range(plan.parallel_count)]
    files = system.files()
    forms = way(names)
    os.sync()
    with Watch(system.server) as watch:
        crowd = bench.run(
            upload_clients.upload_steadily,
            forms,
            plan.parallel_bytes,
            plan.parallel_bytes_per_second,
            plan.patience,
        )
    for number, form in enumerate(forms):
        if number not in crowd.answers:
            system.give_up(form)
    paths = _paths(system, names, crowd.answers)
    _clear(system, paths, system.files() - files, len(paths) * plan.parallel_bytes)
    return {
        "peak_mb": watch.peak_bytes / MB,
        "risen_mb": (watch.peak_bytes - watch.first_bytes) / MB,
        "at_once": crowd.at_once,
        "failures": plan.parallel_count - len(crowd.answers),
        "mb_s": len(crowd.answers) * plan.parallel_bytes / MB / crowd.seconds,
        "cpu_s": watch.cpu_seconds,
    }


def _tus(system: System, name: str) -> Tus:
    tus = system.tus(name)
    if tus is None:
        raise MeasuringError(f"{system.label} does not speak tus")
    return tus


def _ways(metrics: Iterable[Metric], **prefixes: str) -> tuple[Metric, ...]:
    """Those figures as usual, and then by each other way, held against the others' usual one."""
    usual = tuple(metrics)
    return usual + tuple(
        Metric(
            f"{prefix}_{metric.key}",
            f"{words}: {metric.title}",
            metric.higher_is_better,
            metric.digits,
            metric.worst,
            against=metric.key,
        )
        for prefix, words in prefixes.items()
        for metric in usual
    )


_DURABLE = Metric("durable_mb_s", "MB/s until durable", higher_is_better=True, digits=0)
_ANSWERED = Metric("answer_mb_s", "MB/s until answered", higher_is_better=True, digits=0)
_FAILED = Metric("failures", "failed", digits=0, worst=True)

UPLOAD_ROWS = (
    Row(
        "upload-large",
        "one large form upload",
        (_DURABLE, _ANSWERED, CPU, PEAK, GROWN),
        _large_upload,
    ),
    Row(
        "upload-tus",
        "one large upload: form, tus",
        _ways(
            (_DURABLE, CPU, PEAK),
            tus="tus, one PATCH",
            parts="tus, in parts",
        ),
        _large_upload_by_tus,
    ),
    Row(
        "upload-small",
        "many small uploads, 8 clients: form, tus",
        _ways(
            (
                Metric("per_s", "files/s", higher_is_better=True, digits=0),
                Metric("p99_ms", "p99, ms"),
                _FAILED,
                Metric("cpu_ms", "server CPU a file, ms", digits=2),
                PEAK,
            ),
            tus="tus",
        ),
        _small_uploads,
    ),
    Row(
        "upload-parallel",
        "uploads at the same time: form, tus",
        _ways(
            (
                PEAK,
                Metric("risen_mb", "memory risen meanwhile, MB", digits=0),
                Metric("at_once", "under way at once", higher_is_better=True, digits=0),
                _FAILED,
                Metric("mb_s", "MB/s, all together", higher_is_better=True, digits=0),
                CPU,
            ),
            tus="tus",
        ),
        _parallel_uploads,
    ),
)
