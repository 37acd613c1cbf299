"""The long form of the crashes: `python -m tests.faults --kills 300`."""

from __future__ import annotations

import argparse
import random
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults.crashes import Storm
from live.fixtures import live_portal


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--database", default="", help="an empty PostgreSQL database's address")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the portal is stopped too
    sys.stdout.write(f"seed {options.seed}\n")
    with live_portal(options.database) as portal:
        figures = Storm(portal, options.seed).run(
            options.kills, lambda line: print(line, flush=True)
        )
    sys.stdout.write("\n".join([*figures.lines(), *figures.broken]) + "\n")
    return 1 if figures.broken else 0


if __name__ == "__main__":
    sys.exit(main())
