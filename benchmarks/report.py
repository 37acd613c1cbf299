"""A run's figures as tables in the terminal, as Markdown and as JSON."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from measuring import Metric
from plan import Plan
from results import Results, Spread
from systems import System
from targets import TARGETS

Cells = list[list[str]]

HONESTLY = (
    "The systems do different work. The portal checks session and ownership in its database, "
    "hashes every upload (SHA-256), syncs the file, its folder and its row before it answers, and "
    "writes an audit event for each upload and download. copyparty hashes form uploads (SHA-512) "
    "and syncs nothing; the baseline looks up session and row and syncs only its row; nginx does "
    "none of this and is the machine's ceiling. 'Until durable' adds, for everybody alike, an "
    "fsync of the stored file and its folder after the answer."
)


def to_terminal(console: Console, results: Results, systems: list[System]) -> None:
    """Print every table."""
    for title, header, lines in _tables(results):
        table = Table(title=title, title_justify="left", header_style="bold")
        for number, name in enumerate(header):
            table.add_column(name, justify="left" if number < 2 else "right")
        before = ""
        for line in lines:
            if before and line[0]:
                table.add_section()
            before = line[0] or before
            table.add_row(*line)
        console.print(table)
        console.print()
    for system in systems:
        console.print(f"[bold]{system.label}[/] {system.version}: {system.about}")
    console.print(HONESTLY)
    for failure in results.failures:
        console.print(f"[red]not measured:[/] {failure}", markup=True)


def to_files(folder: Path, results: Results, systems: list[System], plan: Plan) -> list[Path]:
    """Write results.json and results.md into that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = _machine()
    data = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "plan": asdict(plan),
        "systems": [
            {"name": system.label, "version": system.version, "about": system.about}
            for system in systems
        ],
        "figures": {
            row.name: {
                label: results.figures[row.name, label]
                for label in results.systems
                if results.figures[row.name, label]
            }
            for row in results.rows
        },
        "ratios": {
            row.name: {
                metric.key: {
                    other: asdict(spread)
                    for other in results.others
                    if (spread := results.ratio(row.name, metric.key, other))
                }
                for metric in row.metrics
            }
            for row in results.rows
        },
        "targets": [
            {"text": target.text, "value": value, "kept": target.kept(value)}
            for target in TARGETS
            if (value := target.figure(results)) is not None
        ],
        "failures": results.failures,
    }
    as_json = folder / "results.json"
    as_json.write_text(json.dumps(data, indent=2) + "\n")
    as_markdown = folder / "results.md"
    as_markdown.write_text(_markdown(results, systems, plan, machine))
    return [as_json, as_markdown]


def _tables(results: Results) -> list[tuple[str, list[str], Cells]]:
    tables = [("Figures: median (lowest – highest)", ["", "", *results.systems], _figures(results))]
    if results.subject in results.systems and results.others:
        header = ["", "", *(f"{results.subject} / {other}" for other in results.others)]
        tables.append(
            (
                "Ratios round by round: median (lowest – highest); ↑ more is better, ↓ less is",
                header,
                _ratios(results),
            )
        )
        if targets := _targets(results):
            tables.append(("Targets", ["target", "limit", "measured", "kept"], targets))
    return tables


def _figures(results: Results) -> Cells:
    lines = []
    for row in results.rows:
        for number, metric in enumerate(row.metrics):
            cells = [
                _cell(results.shown(row, metric, label), metric.digits) for label in results.systems
            ]
            lines.append(["" if number else row.title, _title(metric), *cells])
    return lines


def _ratios(results: Results) -> Cells:
    lines = []
    for row in results.rows:
        title = row.title
        for metric in row.metrics:
            if metric.worst:
                continue
            spreads = [results.ratio(row.name, metric.key, other) for other in results.others]
            lines.append([title, _title(metric), *(_cell(spread, 2) for spread in spreads)])
            title = ""
    return lines


def _targets(results: Results) -> Cells:
    lines = []
    for target in TARGETS:
        value = target.figure(results)
        if value is None:
            continue
        limit = f"≥ {target.at_least:g}" if target.at_least is not None else f"≤ {target.at_most:g}"
        lines.append([target.text, limit, f"{value:.2f}", "yes" if target.kept(value) else "NO"])
    return lines


def _title(metric: Metric) -> str:
    worst = ", worst round" if metric.worst else ""
    return f"{'↑' if metric.higher_is_better else '↓'} {metric.title}{worst}"


def _cell(spread: Spread | None, digits: int) -> str:
    if spread is None:
        return "–"
    middle, low, high = (
        f"{round(value, digits) + 0.0:,.{digits}f}"
        for value in (spread.middle, spread.low, spread.high)
    )
    return f"{middle} ({low} – {high})" if low != high else middle


def _markdown(
    results: Results, systems: list[System], plan: Plan, machine: dict[str, object]
) -> str:
    text = ["# Measurements", "", HONESTLY, ""]
    text += [f"- **{system.label}** {system.version}: {system.about}" for system in systems]
    text += ["", "Machine: " + ", ".join(f"{name} {value}" for name, value in machine.items())]
    text += ["", "Plan: " + ", ".join(f"{name} {value}" for name, value in asdict(plan).items())]
    for title, header, lines in _tables(results):
        text += ["", f"## {title}", ""]
        text.append("| " + " | ".join(header) + " |")
        text.append("|" + "|".join("---" if n < 2 else "--:" for n in range(len(header))) + "|")
        text += ["| " + " | ".join(line) + " |" for line in lines]
    if results.failures:
        text += ["", "## Not measured", "", *(f"- {failure}" for failure in results.failures)]
    return "\n".join(text) + "\n"


def _machine() -> dict[str, object]:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
