"""The rows of downloads beside a worker of the portal that is busy with something else."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from statistics import median

import clients
from measuring import MB, Bench, Figures, Metric, Row
from systems import System
from wire import Target
from worker import BusyWorker

#: Small downloads of a system over so many connections: answers how many a second.
Small = Callable[[Target, int, int], float]
#: Has a system's worker busy; None where it has none.
Busy = Callable[[System], BusyWorker | None]

_CONNECTIONS = 16
#: One large download is over in a moment, in which anything may happen on a shared machine.
_TIMES = 7


def beside_rows(small: Small) -> tuple[Row, ...]:
    """The rows; `small` measures small downloads."""
    return (
        _row(
            "beside-verify",
            "downloads beside verifying",
            (Metric("verified", "verified meanwhile, MB/s", True, digits=1),),
            lambda system: system.verifying(),
            small,
        ),
        _row(
            "beside-library",
            "downloads beside indexing and drawing",
            (
                Metric("indexed", "documents indexed a minute meanwhile", True, digits=0),
                Metric("drawn", "documents drawn a minute meanwhile", True, digits=0),
            ),
            lambda system: system.reading(),
            small,
        ),
    )


def _row(name: str, title: str, metrics: tuple[Metric, ...], busy: Busy, small: Small) -> Row:
    def measure(bench: Bench, system: System) -> Figures:
        if busy(system) is None:
            return {}
        figures: Figures = {}
        # Which comes first changes, so that neither always meets the colder machine.
        for key in bench.shuffled(["quiet", "beside"]):
            figures |= _measure(bench, system, small, key, busy)
        for what in ("small", "large"):
            figures[f"{what}_share"] = figures[f"{what}_beside"] / figures[f"{what}_quiet"]
        return figures

    return Row(
        name,
        title,
        (
            Metric("small_share", "small downloads beside it, of those without", True, digits=2),
            Metric("large_share", "a large download beside it, of one without", True, digits=2),
            Metric("small_beside", "small downloads/s beside it", True, digits=0),
            Metric("small_quiet", "small downloads/s without", True, digits=0),
            Metric("large_beside", "large download beside it, MB/s", True, digits=0),
            Metric("large_quiet", "large download without, MB/s", True, digits=0),
            *metrics,
        ),
        measure,
    )


def _measure(bench: Bench, system: System, small: Small, key: str, busy: Busy) -> Figures:
    plan = bench.plan
    with (busy(system) if key == "beside" else None) or nullcontext() as worker:
        target = system.target(bench.path(system, plan.small_bytes))
        figures = {f"small_{key}": small(target, _CONNECTIONS, plan.small_seconds)}
        target = system.target(bench.path(system, plan.large_bytes))
        seconds = [
            bench.run(clients.download, target, plan.large_bytes, plan.patience)
            for _ in range(_TIMES)
        ]
        figures[f"large_{key}"] = plan.large_bytes / MB / median(seconds)
        if worker is not None:
            # Something has to get done beside downloads, and the rows are over in a moment.
            give_up = time.monotonic() + plan.patience
            target = system.target(bench.path(system, plan.small_bytes))
            while not worker.has_worked() and time.monotonic() < give_up:
                small(target, _CONNECTIONS, 1)
            figures |= worker.figures()
        return figures
