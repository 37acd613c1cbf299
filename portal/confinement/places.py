"""What Python, and a program it may run, are made of: no more than that has to be readable."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

#: Libraries of the system, and how they are found. Not all of `/usr`: portals live there, too.
_LIBRARIES = (
    *("/usr/lib", "/usr/lib32", "/usr/lib64", "/lib", "/lib32", "/lib64", "/usr/local/lib"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"),
    *("/nix/store", "/gnu/store"),
)
_FONTS = (
    *("/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/X11/fonts"),
    *("/etc/localtime", "/usr/share/zoneinfo"),
)
#: Of a program that reads scans, beside the libraries.
_DATA = ("tesseract-ocr", "tessdata")
#: The folder of which the portal is a part, and beside whose programs its documents lie by default.
_PORTAL = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def of_python() -> tuple[str, ...]:
    """Where modules and libraries come from that are imported later, and fonts."""
    own = (os.path.join(sys.base_prefix, "lib"), os.path.join(sys.base_prefix, "lib64"))
    return tuple(_beside_the_portal(*sys.path, *own, *_LIBRARIES, *_FONTS))


def of_program(path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of a program: what is to be readable, and what runnable."""
    real = os.path.realpath(path)
    prefix = os.path.dirname(os.path.dirname(real))
    data = [os.path.join(prefix, "share", name) for name in _DATA]
    # Whoever runs a program runs the loader of its libraries, which lies among them.
    return tuple(data), (real, *_beside_the_portal(os.path.join(prefix, "lib"), *_LIBRARIES))


def _beside_the_portal(*paths: str) -> Iterator[str]:
    """These, but nothing in which the portal lies: of that, what is beside it."""
    for path in paths:
        real = os.path.realpath(path)
        if not path or real == _PORTAL or not os.path.exists(real):
            continue
        if not _PORTAL.startswith(f"{real.rstrip('/')}/"):
            yield real
        else:
            yield from _beside_the_portal(*(each.path for each in os.scandir(real)))
