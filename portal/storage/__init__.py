"""Where bytes live, and how they leave.

`base` says what a storage can do, `local` keeps blobs in a folder, `delivery` turns a
`Grant` into a response.
"""

from __future__ import annotations

from flask import Flask, current_app

from portal.config import Settings
from portal.storage.base import (
    BlobMissing,
    Growing,
    Incoming,
    Overtaken,
    Received,
    Storage,
    Stored,
)
from portal.storage.files import HEAD_BYTES
from portal.storage.local import LocalStorage
from portal.storage.pace import CHUNK

__all__ = [
    "CHUNK",
    "HEAD_BYTES",
    "BlobMissing",
    "Growing",
    "Incoming",
    "Overtaken",
    "Received",
    "Storage",
    "Stored",
    "current",
    "init_app",
]


def init_app(app: Flask, settings: Settings) -> None:
    """Open the storage that `PORTAL_STORAGE_URL` names."""
    app.extensions["storage"] = LocalStorage(settings.files_dir)


def current() -> Storage:
    """The storage of the present app."""
    storage: Storage = current_app.extensions["storage"]
    return storage
