"""How bytes leave: one function for owners, share links and everybody who comes later."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from flask import Request, Response
from werkzeug.datastructures import Headers
from werkzeug.http import parse_date, parse_range_header

from portal import audit, storage
from portal.access import Grant, Picture
from portal.errors import Damaged
from portal.storage.base import BlobMissing
from portal.storage.disposition import attachment
from portal.storage.pace import SMALL_BYTES, Pace
from portal.storage.slots import Slots

#: Types a browser could run: sent as plain bytes, so that content never runs (ASVS 3.2.1).
_RUNNABLE = frozenset(
    {
        "text/html",
        "text/xml",
        "text/xsl",
        "text/css",
        "text/javascript",
        "text/ecmascript",
        "application/xml",
        "application/javascript",
        "application/ecmascript",
        "application/x-javascript",
        "application/wasm",
        "application/x-shockwave-flash",
        "application/vnd.mozilla.xul+xml",
        "application/x-httpd-php",
        "application/java-archive",
        "multipart/related",
        "message/rfc822",
    }
)
_PLAIN_BYTES = "application/octet-stream"
#: What everything that leaves here carries, whatever it is.
_PRIVATE = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; sandbox"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
)
#: Of a server process's 512 threads, so many may carry transfers; pages keep the others.
TRANSFERS = 448

#: "The last no bytes", which the parser takes for "from byte 0 on".
_LAST_NONE = re.compile(r"\s*bytes\s*=\s*-0+\s*", re.IGNORECASE)

_slots = Slots(TRANSFERS)


class _Answer(Response):
    """A response whose headers are complete as they stand."""

    def get_wsgi_headers(self, environ: Any) -> Headers:  # noqa: ARG002
        return self.headers


class _Transfer:
    """A body on its way out. Gives its slot back when it ends, however it ends."""

    def __init__(self, pieces: Iterator[bytes], give_slot_back: Callable[[], None]) -> None:
        self._pieces = pieces
        self._give_slot_back = give_slot_back
        self._is_open = True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._give_slot_back()
            if close := getattr(self._pieces, "close", None):
                close()

    def __del__(self) -> None:
        self.close()


def send(grant: Grant, request: Request) -> Response:
    """Answer with the bytes of `grant` as an attachment, or the part `request` asks for.

    Follows RFC 9110 for Range, If-Range and If-None-Match. Everything sent is in the audit
    log before its first byte; HEAD and 304 send nothing and are no download. Raises `Busy`
    when too many transfers run, `Damaged` when the blob is not whole.
    """
    method, asked = request.method, request.headers
    etag = f'"{grant.sha256.hex()}"'
    headers = _headers(grant, etag)
    if _matches(asked.get("If-None-Match"), etag):
        headers.remove("Content-Length")
        return _Answer(status=304, headers=headers)
    start, stop, status = 0, grant.size_bytes, 200
    # RFC 9110, 14.2: a Range on anything but GET is ignored.
    if method == "GET" and _range_applies(asked.get("If-Range"), etag):
        match _span(asked.get("Range"), grant.size_bytes):
            case (start, stop):
                status = 206
                headers["Content-Range"] = f"bytes {start}-{stop - 1}/{grant.size_bytes}"
                headers["Content-Length"] = str(stop - start)
            case "unsatisfiable":
                headers["Content-Range"] = f"bytes */{grant.size_bytes}"
                headers["Content-Length"] = "0"
                return _Answer(status=416, headers=headers)
            case _:
                pass
    if method == "HEAD":
        return _Answer(status=status, headers=headers)
    part = (start, stop) if status == 206 else None
    response = _Answer(status=status, headers=headers, direct_passthrough=True)
    if stop - start <= SMALL_BYTES:
        # Over as soon as it is handed over, however slow the reader: it takes no slot.
        response.response = _read(grant, start, stop)
        _note(grant, part)
        return response
    body = _open(grant, start, stop)
    try:
        _note(grant, part)
    except BaseException:
        body.close()
        raise
    response.response = body
    return response


def pieces(grant: Grant, pace: Pace | None = None) -> Iterator[bytes]:
    """The bytes of `grant`, to go into what `send_archive` sends; opened when this is called.

    Raises `Damaged` when the blob is not whole.
    """
    return _read(grant, 0, grant.size_bytes, pace)


def is_whole(grant: Grant) -> bool:
    """Whether the blob of `grant` is there, with its full length."""
    try:
        opened = pieces(grant)
    except Damaged:
        return False
    if close := getattr(opened, "close", None):
        close()
    return True


def picture_bytes(picture: Picture) -> bytes:
    """The bytes of `picture`, which are few. Raises `Damaged` when they are not whole."""
    try:
        return b"".join(
            storage.current().read(picture.blob, 0, picture.size_bytes, picture.size_bytes)
        )
    except BlobMissing as error:
        raise Damaged from error


def send_picture(data: bytes, media_type: str, state: str) -> Response:
    """Answer with a picture, or an icon in its place; `state` says which of them."""
    headers = Headers(
        [
            ("Content-Type", media_type),
            ("Content-Length", str(len(data))),
            ("Preview-State", state),
            *_PRIVATE,
        ]
    )
    response = _Answer(status=200, headers=headers)
    response.response = [data]
    return response


def checked(grant: Grant, came: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces; raises `Damaged` at their end where they are not what was uploaded."""
    digest = hashlib.sha256()
    for piece in came:
        digest.update(piece)
        yield piece
    if digest.digest() != grant.sha256:
        raise Damaged


def send_archive(
    name: str,
    archive: Iterator[bytes],
    size_bytes: int | None = None,
    note: Callable[[], None] = lambda: None,
) -> Response:
    """Answer with a ZIP as an attachment, while it is being made; `size_bytes` where it is known.

    `note` puts it into the audit log, once it is certain that it can begin. What `archive`
    raises cuts the connection. Raises `Busy` when too many transfers run.
    """
    give_slot_back = take_slot()
    try:
        note()
    except BaseException:
        give_slot_back()
        raise
    headers = Headers(
        [
            ("Content-Type", "application/zip"),
            ("Content-Disposition", attachment(name)),
            # What is made on the way out cannot be had in parts.
            ("Accept-Ranges", "none"),
            *_PRIVATE,
        ]
    )
    if size_bytes is not None:
        headers["Content-Length"] = str(size_bytes)
    response = _Answer(status=200, headers=headers, direct_passthrough=True)
    response.response = _Transfer(archive, give_slot_back)
    return response


def _headers(grant: Grant, etag: str) -> Headers:
    digest = base64.b64encode(grant.sha256).decode("ascii")
    return Headers(
        [
            ("Content-Type", _content_type(grant.media_type)),
            ("Content-Length", str(grant.size_bytes)),
            ("Content-Disposition", attachment(grant.name)),
            ("Accept-Ranges", "bytes"),
            ("ETag", etag),
            ("Repr-Digest", f"sha-256=:{digest}:"),
            *_PRIVATE,
        ]
    )


def _content_type(media_type: str) -> str:
    if media_type in _RUNNABLE or media_type.endswith("+xml"):
        return _PLAIN_BYTES
    return media_type


def _matches(if_none_match: str | None, etag: str) -> bool:
    """Weak comparison of RFC 9110, 13.1.2."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in tags or if_none_match.strip() == "*"


def _range_applies(if_range: str | None, etag: str) -> bool:
    # Strong comparison; there is no Last-Modified, so a date never matches.
    return if_range is None or (if_range.strip() == etag and parse_date(if_range) is None)


def _span(header: str | None, size: int) -> tuple[int, int] | str | None:
    """(start, stop), "unsatisfiable", or None where the whole is the right answer.

    Several ranges and what cannot be understood are ignored, as RFC 9110, 14.2 allows.
    """
    parsed = parse_range_header(header) if header else None
    if parsed is None or parsed.units != "bytes" or len(parsed.ranges) != 1:
        return None
    start, stop = parsed.ranges[0]
    if start == 0 and stop is None and _LAST_NONE.fullmatch(header or ""):
        return "unsatisfiable"
    if start < 0:  # the last n bytes
        start = max(size + start, 0)
        stop = size
    if start >= size:
        return "unsatisfiable"
    return start, size if stop is None else min(stop, size)


def take_slot() -> Callable[[], None]:
    """Count one more transfer, up or down; answers what gives its place back.

    Raises `Busy` when too many run, or too many of whoever acts in this request.
    """
    here = audit.origin.get()
    return _slots.take(here.actor if here.actor != "visitor" else here.address)


def _open(grant: Grant, start: int, stop: int) -> _Transfer:
    give_slot_back = take_slot()
    try:
        return _Transfer(_read(grant, start, stop), give_slot_back)
    except BaseException:
        give_slot_back()
        raise


def _read(grant: Grant, start: int, stop: int, pace: Pace | None = None) -> Iterator[bytes]:
    try:
        return storage.current().read(grant.blob, start, stop - start, grant.size_bytes, pace)
    except BlobMissing as error:
        raise Damaged from error


def _note(grant: Grant, part: tuple[int, int] | None) -> None:
    detail = {"name": grant.name, "reason": grant.reason.value}
    if part is not None:
        detail["bytes"] = f"{part[0]}-{part[1] - 1}"
    if grant.link_id is not None:
        detail |= {"link": str(grant.link_id), "label": grant.link_label}
    audit.record_alone(
        audit.Action.DOWNLOADED, document=grant.document_id, owner=grant.owner_email, **detail
    )
