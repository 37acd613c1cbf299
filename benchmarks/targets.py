"""What the portal promises, and whether a run's figures keep it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from results import Results


@dataclass(frozen=True)
class Target:
    """One promise: a figure of the portal, how it is had, and the limit it keeps."""

    text: str
    figure: Callable[[Results], float | None]
    at_least: float | None = None
    at_most: float | None = None

    def kept(self, value: float) -> bool:
        """Whether that value keeps the promise."""
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )


def _ratio(row: str, metric: str, other: str) -> Callable[[Results], float | None]:
    def figure(results: Results) -> float | None:
        found = results.ratio(row, metric, other)
        return found.middle if found else None

    return figure


def _worst(row: str, metric: str) -> Callable[[Results], float | None]:
    def figure(results: Results) -> float | None:
        values = results.values(row, metric, results.subject)
        return max(values) if values else None

    return figure


def _middle(row: str, metric: str) -> Callable[[Results], float | None]:
    def figure(results: Results) -> float | None:
        found = results.spread(row, metric, results.subject)
        return found.middle if found else None

    return figure


def _times_as_long(row: str, rate: str, other: str) -> Callable[[Results], float | None]:
    """The wall time over the other's, from the rates at which both take the same file."""
    ratio = _ratio(row, rate, other)
    return lambda results: 1 / found if (found := ratio(results)) else None


def _peak_memory(*only: str) -> Callable[[Results], float | None]:
    def figure(results: Results) -> float | None:
        peaks = [
            value
            for row in results.rows
            if not only or row.name in only
            for metric in row.metrics
            if metric.key.endswith("peak_mb")
            for value in results.values(row.name, metric.key, results.subject)
        ]
        return max(peaks) if peaks else None

    return figure


def _growth(results: Results) -> float | None:
    grown = [
        value
        for row in ("download", "upload-large")
        for value in results.values(row, "grown_mb", results.subject)
    ]
    return max(grown) if grown else None


def _slowed_down(results: Results) -> float | None:
    busy = results.spread("slow-readers", "p95_ms", results.subject)
    idle = results.spread("slow-readers", "idle_p95_ms", results.subject)
    return busy.middle / idle.middle if busy and idle else None


_WAYS = {
    "form": "durable_mb_s",
    "tus": "tus_durable_mb_s",
    "tus in parts": "parts_durable_mb_s",
}

TARGETS = (
    Target(
        "large download: at least 0.9 of nginx", _ratio("download", "mb_s", "nginx"), at_least=0.9
    ),
    Target(
        "small downloads, 16 connections: twice the baseline",
        _ratio("small-16", "per_s", "baseline"),
        at_least=2.0,
    ),
    Target(
        "a ZIP of several files: at least 0.8 of `zip -0` into a pipe",
        _middle("zip", "of_zip"),
        at_least=0.8,
    ),
    Target(
        "large upload until durable: four times the baseline",
        _ratio("upload-large", "durable_mb_s", "baseline"),
        at_least=4.0,
    ),
    Target(
        "large upload until durable: 1.5 of copyparty",
        _ratio("upload-large", "durable_mb_s", "copyparty"),
        at_least=1.5,
    ),
    *(
        Target(
            f"large upload by {way} until durable: 1.8 of copyparty",
            _ratio("upload-tus", key, "copyparty"),
            at_least=1.8,
        )
        for way, key in _WAYS.items()
    ),
    *(
        Target(
            f"large upload by {way} until durable: at most 1.4 of nginx's time, synced",
            _times_as_long("upload-tus", key, "nginx"),
            at_most=1.4,
        )
        for way, key in _WAYS.items()
    ),
    *(
        Target(
            f"{kind} beside {what}: 0.9 of without",
            _middle(row, f"{key}_share"),
            at_least=0.9,
        )
        for row, what in (
            ("beside-verify", "verifying"),
            ("beside-library", "indexing and drawing"),
        )
        for kind, key in (("small downloads", "small"), ("a large download", "large"))
    ),
    Target(
        "small uploads: 1.5 of the baseline",
        _ratio("upload-small", "per_s", "baseline"),
        at_least=1.5,
    ),
    Target(
        "small uploads, p99: under a fifth of the baseline's",
        _ratio("upload-small", "p99_ms", "baseline"),
        at_most=0.2,
    ),
    Target(
        "small uploads, durable: 1.2 of copyparty, which does not sync",
        _ratio("upload-small", "per_s", "copyparty"),
        at_least=1.2,
    ),
    Target(
        "small uploads by tus, durable: 1.2 of copyparty, which does not sync",
        _ratio("upload-small", "tus_per_s", "copyparty"),
        at_least=1.2,
    ),
    Target("small uploads, p99, ms", _middle("upload-small", "p99_ms"), at_most=30),
    Target("small uploads by tus, p99, ms", _middle("upload-small", "tus_p99_ms"), at_most=30),
    Target("small uploads: none fails", _worst("upload-small", "failures"), at_most=0),
    Target("small uploads by tus: none fails", _worst("upload-small", "tus_failures"), at_most=0),
    Target("parallel uploads: none fails", _worst("upload-parallel", "failures"), at_most=0),
    Target(
        "parallel uploads by tus: none fails", _worst("upload-parallel", "tus_failures"), at_most=0
    ),
    Target("peak memory with parallel uploads, MB", _peak_memory("upload-parallel"), at_most=250),
    Target(
        "beside slow readers: everybody is answered", _worst("slow-readers", "failures"), at_most=0
    ),
    Target("beside slow readers: p95 at most twice the idle one", _slowed_down, at_most=2.0),
    Target("peak memory in any row, MB", _peak_memory(), at_most=300),
    Target("memory grown between a file and one sixteen times it, MB", _growth, at_most=32),
)
