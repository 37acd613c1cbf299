"""System calls that a process and what it starts are refused, for good (seccomp)."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_X86, _ARM = "x86_64", "aarch64"
#: What the kernel calls a machine.
_MACHINES = {_X86: 0xC000003E, _ARM: 0xC00000B7}
_SOCKET = {_X86: 41, _ARM: 198}
_SOCKETPAIR = {_X86: 53, _ARM: 199}
#: Opens sockets too, past the filter; the same number on every machine.
_IO_URING_SETUP = 425
_RUNNING = {_X86: (59, 322), _ARM: (221, 281)}
#: Of a file by its name: truncate, chmod, chown and what is like them. Landlock knows the first
#: since Linux 6.2, the others not at all.
_CHANGING = {_X86: (76, 90, 92, 94, 260, 268, 452), _ARM: (45, 53, 54, 452)}
#: From here on, x86-64 has the same calls once more, under other numbers.
_OTHER_NUMBERS = 0x40000000
_LOAD, _JUMP_IF_EQUAL, _JUMP_FROM, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EACCES
_CALL, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16
_AF_UNIX = 1


def refuse_network() -> None:
    """Refuse every socket that leads off this machine."""
    if machine := _known_machine():
        _filter(machine, (), with_local_sockets=True)


def refuse_sockets_and_changes(*, may_run: bool) -> None:
    """Refuse every socket, changes of files by name and, unless it `may_run` them, programs."""
    if machine := _known_machine():
        refused = (_SOCKET[machine], _SOCKETPAIR[machine], *_CHANGING[machine])
        _filter(machine, refused if may_run else (*refused, *_RUNNING[machine]))


def _known_machine() -> str:
    name = platform.machine()
    return name if sys.platform == "linux" and name in _MACHINES else ""


def _filter(machine: str, refused: tuple[int, ...], *, with_local_sockets: bool = False) -> None:
    numbers = (_IO_URING_SETUP, *refused)
    # Code, how many to skip if so and if not, value.
    local_sockets = [
        (_JUMP_IF_EQUAL, 0, 2, _SOCKET[machine]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_JUMP_IF_EQUAL, 0, 1, _AF_UNIX),
    ]
    end = [
        *(local_sockets if with_local_sockets else ()),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    to_refusal = len(numbers) + len(end) - 1
    program = [
        (_LOAD, 0, 0, _MACHINE),
        (_JUMP_IF_EQUAL, 1, 0, _MACHINES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _CALL),
        (_JUMP_FROM, to_refusal, 0, _OTHER_NUMBERS),
        *((_JUMP_IF_EQUAL, to_refusal - at, 0, each) for at, each in enumerate(numbers, 1)),
        *end,
    ]
    steps = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    header = ctypes.create_string_buffer(
        struct.pack("@HxxxxxxQ", len(program), ctypes.addressof(steps))
    )
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0)
