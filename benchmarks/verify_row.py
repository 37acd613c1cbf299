"""The row of downloads beside a worker that verifies what is stored."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from statistics import median

import clients
from measuring import MB, Bench, Figures, Metric, Row
from systems import System
from wire import Target

#: Small downloads of a system over so many connections: answers how many a second.
Small = Callable[[Target, int, int], float]

_CONNECTIONS = 16
#: One large download is over in a moment, in which anything may happen on a shared machine.
_TIMES = 7


def verify_row(small: Small) -> Row:
    """The row; `small` measures small downloads."""

    def measure(bench: Bench, system: System) -> Figures:
        if system.verifying() is None:
            return {}
        figures: Figures = {}
        # Which comes first changes, so that neither always meets the colder machine.
        for key in bench.shuffled(["quiet", "beside"]):
            figures |= _measure(bench, system, small, key)
        for what in ("small", "large"):
            figures[f"{what}_share"] = figures[f"{what}_beside"] / figures[f"{what}_quiet"]
        return figures

    return Row(
        "beside-verify",
        "downloads beside verifying",
        (
            Metric("small_share", "small downloads beside it, of those without", True, digits=2),
            Metric("large_share", "a large download beside it, of one without", True, digits=2),
            Metric("small_beside", "small downloads/s beside it", True, digits=0),
            Metric("small_quiet", "small downloads/s without", True, digits=0),
            Metric("large_beside", "large download beside it, MB/s", True, digits=0),
            Metric("large_quiet", "large download without, MB/s", True, digits=0),
            Metric("verified", "verified meanwhile, MB/s", True, digits=1),
        ),
        measure,
    )


def _measure(bench: Bench, system: System, small: Small, key: str) -> Figures:
    plan = bench.plan
    with (system.verifying() if key == "beside" else None) or nullcontext() as verifying:
        target = system.target(bench.path(system, plan.small_bytes))
        figures = {f"small_{key}": small(target, _CONNECTIONS, plan.small_seconds)}
        target = system.target(bench.path(system, plan.large_bytes))
        seconds = [
            bench.run(clients.download, target, plan.large_bytes, plan.patience)
            for _ in range(_TIMES)
        ]
        figures[f"large_{key}"] = plan.large_bytes / MB / median(seconds)
        if verifying is not None:
            figures["verified"] = verifying.bytes_per_second() / MB
    return figures
