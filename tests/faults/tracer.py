"""Watches the system calls of a program that change files, and breaks one: a program of its own.

    tracer.py [options] --pid PID            a process that runs, with all of its threads
    tracer.py [options] -- COMMAND …         one that is started

Calls are counted in the order in which they begin, over all threads, so that "the 17th" is one
moment. (strace counts for each thread apart: of two threads that write, it could only ever stop
the one that is first.) Ends when the watched one ends, or on SIGTERM; what it watched goes on.
Each call is told on standard output as a line of JSON, before it is made.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import json
import os
import signal
import struct
import sys
from typing import NamedTuple

SEIZE, INTERRUPT, LISTEN, SYSCALL, POKEUSER = 0x4206, 0x4207, 0x4208, 24, 6
GET_SYSCALL_INFO = 0x420E
TRACE_SYSGOOD, TRACE_CLONE, TRACE_EXEC = 1, 8, 16
EVENT_STOP = 128
WAIT_FOR_ALL = 0x40000000
AT_CWD = -100
#: Where the number of a call and its result lie for `POKEUSER`, on x86-64.
NUMBER_AT, RESULT_AT = 15 * 8, 10 * 8
ENTRY, EXIT = 1, 2

#: Calls that change a file, by their number on x86-64; the file is that of the first argument.
BY_DESCRIPTOR = {
    1: "write",
    18: "pwrite64",
    20: "writev",
    73: "flock",
    74: "fsync",
    75: "fdatasync",
    77: "ftruncate",
    91: "fchmod",
    277: "sync_file_range",
    285: "fallocate",
    296: "pwritev",
    326: "copy_file_range",
    328: "pwritev2",
}
#: Likewise, the name being the first argument.
BY_PATH = {
    2: "open",
    76: "truncate",
    82: "rename",
    83: "mkdir",
    84: "rmdir",
    85: "creat",
    86: "link",
    87: "unlink",
    90: "chmod",
}
#: Likewise, the name being the second argument, seen from the directory that is the first.
BY_PLACE = {
    257: "openat",
    258: "mkdirat",
    263: "unlinkat",
    264: "renameat",
    265: "linkat",
    280: "utimensat",
    316: "renameat2",
}
#: Of these, those that neither make nor empty a file change nothing: where their flags are.
FLAGS = {"open": 1, "openat": 2}

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
libc.ptrace.restype = ctypes.c_long


class Call(NamedTuple):
    """A call about to be made."""

    thread: int
    name: str
    path: str


class Tracer:
    """Goes from stop to stop of the watched threads."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.folders = tuple(f"{os.path.realpath(each)}/" for each in options.under)
        self.count = 0
        #: What a call that is passed over shall answer, by thread.
        self.results: dict[int, int] = {}

    def attach(self, pid: int) -> None:
        """Watch every thread of a process."""
        threads: set[int] = set()
        while new := {int(name) for name in os.listdir(f"/proc/{pid}/task")} - threads:
            for thread in new:
                ptrace(SEIZE, thread, 0, TRACE_SYSGOOD | TRACE_CLONE | TRACE_EXEC)
                ptrace(INTERRUPT, thread)
            threads |= new
        for thread in threads:
            os.waitpid(thread, WAIT_FOR_ALL)
            ptrace(SYSCALL, thread)

    def run(self) -> None:
        """Follow until nobody is left."""
        while True:
            try:
                thread, status = os.waitpid(-1, WAIT_FOR_ALL)
            except ChildProcessError:
                return
            if os.WIFSTOPPED(status):
                try:
                    self._stopped(thread, status)
                except ProcessLookupError:  # killed while it was looked at
                    continue

    def _stopped(self, thread: int, status: int) -> None:
        number, event = os.WSTOPSIG(status), status >> 16
        if number == signal.SIGTRAP | 0x80:
            self._at_call(thread)
            number = 0
        elif event == EVENT_STOP and number != signal.SIGTRAP:
            ptrace(LISTEN, thread)  # stopped with its whole group, until SIGCONT
            return
        elif event:
            number = 0
        ptrace(SYSCALL, thread, 0, number)

    def _at_call(self, thread: int) -> None:
        raw = ctypes.create_string_buffer(88)
        ptrace(GET_SYSCALL_INFO, thread, 88, ctypes.addressof(raw))
        moment, number, *arguments = struct.unpack_from("=B23xQ6Q", raw.raw)
        if moment == EXIT and thread in self.results:
            ptrace(POKEUSER, thread, RESULT_AT, self.results.pop(thread) & (2**64 - 1))
        if moment != ENTRY or (call := self._look(thread, number, arguments)) is None:
            return
        self.count += 1
        say(call=self.count, thread=call.thread, name=call.name, path=call.path)
        if self._is_passed_over(call):
            self._answer(thread, 0)
        elif self.count == self.options.at:
            self._break(thread)

    def _is_passed_over(self, call: Call) -> bool:
        if call.name not in self.options.skip:
            return False
        return not self.options.directories or os.path.isdir(call.path)

    def _break(self, thread: int) -> None:
        what = self.options.do
        if what == "kill":
            os.kill(process_of(thread), signal.SIGKILL)
        elif what == "kill-group":
            os.killpg(os.getpgid(thread), signal.SIGKILL)
        else:
            self._answer(thread, -getattr(errno, what))

    def _answer(self, thread: int, result: int) -> None:
        """Let the call not be made, and answer that."""
        ptrace(POKEUSER, thread, NUMBER_AT, 2**64 - 1)
        self.results[thread] = result

    def _look(self, thread: int, number: int, arguments: list[int]) -> Call | None:
        try:
            if name := BY_DESCRIPTOR.get(number):
                path = os.readlink(f"/proc/{thread}/fd/{arguments[0]}")
            elif name := BY_PATH.get(number):
                path = text_at(thread, arguments[0])
            elif name := BY_PLACE.get(number):
                path = self._in_directory(thread, *arguments[:2])
            else:
                return None
        except OSError:
            return None
        if (place := FLAGS.get(name)) and not arguments[place] & (os.O_CREAT | os.O_TRUNC):
            return None
        return Call(thread, name, path) if f"{path}/".startswith(self.folders) else None

    def _in_directory(self, thread: int, directory: int, address: int) -> str:
        number = ctypes.c_int(directory & 0xFFFFFFFF).value
        where = "cwd" if number == AT_CWD else f"fd/{number}"
        path = text_at(thread, address) if address else ""
        if path.startswith("/"):
            return path
        return os.path.join(os.readlink(f"/proc/{thread}/{where}"), path)


def ptrace(request: int, thread: int, address: int = 0, data: int = 0) -> None:
    """Raises `OSError` as the system does; `ProcessLookupError` for a thread that is gone."""
    if libc.ptrace(request, thread, address, data) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def text_at(thread: int, address: int) -> str:
    """The text in the memory of a thread at `address`, up to its NUL."""
    with open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:
        text = b""
        while b"\0" not in text and len(text) < 8192:
            # No further than the page ends: the next one may not be there.
            text += os.pread(
                memory.fileno(), 4096 - (address + len(text)) % 4096, address + len(text)
            )
    return text.partition(b"\0")[0].decode(errors="surrogateescape")


def process_of(thread: int) -> int:
    with open(f"/proc/{thread}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Tgid:"))


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def started(command: list[str]) -> tuple[int, int]:
    """Fork a process that becomes `command` once the descriptor that is answered too is closed."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os.dup2(2, 1)  # standard output is for what is told here
        os.execvp(command[0], command)
    os.close(reader)
    return pid, writer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--under", action="append", default=[], help="folders that are looked at")
    parser.add_argument("--at", type=int, default=0, help="which call to break")
    parser.add_argument("--do", default="kill", help="kill, kill-group, or an error like EIO")
    parser.add_argument("--skip", action="append", default=[], help="calls that do nothing")
    parser.add_argument("--directories", action="store_true", help="skip those of folders alone")
    parser.add_argument("command", nargs="*")
    options = parser.parse_args()
    tracer = Tracer(options)
    if options.pid:
        tracer.attach(options.pid)
        say(ready=True)
    else:
        pid, gate = started(options.command)
        tracer.attach(pid)
        say(ready=True)
        os.close(gate)
    tracer.run()


if __name__ == "__main__":
    sys.exit(main())
