"""Where mails go without a mail server: a folder of files that mail programs open."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from portal.config import Settings

_NAME = "outbox"


def folder(settings: Settings) -> Path:
    return settings.instance_dir / _NAME


def write(settings: Settings, name: str, message: bytes) -> Path:
    """Keep `message` as a file of that name, readable for the portal alone; whole or not at all.

    There may be secret addresses in it. Raises `OSError`.
    """
    outbox = folder(settings)
    outbox.mkdir(mode=0o700, exist_ok=True)
    outbox.chmod(0o700)
    draft, path = outbox / f".{secrets.token_hex(8)}", outbox / name
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(message)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    directory = os.open(outbox, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return path
