"""A small HTTP client of our own: it streams, keeps cookies, and hides nothing.

Bodies go out as they are made and come in as they are asked for, so files may be larger
than memory.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import secrets
import ssl
import time
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes, urlencode, urlsplit

CHUNK = 256 * 1024
#: Of a form; pairs, where a field is there several times.
Fields = Mapping[str, str] | Sequence[tuple[str, str]]
#: An older connection is not used again.
IDLE_SECONDS = 3


class Content(Protocol):
    """What is uploaded: its size is known, its bytes come when they are asked for."""

    @property
    def size(self) -> int: ...
    def pieces(self) -> Iterable[bytes]: ...


@dataclass(frozen=True)
class Bytes:
    """A short content, in memory."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def pieces(self) -> Iterable[bytes]:
        return [self.data]


@dataclass
class Answer:
    """A whole response."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", errors="replace")

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def location(self) -> str:
        return self.headers["Location"] or ""


class Client:
    """One person's (or nobody's) connection; opens a new one when the old one has ended."""

    def __init__(
        self, url: str, timeout: float = 60, context: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(url)
        assert parts.hostname == "127.0.0.1", "tests talk to this machine alone"
        self.url = url
        self.cookies: dict[str, str] = {}
        self._token = ""
        self._last_used = time.monotonic()
        self._connection = (
            http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=timeout, context=context
            )
            if parts.scheme == "https"
            else http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        )

    def open(
        self,
        method: str,
        path: str,
        body: Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        """Send a request; the response's body is still to be read."""
        given = dict(headers or {})
        if time.monotonic() - self._last_used > IDLE_SECONDS:
            self._connection.close()  # the server may have thought the same at this moment
        self._last_used = time.monotonic()
        if self.cookies:
            given["Cookie"] = "; ".join(f"{key}={value}" for key, value in self.cookies.items())
        try:
            self._connection.request(method, path, body=body, headers=given)
            response = self._connection.getresponse()
        except (http.client.HTTPException, OSError):
            self._connection.close()
            raise
        for line in response.headers.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
        return response

    def request(
        self,
        method: str,
        path: str,
        body: Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        response = self.open(method, path, body, headers)
        try:
            return Answer(response.status, response.headers, response.read())
        except (http.client.HTTPException, OSError):
            self._connection.close()
            raise

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=_named(headers))

    def head(self, path: str, **headers: str) -> Answer:
        return self.request("HEAD", path, headers=_named(headers))

    def post(self, path: str, fields: Fields | None = None, **headers: str) -> Answer:
        fields = fields or {}
        body = urlencode(fields).encode()
        given = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Content-Length": str(len(body)),
            **({} if "csrf_token" in fields else self._authority()),
            **_named(headers),
        }
        return self.request("POST", path, [body], given)

    def post_json(self, path: str, fields: Fields | None = None) -> Any:
        """POST a form and answer the JSON of what was made."""
        answer = self.post(path, fields, accept="application/json")
        assert answer.status == 201, answer
        return answer.json()

    def close(self) -> None:
        self._connection.close()

    def __del__(self) -> None:
        if hasattr(self, "_connection"):
            self.close()

    # -- Signing in ----------------------------------------------------------------------------

    def _is_signed_in(self) -> bool:
        return any(
            self.cookies.get(prefix + "portal_session") for prefix in ("", "__Host-", "__Secure-")
        )

    def token(self) -> str:
        """The CSRF token of this session."""
        if not self._token:
            page = self.get("/account" if self._is_signed_in() else "/login")
            if page.status == 302:
                page = self.get("/login")
            found = re.search(r'name="csrf[-_]token" (?:content|value)="([^"]+)"', page.text)
            assert found, page.text[:500]
            self._token = found.group(1)
        return self._token

    def sign_in(self, email: str, password: str) -> None:
        answer = self.post("/login", {"email": email, "password": password})
        assert answer.status == 303, (answer.status, answer.text[:500])
        self._token = ""
        self.token()

    def hidden(self, path: str, name: str) -> str:
        """The value of a hidden field of the form on a page."""
        page = self.get(path)
        found = re.search(rf'name="{name}" [^>]*value="([^"]*)"', page.text)
        assert found, (page.status, page.text[:500])
        return _plain(found.group(1))

    def _authority(self) -> dict[str, str]:
        return {"X-CSRFToken": self.token()}

    # -- Documents -----------------------------------------------------------------------------

    def upload(
        self,
        files: Sequence[tuple[str, Content]],
        path: str = "/documents",
        **headers: str,
    ) -> Answer:
        """Upload files as one form, asking for JSON."""
        form = Form([("file", name, content) for name, content in files])
        given = {
            "Accept": "application/json",
            "Content-Type": form.content_type,
            "Content-Length": str(form.size),
            **self._authority(),
            **_named(headers),
        }
        return self.request("POST", path, form.pieces(), given)

    def upload_one(self, name: str, content: Content) -> dict[str, Any]:
        answer = self.upload([(name, content)])
        assert answer.status == 201, (answer.status, answer.text[:500])
        made: dict[str, Any] = answer.json()["documents"][0]
        return made

    def download(self, path: str) -> tuple[http.client.HTTPMessage, int, str]:
        """Headers, length and SHA-256 of a download, which is not kept."""
        response = self.open("GET", path)
        digest, size = hashlib.sha256(), 0
        for piece in pieces_of(response):
            digest.update(piece)
            size += len(piece)
        assert response.status == 200, response.status
        return response.headers, size, digest.hexdigest()

    def listed(self, known: Container[str] = ()) -> dict[str, str]:
        """The name of every document in the list by its address, page after page.

        Newest first, and no further than to a page on which every address is `known`.
        """
        found: dict[str, str] = {}
        path: str | None = "/documents"
        for _ in range(2000):
            if path is None:
                return found
            page = self.get(path)
            assert page.status == 200, page
            shown = dict(rows(page.text))
            found |= shown
            if shown and all(address in known for address in shown):
                return found
            following = re.search(r'<a [^>]*rel="next"[^>]*>', page.text)
            path = None
            if following and (address := re.search(r'href="([^"]+)"', following.group())):
                path = _plain(address.group(1))
        raise AssertionError("the list does not end")


class Form:
    """multipart/form-data (RFC 7578) with its length known before it is sent.

    File names stand in quotes with backslashes, as curl writes them, in UTF-8.
    """

    def __init__(
        self, files: Sequence[tuple[str, str, Content]], fields: Sequence[tuple[str, str]] = ()
    ) -> None:
        self.boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={self.boundary}"
        self._parts: list[bytes | Content] = []
        for name, value in fields:
            self._parts.append(self._head(f'name="{name}"') + value.encode())
        for name, filename, content in files:
            quoted = filename.replace("\\", "\\\\").replace('"', '\\"')
            head = self._head(f'name="{name}"; filename="{quoted}"', "application/octet-stream")
            self._parts += [head, content]
        self._parts.append(f"\r\n--{self.boundary}--\r\n".encode())

    def _head(self, what: str, media_type: str = "") -> bytes:
        kind = f"Content-Type: {media_type}\r\n" if media_type else ""
        return (
            f"\r\n--{self.boundary}\r\nContent-Disposition: form-data; {what}\r\n{kind}\r\n"
        ).encode()

    @property
    def size(self) -> int:
        return sum(len(part) if isinstance(part, bytes) else part.size for part in self._parts)

    def pieces(self) -> Iterator[bytes]:
        for part in self._parts:
            if isinstance(part, bytes):
                yield part
            else:
                yield from part.pieces()


def pieces_of(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while piece := response.read(CHUNK):
        yield piece


def rows(page: str) -> list[tuple[str, str]]:
    """(address, name) of every document a list shows."""
    links = re.findall(r"<a ([^>]*)>([^<]*)</a>", page)
    found = []
    for attributes, text in links:
        address = re.search(r'href="(/documents/[0-9a-f-]{36})"', attributes)
        if address and "item-name" in attributes:
            found.append((address.group(1), _plain(text)))
    return found


def saved_name(disposition: str) -> str:
    """The name a program saves a download under, after RFC 6266 and RFC 8187."""
    kind, _, rest = disposition.partition(";")
    assert kind.strip() == "attachment", disposition
    extended = re.search(r"filename\*=UTF-8''([^;\s]*)", rest)
    if extended:
        return unquote_to_bytes(extended.group(1)).decode("utf-8")
    plain = re.search(r'filename="((?:[^"\\]|\\.)*)"', rest)
    assert plain, disposition
    return re.sub(r"\\(.)", r"\1", plain.group(1))


def _plain(markup: str) -> str:
    from html import unescape

    return unescape(markup)


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
