"""Reading `multipart/form-data` (RFC 7578) so that each file's bytes are written once.

Werkzeug's own parser spools files to a temporary folder and, at rare chunk boundaries, adds
a stray byte. Here the bytes go from the socket straight into the storage's `Incoming`, hashed
as they pass; a form is whole to its last boundary or it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Protocol

from multipart import MultipartError, MultipartSegment, PushMultipartParser
from werkzeug.datastructures import MultiDict
from werkzeug.http import parse_options_header

from portal.errors import BadRequest, BodyCut, PortalError
from portal.storage.base import Incoming, Received

#: Bytes before the first and after the last boundary: no program sends any worth reading.
_MOST_OUTSIDE = 512 * 1024
#: Bytes asked of the server at a time: each asking has its cost.
_READ = 128 * 1024
#: A text field longer than this is no form of ours.
_LONGEST_FIELD = 64 * 1024
#: All text fields of a form together: they are kept in memory.
_MOST_TEXT = 1024 * 1024
_MOST_PARTS = 10_000
#: Each file that came in is an open file until the form is whole.
MOST_FILES = 1000
_LONGEST_HEADER_LINE = 8 * 1024
_EXTENDED = re.compile(r"filename\*\s*=", re.IGNORECASE)
#: A quoted file name at the end of a header whose closing quote looks escaped.
_UNENDED = re.compile(r';\s*filename\s*=\s*"([^"]*\\)"\s*$', re.IGNORECASE)


class FileSink(Protocol):
    """Decides, part by part, where an uploaded file's bytes go."""

    def open(self, filename: str) -> Incoming:
        """Begin to take the file of that name. Raises `PortalError` to pass over it.

        The name is as the client sent it, and is called empty only for a file that has bytes.
        """

    def check(self, size_bytes: int) -> None:
        """Raise `UploadRejected` once a file has grown beyond what may be stored."""


class UploadedFile:
    """One file part: its bytes wait in `.incoming/`, or `refusal` says why they were not taken."""

    def __init__(self, filename: str) -> None:
        #: As the client sent it, not cleaned.
        self.filename = filename
        self.incoming: Incoming | None = None
        self.refusal: PortalError | None = None

    @property
    def received(self) -> Received:
        if self.refusal is not None or self.incoming is None:
            raise self.refusal or BodyCut()
        return self.incoming.received()

    def refuse(self, refusal: PortalError) -> None:
        """Take no more of it and leave nothing behind."""
        self.refusal = refusal
        self.close()

    def close(self) -> None:
        """Throw away what was not kept."""
        if self.incoming is not None:
            self.incoming.discard()


class FormBody:
    """The fields and files of one request; `close` discards every file that was not kept."""

    def __init__(self) -> None:
        self.fields: MultiDict[str, str] = MultiDict()
        self.files: MultiDict[str, UploadedFile] = MultiDict()
        #: How many bytes of text and how many files it brought so far.
        self.text_bytes = self.file_count = 0

    def close(self) -> None:
        for files in self.files.listvalues():
            for file in files:
                file.close()


def read(
    body: IO[bytes], boundary: str, content_length: int | None, sink: FileSink | None
) -> FormBody:
    """Read a whole form; files of a form that takes none (no `sink`) are a `BadRequest`.

    Raises `BodyCut` when fewer bytes came than were declared or the last boundary is
    missing, and `BadRequest` for what is no form. Nothing stays behind then.
    """
    form = FormBody()
    try:
        came = _read(form, body, boundary, sink)
        if content_length is not None and came < content_length:
            raise BodyCut
    except BaseException:
        form.close()
        raise
    return form


def _read(form: FormBody, body: IO[bytes], boundary: str, sink: FileSink | None) -> int:
    part: _Field | _File | None = None
    try:
        parser = PushMultipartParser(
            boundary, max_segment_count=_MOST_PARTS, max_header_size=_LONGEST_HEADER_LINE
        )
        pieces = _Pieces(body, boundary)
        outside = 0
        for piece in pieces:
            outside += len(piece)
            if outside > _MOST_OUTSIDE and part is None:
                raise BadRequest("The form goes on after its end, so nothing was stored.")
            for event in parser.parse(piece):
                outside = 0
                if isinstance(event, MultipartSegment):
                    pieces.headers_ended = True
                    part = _begin(form, event, sink)
                elif part is not None and event is not None:
                    part.write(event)
                elif part is not None:
                    part.end()
                    part = None
    except MultipartError as error:
        raise BadRequest("The form was not understood, so nothing was stored.") from error
    try:
        parser.close()
    except MultipartError as error:
        raise BodyCut from error
    return pieces.came


class _Pieces:
    """What comes in, mended where the headers of a part are followed by a boundary at once.

    RFC 2046 lets a part without content end so, and Werkzeug's client sends it; the parser
    would take the boundary, and all that follows it, for content.
    """

    def __init__(self, body: IO[bytes], boundary: str) -> None:
        self._body = body
        self._gap = b"\r\n\r\n--" + boundary.encode()
        #: How many bytes came in.
        self.came = 0
        #: Set by the reader when the headers of a part have ended.
        self.headers_ended = False

    def __iter__(self) -> Iterator[bytes]:
        held = b""
        while chunk := self._body.read(_READ):
            self.came += len(chunk)
            data, start = (held + chunk if held else chunk), 0
            while (gap := data.find(self._gap, start)) >= 0:
                yield data[start : gap + 2]
                self.headers_ended = False
                yield b"\r\n"  # ends headers, or belongs to the boundary or to content
                if self.headers_ended:
                    yield b"\r\n"
                start = gap + 4
            end = self._possible_gap(data, start)
            held = data[end:]
            if start < end:
                yield data[start:end]  # of bytes as a whole this makes no copy
        if held:
            yield held

    def _possible_gap(self, data: bytes, start: int) -> int:
        """Where at the end of `data`, from `start`, a gap may begin whose rest is yet to come."""
        at = max(start, len(data) - len(self._gap) + 1)
        while (at := data.find(b"\r", at)) >= 0:
            if self._gap.startswith(data[at:]):
                return at
            at += 1
        return len(data)


class _Field:
    """A text field on its way in."""

    def __init__(self, form: FormBody, name: str) -> None:
        self._form, self._name, self._text = form, name, bytearray()

    def write(self, chunk: bytes | bytearray) -> None:
        self._text += chunk
        self._form.text_bytes += len(chunk)
        if len(self._text) > _LONGEST_FIELD or self._form.text_bytes > _MOST_TEXT:
            raise BadRequest("A field of the form is far too long, so nothing was stored.")

    def end(self) -> None:
        try:
            self._form.fields.add(self._name, self._text.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise BadRequest("A field of the form is not in UTF-8.") from error


class _File:
    """A file on its way in. One that is refused is read on to the next part, and not kept."""

    def __init__(self, form: FormBody, name: str, filename: str, sink: FileSink) -> None:
        self._form, self._name, self._sink = form, name, sink
        self._file = UploadedFile(filename)
        form.files.add(name, self._file)
        if filename:
            self._open()

    def _open(self) -> None:
        try:
            self._file.incoming = self._sink.open(self._file.filename)
        except PortalError as refusal:
            self._file.refuse(refusal)

    def write(self, chunk: bytes | bytearray) -> None:
        file = self._file
        if file.incoming is None and file.refusal is None:
            self._open()
        if file.refusal is not None or file.incoming is None:
            return
        try:
            file.incoming.write(chunk)
            self._sink.check(file.incoming.size_bytes)
        except PortalError as refusal:
            file.refuse(refusal)

    def end(self) -> None:
        # What a browser sends for a file field in which nothing was chosen.
        file = self._file
        if file.incoming is None and file.refusal is None:
            self._form.files.setlist(self._name, self._form.files.getlist(self._name)[:-1])
        elif file.refusal is None and file.incoming is not None:
            try:
                file.incoming.received()  # gives back its thread and memory while others come
            except PortalError as refusal:
                file.refuse(refusal)


def _begin(form: FormBody, segment: MultipartSegment, sink: FileSink | None) -> _Field | _File:
    header = segment["Content-Disposition"]
    if any(char in header for char in "\r\n"):
        raise BadRequest("A name in the form has a line break in it, so nothing was stored.")
    _, options = parse_options_header(header)
    name, filename = options.get("name", ""), _filename(header, options)
    if filename is None:
        return _Field(form, name)
    if sink is None:
        raise BadRequest("This form takes no files.")
    form.file_count += 1
    if form.file_count > MOST_FILES:
        raise BadRequest(
            f"One form takes at most {MOST_FILES:,} files, so nothing was stored.",
            cure="Send them in several turns.",
        )
    return _File(form, name, filename, sink)


def _filename(header: str, options: dict[str, str]) -> str | None:
    """The file name in a `Content-Disposition`; None where the part is no file.

    `filename*` (RFC 8187, which some programs send) beats `filename` wherever it stands
    (RFC 6266, 4.3); of two of a kind, the last one holds.
    """
    if "*" in header:
        # Under another name the two are kept apart; in quotes it is part of a name, and stays.
        _, told_apart = parse_options_header(_EXTENDED.sub("extended*=", header))
        if "extended" in told_apart:
            return told_apart["extended"]
    filename = options.get("filename")
    if filename is None and (found := _UNENDED.search(header)):
        # Browsers leave a backslash as it is, also where it is the last of the name.
        return found.group(1)
    return filename
