"""Draw one document: an answer in every case."""

from __future__ import annotations

import importlib
import os
import sys

from .emitting import Impossible, end

_MODULES = {"image": "images", "pdf": "pages", "text": "text"}


def main(kind: str, media_type: str) -> None:
    """Draw what stands on the standard input, and end this process."""
    try:
        drawing = importlib.import_module(f".{_MODULES[kind]}", __package__)
        # Opened anew: the parent's descriptor may stand at the end of what it wrote.
        with os.fdopen(os.dup(0), "rb") as file:
            file.seek(0)
            drawing.draw(file, media_type)
    except Impossible as error:
        end(impossible=str(error))
    except MemoryError:
        end(impossible="limits")
    except Exception as error:  # noqa: BLE001 - the parent decides what becomes of it
        end(failed=f"{type(error).__name__}: {error}"[:200])
    sys.stdout.flush()
    # Nothing of what a library still holds is worth the time, or the risk, of taking it apart.
    os._exit(0)
