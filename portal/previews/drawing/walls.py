"""What a child can reach: no network, and of the files only what it is shown.

Programs that draw follow what a document names: a picture at an address, a file on this machine.
Settings against it have holes; the kernel has none. Where a kernel knows no Landlock (Linux 5.13)
or no filter of system calls, that wall is missing, and the settings are what is left.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
#: By machine: what the kernel calls it, and its number of `socket`.
_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
#: Opens sockets too, past the filter; the same number on every machine.
_IO_URING_SETUP = 425
#: From here on, x86-64 has the same calls once more, under other numbers.
_OTHER_NUMBERS = 0x40000000
_LOAD, _JUMP_IF_EQUAL, _JUMP_FROM, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EACCES
_CALL, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16
_AF_UNIX = 1

_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_VERSION, _BENEATH = 1, 1
#: Rights of Landlock: to run, to change, to read a file; to list a folder, to remove a file and
#: to make a socket in it; all of its first version; to move between folders, which that refuses.
_RUN, _WRITE, _READ = 1 << 0, 1 << 1, 1 << 2
_LIST, _REMOVE, _MAKE_SOCKET = 1 << 3, 1 << 5, 1 << 9
_ALL, _MOVE = (1 << 13) - 1, 1 << 13
_OF_FILES = _RUN | _WRITE | _READ


def without_network() -> None:
    """Refuse every socket that leads off this machine, to this process and what it starts."""
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        return
    arch, socket = machine
    # Code, how many to skip if so and if not, value.
    program = [
        (_LOAD, 0, 0, _MACHINE),
        (_JUMP_IF_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _CALL),
        (_JUMP_FROM, 5, 0, _OTHER_NUMBERS),
        (_JUMP_IF_EQUAL, 4, 0, _IO_URING_SETUP),
        (_JUMP_IF_EQUAL, 0, 2, socket),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_JUMP_IF_EQUAL, 0, 1, _AF_UNIX),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    steps = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    header = ctypes.create_string_buffer(
        struct.pack("@HxxxxxxQ", len(program), ctypes.addressof(steps))
    )
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0)


def nothing_but(
    readable: Iterable[str], devices: Iterable[str], own: str, for_sockets: str
) -> None:
    """Let this process, and what it starts, read and run what is `readable`, use `devices`, do
    what it likes in its `own` folder, and put sockets into one more; nothing else is opened."""
    version = landlock()
    if version < 1:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    everything = _ALL | (_MOVE if version > 1 else 0)
    rules = libc.syscall(_LANDLOCK_CREATE_RULESET, struct.pack("=Q", everything), 8, 0)
    for rights, paths in (
        (_RUN | _READ | _LIST, readable),
        (_READ | _WRITE, devices),
        (everything, [own]),
        (_MAKE_SOCKET | _REMOVE, [for_sockets]),
    ):
        for path in paths:
            with suppress(FileNotFoundError):
                _allow(libc, rules, path, rights)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.syscall(_LANDLOCK_RESTRICT_SELF, rules, 0):
        raise OSError(ctypes.get_errno(), "the files of this machine cannot be put out of reach")
    os.close(rules)


def landlock() -> int:
    """Which version of Landlock the kernel has; none below 1."""
    if sys.platform != "linux":
        return 0
    version: int = ctypes.CDLL(None).syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)
    return version


def _allow(libc: ctypes.CDLL, rules: int, path: str, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):
            rights &= _OF_FILES
        if libc.syscall(_LANDLOCK_ADD_RULE, rules, _BENEATH, struct.pack("=Qi", rights, place), 0):
            raise OSError(ctypes.get_errno(), path)
    finally:
        os.close(place)
