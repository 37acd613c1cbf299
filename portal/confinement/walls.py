"""What a child can reach: no network, and of the files only what it is shown.

Parsers have holes, and programs follow what a document names: a picture at an address, a file on
this machine. Care in them is not enough; the kernel has the last word. Behind the walls a process,
and all that it starts, can whatever it is made to do

- open no socket: not to another machine, not to this one, not to a program beside it;
- read what is `readable`, run what is `runnable`, change what is in its `own` folder, and open
  nothing else: no document, no key, no database, nothing of other processes;
- change neither length nor rights of a file by its name, and signal nobody else (Linux 6.12).

With a folder for `sockets` it can talk to programs on this machine, and change rights by name.

What was open before stays open: the document comes, and the answer goes, that way. Walls stand
around the thread that puts them up and all it starts later, so they come first, while there is no
other.

The files are the part of Landlock (Linux 5.13), the rest that of a filter of system calls. Where a
kernel has one of them not, that wall is missing and the others stand.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import landlock, system_calls


@dataclass(frozen=True, slots=True)
class Walls:
    """What is left open to a child; by default nothing."""

    #: Files and folders.
    readable: tuple[str, ...] = ()
    #: The same, of programs; they can be read too.
    runnable: tuple[str, ...] = ()
    #: The folder in which it does what it likes.
    own: str = ""
    #: A folder for sockets between its own processes; without it there are none.
    sockets: str = ""


def put_up(walls: Walls) -> None:
    """Shut this process in. Raises `OSError` where Landlock is there and refuses."""
    landlock.nothing_but(walls.readable, walls.runnable, walls.own, walls.sockets)
    if walls.sockets:
        system_calls.refuse_network()
    else:
        system_calls.refuse_sockets_and_changes(may_run=bool(walls.runnable))
