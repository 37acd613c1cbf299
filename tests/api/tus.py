"""The tus protocol as a client speaks it, in the process of the portal."""

from __future__ import annotations

import base64
import io
from typing import Any

from werkzeug.test import TestResponse

from conftest import Browser

PIECE = "application/offset+octet-stream"


def metadata(**said: str) -> str:
    return ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items()
    )


class Tus:
    """Somebody's browser, sending pieces."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.token = browser.token()

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: Any
    ) -> TestResponse:
        given = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        standard = {"Tus-Resumable": "1.0.0", "X-CSRFToken": self.token}
        return self.browser.client.open(
            path,
            method=method,
            data=body,
            headers={key: value for key, value in {**standard, **given}.items() if value},
            content_type=PIECE if body is not None else None,
        )

    def announce(
        self, name: str, length: int, content: bytes | None = None, **said: str
    ) -> TestResponse:
        return self.ask(
            "POST",
            "/api/v1/uploads",
            content,
            Upload_Length=length,
            Upload_Metadata=metadata(filename=name, **said),
        )

    def begin(self, name: str, length: int, **said: str) -> str:
        """Announce a file, and answer the address of its upload."""
        answer = self.announce(name, length, **said)
        assert answer.status_code == 201, answer.get_data(as_text=True)
        return answer.headers["Location"]

    def patch(self, address: str, offset: int, piece: bytes, **headers: Any) -> TestResponse:
        return self.ask("PATCH", address, piece, Upload_Offset=offset, **headers)

    def cut(self, address: str, offset: int, piece: bytes, declared: int) -> TestResponse:
        """Declare a piece of so many bytes, and lose the connection after fewer."""
        return self.browser.client.open(
            address,
            method="PATCH",
            input_stream=io.BytesIO(piece),
            headers={
                "Tus-Resumable": "1.0.0",
                "X-CSRFToken": self.token,
                "Upload-Offset": str(offset),
            },
            content_type=PIECE,
            environ_overrides={"CONTENT_LENGTH": str(declared)},
        )

    def offset(self, address: str) -> int:
        answer = self.ask("HEAD", address)
        assert answer.status_code == 200, answer.status
        return int(answer.headers["Upload-Offset"])
