"""`python -m drawing.confined LIMITS PROGRAM ARGUMENT…`: become another program, under limits."""

from __future__ import annotations

import os
import sys

from .limits import confine

if __name__ == "__main__":
    confine(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])
