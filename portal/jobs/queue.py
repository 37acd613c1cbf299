"""The queue of background work: a small database of its own in the instance folder.

Its file is apart from the portal's, so that a busy worker never keeps a request waiting.
"""

from __future__ import annotations

import os

from huey import Huey, SqliteHuey
from huey.serializer import SignedSerializer

from portal.config import Settings

_NAME = "jobs.db"


def open_queue(settings: Settings) -> Huey:
    """Open the portal's queue; what is put in survives a power loss.

    Tasks are pickled, and unpickling runs code. They are signed with the secret key, so
    that whoever can write to the queue alone cannot make the worker run theirs.
    """
    path = settings.instance_dir / _NAME
    # Before SQLite would create it as the umask says.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    return SqliteHuey(
        "portal",
        filename=str(path),
        fsync=True,
        results=False,
        utc=True,
        serializer=SignedSerializer(secret=settings.secret_key, salt="portal jobs"),
    )
