"""Whether the time of a refused sign-in tells who has an account.

Starts a portal of its own in a temporary folder, makes accounts, and tries wrong passwords at
known, unknown, disabled and invited ones, in turns, in random order, one at a time:

    python benchmarks/sign_in_timing.py                  # 200 tries of each kind, some minutes
    python benchmarks/sign_in_timing.py --tries 40

The figure is the area under the ROC curve: how often a known account took longer than one of
another kind. 0.5 is chance; what counts is the distance from it, so 0.3 is shown as 0.7.
Exit 0 only if all are at most 0.6.
"""

from __future__ import annotations

import argparse
import http.client
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from live.running import MANAGE, LivePortal

WRONG = "a wrong guess at a password"
MOST = 0.6
KINDS = ("known", "unknown", "disabled", "invited")
#: What the portal lets through in a quarter of an hour is ten an account and sixty an address.
TRIES_AN_ACCOUNT = 8
TRIES_AN_ADDRESS = 50


@dataclass(frozen=True)
class Try:
    """One sign-in to be timed."""

    kind: str
    email: str
    #: Loopback has sixteen million addresses, and all are this machine.
    source: str


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tries", type=int, default=200, help="tries of each kind (200)")
    parser.add_argument("--workers", type=int, default=2, help="processes of the portal (2)")
    parser.add_argument("--seed", type=int, default=1, help="of the order")
    options = parser.parse_args()
    if not 10 <= options.tries <= 2000:
        parser.error("--tries: from 10 to 2000")
    with tempfile.TemporaryDirectory(prefix="portal-timing-") as folder:
        portal = LivePortal(Path(folder))
        portal.start("--workers", str(options.workers))
        try:
            _make_accounts(portal, -(-options.tries // TRIES_AN_ACCOUNT))
            times = measure(portal.port, plan(options.tries, options.seed))
        finally:
            portal.stop()
    return 0 if report(times) else 1


def plan(tries: int, seed: int) -> list[Try]:
    """As many tries of each kind, in rounds of one of each, whose order is random."""
    order = random.Random(seed)
    planned = []
    for number in range(tries):
        kinds = list(KINDS)
        order.shuffle(kinds)
        for kind in kinds:
            place = len(planned) // TRIES_AN_ADDRESS
            source = f"127.0.{1 + place // 250}.{1 + place % 250}"
            planned.append(Try(kind, _email(kind, number // TRIES_AN_ACCOUNT), source))
    return planned


def measure(port: int, planned: Sequence[Try]) -> dict[str, list[float]]:
    """Seconds from the first byte sent to the last byte of the answer, by kind."""
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    source, connection, headers, token = "", None, {}, ""
    for number, each in enumerate(planned):
        if each.source != source or connection is None:
            source = each.source
            connection = http.client.HTTPConnection(
                "127.0.0.1", port, timeout=60, source_address=(source, 0)
            )
            headers, token = _fresh_form(connection)
        fields = {"email": each.email, "password": WRONG, "csrf_token": token}
        body = urlencode(fields).encode()
        began = time.perf_counter()
        connection.request("POST", "/login", body, headers)
        answer = connection.getresponse()
        answer.read()
        took = time.perf_counter() - began
        if answer.status != 401:
            raise SystemExit(f"{each.email} from {source} was answered {answer.status}, not 401")
        times[each.kind].append(took)
        if sys.stderr.isatty():
            print(f"\r{number + 1} of {len(planned)}", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return times


def report(times: dict[str, list[float]]) -> bool:
    """Print a table; answers whether nothing can be told from the time."""
    known = times["known"]
    print("| account | tries | median | middle half | AUC against known |")
    print("|---|---|---|---|---|")
    worst = 0.0
    for kind, took in times.items():
        low, middle, high = (1000 * each for each in statistics.quantiles(took, n=4))
        told = 0.5 if kind == "known" else max(auc(known, took), 1 - auc(known, took))
        worst = max(worst, told)
        shown = "–" if kind == "known" else f"{told:.3f}"
        print(f"| {kind} | {len(took)} | {middle:.1f} ms | {low:.1f}–{high:.1f} ms | {shown} |")
    others = [each for kind in KINDS if kind != "known" for each in times[kind]]
    together = max(auc(known, others), 1 - auc(known, others))
    worst = max(worst, together)
    verdict = "at most" if worst <= MOST else "MORE THAN"
    print(
        f"\nknown against all others: {together:.3f}; the worst, {worst:.3f}, is {verdict} {MOST}"
    )
    return worst <= MOST


def auc(ones: Sequence[float], others: Sequence[float]) -> float:
    """How often one of `ones` is larger than one of `others`; equal ones count half.

    The rank statistic of Mann and Whitney, divided by the number of pairs.
    """
    every = sorted([(value, True) for value in ones] + [(value, False) for value in others])
    rank_sum, start = 0.0, 0
    while start < len(every):
        end = start
        while end < len(every) and every[end][0] == every[start][0]:
            end += 1
        middle = (start + 1 + end) / 2
        rank_sum += middle * sum(is_one for _, is_one in every[start:end])
        start = end
    above = rank_sum - len(ones) * (len(ones) + 1) / 2
    return above / (len(ones) * len(others))


def _email(kind: str, number: int) -> str:
    # All are as long as each other.
    return f"{kind:x<10}{number:03}@example.org"


def _fresh_form(connection: http.client.HTTPConnection) -> tuple[dict[str, str], str]:
    connection.request("GET", "/login")
    answer = connection.getresponse()
    page = answer.read().decode()
    cookie = (answer.headers["Set-Cookie"] or "").partition(";")[0]
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    if found is None:
        raise SystemExit("the sign-in page has no token")
    kind = "application/x-www-form-urlencoded"
    return {"Cookie": cookie, "Content-Type": kind}, found.group(1)


def _make_accounts(portal: LivePortal, count: int) -> None:
    """In one process of the command line's own, because each start takes a second."""
    script = (
        "import sys\n"
        "from portal import config\n"
        "from portal.accounts import people\n"
        "from portal.cli import acting\n"
        "settings = config.load()\n"
        "with acting(settings):\n"
        "    for line in sys.stdin.read().split():\n"
        "        kind, email = line.split(':')\n"
        "        password = None if kind == 'invited' else 'three quiet herons wade'\n"
        "        user = people.create(email, settings, password=password)\n"
        "        if kind == 'invited':\n"
        "            people.invite(user)\n"
        "        if kind == 'disabled':\n"
        "            people.disable(user)\n"
    )
    lines = [
        f"{kind}:{_email(kind, n)}" for kind in KINDS if kind != "unknown" for n in range(count)
    ]
    root = str(Path(MANAGE[1]).parent)
    subprocess.run(
        [sys.executable, "-c", script],
        input="\n".join(lines),
        text=True,
        check=True,
        cwd=root,
        env={**portal.environment(), "PYTHONPATH": root},
    )


if __name__ == "__main__":
    sys.exit(main())
