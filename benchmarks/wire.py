"""Just enough HTTP/1.1 for load clients: building requests and noticing where a reply ends."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode, urlsplit

BOUNDARY = "----benchmark-7MA4YWxkTrZu0gW"


@dataclass(frozen=True)
class Target:
    """Where a request goes and as whom."""

    port: int
    path: str
    cookie: str = ""

    def get(self) -> bytes:
        """A GET request that asks the server to close the connection afterwards."""
        return _head("GET", self, [("Connection", "close")])

    def post(self, form: Iterable[tuple[str, str]]) -> bytes:
        """A form, also with the connection closed afterwards."""
        body = urlencode(list(form)).encode()
        length = ("Content-Length", str(len(body)))
        kind = ("Content-Type", "application/x-www-form-urlencoded")
        return _head("POST", self, [("Connection", "close"), kind, length]) + body


@dataclass(frozen=True)
class Upload:
    """One upload as a system wants it: everything around the file's own bytes."""

    target: Target
    method: str
    before: bytes
    after: bytes
    headers: tuple[tuple[str, str], ...]
    accepted: frozenset[int]

    def opening(self, size: int) -> bytes:
        """Request line, headers and whatever comes before the file's bytes."""
        length = len(self.before) + size + len(self.after)
        headers = [*self.headers, ("Content-Length", str(length))]
        return _head(self.method, self.target, headers) + self.before


def form_upload(
    target: Target,
    filename: str,
    *,
    fields: Mapping[str, str],
    file_field: str,
    accepted: Iterable[int],
    headers: Iterable[tuple[str, str]] = (),
) -> Upload:
    """A multipart form with the plain fields first and one file last, as browsers send it."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{file_field}"; '
        f'filename="{filename}"\r\nContent-Type: application/octet-stream\r\n\r\n'
    )
    return Upload(
        target=target,
        method="POST",
        before="".join(parts).encode(),
        after=f"\r\n--{BOUNDARY}--\r\n".encode(),
        headers=(("Content-Type", f"multipart/form-data; boundary={BOUNDARY}"), *headers),
        accepted=frozenset(accepted),
    )


def put_upload(target: Target, *, accepted: Iterable[int]) -> Upload:
    """A plain PUT of the file's bytes."""
    return Upload(target, "PUT", b"", b"", (), frozenset(accepted))


@dataclass(frozen=True)
class Tus:
    """The upload of one file by tus 1.0.0: announced first, then sent in one piece or more."""

    target: Target
    filename: str
    headers: tuple[tuple[str, str], ...] = ()

    def creation(self, size: int, *, with_upload: bool = False) -> Upload:
        """The announcement; `with_upload`, the whole file comes along as its body."""
        name = base64.b64encode(self.filename.encode()).decode()
        headers = [("Upload-Length", str(size)), ("Upload-Metadata", f"filename {name}")]
        if with_upload:
            headers.append(_PIECE_TYPE)
        return self._request("POST", self.target, headers, 201)

    def piece(self, location: str, offset: int) -> Upload:
        """The piece that begins at `offset`, of the upload that the announcement made."""
        target = replace(self.target, path=urlsplit(location).path)
        headers = [("Upload-Offset", str(offset)), _PIECE_TYPE]
        return self._request("PATCH", target, headers, 204)

    def _request(
        self, method: str, target: Target, headers: list[tuple[str, str]], accepted: int
    ) -> Upload:
        standard = (("Tus-Resumable", "1.0.0"), *self.headers)
        return Upload(target, method, b"", b"", (*standard, *headers), frozenset({accepted}))


_PIECE_TYPE = ("Content-Type", "application/offset+octet-stream")


def _head(method: str, target: Target, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [f"{method} {target.path} HTTP/1.1", f"Host: 127.0.0.1:{target.port}"]
    if target.cookie:
        lines.append(f"Cookie: {target.cookie}")
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Reply:
    """A reply that is fed piece by piece and knows when it is complete."""

    def __init__(self) -> None:
        self.status = 0
        self.keep_alive = True
        self.complete = False
        self.headers: dict[str, str] = {}
        self._data = bytearray()
        self._body_at = 0
        self._length: int | None = None
        self._chunked = False

    @property
    def body(self) -> bytes:
        """The body received so far (as sent: chunks are not joined)."""
        return bytes(self._data[self._body_at :])

    def feed(self, data: bytes) -> bool:
        """Take more bytes (none: the server closed) and say whether the reply is complete."""
        if not data:
            self.keep_alive = False
            self.complete = bool(self._body_at) and self._length is None and not self._chunked
            return self.complete
        self._data += data
        while not self._body_at:
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                return False
            self._read_head(bytes(self._data[:end]))
            if self.status < 200:
                del self._data[: end + 4]
            else:
                self._body_at = end + 4
        self.complete = self._ended()
        return self.complete

    def _ended(self) -> bool:
        if self.status in (204, 304):
            return True
        if self._chunked:
            return self._data.endswith(b"0\r\n\r\n")
        return self._length is not None and len(self._data) - self._body_at >= self._length

    def _read_head(self, head: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status = first.split(" ", 2)[:2]
        self.status = int(status)
        self.keep_alive = version == "HTTP/1.1"
        for line in lines:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value = value.strip()
            match name.lower():
                case "content-length":
                    self._length = int(value)
                case "transfer-encoding":
                    self._chunked = "chunked" in value.lower()
                case "connection":
                    self.keep_alive = value.lower() != "close"
