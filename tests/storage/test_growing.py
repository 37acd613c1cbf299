"""Bytes that come in pieces, and several requests that hold the same ones."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from portal.storage import Overtaken
from portal.storage.local import LocalStorage

OWNER = uuid.UUID("5b0c7a1e-6f3d-4a6c-9d55-2f1b7c8d9e0f")
MIB = 1024 * 1024
CONTENT = hashlib.shake_256(b"growing").digest(4 * MIB)
OTHER = bytes(byte ^ 255 for byte in CONTENT)


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


def append(storage: LocalStorage, blob: str, piece: bytes) -> None:
    growing = storage.grow(blob)
    growing.write(piece)
    growing.sync()
    growing.close()


def keep(storage: LocalStorage, blob: str) -> bytes:
    """Keep what came, and answer the hash it is known by."""
    growing = storage.grow(blob)
    received = growing.received()
    growing.keep()
    growing.close()
    return received.sha256


def content_of(storage: LocalStorage, blob: str) -> bytes:
    size = storage.size_so_far(blob)
    return b"".join(storage.read(blob, 0, size, size))


@pytest.mark.parametrize("process", ["the same", "another"])
def test_hash_of_bytes_that_were_cut_off_is_forgotten(
    storage: LocalStorage, tmp_path: Path, process: str
) -> None:
    blob = storage.new_blob(OWNER)
    append(storage, blob, CONTENT[:1000])
    append(storage, blob, OTHER[1000:2000])
    elsewhere = storage if process == "the same" else LocalStorage(tmp_path)
    growing = elsewhere.grow(blob)
    growing.cut(1000)
    growing.write(CONTENT[1000:2000])
    growing.sync()
    growing.close()
    assert keep(storage, blob) == hashlib.sha256(CONTENT[:2000]).digest()
    assert content_of(storage, blob) == CONTENT[:2000]


@pytest.mark.parametrize("size", [1000, MIB, 2 * MIB])
def test_whoever_was_writing_when_it_was_cut_is_overtaken(storage: LocalStorage, size: int) -> None:
    """Also where as many other bytes have come since as were cut off."""
    blob = storage.new_blob(OWNER)
    old = storage.grow(blob)
    old.write(CONTENT[:size])
    old.sync()
    new = storage.grow(blob)
    new.cut(0)
    new.write(OTHER[:size])
    new.sync()

    def go_on() -> None:
        old.write(CONTENT[size : 2 * size])
        old.sync()

    with pytest.raises(Overtaken):
        go_on()
    old.close()
    new.close()
    assert keep(storage, blob) == hashlib.sha256(OTHER[:size]).digest()
    assert content_of(storage, blob) == OTHER[:size]


def test_what_was_cut_off_is_not_reported_as_written(storage: LocalStorage) -> None:
    blob = storage.new_blob(OWNER)
    old, new = storage.grow(blob), storage.grow(blob)
    old.write(CONTENT[:1000])
    new.cut(0)
    with pytest.raises(Overtaken):
        old.sync()
    old.close()
    new.close()


def test_kept_bytes_are_never_cut(storage: LocalStorage) -> None:
    blob = storage.new_blob(OWNER)
    append(storage, blob, CONTENT)
    late = storage.grow(blob)
    keep(storage, blob)
    with pytest.raises(Overtaken):
        late.cut(1000)
    late.write(b"more")
    with pytest.raises(Overtaken):
        late.sync()
    late.close()
    assert content_of(storage, blob) == CONTENT


def test_only_what_was_hashed_is_kept(storage: LocalStorage) -> None:
    blob = storage.new_blob(OWNER)
    append(storage, blob, CONTENT)
    first = storage.grow(blob)
    first.received()
    second = storage.grow(blob)
    second.cut(1000)
    with pytest.raises(Overtaken):
        first.keep()
    second.close()
    first.close()
    assert storage.size_so_far(blob) == 1000


def test_bytes_kept_by_another_while_they_are_opened_stay(
    storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file gets its final name between a look for that name and one for the other."""
    blob = storage.new_blob(OWNER)
    append(storage, blob, CONTENT)
    unfinished = tmp_path / OWNER.hex / ".incoming" / blob.partition("/")[2]
    real = os.open

    def open_late(path: Any, *arguments: Any, **named: Any) -> int:
        if path == unfinished:
            monkeypatch.setattr(os, "open", real)
            keep(storage, blob)
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "open", open_late)
    late = storage.grow(blob)
    assert late.size_bytes == len(CONTENT)
    assert late.received().sha256 == hashlib.sha256(CONTENT).digest()
    late.keep()
    late.close()
    assert content_of(storage, blob) == CONTENT


def test_file_given_up_while_it_is_written_is_not_written_any_more(storage: LocalStorage) -> None:
    blob = storage.new_blob(OWNER)
    growing = storage.grow(blob)
    growing.write(CONTENT[:1000])
    storage.forget(blob)
    with pytest.raises(Overtaken):
        growing.write(CONTENT[1000:2000])
    with pytest.raises(Overtaken):
        growing.keep()
    growing.close()
    assert storage.size_so_far(blob) == 0
