"""Uploads in pieces (tus 1.0.0) by a client that never gives up, and knows what it was told."""

from __future__ import annotations

import base64
import http.client

from faults.oracle import ABSENT, LISTED, OWNERS, Witness
from live.client import Answer, Client

PLACE = "/api/v1/uploads"
PIECE = "application/offset+octet-stream"


class Sending:
    """One upload in pieces. What it is told must be on the disk, whatever happens."""

    def __init__(
        self,
        witness: Witness,
        name: str,
        data: bytes,
        owner: str = OWNERS[0],
        client: Client | None = None,
    ) -> None:
        self.witness = witness
        self.data = data
        self.client = client or witness.clients[owner]
        self.sent = witness.note(name, data, owner)
        # Without all of its bytes nothing can come of it.
        self.sent.may_be = frozenset({ABSENT})
        self.address = ""
        #: How much is there, as it was told last.
        self.told = 0

    @property
    def is_over(self) -> bool:
        """Whether it was stored, or nothing can come of it any more."""
        return self.sent.status == 201 or not self.sent.is_open

    def begin(self, content: bytes | None = None) -> Answer | None:
        """Announce it; with `content`, all of it comes along."""
        name = base64.b64encode(self.sent.name.encode()).decode()
        headers = {"Upload-Length": str(len(self.data)), "Upload-Metadata": f"filename {name}"}
        if content == self.data or not self.data:
            self.sent.may_be |= {LISTED}
        answer = self._ask("POST", PLACE, headers, content)
        if answer is not None and answer.status == 201:
            self.address, self.sent.is_open = answer.headers["Location"] or "", True
            self._told(answer)
        return answer

    def send(self, size: int) -> Answer | None:
        """Send the next piece, of at most `size` bytes."""
        piece = self.data[self.told : self.told + size]
        if self.told + len(piece) == len(self.data):
            self.sent.may_be |= {LISTED}
        answer = self._ask("PATCH", self.address, {"Upload-Offset": str(self.told)}, piece)
        if answer is not None and answer.status == 204:
            self._told(answer)
        elif answer is not None:
            self.told = 0  # what a failing disk did not keep can be less than before
        return answer

    def ask(self) -> Answer | None:
        """Ask how far it is; it must be as far as was told, at least."""
        before = self.told
        answer = self._ask("HEAD", self.address, {})
        if answer is None:
            return None
        if answer.status != 200:
            self.witness.found.lost.append(f"{self.sent.name} is {answer.status}, was at {before}")
            self.sent.is_open = False
            return answer
        self._told(answer)
        if not before <= self.told <= len(self.data):
            self.witness.found.lost.append(f"{self.sent.name} is at {self.told}, was at {before}")
        return answer

    def finish(self, piece: int = 1_000_000) -> None:
        """Ask, and send what is missing, until it is stored."""
        for _ in range(2 + len(self.data) // piece):
            if self.is_over or self.ask() is None or self.is_over:
                return
            self.send(piece)
        if not self.is_over:
            self.witness.found.lost.append(f"{self.sent.name} cannot be finished: {self.told}")

    def give_up(self) -> Answer | None:
        answer = self._ask("DELETE", self.address, {})
        if answer is not None and answer.status == 204:
            self.sent.is_open = False
        return answer

    def _told(self, answer: Answer) -> None:
        self.told = int(answer.headers["Upload-Offset"])
        if place := answer.headers["Content-Location"]:
            self.witness.acknowledged(self.sent, place)
        elif self.told == len(self.data):
            self.witness.found.lost.append(f"{self.sent.name} is whole and no document")

    def _ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> Answer | None:
        given = {"Tus-Resumable": "1.0.0", "Accept": "application/json", **headers}
        try:
            if method != "HEAD":
                given["X-CSRFToken"] = self.client.token()
                given["Content-Length"] = str(len(body or b""))
            if body is not None:
                given["Content-Type"] = PIECE
            return self.client.request(method, path, [body] if body else None, given)
        except (OSError, http.client.HTTPException):
            return None
