"""What every row of the table is made of: its figures, and what it takes to get them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing.pool import AsyncResult, Pool
from pathlib import Path
from typing import TypeVar

from plan import Plan
from systems import System

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
    against: str = ""  # the others' figure it is held against, where they have none like it


@dataclass
class Bench:
    """What every row needs: the plan, the source file, and processes for the load clients."""

    plan: Plan
    source: Path
    pool: Pool
    kept: dict[tuple[str, int], str] = field(default_factory=dict)
    #: Several files of a system, for the row of ZIPs: where they are had, and where they lie.
    several: dict[str, tuple[list[str], list[Path]]] = field(default_factory=dict)
    _names: int = 0
    _order: random.Random = field(default_factory=lambda: random.Random(2))

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

    def shuffled(self, keys: Iterable[str]) -> list[str]:
        """The same in another order each time: nothing always comes after the heaviest."""
        return self._order.sample(ordered := list(keys), len(ordered))

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


def percentile(values: list[float], percent: float) -> float:
    """The value that `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


PEAK = Metric("peak_mb", "peak memory, MB", digits=0)
GROWN = Metric("grown_mb", "memory grown, MB", digits=0, worst=True)
CPU = Metric("cpu_s", "server CPU, s", digits=2)
