"""The request class: form bodies are read by our own reader, files straight into storage."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import IO, Any

from flask import Request
from werkzeug.datastructures import MultiDict
from werkzeug.formparser import FormDataParser

from portal.documents import form_body
from portal.documents.form_body import FileSink
from portal.errors import BadRequest

#: Bytes of a form that takes no files.
LARGEST_FORM = 1024 * 1024


class PortalRequest(Request):
    """A request whose uploaded files are `UploadedFile`s, discarded at its end unless kept."""

    #: Where files go; None refuses them. Set before the form is first asked for.
    file_sink: FileSink | None = None
    #: The view reads the body by itself, as it comes; then no form is looked for in it.
    is_read_by_view = False
    #: Called once, when the request has ended in whichever way.
    on_close: Callable[[], None] | None = None

    def close(self) -> None:
        """Discard files that were not kept, and call `on_close`."""
        try:
            super().close()
        finally:
            ending, self.on_close = self.on_close, None
            if ending is not None:
                ending()

    @property  # type: ignore[misc]
    def max_content_length(self) -> int | None:  # type: ignore[override]
        """A form without files is small; files are measured one by one as they come."""
        brings_files = self.file_sink is not None and self.mimetype == "multipart/form-data"
        return None if brings_files or self.is_read_by_view else LARGEST_FORM

    def make_form_data_parser(self) -> FormDataParser:
        parser = _FormParser(
            self._get_file_stream,
            max_form_memory_size=self.max_form_memory_size,
            max_content_length=self.max_content_length,
            max_form_parts=self.max_form_parts,
            cls=self.parameter_storage_class,
        )
        parser.sink = self.file_sink
        return parser

    def uploaded_files(self, field: str) -> list[form_body.UploadedFile]:
        """The files of a form field, in the order they came."""
        files: Any = self.files
        return list(files.getlist(field))

    def uuid_field(self, field: str) -> list[uuid.UUID]:
        """The ids in a repeatable form field. Raises `BadRequest` for one that is not an id."""
        try:
            return [uuid.UUID(text) for text in self.form.getlist(field)]
        except ValueError as error:
            raise BadRequest from error


class _FormParser(FormDataParser):
    sink: FileSink | None = None

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> tuple[IO[bytes], MultiDict[str, str], MultiDict[str, Any]]:
        if mimetype != "multipart/form-data":
            return super().parse(stream, mimetype, content_length, options)
        form = form_body.read(
            stream, (options or {}).get("boundary", ""), content_length, self.sink
        )
        return stream, form.fields, form.files
