"""Figures of a run, and what can be said about them: middles, spreads and ratios."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

from measuring import Figures, Metric, Row


@dataclass(frozen=True)
class Spread:
    """Values in short: the middle one (or the worst, where that is what counts), and the ends."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread | None:
        """The spread of those values; nothing when there are none."""
        return cls(median(values), min(values), max(values)) if values else None


@dataclass
class Results:
    """All figures by row, system and round. The subject is the one the others are held against."""

    rows: list[Row]
    systems: list[str]
    subject: str
    figures: dict[tuple[str, str], dict[int, Figures]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    failures: list[str] = field(default_factory=list)

    @property
    def others(self) -> list[str]:
        """Every system but the subject."""
        return [label for label in self.systems if label != self.subject]

    def add(self, row: Row, system: str, turn: int, figures: Figures) -> None:
        """Keep what one measurement gave."""
        self.figures[row.name, system][turn] = figures

    def values(self, row: str, metric: str, system: str) -> list[float]:
        """One figure of one system in every round that has it."""
        return [seen[metric] for seen in self.figures[row, system].values() if metric in seen]

    def spread(self, row: str, metric: str, system: str) -> Spread | None:
        """The spread of one figure of one system over the rounds."""
        return Spread.of(self.values(row, metric, system))

    def shown(self, row: Row, metric: Metric, system: str) -> Spread | None:
        """The same, with the worst round in the middle's place where that is what counts."""
        spread = self.spread(row.name, metric.key, system)
        if spread and metric.worst:
            worst = spread.low if metric.higher_is_better else spread.high
            return Spread(worst, spread.low, spread.high)
        return spread

    def ratio(self, row: str, metric: str, other: str) -> Spread | None:
        """The subject's figure over the other's, round by round.

        Where the other has none like it, over the one it is meant to be held against.
        """
        mine, theirs = self.figures[row, self.subject], self.figures[row, other]
        has_it = any(metric in seen for seen in theirs.values())
        like_it = metric if has_it else self._against[row, metric]
        return Spread.of(
            [
                mine[turn][metric] / theirs[turn][like_it]
                for turn in mine.keys() & theirs.keys()
                if theirs[turn].get(like_it) and metric in mine[turn]
            ]
        )

    @property
    def _against(self) -> defaultdict[tuple[str, str], str]:
        known = {
            (row.name, metric.key): metric.against for row in self.rows for metric in row.metrics
        }
        return defaultdict(str, known)
