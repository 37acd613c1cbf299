"""One piece of an upload: where it may begin, what is kept of it, and what survives what."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import IO

from sqlalchemy import update

from portal.access import Sending
from portal.database import transaction
from portal.errors import BadRequest, Conflict, PortalError
from portal.models import OpenUpload, utcnow
from portal.storage import Growing, Incoming

#: How long an unfinished upload waits for its next piece.
LIFETIME = timedelta(days=3)
#: Within a piece, so much may come between two moments at which all of it is durable.
_SYNC_EVERY = 128 * 1024 * 1024
#: Bytes asked of the server at a time: each asking has its cost.
_READ = 128 * 1024
#: Algorithms a client may check its pieces with. The protocol wants SHA-1 from every server;
#: against accidents it is good enough.
CHECKSUMS = {"sha256": hashlib.sha256, "sha1": hashlib.sha1}


class OtherOffset(Conflict):
    """The piece does not begin where the upload ends."""

    what = "Another part of this file was expected."
    cure = "Ask how much has come, and go on from there."
    reason = "offset"


class PieceCut(BadRequest):
    what = "The connection ended before the whole piece had arrived. What came of it is kept."
    cure = "Ask how much has come, and go on from there."
    reason = "incomplete"


class ChecksumMismatch(PortalError):
    status = 460
    title = "Damaged on the way"
    what = "This part of the file does not have the checksum it was sent with. It was not kept."
    cure = "Send it again."
    reason = "checksum"


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a piece must add up to."""

    algorithm: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a file on its way in; `length_bytes` is what was declared, if anything was."""

    body: IO[bytes]
    length_bytes: int | None = None
    checksum: Checksum | None = None


class _Checked:
    """The sum of a piece while it comes."""

    def __init__(self, wanted: Checksum | None) -> None:
        self._wanted = wanted
        self._sum = CHECKSUMS[wanted.algorithm]() if wanted is not None else None

    def update(self, chunk: bytes) -> None:
        if self._sum is not None:
            self._sum.update(chunk)

    @property
    def holds(self) -> bool:
        """Whether what came is what was meant; true where nothing was said about it."""
        return self._wanted is None or (
            self._sum is not None and self._sum.digest() == self._wanted.digest
        )


def take_all(incoming: Incoming, piece: Piece) -> None:
    """Write the piece that is the whole file. Raises `PieceCut` or `ChecksumMismatch`."""
    checked = _Checked(piece.checksum)
    left = piece.length_bytes or 0
    while left and (chunk := piece.body.read(min(_READ, left))):
        incoming.write(chunk)
        checked.update(chunk)
        left -= len(chunk)
    if left:
        raise PieceCut(
            "The connection ended before the whole file had arrived.", cure="Upload it again."
        )
    if not checked.holds:
        raise ChecksumMismatch


@cache
def boot_id() -> str:
    """Which life of the machine this is, as the kernel names it; empty where nobody says."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def offset_of(sending: Sending, size_bytes: int) -> int:
    """How much of what is on the disk can be relied on."""
    if sending.document_id is not None:
        return sending.length_bytes
    if not _is_same_life(sending):
        size_bytes = min(size_bytes, sending.synced_bytes)
    if sending.checked_bytes is not None:
        size_bytes = min(size_bytes, sending.checked_bytes)
    return min(size_bytes, sending.length_bytes)


def _is_same_life(sending: Sending) -> bool:
    """Whether what came has stayed in the memory of the system: it has not been started since."""
    return bool(sending.boot_id) and sending.boot_id == boot_id()


def take(sending: Sending, growing: Growing, offset: int, piece: Piece) -> int:
    """Write a piece, and answer how much of the upload is there then."""
    size = growing.size_bytes
    if sending.document_id is not None or offset != offset_of(sending, size):
        raise OtherOffset
    left = sending.length_bytes - offset
    if piece.length_bytes is not None and piece.length_bytes > left:
        raise BadRequest(
            "This piece goes beyond the length that was announced.",
            cure="Send what is left, and no more.",
        )
    if growing.is_kept or not left:
        return offset
    if size > offset:
        growing.cut(offset)
    begins_anew = not _is_same_life(sending) or offset < sending.synced_bytes
    # A piece may come slowly: its upload must not end under it.
    ends_soon = sending.expires_at - utcnow() < LIFETIME / 2
    is_checked = piece.checksum is not None or sending.checked_bytes is not None
    if is_checked or begins_anew or ends_soon:
        unchecked = offset if piece.checksum is not None else None
        _note(sending, min(offset, sending.synced_bytes), unchecked)
    checked = _Checked(piece.checksum)
    came = _write(sending, growing, piece, left, checked)
    is_cut = piece.length_bytes is not None and came < piece.length_bytes
    size = growing.sync()
    if piece.checksum is not None and (is_cut or not checked.holds):
        growing.cut(offset)
        _note(sending, min(offset, sending.synced_bytes), None)
        raise PieceCut if is_cut else ChecksumMismatch
    if size < sending.length_bytes or piece.checksum is not None:
        _note(sending, size, None)
    if is_cut:
        raise PieceCut
    return size


def _write(sending: Sending, growing: Growing, piece: Piece, left: int, checked: _Checked) -> int:
    """Write what comes of a piece, at most `left` bytes, and answer how many did."""
    came, synced = 0, 0
    while came < left and (chunk := piece.body.read(min(_READ, left - came))):
        growing.write(chunk)
        checked.update(chunk)
        came += len(chunk)
        if came - synced >= _SYNC_EVERY and piece.checksum is None:
            _note(sending, growing.sync(), None)
            synced = came
    return came


def _note(sending: Sending, synced_bytes: int, checked_bytes: int | None) -> None:
    """Note how much would survive a power loss, and put off the end of the upload."""
    with transaction() as session:
        session.execute(
            update(OpenUpload)
            .where(OpenUpload.id == sending.id, OpenUpload.document_id.is_(None))
            .values(
                synced_bytes=synced_bytes,
                checked_bytes=checked_bytes,
                boot_id=boot_id(),
                expires_at=utcnow() + LIFETIME,
            )
        )
