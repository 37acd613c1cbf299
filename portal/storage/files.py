"""What every way of writing a file needs: whole writes, durable names, errors in our words."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from portal.errors import NoSpace, PortalError, StorageUnavailable

#: Where bytes lie, in the directory of their owner, until they are kept.
INCOMING = ".incoming"
#: The beginning of a file that tells its media type.
HEAD_BYTES = 4096
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_all(descriptor: int, piece: bytes | bytearray | memoryview, at: int) -> None:
    rest = memoryview(piece)
    while rest:
        written = os.pwrite(descriptor, rest, at)
        rest, at = rest[written:], at + written


def make_directory(path: Path) -> None:
    """Make a directory 0700 and its name durable; one that is there is left alone."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise
        return
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refusal(error: OSError) -> PortalError:
    return NoSpace() if error.errno in _NO_SPACE else StorageUnavailable()
