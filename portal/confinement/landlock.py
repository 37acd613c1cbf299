"""The files that a process and what it starts can still open (Landlock, in Linux since 5.13)."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress

_PR_SET_NO_NEW_PRIVS = 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _BENEATH = 1, 1
#: Rights: to run, to change, to read a file; to list a folder, to remove a file and to make a
#: socket in it.
_RUN, _WRITE, _READ = 1 << 0, 1 << 1, 1 << 2
_LIST, _REMOVE, _MAKE_SOCKET = 1 << 3, 1 << 5, 1 << 9
#: All of the first version, and what came since: to move between folders, to cut off.
_ALL = (1 << 13) - 1
_SINCE = {2: 1 << 13, 3: 1 << 14}
_OF_FILES = _RUN | _WRITE | _READ | _SINCE[3]
#: Processes outside cannot be reached by abstract sockets and signals, since the sixth version.
_SCOPES, _SCOPES_SINCE = 0b11, 6
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


def nothing_but(readable: Iterable[str], runnable: Iterable[str], own: str, sockets: str) -> None:
    """Let this process, and what it starts, read what is `readable`, read and run what is
    `runnable`, do what it likes in its `own` folder, and put sockets into one more; nothing else.

    What is not there is left out. Does nothing where the kernel has no Landlock.
    """
    if version() < 1:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    everything = _ALL | sum(right for since, right in _SINCE.items() if version() >= since)
    scopes = _SCOPES if version() >= _SCOPES_SINCE else 0
    # A kernel takes a structure that is longer than the one it knows as long as the rest is zero.
    rules = libc.syscall(_CREATE_RULESET, struct.pack("=QQQ", everything, 0, scopes), 24, 0)
    for rights, paths in (
        (_READ | _LIST, readable),
        (_RUN | _READ | _LIST, runnable),
        (_READ | _WRITE, _DEVICES),
        (everything, [own] if own else []),
        (_MAKE_SOCKET | _REMOVE, [sockets] if sockets else []),
    ):
        for path in paths:
            with suppress(FileNotFoundError):
                _allow(libc, rules, path, rights)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.syscall(_RESTRICT_SELF, rules, 0):
        raise OSError(ctypes.get_errno(), "the files of this machine cannot be put out of reach")
    os.close(rules)


def version() -> int:
    """Which version of Landlock the kernel has; none below 1."""
    if sys.platform != "linux":
        return 0
    found: int = ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, _VERSION)
    return found


def _allow(libc: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):
            rights &= _OF_FILES
        if libc.syscall(_ADD_RULE, rules, _BENEATH, struct.pack("=Qi", rights, place), 0):
            raise OSError(ctypes.get_errno(), path)
    finally:
        os.close(place)
