"""Reading forms: every byte of every size, and nothing left of what was refused."""

from __future__ import annotations

import hashlib
import io
import random
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from portal.documents import form_body
from portal.documents.form_body import FormBody
from portal.errors import BadRequest, BodyCut, FileTooLarge, PortalError
from portal.storage import Incoming
from portal.storage.local import LocalStorage
from stage import BOUNDARY, field_part, file_part, form, part

KIB = 1024
PATTERNS = {
    "carriage returns": b"\r",
    "line feeds": b"\n",
    "line ends": b"\r\n",
    "dashes": b"-",
    "nearly a boundary": b"\r\n--" + BOUNDARY[:-1],
    "a boundary without its line": b"x--" + BOUNDARY,
    "a boundary after half a line end": b"\r--" + BOUNDARY,
    "noise": random.Random(1).randbytes(997),
}


class Sink:
    """Takes files into a real storage, up to a size."""

    def __init__(self, folder: Path, largest: int = 2**40) -> None:
        self.storage = LocalStorage(folder)
        self.folder = folder
        self._largest = largest

    def open(self, filename: str) -> Incoming:
        return self.storage.receive(uuid.UUID(int=1))

    def check(self, size_bytes: int) -> None:
        if size_bytes > self._largest:
            raise FileTooLarge

    def left_behind(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


class Dribble(io.RawIOBase):
    """A connection that gives what it likes, at most what was asked for."""

    def __init__(self, body: bytes, sizes: Iterator[int]) -> None:
        self._body, self._sizes = io.BytesIO(body), sizes

    def read(self, size: int = -1) -> bytes:
        return self._body.read(max(1, min(size, next(self._sizes))))


@pytest.fixture
def sink(tmp_path: Path) -> Sink:
    return Sink(tmp_path)


def read(body: bytes, sink: Sink | None, stream: object = None) -> FormBody:
    return form_body.read(
        stream or io.BytesIO(body),  # type: ignore[arg-type]
        BOUNDARY.decode(),
        len(body),
        sink,
    )


def whole(pattern: bytes, size: int) -> bytes:
    return (pattern * (size // len(pattern) + 1))[:size]


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS.keys())
def test_every_size_around_every_chunk_boundary_is_exact(sink: Sink, pattern: bytes) -> None:
    """Werkzeug's parser adds a byte at some of these places."""
    head = len(file_part(b"")) - len(b"\r\n")
    tail = len(BOUNDARY) + len(b"\r\n----\r\n")
    for chunks in (1, 2, 3, 4, 5, 8):
        for shift in (0, head):
            for off in (*range(-tail - 3, 4), 64, 4096):
                content = whole(pattern, chunks * 64 * KIB - shift + off)
                read_form = read(form([file_part(content)]), sink)
                (file,) = read_form.files.getlist("file")
                received = file.received
                assert received.size_bytes == len(content), (chunks, shift, off)
                assert received.sha256 == hashlib.sha256(content).digest()
                assert content.startswith(received.head)
                read_form.close()
    assert sink.left_behind() == []


@settings(max_examples=60)
@given(
    contents=st.lists(
        st.binary(max_size=200) | st.sampled_from(list(PATTERNS.values())), max_size=5
    ),
    seed=st.integers(0, 2**32),
)
def test_it_does_not_matter_how_the_bytes_arrive(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes], seed: int
) -> None:
    sink = Sink(tmp_path_factory.mktemp("files"))
    sizes = random.Random(seed)
    body = form([*map(file_part, contents), field_part("note", "ünd")])
    stream = Dribble(body, iter(lambda: sizes.choice([1, 2, 3, 7, 50, 400]), 0))
    read_form = read(body, sink, stream)
    found = [file.received.sha256 for file in read_form.files.getlist("file")]
    assert found == [hashlib.sha256(content).digest() for content in contents]
    assert read_form.fields["note"] == "ünd"
    read_form.close()
    assert sink.left_behind() == []


@pytest.mark.parametrize("size", [0, 1, 100, 70_000])
def test_body_cut_at_any_place_is_refused_and_leaves_nothing(sink: Sink, size: int) -> None:
    body = form([field_part("csrf_token", "x"), file_part(b"a" * size), file_part(b"second")])
    # What may follow the last boundary is a line end that says nothing.
    ends = {*range(200), len(body) // 2, *range(len(body) - 200, len(body) - 2)}
    for end in sorted(each for each in ends if 0 <= each < len(body) - 2):
        with pytest.raises((BodyCut, BadRequest)):
            form_body.read(io.BytesIO(body[:end]), BOUNDARY.decode(), len(body), sink)
        with pytest.raises((BodyCut, BadRequest)):
            form_body.read(io.BytesIO(body[:end]), BOUNDARY.decode(), None, sink)
        assert sink.left_behind() == []


def test_fewer_bytes_than_declared_are_a_cut_body(sink: Sink) -> None:
    """Also where what came is a whole form: the servers tell nobody that more was meant."""
    body = form([file_part(b"whole")])
    with pytest.raises(BodyCut):
        form_body.read(io.BytesIO(body), BOUNDARY.decode(), len(body) + 1, sink)
    assert sink.left_behind() == []


def test_what_follows_the_last_boundary_is_ignored(sink: Sink) -> None:
    body = form([file_part(b"whole")]) + b"an epilogue\r\n" * 100
    read_form = read(body, sink)
    assert read_form.files["file"].received.size_bytes == 5
    read_form.close()


def test_what_stands_before_the_first_boundary_is_ignored(sink: Sink) -> None:
    read_form = read(b"a preamble\r\n" + form([field_part("a", "b")]), sink)
    assert read_form.fields.to_dict() == {"a": "b"}


def test_fields_and_files_keep_their_order(sink: Sink) -> None:
    parts = [
        field_part("id", "1"),
        file_part(b"a", "a"),
        field_part("id", "2"),
        file_part(b"b", "b"),
    ]
    read_form = read(form(parts), sink)
    assert read_form.fields.getlist("id") == ["1", "2"]
    assert [file.filename for file in read_form.files.getlist("file")] == ["a", "b"]
    read_form.close()


def test_refused_file_does_not_stop_the_next_one(tmp_path: Path) -> None:
    sink = Sink(tmp_path, largest=100_000)
    contents = [b"a" * 100_000, b"b" * 100_001, b"c" * 700_000, b"d"]
    read_form = read(form(map(file_part, contents)), sink)
    files = read_form.files.getlist("file")
    assert [file.refusal is None for file in files] == [True, False, False, True]
    assert files[0].received.size_bytes == 100_000
    with pytest.raises(FileTooLarge):
        _ = files[1].received
    assert len(sink.left_behind()) == 2
    read_form.close()
    assert sink.left_behind() == []


def test_file_that_is_refused_at_its_beginning_is_passed_over(tmp_path: Path) -> None:
    class Refusing(Sink):
        def open(self, filename: str) -> Incoming:
            raise FileTooLarge

    read_form = read(form([file_part(b"x" * 500_000), field_part("a", "b")]), Refusing(tmp_path))
    (file,) = read_form.files.getlist("file")
    assert isinstance(file.refusal, FileTooLarge)
    assert read_form.fields["a"] == "b"


def test_file_field_in_which_nothing_was_chosen_is_no_file(sink: Sink) -> None:
    assert read(form([file_part(b"", name="")]), sink).files.getlist("file") == []
    chosen = read(form([file_part(b"", name=""), file_part(b"x", name="a")]), sink)
    assert [file.filename for file in chosen.files.getlist("file")] == ["a"]
    chosen.close()
    assert sink.left_behind() == []


def test_empty_file_with_a_name_is_a_file(sink: Sink) -> None:
    read_form = read(form([file_part(b"", name="empty.txt")]), sink)
    assert read_form.files["file"].received.size_bytes == 0
    read_form.close()


def headers_only(disposition: str) -> bytes:
    """A part without content, as RFC 2046 allows it and Werkzeug's client sends it."""
    return part(b"", disposition).removesuffix(b"\r\n")


@settings(max_examples=200)
@given(
    kinds=st.lists(
        st.sampled_from(["file", "field", "empty file", "empty field", "whole empty file"]),
        max_size=6,
    ),
    seed=st.integers(0, 2**32),
)
@example(kinds=["empty field", "file", "empty file"], seed=0)
@example(kinds=["empty file"] * 3, seed=0)
@example(kinds=["whole empty file", "empty file", "whole empty file"], seed=1)
def test_part_that_ends_with_its_headers_is_empty(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str], seed: int
) -> None:
    sink = Sink(tmp_path_factory.mktemp("files"))
    # Line ends at the edges of contents look most like the ends of headers.
    content = b"\r\n\r\n--front\r\n\r\n"
    make = {
        "file": file_part(content),
        "field": field_part("field", content.decode()),
        "empty file": headers_only('form-data; name="file"; filename="empty"'),
        "whole empty file": file_part(b""),
        "empty field": headers_only('form-data; name="field"'),
    }
    body = form(make[kind] for kind in kinds)
    sizes = random.Random(seed)
    stream = Dribble(body, iter(lambda: sizes.choice([1, 2, 5, 30, 400]), 0))
    read_form = read(body, sink, stream)
    found = [file.received.size_bytes for file in read_form.files.getlist("file")]
    assert found == [0 if "empty" in kind else len(content) for kind in kinds if "file" in kind]
    assert read_form.fields.getlist("field") == [
        "" if "empty" in kind else content.decode() for kind in kinds if "field" in kind
    ]
    read_form.close()


def test_form_that_takes_no_files_refuses_them() -> None:
    assert read(form([field_part("a", "b")]), None).fields["a"] == "b"
    with pytest.raises(BadRequest):
        read(form([file_part(b"x")]), None)


REFUSED = {
    "no disposition": b"--frontier\r\n\r\nx\r\n--frontier--\r\n",
    "another disposition": form([part(b"x", "attachment; filename=a")]),
    "a line feed in a name": form([part(b"x", b'form-data; name="file"; filename="a\nb"')]),
    "a carriage return in a name": form([part(b"x", b'form-data; name="file"; filename="a\rb"')]),
    "no UTF-8 in a name": form([part(b"x", b'form-data; name="file"; filename="\xff\xfe"')]),
    "no UTF-8 in a field": form([part(b"\xff", 'form-data; name="note"')]),
    "a huge field": form([field_part("note", "x" * (64 * KIB + 1))]),
    "a huge header": form([part(b"x", 'form-data; name="file"; filename="' + "a" * 9000 + '"')]),
    "many headers": form([part(b"x", 'form-data; name="file"', *[b"X-A: b"] * 20)]),
    "many parts": form([field_part("a", "b")] * 10_001),
    "nothing": b"",
    "no form at all": b"Hello\r\n" * 100,
    "another boundary": form([file_part(b"x")]).replace(b"frontier", b"other"),
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_form_of_ours_is_refused_and_leaves_nothing(sink: Sink, body: bytes) -> None:
    for whole_body in (body, form([file_part(b"before")])[: -len(b"--frontier--\r\n")] + body):
        with pytest.raises(PortalError) as caught:
            read(whole_body, sink)
        assert caught.value.status == 400
        assert sink.left_behind() == []


@pytest.mark.parametrize("boundary", ["", "a\nb", "\N{SNOWMAN}"])
def test_boundary_that_is_none_is_refused(sink: Sink, boundary: str) -> None:
    with pytest.raises(PortalError) as caught:
        form_body.read(io.BytesIO(form([file_part(b"x")])), boundary, None, sink)
    assert caught.value.status == 400


def test_longest_field_is_taken(sink: Sink) -> None:
    text = "x" * (64 * KIB)
    assert read(form([field_part("note", text)]), sink).fields["note"] == text


def test_error_of_the_connection_leaves_nothing(sink: Sink) -> None:
    class Breaking(io.RawIOBase):
        def __init__(self) -> None:
            self._first = True

        def read(self, _size: int = -1) -> bytes:
            if self._first:
                self._first = False
                return form([file_part(b"x" * 1000)])[:700]
            raise OSError("reset by peer")

    with pytest.raises(OSError, match="reset"):
        read(b"x" * 2000, sink, Breaking())
    assert sink.left_behind() == []


def test_many_fields_together_are_bounded_too(sink: Sink) -> None:
    with pytest.raises(BadRequest):
        read(form(field_part("a", "x" * 60 * KIB) for _ in range(20)), sink)


def test_more_files_than_a_process_should_hold_open_are_refused(sink: Sink) -> None:
    with pytest.raises(BadRequest, match="at most 1,000 files"):
        read(form(file_part(b"", f"{number}.txt") for number in range(1001)), sink)
    assert not sink.left_behind()


def test_file_that_is_whole_holds_no_thread_while_others_come(sink: Sink) -> None:
    came = read(form(file_part(b"x" * 1500 * KIB, f"{number}.bin") for number in range(4)), sink)
    assert not [thread for thread in threading.enumerate() if thread.name in {"hash", "write"}]
    for file in came.files.getlist("file"):
        assert file.received.sha256 == hashlib.sha256(b"x" * 1500 * KIB).digest()
    came.close()


def test_form_that_goes_on_after_its_end_is_refused_before_long() -> None:
    """Boundary after boundary behind the last one would keep a thread busy for nothing."""
    body = b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--X--'
    with pytest.raises(BadRequest):
        form_body.read(io.BytesIO(body + b"\r\n\r\n--X" * 200_000), "X", None, None)
