"""The row about ZIPs: several files as one archive, beside what `zip` makes of the same files."""

from __future__ import annotations

import shutil
from pathlib import Path

import clients
from measuring import CPU, MB, PEAK, Bench, Figures, MeasuringError, Metric, Row
from processes import Watch
from systems import System
from upload_rows import as_usual


def _zip(bench: Bench, system: System) -> Figures:
    if system.zipped(()) is None:
        return {}
    if shutil.which("zip") is None:
        raise MeasuringError("zip is missing: apt-get install zip")
    if system.label not in bench.several:
        bench.several[system.label] = _several(bench, system)
    figures: Figures = {}
    for which in bench.shuffled(("", "pipe_")):
        figures |= _by_zip(bench, system) if which else _by_portal(bench, system)
    return figures | {"of_zip": figures["mb_s"] / figures["pipe_mb_s"]}


def _several(bench: Bench, system: System) -> tuple[list[str], list[Path]]:
    files = system.files()
    paths = []
    for _ in range(bench.plan.zip_files):
        name = bench.fresh_name()
        answered = as_usual(bench, system, name, bench.plan.large_bytes // bench.plan.zip_files)
        paths.append(system.download_path(name, answered))
    return paths, sorted(system.files() - files)


def _by_portal(bench: Bench, system: System) -> Figures:
    plan = bench.plan
    asked = system.zipped(bench.several[system.label][0])
    assert asked is not None
    target, request = asked
    with Watch(system.server) as watch:
        seconds = bench.run(clients.download, target, plan.large_bytes, plan.patience, request)
    return {
        "mb_s": plan.large_bytes / MB / seconds,
        "cpu_s": watch.cpu_seconds,
        "peak_mb": watch.peak_bytes / MB,
    }


def _by_zip(bench: Bench, system: System) -> Figures:
    plan = bench.plan
    command = ["zip", "-q", "-0", "-j", "-", *map(str, bench.several[system.label][1])]
    seconds = bench.run(clients.read_pipe, command, plan.large_bytes, plan.patience)
    return {"pipe_mb_s": plan.large_bytes / MB / seconds}


ZIP_ROW = Row(
    "zip",
    "several files as one ZIP",
    (
        Metric("mb_s", "MB/s", higher_is_better=True, digits=0),
        Metric("pipe_mb_s", "`zip -0` into a pipe, MB/s", higher_is_better=True, digits=0),
        Metric("of_zip", "of zip", higher_is_better=True, digits=2),
        CPU,
        PEAK,
    ),
    _zip,
)
