"""Uploads in the hands of somebody who means harm, or who is very unlucky."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, select, update

from api.tus import PIECE, Tus, metadata
from conftest import Browser, user_named
from portal.documents import resumable
from portal.extensions import db
from portal.models import ApiToken, Document, OpenUpload, Session, User, utcnow
from portal.storage.growing import LocalGrowing
from stage import (
    FORM_TYPE,
    events,
    file_part,
    form,
    make_token,
    settings_of,
    stored_files,
    twins,
    unfinished_files,
)

CONTENT = hashlib.shake_256(b"attacked").digest(2000)


class Endless(io.RawIOBase):
    """A body that goes on and on, and counts what was read of it."""

    def __init__(self, most: int) -> None:
        self.left, self.came = most, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), self.left)
        buffer[:length] = b"x" * length
        self.left -= length
        self.came += length
        return length


class Meanwhile(io.BytesIO):
    """A body in the middle of which something happens."""

    def __init__(self, content: bytes, act: Callable[[], None]) -> None:
        super().__init__(content)
        self._act = act

    def read(self, size: int | None = -1) -> bytes:
        self._act()
        return super().read(size)

    def readinto(self, buffer: Any) -> int:
        self._act()
        return super().readinto(buffer)


def change_user(app: Flask, email: str, **values: Any) -> None:
    with app.app_context():
        db.session.execute(update(User).where(User.email == email).values(**values))
        db.session.commit()


def room(app: Flask) -> tuple[int, int]:
    user = user_named(app, "alice@example.org")
    return user.used_bytes, user.reserved_bytes


def uploads_of(app: Flask) -> int:
    with app.app_context():
        return len(db.session.scalars(select(OpenUpload)).all())


@pytest.mark.parametrize("with_token", [False, True])
@pytest.mark.parametrize("path", ["/api/v1/uploads", "/documents"])
def test_form_without_files_is_never_read_into_memory_without_end(
    alice: Browser, path: str, with_token: bool
) -> None:
    headers = {"X-CSRFToken": alice.token()} if with_token else {}
    body = Endless(32 * 1024 * 1024)
    answer = alice.client.post(
        path,
        headers={**headers, "Tus-Resumable": "1.0.0", "Upload-Length": "5"},
        content_type="application/x-www-form-urlencoded",
        environ_overrides={"wsgi.input": body, "wsgi.input_terminated": True},
    )
    assert answer.status_code in {400, 413, 422}
    assert body.came <= 2 * 1024 * 1024


@pytest.mark.parametrize("whose", ["former admin", "disabled admin", "disabled owner"])
def test_right_to_send_is_asked_for_again_when_the_last_byte_has_come(
    app: Flask, alice: Browser, ada: Browser, whose: str
) -> None:
    adas = Tus(ada)
    alice_id = str(user_named(app, "alice@example.org").public_id)
    address = adas.begin("a.bin", 3, owner=alice_id)
    who = "alice@example.org" if whose == "disabled owner" else "ada@example.org"
    change = {"role": "user"} if whose == "former admin" else {"disabled_at": utcnow()}
    answer = ada.client.patch(
        address,
        input_stream=Meanwhile(b"abc", lambda: change_user(app, who, **change)),
        headers={"Tus-Resumable": "1.0.0", "X-CSRFToken": adas.token, "Upload-Offset": "0"},
        content_type=PIECE,
        environ_overrides={"CONTENT_LENGTH": "3"},
    )
    assert answer.status_code == 404
    assert room(app) == (0, 3)
    assert events(app, "document.uploaded") == []


@pytest.mark.parametrize("change", ["role", "disabled_at"])
def test_right_to_send_is_asked_for_again_when_the_whole_form_has_come(
    app: Flask, alice: Browser, ada: Browser, change: str
) -> None:
    alice_id = user_named(app, "alice@example.org").public_id
    body = form([file_part(b"abc", "a.bin")])
    values = {"role": "user"} if change == "role" else {"disabled_at": utcnow()}
    answer = ada.client.post(
        f"/admin/users/{alice_id}/documents",
        input_stream=Meanwhile(body, lambda: change_user(app, "ada@example.org", **values)),
        headers={"X-CSRFToken": ada.token(), "Accept": "application/json"},
        content_type=FORM_TYPE,
        environ_overrides={"CONTENT_LENGTH": str(len(body))},
    )
    assert answer.status_code == 404
    assert stored_files(app) == []
    assert room(app) == (0, 0)


def test_upload_given_up_before_its_file_is_opened_takes_no_room_that_nobody_counts(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    tus = Tus(alice)
    other = Tus(twins(alice, 1)[0])
    address = tus.begin("a.bin", len(CONTENT))
    let_go = resumable.let_go

    def give_up_first() -> None:
        monkeypatch.setattr(resumable, "let_go", let_go)
        assert other.ask("DELETE", address).status_code == 204
        let_go()

    monkeypatch.setattr(resumable, "let_go", give_up_first)
    assert tus.patch(address, 0, CONTENT[:1500]).status_code == 404
    assert unfinished_files(app) == []
    assert room(app) == (0, 0)


@pytest.mark.parametrize("moment", ["its piece comes", "it is to be kept", "it was kept"])
def test_upload_given_up_while_its_last_piece_comes_leaves_nothing(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    tus = Tus(alice)
    other = Tus(twins(alice, 1)[0])
    address = tus.begin("a.bin", len(CONTENT))
    tus.patch(address, 0, CONTENT[:500])
    given_up: list[int] = []

    def give_up() -> None:
        if not given_up:
            given_up.append(other.ask("DELETE", address).status_code)

    body = Meanwhile(CONTENT[500:], give_up if moment == "its piece comes" else lambda: None)
    keep = LocalGrowing.keep

    def keep_and_give_up(self: LocalGrowing) -> str:
        blob = keep(self)
        give_up()
        return blob

    def give_up_and_keep(self: LocalGrowing) -> str:
        give_up()
        return keep(self)

    if moment == "it was kept":
        monkeypatch.setattr(LocalGrowing, "keep", keep_and_give_up)
    elif moment == "it is to be kept":
        monkeypatch.setattr(LocalGrowing, "keep", give_up_and_keep)
    answer = tus.browser.client.patch(
        address,
        input_stream=body,
        headers={"Tus-Resumable": "1.0.0", "X-CSRFToken": tus.token, "Upload-Offset": "500"},
        content_type=PIECE,
        environ_overrides={"CONTENT_LENGTH": str(len(CONTENT) - 500)},
    )
    assert given_up == [204]
    assert answer.status_code in {404, 409}
    assert (stored_files(app), room(app)) == ([], (0, 0))
    assert alice.get("/documents", headers={"Accept": "application/json"}).json["documents"] == []


def test_file_is_hashed_once_more_by_one_request_at_a_time(app: Flask, alice: Browser) -> None:
    tus = Tus(alice)
    address = tus.begin("a.bin", len(CONTENT))
    tus.patch(address, 0, CONTENT[:1000])
    with unfinished_files(app)[0].open("ab") as file:  # the rest came to another process
        file.write(CONTENT[1000:])
    with app.app_context():
        blob = db.session.scalars(select(OpenUpload.blob)).one()
    digests = app.extensions["storage"]._digests
    with digests.working_out(blob):
        answer = tus.ask("HEAD", address)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    answer = tus.ask("HEAD", address)
    assert answer.status_code == 200
    stored = alice.get(f"{answer.headers['Content-Location']}/download")
    assert stored.get_data() == CONTENT


def test_few_files_at_a_time_are_hashed_once_more(app: Flask) -> None:
    digests = app.extensions["storage"]._digests
    with app.app_context():
        held = [digests.working_out(str(number)) for number in range(4)]
        for each in held:
            each.__enter__()
        with pytest.raises(Exception, match="checked at this moment"), digests.working_out("5"):
            pass
        for each in held:
            each.__exit__(None, None, None)
        with digests.working_out("5"):
            pass


def test_piece_whose_checksum_is_not_known_yet_is_not_stored_by_who_looked_before_it_came(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    tus = Tus(alice)
    address = tus.begin("a.bin", len(CONTENT))
    tus.patch(address, 0, CONTENT[:1000])
    with app.app_context():
        seen = resumable._unfinished()
    with unfinished_files(app)[0].open("ab") as file:
        file.write(b"z" * 1000)
    with app.app_context():
        db.session.execute(update(OpenUpload).values(checked_bytes=1000))
        db.session.commit()
        with monkeypatch.context() as patched:
            patched.setattr(resumable, "_unfinished", lambda: seen)
            assert resumable.finish_whole(settings_of(app)) == 0
        assert db.session.scalars(select(Document)).all() == []
    answer = tus.patch(address, 1000, CONTENT[1000:])
    stored = alice.get(f"{answer.headers['Content-Location']}/download")
    assert stored.get_data() == CONTENT


def test_announcement_whose_body_fails_leaves_nothing(app: Flask, alice: Browser) -> None:
    tus = Tus(alice)

    def fail() -> None:
        raise OSError("the connection is gone")

    with suppress(OSError):
        alice.client.post(
            "/api/v1/uploads",
            input_stream=Meanwhile(b"", fail),
            headers={
                "Tus-Resumable": "1.0.0",
                "X-CSRFToken": tus.token,
                "Upload-Length": "3000",
                "Upload-Metadata": metadata(filename="a.bin"),
            },
            content_type=PIECE,
            environ_overrides={"CONTENT_LENGTH": "2000"},
        )
    assert uploads_of(app) == 0
    assert unfinished_files(app) == []
    assert room(app) == (0, 0)


@pytest.mark.parametrize("character", ["\xe9", "\xa0", "\t", "\x7f"])
def test_only_what_any_header_can_hold_is_told_again(alice: Browser, character: str) -> None:
    said = f"{metadata(filename='a.bin')},k{character}y eA=="
    answer = Tus(alice).ask("POST", "/api/v1/uploads", Upload_Length=3, Upload_Metadata=said)
    assert answer.status_code == 400


@pytest.mark.parametrize("way", ["form", "small", "pieces"])
@pytest.mark.parametrize("by", ["session", "token"])
def test_who_was_signed_out_meanwhile_stores_nothing(
    app: Flask, alice: Browser, way: str, by: str
) -> None:
    """A copied cookie or token ends at once, also in the middle of a body."""
    key = make_token(alice, "documents:write")["token"] if by == "token" else ""
    headers = {"Authorization": f"Bearer {key}"} if key else {"X-CSRFToken": alice.token()}
    thief = Browser(app).client if key else alice.client
    tus = {**headers, "Tus-Resumable": "1.0.0"}
    said = {"Upload-Length": "2000", "Upload-Metadata": metadata(filename="a.bin")}
    body, kind, path, method = CONTENT, PIECE, "/api/v1/uploads", "POST"
    if way == "form":
        body, kind, path = form([file_part(CONTENT)]), FORM_TYPE, "/documents"
    elif way == "pieces":
        path = thief.post(path, headers={**tus, **said}).headers["Location"]
        method, tus = "PATCH", {**tus, "Upload-Offset": "0"}

    def end() -> None:
        with app.app_context():
            db.session.execute(delete(ApiToken) if key else delete(Session))
            db.session.commit()

    answer = thief.open(
        path,
        method=method,
        input_stream=Meanwhile(body, end),
        content_type=kind,
        headers={**tus, **said, "Accept": "application/json"},
        environ_overrides={"CONTENT_LENGTH": str(len(body))},
    )
    assert answer.status_code == 401
    assert events(app, "document.uploaded") == []
    with app.app_context():
        assert db.session.scalars(select(Document)).all() == []
    if way != "pieces":  # these wait for whoever sends them to sign in again
        assert stored_files(app) == []
