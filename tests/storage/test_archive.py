"""ZIP archives made while they are sent."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.storage import archive
from portal.storage.archive import Member, Paths

NOON = datetime(2026, 3, 3, 12, 0, 2, tzinfo=UTC)


def opened(members: list[Member]) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(archive.stream(members))))


def test_members_come_out_as_they_went_in() -> None:
    members = [
        Member("Documents/日本語.pdf", NOON, [b"one ", b"two"], 7),
        Member("empty", NOON, [], 0),
        Member("index.html", NOON, [b"", b"<p>", b"x" * 100_000]),
    ]
    found = opened(members)
    assert found.testzip() is None
    assert found.namelist() == ["Documents/日本語.pdf", "empty", "index.html"]
    assert found.read("Documents/日本語.pdf") == b"one two"
    assert found.read("index.html") == b"<p>" + b"x" * 100_000
    for info in found.infolist():
        assert info.compress_type == zipfile.ZIP_STORED
        assert info.date_time == (2026, 3, 3, 12, 0, 2)
        assert info.external_attr >> 16 == 0o600
    assert found.getinfo("Documents/日本語.pdf").flag_bits & 0x800


@pytest.mark.parametrize("year", [1, 1979, 2108, 9999])
def test_moment_no_archive_can_say_is_no_error(year: int) -> None:
    found = opened([Member("a", datetime(year, 6, 1, tzinfo=UTC), [b"x"], 1)])
    assert found.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)


def test_bytes_come_while_the_archive_is_being_made() -> None:
    made: list[str] = []

    def pieces(name: str) -> Iterator[bytes]:
        for number in range(3):
            made.append(f"{name}{number}")
            yield b"x" * 100_000

    running = archive.stream(Member(name, NOON, pieces(name)) for name in "ab")
    next(running)
    assert made == ["a0"]
    running.close()
    assert made == ["a0"]


def test_what_fails_in_the_middle_gives_no_whole_archive() -> None:
    def pieces() -> Iterator[bytes]:
        yield b"x" * 10
        raise RuntimeError("the disk is gone")

    came: list[bytes] = []
    members = [Member("a", NOON, [b"a"], 1), Member("b", NOON, pieces())]
    with pytest.raises(RuntimeError, match="disk"):
        came.extend(archive.stream(members))
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(b"".join(came)))


def test_memory_does_not_grow_with_the_bytes() -> None:
    piece = bytes(64 * 1024)
    members = [Member("large", NOON, (piece for _ in range(4000)), 4000 * len(piece))]
    tracemalloc.start()
    try:
        total = sum(len(each) for each in archive.stream(members))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total > 250_000_000
    assert peak < 2_000_000


@pytest.mark.parametrize("size_is_known", [True, False])
def test_more_than_four_gibibytes_are_whole(tmp_path: Path, size_is_known: bool) -> None:
    """ZIP64, for a member and for the place of the next one."""
    piece = bytes(1024 * 1024)
    count = 4 * 1024 + 1
    size = count * len(piece) if size_is_known else None
    members = [
        Member("large", NOON, (piece for _ in range(count)), size),
        Member("after", NOON, [b"here"], 4),
    ]
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        for each in archive.stream(members):
            if each is piece:
                file.seek(len(each), io.SEEK_CUR)  # zeros need no disk
            else:
                file.write(each)
    with zipfile.ZipFile(path) as found:
        assert found.getinfo("large").file_size == count * len(piece)
        assert found.read("after") == b"here"


def test_more_than_sixteen_bits_of_files_are_whole() -> None:
    found = opened([Member(str(number), NOON, [b"x"], 1) for number in range(65_600)])
    assert len(found.infolist()) == 65_600
    assert found.read("65599") == b"x"


def test_another_program_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    members = [Member("Documents/ä.txt", NOON, [b"hello"], 5), Member("b", NOON, [b"x" * 10])]
    path.write_bytes(b"".join(archive.stream(members)))
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "--test", str(path)], capture_output=True, text=True
    )
    assert listed.returncode == 0
    assert "Done testing" in listed.stdout


# Paths


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("deed.pdf", "deed.pdf"),
        ("..", "document"),
        (".", "document"),
        ("", "document"),
        ("   ", "document"),
        ("../../etc/passwd", ".._._etc_passwd"),
        ("/etc/passwd", "_etc_passwd"),
        ("C:\\windows\\system.ini", "C__windows_system.ini"),
        ("a\nb.txt", "a_b.txt"),
        ("what?.pdf", "what_.pdf"),
        ("ends in a dot.", "ends in a dot"),
        (" spaces ", "spaces"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        (".profile", ".profile"),
        ("日本語の契約書.pdf", "日本語の契約書.pdf"),
    ],
)
def test_name_is_one_that_every_system_takes(name: str, path: str) -> None:
    assert archive.clean(name) == path


def test_long_name_keeps_its_ending() -> None:
    name = archive.clean("語" * 250 + ".pdf")
    assert name.endswith("語.pdf")
    assert len(name.encode()) <= 200


@given(st.lists(st.text(max_size=300), max_size=30))
def test_no_path_leaves_its_folder_and_none_comes_twice(names: list[str]) -> None:
    paths = Paths()
    taken = [paths.take("Documents", name) for name in names]
    assert len({path.casefold() for path in taken}) == len(names)
    for path in taken:
        folder, _, name = path.partition("/")
        assert folder == "Documents"
        assert name not in {"", ".", ".."}
        assert not set(name) & set('/\\:*?"<>|')
        assert name == name.strip(" ")
        assert not name.endswith(".")
        assert len(name.encode()) < 255
        assert not any(ord(char) < 32 for char in name)


def test_twins_are_numbered_whatever_their_case() -> None:
    paths = Paths()
    names = ["a.pdf", "A.PDF", "a.pdf", "a (2).pdf", "a", "a"]
    assert [paths.take("", name) for name in names] == [
        "a.pdf",
        "A (2).PDF",
        "a (3).pdf",
        "a (2) (2).pdf",
        "a",
        "a (2)",
    ]
    assert paths.take("Trash", "a.pdf") == "Trash/a.pdf"


def test_folder_keeps_its_dots_when_it_is_numbered() -> None:
    paths = Paths()
    assert paths.take_folder("", "v1.0") == "v1.0"
    assert paths.take_folder("", "V1.0") == "V1.0 (2)"
    assert paths.take("", "v1.0") == "v1 (3).0"
    assert paths.take_folder("Taxes", "..") == "Taxes/document"


# The length, which is said before the first byte


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8"), min_size=1, max_size=40), st.binary(max_size=300)
        ),
        max_size=20,
    )
)
def test_length_is_known_before_the_first_byte(contents: list[tuple[str, bytes]]) -> None:
    paths = Paths()
    named = [(paths.take("a", name), content) for name, content in contents]
    made = b"".join(archive.stream(Member(path, NOON, [data], len(data)) for path, data in named))
    assert archive.length_of((path, len(data)) for path, data in named) == len(made)
    assert [(i.filename, i.file_size) for i in zipfile.ZipFile(io.BytesIO(made)).infolist()] == [
        (path, len(data)) for path, data in named
    ]


@pytest.mark.parametrize("size", [2**32 - 2, 2**32 - 1, 2**32, 2**32 + 5])
def test_length_is_known_around_four_gibibytes(size: int) -> None:
    piece = bytes(1024 * 1024)

    def pieces() -> Iterator[bytes]:
        whole, rest = divmod(size, len(piece))
        yield from (piece for _ in range(whole))
        yield piece[:rest]

    members = [Member("large", NOON, pieces(), size), Member("after", NOON, [b"here"], 4)]
    length = sum(len(each) for each in archive.stream(members))
    assert archive.length_of([("large", size), ("after", 4)]) == length


@pytest.mark.parametrize("count", [65_534, 65_535, 65_536])
def test_length_is_known_around_sixteen_bits_of_files(count: int) -> None:
    contents = [(str(number), 0) for number in range(count)]
    made = b"".join(archive.stream(Member(path, NOON, (), 0) for path, _ in contents))
    assert archive.length_of(contents) == len(made)
    assert len(zipfile.ZipFile(io.BytesIO(made)).infolist()) == count


@pytest.mark.parametrize("came", [b"", b"four", b"four and more"])
def test_member_of_another_length_than_it_said_gives_no_whole_archive(came: bytes) -> None:
    parts: list[bytes] = []
    with pytest.raises(archive.WrongSize):
        parts.extend(archive.stream([Member("a", NOON, [came], 5), Member("b", NOON, [b"b"], 1)]))
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(b"".join(parts)))


def test_empty_folder_is_a_folder(tmp_path: Path) -> None:
    made = b"".join(archive.stream([Member("Taxes/2026/", NOON, (), 0)]))
    assert archive.length_of([("Taxes/2026/", 0)]) == len(made)
    with zipfile.ZipFile(io.BytesIO(made)) as found:
        assert found.infolist()[0].is_dir()
        found.extractall(tmp_path)
    assert (tmp_path / "Taxes" / "2026").is_dir()


def test_short_pieces_travel_together() -> None:
    members = [Member(str(number), NOON, [b"x"], 1) for number in range(1000)]
    parts = list(archive.stream(members))
    assert len(parts) < 20
    assert max(map(len, parts)) < 16 * 1024
