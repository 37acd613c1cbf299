"""How much of the disk one form may take before anything of it is a document."""

from __future__ import annotations

import io
from typing import Any

from flask import Flask

from conftest import Browser, Cast
from stage import FORM_TYPE, file_part, form, unfinished_files


def _alice(make_app: Any) -> tuple[Flask, Browser]:
    app: Flask = make_app(default_quota_bytes=500_000)
    return app, Cast(app).person("alice@example.org", "Alice")


class Watched(io.BytesIO):
    """A body that notes how much lies on the disk while it is read."""

    def __init__(self, app: Flask, body: bytes) -> None:
        super().__init__(body)
        self._app = app
        self.most = 0

    def read(self, size: int | None = -1) -> bytes:
        lying = sum(path.stat().st_size for path in unfinished_files(self._app))
        self.most = max(self.most, lying)
        return super().read(min(size, 50_000) if size and size > 0 else 50_000)

    def readinto(self, buffer: Any) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def test_files_that_fit_singly_do_not_fill_the_disk_together(make_app: Any) -> None:
    app, alice = _alice(make_app)
    body = Watched(app, form(file_part(b"x" * 200_000, f"{number}.bin") for number in range(8)))
    answer = alice.client.post(
        "/documents",
        input_stream=body,
        content_type=FORM_TYPE,
        headers={"X-CSRFToken": alice.token(), "Accept": "application/json"},
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )
    assert answer.status_code == 201
    outcome = answer.get_json()
    assert len(outcome["documents"]) == 2
    assert {each["reason"] for each in outcome["rejected"]} == {"over_quota"}
    assert 300_000 < body.most <= 500_000 + 50_000
    assert unfinished_files(app) == []


def test_refused_file_takes_no_room_from_the_next(make_app: Any) -> None:
    _, alice = _alice(make_app)
    answer = alice.client.post(
        "/documents",
        data=form([file_part(b"x" * 499_000, "a.bin"), file_part(b"x" * 2000, "b.bin")]),
        content_type=FORM_TYPE,
        headers={"X-CSRFToken": alice.token(), "Accept": "application/json"},
    )
    outcome = answer.get_json()
    assert [each["name"] for each in outcome["documents"]] == ["a.bin"]
    assert [each["name"] for each in outcome["rejected"]] == ["b.bin"]
