"""Children that open documents: how they run, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress

from portal.jobs import giving_way, priority


@contextmanager
def running(
    command: list[str], stdin: int, env: Mapping[str, str], *, may_wait: bool
) -> Iterator[subprocess.Popen[bytes]]:
    """A child with a command of `confinement.starting`, in a group that ends with the block.

    Everybody goes first; where it `may_wait`, it stands still for a while besides. `env` is all
    that it gets: ours holds the address of the database, and secrets.
    """
    process = subprocess.Popen(
        command,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=env,
        # In our session: Linux may share the processor out by session first, and then whoever
        # waits for an idle one would have as much of it as we have.
        process_group=0,
    )
    try:
        priority.hold_back(process.pid)
        with giving_way.standing_still(process.pid) if may_wait else nullcontext():
            yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a child and all that it has started, and let go of what it said."""
    if process.returncode is None:  # once it was waited for, its number may be another's
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
