"""Bytes that come in one request."""

from __future__ import annotations

import hashlib
import os
import uuid
from contextlib import suppress
from pathlib import Path

from portal.storage.base import Received
from portal.storage.blocks import Blocks
from portal.storage.files import HEAD_BYTES, INCOMING, refusal, sync_directory, write_all


class LocalIncoming:
    """`Incoming` as a file in `.incoming/` of the owner's directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / INCOMING / uuid.uuid4().hex
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor: int | None = os.open(self._path, flags, 0o600)
        self._hash = hashlib.sha256()
        self._blocks: Blocks | None = None
        self._head = bytearray()
        self._size = 0
        self._received: Received | None = None
        self._kept = False

    @property
    def size_bytes(self) -> int:
        return self._size

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        if self._descriptor is None or self._received is not None:
            raise RuntimeError("written to after its end")
        if len(self._head) < HEAD_BYTES:
            self._head += chunk[: HEAD_BYTES - len(self._head)]
        try:
            if self._blocks is None and not Blocks.is_worth_it(self._size + len(chunk)):
                write_all(self._descriptor, chunk, self._size)
                self._hash.update(chunk)
            else:
                if self._blocks is None:
                    self._blocks = Blocks(self._descriptor, self._hash, self._size)
                self._blocks.write(chunk)
        except OSError as error:
            self.discard()
            raise refusal(error) from error
        self._size += len(chunk)

    def received(self) -> Received:
        if self._received is None:
            if self._descriptor is None:
                # Its number may be another file's by now.
                raise RuntimeError("finished after it was discarded")
            if self._blocks is not None:
                try:
                    self._blocks.finish()
                except OSError as error:
                    self.discard()
                    raise refusal(error) from error
            self._received = Received(self._size, self._hash.digest(), bytes(self._head))
        return self._received

    def keep(self) -> str:
        self.received()
        if self._descriptor is None:
            raise RuntimeError("kept after it was kept or discarded")
        final = self._directory / uuid.uuid4().hex
        try:
            # A failed fsync is never tried again: the kernel may have dropped the pages.
            os.fsync(self._descriptor)
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)
            os.rename(self._path, final)
            self._path = final
            sync_directory(self._directory)
        except OSError as error:
            self.discard()
            raise refusal(error) from error
        self._kept = True
        return f"{self._directory.name}/{final.name}"

    def discard(self) -> None:
        if self._kept:
            return
        if self._blocks is not None:
            self._blocks.stop()
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with suppress(OSError):
                os.close(descriptor)
        with suppress(OSError):
            self._path.unlink()
