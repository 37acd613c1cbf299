"""The long forms: `python -m tests.faults`, or some of them with `--only NAME`."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults.crashes import Storm
from faults.limits import Limited
from faults.locked import Held
from faults.needs import Impossible, Lacking
from faults.no_space import tight
from faults.oracle import Witness
from faults.power import house
from faults.syscalls import ACTS, ERRORS, Bench, until_done
from live.fixtures import live_portal

#: How many portals a long form uses at once, where one would leave the machine waiting.
LANES = 2
Figures = dict[str, object]
Result = TypeVar("Result")


def say(line: str) -> None:
    print(line, flush=True)


def with_findings(figures: Figures, *witnesses: Witness) -> Figures:
    for witness in witnesses:
        for name, found in vars(witness.found).items():
            figures[name] = [*figures.get(name, []), *found]  # type: ignore[misc]
    return figures


def in_lanes(options: argparse.Namespace, lane: Callable[[int], Result]) -> list[Result]:
    """What `lane` answers for each lane; where one fails or all is stopped, the others end soon."""
    with ThreadPoolExecutor(LANES) as pool:
        try:
            return list(pool.map(lane, range(LANES)))
        except BaseException:
            options.over.set()
            raise


def crashes(options: argparse.Namespace) -> Figures:
    """kill -9 at random moments."""
    with live_portal(options.database) as portal:
        storm = Storm(portal, options.seed)
        storm.run(options.kills, say)
        return with_findings(dict(storm.figures()), storm.witness)


def calls(options: argparse.Namespace) -> Figures:
    """kill -9 at every system call of every act."""
    acts = list(ACTS)

    def lane(number: int) -> Bench:
        with live_portal() as portal:
            bench = Bench(portal, options.seed + number)
            bench.begin()
            for act in acts[number::LANES]:
                count = until_done(
                    lambda at, act=act: (
                        not options.over.is_set() and bench.kill_at(act, at, alone=at % 5 == 0)
                    )
                )
                say(f"  killed at each of {count} calls of: {act}; {bench.witness.found.broken}")
            if number == 0:
                count = until_done(bench.kill_removal_at)
                say(f"  killed at each of {count} calls of: removal of bytes")
            bench.witness.clean_up()
            return bench

    benches = in_lanes(options, lane)
    points = sum(len(bench.points) for bench in benches)
    return with_findings({"calls killed at": points}, *(bench.witness for bench in benches))


def errors(options: argparse.Namespace) -> Figures:
    """An error at every system call of every act."""
    with live_portal() as portal:
        bench = Bench(portal, options.seed)
        bench.begin()
        for act in ACTS:
            for error in ERRORS:
                count = until_done(lambda at, act=act, error=error: bench.fail_at(act, at, error))
                say(f"  {error} at each of {count} calls of: {act}; {bench.witness.found.broken}")
        bench.witness.clean_up()
        return with_findings({"calls that failed": len(bench.points)}, bench.witness)


def power(options: argparse.Namespace) -> Figures:
    """The power goes right after an answer."""

    def lane(number: int) -> Figures:
        with house(options.seed + number) as home:
            home.begin()
            for cut in range(1, options.cuts // LANES + 1):
                if options.over.is_set():
                    break
                (home.delete_until_dark if cut % 10 == 0 else home.upload_until_dark)()
                if cut % 10 == 0:
                    say(f"  {cut} power cuts; {home.witness.found.broken}")
            home.witness.clean_up()
            sent = home.witness.sent
            figures: Figures = {
                "power cuts": home.cuts,
                "acknowledged": sum(each.status == 201 for each in sent),
                "in flight": home.in_flight,
            }
            return with_findings(figures, home.witness)

    lanes = in_lanes(options, lane)
    return {name: lanes[0][name] + lanes[1][name] for name in lanes[0]}  # type: ignore[operator]


def space(options: argparse.Namespace) -> Figures:
    """Disks without room or inodes."""
    figures: Figures = {}
    for in_memory in (False, True):
        with tight(options.seed, options.database, in_memory=in_memory) as portal:
            portal.begin()
            portal.everything()
            for line in portal.answers:
                answer = f"answers {line.rpartition(' ')[2]}"
                figures[answer] = int(str(figures.get(answer, 0))) + 1
            figures = with_findings(figures, portal.witness)
    return figures


def limits(options: argparse.Namespace) -> Figures:
    """A server that may make no larger files, or open no more."""
    with live_portal(options.database) as portal:
        limited = Limited(portal)
        limited.begin()
        limited.everything()
        return with_findings(_counted(limited.answers), limited.witness)


def locked(options: argparse.Namespace) -> Figures:
    """A database that somebody else holds for ten seconds."""
    with live_portal(options.database) as portal:
        held = Held(portal)
        held.begin()
        held.everything()
        figures = _counted(held.answers) | {"slowest answer, s": round(held.slowest, 1)}
        return with_findings(figures, held.witness)


def _counted(answers: Sequence[int]) -> Figures:
    return {f"answers {status}": answers.count(status) for status in sorted(set(answers))}


ALL: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "locked": locked,
    "limits": limits,
    "space": space,
    "errors": errors,
    "power": power,
    "calls": calls,
    "crashes": crashes,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--only", action="append", choices=ALL, help="this, and others so named")
    parser.add_argument("--kills", type=int, default=300, help="of the whole portal, at random")
    parser.add_argument("--cuts", type=int, default=100, help="of the power")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--database", default="", help="an empty PostgreSQL database's address")
    options = parser.parse_args()
    options.over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the portal is stopped too
    say(f"seed {options.seed}")
    is_well = True
    for name in options.only or ALL:
        began = time.monotonic()
        say(f"{name}: {ALL[name].__doc__}")
        try:
            figures = ALL[name](options)
        except (Lacking, Impossible) as reason:
            say(f"  not done: {reason}")
            is_well = False
            continue
        for what, value in figures.items():
            say(f"  {what}: {len(value) if isinstance(value, list) else value}")
        problems = [each for value in figures.values() if isinstance(value, list) for each in value]
        say("\n".join(problems) if problems else f"  all is well, {time.monotonic() - began:.0f} s")
        is_well = is_well and not problems
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
