"""What the rest of the portal may ask of the place where bytes live.

A blob is immutable bytes under a generated name; it knows nothing of documents or people
beyond the owner's directory it lies in. A local folder stands behind these protocols; an
object store or encryption can, without a caller noticing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from portal.storage.pace import Pace


@dataclass(frozen=True, slots=True)
class Received:
    """What came in: how many bytes, their SHA-256, and their beginning (for the media type)."""

    size_bytes: int
    sha256: bytes
    head: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob as it lies in storage."""

    blob: str
    size_bytes: int
    modified_at: datetime

    @property
    def final_blob(self) -> str:
        """The name these bytes have once they are kept."""
        directory, _, rest = self.blob.partition("/")
        return f"{directory}/{rest.rpartition('/')[2]}"


class BlobMissing(Exception):
    """There are no such bytes in storage, or not as many as there should be."""


class Overtaken(Exception):
    """Another request has written to the same growing bytes in the meantime."""


class Incoming(Protocol):
    """Bytes on their way in: written once, hashed as they pass, invisible until kept."""

    @property
    def size_bytes(self) -> int:
        """How many bytes were written so far."""

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append bytes. Raises `NoSpace` or `StorageUnavailable`; then only `discard` is left."""

    def received(self) -> Received:
        """What came in. No more bytes will come; may be asked again."""

    def keep(self) -> str:
        """Make the bytes durable under a new blob name, and answer it.

        When this returns, they survive power loss. Raises `NoSpace` or `StorageUnavailable`.
        """

    def discard(self) -> None:
        """Leave nothing behind. Safe to call at any time; does nothing after `keep`."""


class Growing(Protocol):
    """Bytes that come in pieces: each is appended by whoever comes first, and stays.

    Several requests may hold the same ones. Whatever is raised, what `size_bytes` tells
    afterwards is there and is right.
    """

    @property
    def size_bytes(self) -> int:
        """How many bytes are there now."""

    @property
    def is_kept(self) -> bool:
        """Whether they are a blob already."""

    def cut(self, size_bytes: int) -> None:
        """Throw away what stands beyond `size_bytes`; the next piece goes there.

        Whoever was writing beyond it is overtaken. Raises `Overtaken` once they were kept.
        """

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append bytes, now or by the next `sync`. Raises `Overtaken` where another request has
        appended or cut since, `NoSpace` or `StorageUnavailable`."""

    def sync(self) -> int:
        """Write what was handed over, make it durable, and answer how many bytes are there.

        Raises what `write` does.
        """

    def head(self) -> bytes:
        """The first `HEAD_BYTES`, or as many as there are."""

    def received(self) -> Received:
        """What came in so far."""

    def keep(self) -> str:
        """Make the bytes durable as a blob, and answer its name; may be asked again.

        They are the bytes that `received` told of, or it raises `Overtaken`; also `NoSpace` or
        `StorageUnavailable`.
        """

    def discard(self) -> None:
        """Leave nothing behind, unless they were kept."""

    def close(self) -> None:
        """Let go of what is held for this request. The bytes stay."""


class Storage(Protocol):
    """A place where blobs live."""

    def receive(self, owner: uuid.UUID) -> Incoming:
        """Begin to take bytes into the directory of `owner`."""

    def new_blob(self, owner: uuid.UUID) -> str:
        """A name for bytes of `owner` that are to come in pieces."""

    def grow(self, blob: str) -> Growing:
        """Take hold of bytes that come in pieces, none so far if nothing came yet.

        Raises `NoSpace` or `StorageUnavailable`.
        """

    def forget(self, blob: str) -> None:
        """Throw away what came of `blob`, kept or not."""

    def size_so_far(self, blob: str) -> int:
        """How many bytes of `blob` have come, kept or not; 0 where none did."""

    def read(
        self, blob: str, start: int, length: int, size_bytes: int, pace: Pace | None = None
    ) -> Iterator[bytes]:
        """`length` bytes from `start`, opened now and read in pieces of at most `LARGEST_CHUNK`;
        up to `SMALL_BYTES` are one piece, and read now.

        `pace` is that of a taker who has taken other bytes before these.
        Raises `BlobMissing` at once if the blob is not there or is not `size_bytes` long, so
        that a damaged blob is an error before the first byte and never a short answer; and
        `StorageUnavailable`.
        """

    def digest(self, blob: str, size_bytes: int, after_block: Callable[[int], None]) -> bytes:
        """The SHA-256 of a blob as it lies in storage, and not as some memory has kept it.

        Disturbs nothing that downloads keep in memory. `after_block` hears again and again how
        many bytes more were read, and may rest or raise. Raises `BlobMissing` with words where the
        blob is not there, not `size_bytes` long or unreadable; `StorageUnavailable` where nothing
        can be told.
        """

    def copy(self, blob: str, owner: uuid.UUID, size_bytes: int, sha256: bytes) -> str:
        """Store the bytes of a blob once more, for `owner`, and answer the new blob's name.

        They are durable and have that very SHA-256, or nothing stays and it raises `BlobMissing`;
        also `NoSpace` or `StorageUnavailable`.
        """

    def remove(self, blob: str) -> None:
        """Remove a blob; one that is not there is removed already."""

    def blobs(self) -> Iterator[Stored]:
        """Every kept blob, in no order."""

    def abandoned(self, before: datetime) -> Iterator[Stored]:
        """Unfinished incoming bytes last written before that moment; `remove` takes them too."""

    def free_bytes(self) -> int | None:
        """How much room is left, or None where nobody can say."""
