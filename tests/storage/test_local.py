"""Local storage: private, exact, durable, and nothing half-done left behind."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import resource
import stat
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.errors import NoSpace, StorageUnavailable
from portal.storage import blocks, checking, pace, reading
from portal.storage.base import BlobMissing, Incoming
from portal.storage.local import LocalStorage
from portal.storage.pace import CHUNK, CROWDED_CHUNK, LARGEST_CHUNK

OWNER = uuid.UUID("5b0c7a1e-6f3d-4a6c-9d55-2f1b7c8d9e0f")
MIB = 1024 * 1024
#: Not a round number of anything, and nowhere the same.
LONG = hashlib.shake_256(b"long").digest(5 * MIB + 4711)


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


def store(storage: LocalStorage, content: bytes, pieces: int = CHUNK) -> str:
    """Store `content`, written `pieces` bytes at a time."""
    incoming = storage.receive(OWNER)
    for start in range(0, len(content), pieces):
        incoming.write(content[start : start + pieces])
    return incoming.keep()


def fetch(storage: LocalStorage, blob: str, size: int) -> bytes:
    return b"".join(storage.read(blob, 0, size, size))


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def storing_threads() -> int:
    return sum(thread.name in {"hash", "write"} for thread in threading.enumerate())


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def limited(what: int, to: int) -> Iterator[None]:
    """Lower a soft limit of this process for a moment."""
    before = resource.getrlimit(what)
    resource.setrlimit(what, (to, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


# Private


def test_folders_and_files_are_readable_for_the_portal_alone(
    storage: LocalStorage, tmp_path: Path
) -> None:
    unfinished = storage.receive(OWNER)
    store(storage, b"kept")
    try:
        for path in tmp_path.rglob("*"):
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (0o700 if path.is_dir() else 0o600), path
        assert len(files(tmp_path)) == 2
    finally:
        unfinished.discard()


def test_loose_umask_changes_nothing(storage: LocalStorage, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store(storage, b"kept")
    finally:
        os.umask(before)
    for path in tmp_path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_blob_has_a_made_up_name_in_the_directory_of_its_owner(
    storage: LocalStorage, tmp_path: Path
) -> None:
    blob = store(storage, b"kept")
    directory, name = blob.split("/")
    assert directory == OWNER.hex
    assert uuid.UUID(hex=name).version == 4
    assert files(tmp_path) == [tmp_path / blob]


@pytest.mark.parametrize("planted", ["", ".incoming"])
def test_symlink_in_the_place_of_a_directory_is_not_followed(
    storage: LocalStorage, tmp_path: Path, planted: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = tmp_path / OWNER.hex / planted
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(elsewhere)
    with pytest.raises(StorageUnavailable):
        storage.receive(OWNER)
    assert list(elsewhere.iterdir()) == []


def test_symlink_in_the_place_of_a_blob_is_not_followed(
    storage: LocalStorage, tmp_path: Path
) -> None:
    blob = store(storage, b"mine")
    secret = tmp_path / "secret"
    secret.write_bytes(b"else")
    (tmp_path / blob).unlink()
    (tmp_path / blob).symlink_to(secret)
    with pytest.raises(StorageUnavailable):
        storage.read(blob, 0, 4, 4)
    assert list(storage.blobs()) == []
    storage.remove(blob)
    assert secret.read_bytes() == b"else"


@pytest.mark.parametrize(
    "blob",
    [
        "",
        "portal.db",
        "../portal.db",
        f"{OWNER.hex}/..",
        f"{OWNER.hex}/../{OWNER.hex}",
        f"{OWNER.hex}/{'A' * 32}",
        f"{OWNER.hex}/{'a' * 32}\n",
        f"/{OWNER.hex}/{'a' * 32}",
        f"{OWNER.hex}/.incoming/../{'a' * 32}",
        f"{OWNER.hex}/{'a' * 32}\0",
    ],
)
def test_name_that_is_no_blob_reaches_no_file(storage: LocalStorage, blob: str) -> None:
    with pytest.raises(BlobMissing):
        storage.read(blob, 0, 0, 0)
    with pytest.raises(BlobMissing):
        storage.remove(blob)


# Exact


@pytest.mark.parametrize("pieces", [1021, CHUNK, MIB - 1, MIB, MIB + 1, 3 * MIB + 7, len(LONG)])
def test_long_file_is_hashed_and_kept_whatever_the_pieces(
    storage: LocalStorage, pieces: int
) -> None:
    incoming = storage.receive(OWNER)
    for start in range(0, len(LONG), pieces):
        incoming.write(memoryview(LONG)[start : start + pieces])
        assert incoming.size_bytes == min(start + pieces, len(LONG))
    received = incoming.received()
    assert received.size_bytes == len(LONG)
    assert received.sha256 == hashlib.sha256(LONG).digest()
    assert received.head == LONG[:4096]
    assert incoming.received() == received
    assert fetch(storage, incoming.keep(), len(LONG)) == LONG
    assert storing_threads() == 0


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, CHUNK, MIB - 1, MIB, MIB + 1, 4 * MIB])
def test_sizes_around_every_boundary_come_back(storage: LocalStorage, size: int) -> None:
    content = LONG[:size]
    assert fetch(storage, store(storage, content, 65_521), size) == content


def takes_direct_writes(folder: Path) -> bool:
    try:
        os.close(os.open(folder / "probe", os.O_WRONLY | os.O_CREAT | os.O_DIRECT))
    except OSError:
        return False
    return True


def test_long_file_is_written_past_the_cache_where_the_file_system_takes_it(
    storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, seen = os.pwrite, []

    def pwrite(descriptor: int, data: memoryview, at: int) -> int:
        is_direct = bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)
        seen.append((len(data), is_direct))
        return write(descriptor, data, at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    store(storage, LONG[: 3 * MIB + 5])
    assert {is_direct for length, is_direct in seen if length == MIB} == {
        takes_direct_writes(tmp_path)
    }
    assert seen[-1] == (5, False)


@pytest.mark.parametrize("pieces", [1021, MIB + 1, len(LONG)])
def test_file_system_that_takes_the_flag_but_no_direct_write_loses_no_byte(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    write = os.pwrite

    def pwrite(descriptor: int, data: memoryview, at: int) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "as some network file systems do")
        return write(descriptor, data, at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    assert fetch(storage, store(storage, LONG, pieces), len(LONG)) == LONG


@pytest.mark.parametrize("pieces", [1021, MIB + 1, len(LONG)])
def test_system_without_direct_writes_loses_no_byte(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    def refuse(descriptor: int, what: int, flags: int = 0) -> int:
        if what == fcntl.F_SETFL:
            raise OSError(errno.EINVAL, "as file systems in memory do")
        return 0

    monkeypatch.setattr(blocks.fcntl, "fcntl", refuse)
    assert fetch(storage, store(storage, LONG, pieces), len(LONG)) == LONG


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, MIB + 1), max_size=8))
def test_pieces_of_any_length_add_up(storage: LocalStorage, lengths: list[int]) -> None:
    incoming = storage.receive(OWNER)
    position = 0
    for length in lengths:
        piece = (LONG + LONG)[position : position + length]
        incoming.write(bytearray(piece))
        position += len(piece)
    content = (LONG + LONG)[:position]
    assert incoming.received().sha256 == hashlib.sha256(content).digest()
    blob = incoming.keep()
    assert fetch(storage, blob, position) == content
    storage.remove(blob)


def test_buffer_used_again_by_the_caller_changes_nothing(storage: LocalStorage) -> None:
    incoming = storage.receive(OWNER)
    piece = MIB // 16
    buffer = bytearray(piece)
    for start in range(0, 2 * MIB, piece):
        buffer[:] = LONG[start : start + piece]
        incoming.write(buffer)
    assert incoming.received().sha256 == hashlib.sha256(LONG[: 2 * MIB]).digest()
    assert fetch(storage, incoming.keep(), 2 * MIB) == LONG[: 2 * MIB]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 200_000), st.integers(0, 200_000))
def test_any_span_is_read_whole(storage: LocalStorage, start: int, length: int) -> None:
    content = LONG[:200_000]
    blob = store(storage, content)
    length = min(length, len(content) - start)
    pieces = list(storage.read(blob, start, length, len(content)))
    assert b"".join(pieces) == content[start : start + length]
    assert all(CHUNK <= len(piece) <= LARGEST_CHUNK for piece in pieces[:-1])
    storage.remove(blob)


def test_quick_reader_gets_larger_pieces_and_a_slow_one_small_ones_again(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "_QUICK_SECONDS", 60)
    monkeypatch.setattr(pace, "_BUFFERED", 2 * CHUNK)
    pieces = storage.read(store(storage, LONG), 0, len(LONG), len(LONG))
    grown = [len(next(pieces)) for _ in range(9)]
    # The first ones may only have gone into the buffers on the way to a slow reader.
    assert grown == [CHUNK, CHUNK, *(n * CHUNK for n in (2, 4, 8, 16, 32, 64)), LARGEST_CHUNK]
    monkeypatch.setattr(pace, "_QUICK_SECONDS", 0)
    assert len(next(pieces)) == CHUNK


def test_pieces_are_smaller_while_many_read(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "_QUICK_SECONDS", 60)
    monkeypatch.setattr(pace, "_BUFFERED", 0)
    monkeypatch.setattr(reading, "_FEW_READERS", 2)
    blob = store(storage, LONG)
    first, second, third = (storage.read(blob, 0, len(LONG), len(LONG)) for _ in range(3))
    assert [len(next(first)) for _ in range(3)] == [CROWDED_CHUNK] * 3
    second.close()  # type: ignore[attr-defined]
    assert [len(next(first)) for _ in range(2)] == [2 * CROWDED_CHUNK, 4 * CROWDED_CHUNK]
    del third
    assert len(storage._reading) == 1


# Kept, discarded, finished


def test_nothing_is_visible_before_it_is_kept(storage: LocalStorage, tmp_path: Path) -> None:
    incoming = storage.receive(OWNER)
    incoming.write(b"half")
    incoming.received()
    assert list(storage.blobs()) == []
    (file,) = files(tmp_path)
    assert file.parent.name == ".incoming"
    blob = incoming.keep()
    assert [found.blob for found in storage.blobs()] == [blob]
    assert files(tmp_path) == [tmp_path / blob]


@pytest.mark.parametrize("size", [0, 10, 3 * MIB])
@pytest.mark.parametrize("finished", [False, True])
def test_discarded_bytes_leave_nothing(
    storage: LocalStorage, tmp_path: Path, size: int, finished: bool
) -> None:
    before = descriptors()
    incoming = storage.receive(OWNER)
    incoming.write(LONG[:size])
    if finished:
        incoming.received()
    incoming.discard()
    incoming.discard()
    assert files(tmp_path) == []
    assert storing_threads() == 0
    assert descriptors() == before


def test_discard_after_keep_does_nothing(storage: LocalStorage) -> None:
    incoming = storage.receive(OWNER)
    incoming.write(b"kept")
    blob = incoming.keep()
    incoming.discard()
    assert fetch(storage, blob, 4) == b"kept"


@pytest.mark.parametrize("size", [10, 3 * MIB])
def test_nothing_can_be_done_with_discarded_bytes(storage: LocalStorage, size: int) -> None:
    incoming = storage.receive(OWNER)
    incoming.write(LONG[:size])
    incoming.discard()
    for act in (lambda: incoming.write(b"more"), incoming.received, incoming.keep):
        with pytest.raises(RuntimeError):
            act()


def test_nothing_is_written_after_the_end(storage: LocalStorage) -> None:
    incoming = storage.receive(OWNER)
    incoming.write(b"all")
    incoming.received()
    with pytest.raises(RuntimeError):
        incoming.write(b"more")
    blob = incoming.keep()
    with pytest.raises(RuntimeError):
        incoming.keep()
    assert fetch(storage, blob, 3) == b"all"


def test_removing_twice_is_removing_once(storage: LocalStorage) -> None:
    blob = store(storage, b"gone")
    storage.remove(blob)
    storage.remove(blob)
    assert list(storage.blobs()) == []


# Faults


@pytest.mark.parametrize(("limit", "size"), [(5_000, 20_000), (2_500_000, len(LONG))])
@pytest.mark.parametrize("pieces", [1021, CHUNK, len(LONG)])
def test_file_that_may_not_grow_is_no_space_and_leaves_nothing(
    storage: LocalStorage, tmp_path: Path, limit: int, size: int, pieces: int
) -> None:
    before = descriptors()
    with limited(resource.RLIMIT_FSIZE, limit), pytest.raises(NoSpace):
        store(storage, LONG[:size], pieces)
    assert files(tmp_path) == []
    assert storing_threads() == 0
    assert descriptors() == before
    assert fetch(storage, store(storage, b"later"), 5) == b"later"


def test_no_space_for_the_last_block_is_told_when_it_ends(
    storage: LocalStorage, tmp_path: Path
) -> None:
    incoming = storage.receive(OWNER)
    incoming.write(LONG[: 2 * MIB])
    with limited(resource.RLIMIT_FSIZE, 2 * MIB + 1000):
        incoming.write(LONG[2 * MIB : 2 * MIB + 5000])
        with pytest.raises(NoSpace):
            incoming.received()
    incoming.discard()
    assert files(tmp_path) == []
    assert storing_threads() == 0


def test_no_descriptor_free_is_storage_away_and_leaves_nothing(
    storage: LocalStorage, tmp_path: Path
) -> None:
    blob = store(storage, b"kept")
    highest = max(map(int, os.listdir("/proc/self/fd")))
    used = descriptors()
    plugs = [os.open("/dev/null", os.O_RDONLY) for _ in range(highest - used + 2)]
    try:
        with limited(resource.RLIMIT_NOFILE, highest + 1):
            with pytest.raises(StorageUnavailable):
                storage.receive(uuid.uuid4())
            with pytest.raises(StorageUnavailable):
                storage.receive(OWNER)
            with pytest.raises(StorageUnavailable):
                storage.read(blob, 0, 4, 4)
    finally:
        for plug in plugs:
            os.close(plug)
    assert files(tmp_path) == [tmp_path / blob]
    assert fetch(storage, blob, 4) == b"kept"


def test_file_whose_name_cannot_be_made_durable_is_taken_back(
    storage: LocalStorage, tmp_path: Path
) -> None:
    """The very last step fails: the file is renamed, and its directory cannot be opened."""
    highest = max(map(int, os.listdir("/proc/self/fd")))
    plugs = [os.open("/dev/null", os.O_RDONLY) for _ in range(highest - descriptors() + 2)]
    try:
        incoming = storage.receive(OWNER)
        incoming.write(b"nearly")
        with limited(resource.RLIMIT_NOFILE, max(plugs) + 1), pytest.raises(StorageUnavailable):
            incoming.keep()
    finally:
        for plug in plugs:
            os.close(plug)
    assert files(tmp_path) == []


def test_bytes_that_cannot_be_renamed_never_become_a_blob(
    storage: LocalStorage, tmp_path: Path
) -> None:
    incoming = storage.receive(OWNER)
    incoming.write(b"nearly")
    (tmp_path / OWNER.hex).rename(tmp_path / "moved")
    with pytest.raises(StorageUnavailable):
        incoming.keep()
    (tmp_path / "moved").rename(tmp_path / OWNER.hex)
    assert list(storage.blobs()) == []


def test_missing_files_folder_is_storage_away(tmp_path: Path) -> None:
    away = LocalStorage(tmp_path / "away")
    with pytest.raises(StorageUnavailable):
        away.receive(OWNER)
    with pytest.raises(BlobMissing):
        away.read(f"{OWNER.hex}/{'a' * 32}", 0, 1, 1)


# Damage


def test_missing_blob_is_told_before_the_first_byte(storage: LocalStorage) -> None:
    blob = store(storage, b"gone")
    storage.remove(blob)
    with pytest.raises(BlobMissing):
        storage.read(blob, 0, 4, 4)


@pytest.mark.parametrize("change", [-1, -4, 1])
def test_blob_of_another_length_is_told_before_the_first_byte(
    storage: LocalStorage, tmp_path: Path, change: int
) -> None:
    blob = store(storage, b"four")
    before = descriptors()
    os.truncate(tmp_path / blob, 4 + change)
    for start, length in ((0, 4), (0, 1), (3, 1), (0, 0)):
        with pytest.raises(BlobMissing):
            storage.read(blob, start, length, 4)
    assert descriptors() == before


def test_blob_cut_while_it_is_read_is_an_error_and_no_short_answer(
    storage: LocalStorage, tmp_path: Path
) -> None:
    blob = store(storage, LONG)
    pieces = storage.read(blob, 0, len(LONG), len(LONG))
    assert next(pieces) == LONG[:CHUNK]
    os.truncate(tmp_path / blob, 2 * CHUNK)
    assert next(pieces) == LONG[CHUNK : 2 * CHUNK]
    with pytest.raises(BlobMissing):
        next(pieces)


def test_small_blob_cut_while_it_is_opened_is_an_error_and_no_short_answer(
    storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = store(storage, b"small and whole")
    measure = os.fstat

    def measured_and_then_cut(descriptor: int) -> os.stat_result:
        measured = measure(descriptor)
        os.truncate(tmp_path / blob, 5)
        return measured

    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(os, "fstat", measured_and_then_cut)
    with pytest.raises(BlobMissing, match="shorter"):
        storage.read(blob, 0, 15, 15)
    assert os.listdir("/proc/self/fd") == before


def test_blob_removed_while_it_is_read_is_read_to_its_end(storage: LocalStorage) -> None:
    blob = store(storage, LONG)
    pieces = storage.read(blob, 0, len(LONG), len(LONG))
    first = next(pieces)
    storage.remove(blob)
    assert first + b"".join(pieces) == LONG


def test_descriptor_is_given_back_at_the_end_when_closed_and_when_forgotten(
    storage: LocalStorage,
) -> None:
    blob = store(storage, LONG)
    before = descriptors()
    assert fetch(storage, blob, len(LONG)) == LONG
    assert descriptors() == before
    pieces = storage.read(blob, 0, len(LONG), len(LONG))
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert descriptors() == before
    assert list(pieces) == []
    forgotten = storage.read(blob, 0, len(LONG), len(LONG))
    next(forgotten)
    del forgotten
    assert descriptors() == before


# What is there


def test_blobs_are_listed_with_size_and_moment(storage: LocalStorage, tmp_path: Path) -> None:
    begun = datetime.now(UTC) - timedelta(seconds=2)
    sizes = {store(storage, b"x" * size): size for size in (0, 1, 70_000)}
    other = storage.receive(uuid.uuid4())
    other.write(b"theirs")
    sizes[other.keep()] = 6
    unfinished = storage.receive(OWNER)
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "lost+found" / ("a" * 32)).write_bytes(b"not ours")
    found = list(storage.blobs())
    assert {each.blob: each.size_bytes for each in found} == sizes
    for each in found:
        assert begun <= each.modified_at <= datetime.now(UTC) + timedelta(seconds=2)
    unfinished.discard()


def test_unfinished_bytes_are_abandoned_by_their_age(storage: LocalStorage, tmp_path: Path) -> None:
    old, fresh = storage.receive(OWNER), storage.receive(OWNER)
    old.write(b"old")
    (path,) = [path for path in files(tmp_path) if path.stat().st_size]
    os.utime(path, (0, 0))
    kept = store(storage, b"kept")
    os.utime(tmp_path / kept, (0, 0))
    now = datetime.now(UTC)
    (found,) = storage.abandoned(now - timedelta(hours=1))
    assert (found.size_bytes, found.modified_at) == (3, datetime.fromtimestamp(0, UTC))
    assert len(list(storage.abandoned(now + timedelta(hours=1)))) == 2
    storage.remove(found.blob)
    assert list(storage.abandoned(now - timedelta(hours=1))) == []
    assert fetch(storage, kept, 4) == b"kept"
    for each in (old, fresh):
        each.discard()


def test_many_come_in_at_once_without_mixing(storage: LocalStorage) -> None:
    contents = [LONG[n * 1000 : n * 1000 + 2 * MIB + n] for n in range(6)]
    incomings: list[Incoming] = [storage.receive(OWNER) for _ in contents]
    for start in range(0, 2 * MIB + CHUNK, CHUNK):
        for incoming, content in zip(incomings, contents, strict=True):
            incoming.write(content[start : start + CHUNK])
    for incoming, content in zip(incomings, contents, strict=True):
        assert incoming.received().sha256 == hashlib.sha256(content).digest()
        assert fetch(storage, incoming.keep(), len(content)) == content
    assert storing_threads() == 0


def test_free_room_is_told(storage: LocalStorage) -> None:
    assert (storage.free_bytes() or 0) > 0


# Checking and copying


def test_digest_is_that_of_the_bytes(storage: LocalStorage) -> None:
    for content in (b"", b"short", LONG, LONG[: 2 * MIB]):
        blob = store(storage, content, MIB)
        lengths: list[int] = []
        digest = storage.digest(blob, len(content), lengths.append)
        assert digest == hashlib.sha256(content).digest()
        assert sum(lengths) == len(content)


@pytest.mark.parametrize("refused_at", ["open", "read"])
def test_digest_where_the_file_system_knows_no_direct_reads(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, refused_at: str
) -> None:
    blob = store(storage, LONG, MIB)
    preadv, tries = os.preadv, [0]

    def refuse(*arguments: object) -> int:
        tries[0] += 1
        if tries[0] == 2:
            raise OSError(errno.EINVAL, "no such read")
        return preadv(*arguments)  # type: ignore[arg-type]

    if refused_at == "open":
        monkeypatch.setattr(checking, "_O_DIRECT", 0)
    else:
        monkeypatch.setattr(os, "preadv", refuse)
    before = descriptors()
    assert storage.digest(blob, len(LONG), lambda _: None) == hashlib.sha256(LONG).digest()
    assert descriptors() == before


def test_digest_of_what_is_not_whole_is_refused_with_words(
    storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = store(storage, b"content")
    for size in (6, 8):
        with pytest.raises(BlobMissing, match=f"is 7 bytes long instead of {size}"):
            storage.digest(blob, size, lambda _: None)
    with monkeypatch.context() as patched:
        patched.setattr(os, "preadv", _raise(errno.EIO))
        with pytest.raises(BlobMissing, match="cannot be read"):
            storage.digest(blob, 7, lambda _: None)
        patched.setattr(os, "preadv", _raise(errno.ENOMEM))
        with pytest.raises(StorageUnavailable):
            storage.digest(blob, 7, lambda _: None)
    (tmp_path / blob).unlink()
    with pytest.raises(BlobMissing, match="is missing"):
        storage.digest(blob, 7, lambda _: None)
    (tmp_path / blob).mkdir()
    with pytest.raises(BlobMissing, match=r"bytes long|cannot be read"):
        storage.digest(blob, 7, lambda _: None)


def _raise(number: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


def test_digest_of_a_store_that_is_not_there_says_nothing_of_the_file(
    storage: LocalStorage, tmp_path: Path
) -> None:
    blob = store(storage, b"content")
    (tmp_path / OWNER.hex).rename(tmp_path / "elsewhere")
    with pytest.raises(StorageUnavailable):
        storage.digest(blob, 7, lambda _: None)


def test_copy_is_another_blob_of_the_same_bytes(storage: LocalStorage, tmp_path: Path) -> None:
    for content in (b"", b"short", LONG):
        blob = store(storage, content, MIB)
        sha256 = hashlib.sha256(content).digest()
        copy = storage.copy(blob, OWNER, len(content), sha256)
        assert copy != blob
        storage.remove(blob)
        assert fetch(storage, copy, len(content)) == content
        assert stat.S_IMODE((tmp_path / copy).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"another", b"shor", b"longer than"])
def test_copy_of_what_is_not_whole_leaves_nothing(
    storage: LocalStorage, tmp_path: Path, content: bytes
) -> None:
    blob = store(storage, content)
    before = files(tmp_path)
    open_before = descriptors()
    with pytest.raises(BlobMissing):
        storage.copy(blob, OWNER, 7, hashlib.sha256(b"content").digest())
    assert files(tmp_path) == before
    assert descriptors() == open_before
