"""How a server process holds memory: kept while it is of use, given back after a rush.

Imported before granian, whose allocator looks into the environment once, when it is loaded.
"""

from __future__ import annotations

import ctypes
import os

#: What granian's allocator (jemalloc) goes by. One arena instead of four a core, and pages that
#: fifty uploads took are the system's again a second after them.
ALLOCATOR = "_RJEM_MALLOC_CONF"
_GIVE_BACK = "narenas:1,dirty_decay_ms:1000,muzzy_decay_ms:0"

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
#: Heaps of glibc for all threads together: each keeps what its threads once took.
_ARENAS = 2

os.environ.setdefault(ALLOCATOR, _GIVE_BACK)


def configure() -> None:
    """Tell glibc to keep the memory it has: fresh pages cost more than reading a body into them."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library: slower, not wrong
        return
    mallopt(_M_MMAP_THRESHOLD, 64 * 1024 * 1024)
    mallopt(_M_TRIM_THRESHOLD, 256 * 1024 * 1024)
    mallopt(_M_ARENA_MAX, _ARENAS)
