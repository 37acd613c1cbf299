"""Measure the portal beside nginx, copyparty and the tutorial portal, in one interleaved run.

    python benchmarks/run.py [--quick] [--rows download,small-16] [--out DIR]

benchmarks/README.md says what is measured, and how.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import FrameType

try:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
except ModuleNotFoundError:
    sys.exit(
        "This needs the portal's own environment: run `python3 manage.py test` once, "
        "then `.venv/bin/python benchmarks/run.py`."
    )

import clients
import report
from measuring import Bench, MeasuringError
from plan import FULL, MIB, QUICK, Plan
from processes import ServerError
from results import Results
from rows import ROWS, prepare
from systems import KINDS, Portal, System

PACKAGES = {"wrk": "wrk", "nginx": "nginx-light"}
RESULTS = Path(__file__).resolve().parent / "results"
IN_MEMORY = {"tmpfs", "ramfs"}
Failure = (
    MeasuringError,
    ServerError,
    clients.ClientError,
    OSError,
    ValueError,
    subprocess.SubprocessError,
    multiprocessing.TimeoutError,
)


def main() -> int:
    """Read the options, measure, report."""
    options = _options()
    # A pipe or a file has no width of its own.
    console = Console(width=None if sys.stdout.isatty() else 160)
    plan = _plan(options)
    rows = [ROWS[name] for name in options.rows]
    work_in = options.work or _work_folder(options.cache)
    _refuse_when_missing(options.systems, work_in, plan)
    signal.signal(signal.SIGTERM, _end)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=work_in)))
        systems = _systems(options, work)
        results = Results(rows, [system.label for system in systems], "portal")
        interrupted = False
        try:
            with ExitStack() as running:
                try:
                    _measure(running, console, plan, systems, results, work)
                finally:
                    # Stopping the servers takes a moment and must not be cut short.
                    signal.signal(signal.SIGINT, signal.SIG_IGN)
        except Failure as failure:
            console.print(f"Could not begin: {failure}", markup=False)
            return 1
        except KeyboardInterrupt:
            interrupted = True
            console.print("Interrupted. What was measured until then:")
        report.to_terminal(console, results, systems)
        for path in report.to_files(options.out, results, systems, plan):
            console.print(f"Written: {path}")
    return 130 if interrupted else 1 if results.failures else 0


def _measure(
    stack: ExitStack,
    console: Console,
    plan: Plan,
    systems: list[System],
    results: Results,
    work: Path,
) -> None:
    """Start everything, then go round: every row, every system, again and again."""
    pool = stack.enter_context(
        multiprocessing.get_context("spawn").Pool(2, initializer=clients.ignore_interrupts)
    )
    bench = Bench(plan, _make_source(work, plan.large_bytes), pool)
    progress = stack.enter_context(
        Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            console=console,
        )
    )
    total = len(systems) + plan.rounds * len(results.rows) * len(systems)
    task = progress.add_task("starting", total=total)
    for system in systems:
        progress.update(task, description=f"starting {system.label}")
        stack.callback(system.stop)
        system.start()
        prepare(bench, system)
        progress.advance(task)
    order = random.Random(1)
    for turn in range(1, plan.rounds + 1):
        for row in results.rows:
            # Another order each time: nobody is always the one after the heaviest.
            for system in order.sample(systems, len(systems)):
                progress.update(task, description=f"round {turn}: {row.name}, {system.label}")
                try:
                    results.add(row, system.label, turn, row.measure(bench, system))
                except Failure as failure:
                    reason = str(failure) or type(failure).__name__
                    results.failures.append(f"{row.name}, {system.label}, round {turn}: {reason}")
                progress.advance(task)


def _systems(options: argparse.Namespace, work: Path) -> list[System]:
    systems = [KINDS[name](name, work, options.cache) for name in options.systems]
    for label, checkout in options.beside:
        other = Portal(label, work, options.cache)
        other.checkout = checkout
        systems.append(other)
    return systems


def _make_source(work: Path, size: int) -> Path:
    """The file that is uploaded: random bytes, so that nothing can be saved on them."""
    source = work / "source.bin"
    with source.open("wb") as file:
        block = os.urandom(MIB)
        for number in range(size // MIB):
            file.write(number.to_bytes(8, "big") + block[8:])
    return source


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else FULL
    if options.rounds:
        plan = replace(plan, rounds=options.rounds)
    if options.large_mib:
        plan = replace(plan, large_bytes=options.large_mib * MIB)
    if options.small_files:
        plan = replace(plan, upload_count=options.small_files)
    if options.parallel:
        plan = replace(plan, parallel_count=options.parallel)
    if options.parallel_mib:
        plan = replace(plan, parallel_bytes=options.parallel_mib * MIB)
    return plan


def _refuse_when_missing(names: list[str], work_in: Path, plan: Plan) -> None:
    for program, package in PACKAGES.items():
        if (program == "wrk" or program in names) and not shutil.which(program):
            sys.exit(f"{program} is missing: apt-get install {package}")
    if _file_system(work_in) in IN_MEMORY:
        sys.exit(f"{work_in} is in memory, so nothing there is durable: choose another by --work")
    needed = plan.space_needed
    if shutil.disk_usage(work_in).free < needed:
        sys.exit(
            f"{work_in} needs {needed / 2**30:.0f} GiB of free space: choose another by --work"
        )


def _work_folder(cache: Path) -> Path:
    """Where temporary folders go, unless that is in memory: then beside the cache."""
    usual = Path(tempfile.gettempdir())
    if _file_system(usual) not in IN_MEMORY:
        return usual
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def _file_system(folder: Path) -> str:
    """The kind of file system a folder is on."""
    folder = folder.resolve()
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    return max(
        ((point, kind) for point, kind in mounts if folder.is_relative_to(point)),
        key=lambda mount: len(mount[0]),
    )[1]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small files, three rounds")
    parser.add_argument("--rows", type=_some_of(ROWS), default=list(ROWS), help=", ".join(ROWS))
    parser.add_argument(
        "--systems", type=_some_of(KINDS), default=list(KINDS), help=", ".join(KINDS)
    )
    parser.add_argument("--rounds", type=int, help="instead of the plan's number")
    parser.add_argument("--large-mib", type=int, help="size of the large file, in MiB")
    parser.add_argument("--small-files", type=int, help="how many of the small files are uploaded")
    parser.add_argument("--parallel", type=int, help="how many uploads at the same time")
    parser.add_argument("--parallel-mib", type=int, help="size of each of those, in MiB")
    parser.add_argument("--out", type=Path, default=RESULTS, help="for results")
    parser.add_argument("--work", type=Path, help="where temporary folders go; a real disk")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
        / "portal-benchmarks",
        help="where the others' environments are kept",
    )
    parser.add_argument(
        "--beside",
        type=_labelled_folder,
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="another checkout of the portal to measure in the same run; repeatable",
    )
    return parser.parse_args()


def _some_of(known: Mapping[str, object]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        names = text.split(",")
        if wrong := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(wrong)}")
        return names

    return read


def _labelled_folder(text: str) -> tuple[str, Path]:
    label, _, folder = text.partition("=")
    path = Path(folder).resolve()
    if not label.isidentifier() or label in KINDS or not (path / "manage.py").is_file():
        raise argparse.ArgumentTypeError("NAME=DIR, where DIR holds a manage.py")
    return label, path


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
