"""Reading a whole file to check it, beside those who download."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
from collections.abc import Callable
from contextlib import suppress

from portal.storage.base import BlobMissing

#: So much is read at a time.
BLOCK = 1024 * 1024
#: Past the kernel's cache (Linux): what others have read stays in it, and what the disk holds is
#: read, which the cache may hide for weeks.
_O_DIRECT = getattr(os, "O_DIRECT", 0)
#: What is the matter with the file itself and not with the machine.
OF_THE_FILE = frozenset(
    {
        errno.EIO,
        errno.EACCES,
        errno.EPERM,
        errno.ELOOP,
        errno.EISDIR,
        getattr(errno, "EUCLEAN", errno.EIO),
        getattr(errno, "EBADMSG", errno.EIO),
    }
)


def digest(path: str, size_bytes: int, after_block: Callable[[int], None]) -> bytes:
    """The SHA-256 of a file; `after_block` hears how many bytes more were read.

    Raises `BlobMissing` where it is not `size_bytes` long, and `OSError`.
    """
    descriptor, is_direct = _open(path)
    block = mmap.mmap(-1, BLOCK)  # page-aligned, as direct reads need it
    try:
        present = os.fstat(descriptor).st_size
        if present != size_bytes:
            raise BlobMissing(f"is {present} bytes long instead of {size_bytes}")
        sha256 = hashlib.sha256()
        position = 0
        while position < size_bytes:
            try:
                length = os.preadv(descriptor, [block], position)
            except OSError as error:
                if not is_direct or error.errno != errno.EINVAL:
                    raise
                # A file system that takes the flag and then no such read.
                os.close(descriptor)
                descriptor, is_direct = _open_buffered(path), False
                continue
            if not length:
                raise BlobMissing(f"is {position} bytes long instead of {size_bytes}")
            with memoryview(block) as view, view[:length] as filled:
                sha256.update(filled)
            if not is_direct:
                _drop(descriptor, position, length)
            position += length
            after_block(length)
        return sha256.digest()
    finally:
        os.close(descriptor)
        with suppress(BufferError):  # what the traceback of a failed read still holds goes with it
            block.close()


def _open(path: str) -> tuple[int, bool]:
    if _O_DIRECT:
        with suppress(OSError):
            return _open_buffered(path, _O_DIRECT), True
    return _open_buffered(path), False


def _open_buffered(path: str, more: int = 0) -> int:
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | more)


def _drop(descriptor: int, position: int, length: int) -> None:
    """Have the cache give back what was read through it."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, position, length, os.POSIX_FADV_DONTNEED)
