"""`python -m drawing.confined LIMITS PROGRAM ARGUMENT…`: become another program, under limits.

It reaches no network, and of the files its own folder (`HOME`) and what programs are made of:
nothing of the portal's, and nothing that other processes show of themselves.
"""

from __future__ import annotations

import os
import sys

from .limits import confine
from .walls import nothing_but, without_network

#: Programs and libraries, fonts, and how they are set up.
_PROGRAMS = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/etc/ld.so.cache"),
    *("/etc/fonts", "/var/cache/fontconfig", "/var/lib/fontconfig"),
    *("/etc/libreoffice", "/var/lib/libreoffice", "/var/spool/libreoffice"),
    *("/etc/localtime", "/etc/nsswitch.conf", "/etc/passwd"),
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


def _home_of(program: str) -> str:
    """The folder a program is installed in."""
    place, name = os.path.split(os.path.dirname(os.path.realpath(program)))
    return place if name == "program" else os.path.join(place, name)


if __name__ == "__main__":
    confine(sys.argv[1])
    without_network()
    programs = (*_PROGRAMS, _home_of(sys.argv[2]))
    # LibreOffice asks by a socket there whether it runs already, whatever `TMPDIR` says.
    nothing_but(programs, _DEVICES, os.environ["HOME"], for_sockets="/tmp")  # noqa: S108
    os.execv(sys.argv[2], sys.argv[2:])
