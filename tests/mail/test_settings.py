"""The settings of mail: understood, or refused in a line that tells no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from portal import config
from portal.config import ConfigError, Settings, SmtpServer

FROM = {"PORTAL_MAIL_FROM": "portal@example.org"}


def load(tmp_path: Path, **environ: str) -> Settings:
    folders = {
        "PORTAL_INSTANCE_DIR": str(tmp_path / "instance"),
        "PORTAL_FILES_DIR": str(tmp_path / "files"),
    }
    return config.load({**folders, **environ})


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.org", SmtpServer("mail.example.org", 587, "starttls")),
        ("smtp://mail.example.org:2525", SmtpServer("mail.example.org", 2525, "starttls")),
        ("smtp://mail.example.org?tls=starttls", SmtpServer("mail.example.org", 587, "starttls")),
        ("smtp://mail.example.org/?tls=none", SmtpServer("mail.example.org", 25, "none")),
        ("smtp://localhost", SmtpServer("localhost", 25, "none")),
        ("smtp://[::1]:25", SmtpServer("::1", 25, "none")),
        ("smtps://mail.example.org", SmtpServer("mail.example.org", 465, "tls")),
        (
            "smtp://me%40example.org:p%2Fa%3Fs%23s%40@mail.example.org?tls=starttls",
            SmtpServer("mail.example.org", 587, "starttls", "me@example.org", "p/a?s#s@"),
        ),
        ("smtp://robot7:w0rd9@localhost", SmtpServer("localhost", 25, "none", "robot7", "w0rd9")),
    ],
)
def test_mail_server_is_understood(tmp_path: Path, url: str, server: SmtpServer) -> None:
    settings = load(tmp_path, PORTAL_SMTP_URL=url, **FROM)
    assert settings.smtp_url == server
    if server.password:
        assert server.password not in repr(settings)
        assert server.user not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.org",
        "http://me:s3cr3t@mail.example.org",
        "smtp://",
        "smtp://me:s3cr3t@",
        "smtp://me:s3cr3t@mail.example.org:many",
        "smtp://me:s3cr3t@mail.example.org:99999",
        "smtp://me:s3cr3t@[mail.example.org",
        "smtp://me:s3cr3t/@mail.example.org",
        "smtp://me:s3cr3t@mail.example.org/path",
        "smtp://me:s3cr3t@mail.example.org?tls=maybe",
        "smtp://me:s3cr3t@mail.example.org?tls",
        "smtp://me:s3cr3t@mail.example.org?verify=no",
        "smtps://me:s3cr3t@mail.example.org?tls=none",
        "smtp://me:s3cr3t@mail.example.org?tls=none",
        "smtp://me:s3cr3t%C3%A9@mail.example.org",
        "smtp://s3cr3t@mail.example.org",
        "smtp://me:s3cr3t@mail.example.org#fragment",
    ],
)
def test_mail_server_that_cannot_be_is_refused_without_telling_its_password(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, PORTAL_SMTP_URL=url, **FROM)
    assert str(caught.value).startswith("PORTAL_SMTP_URL: ")
    error: BaseException | None = caught.value
    while error is not None:
        assert "s3cr3t" not in str(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_mail_server_needs_an_address_to_write_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^PORTAL_MAIL_FROM: "):
        load(tmp_path, PORTAL_SMTP_URL="smtp://localhost")


@pytest.mark.parametrize("text", ["portal@example.org", "Archer & Partners <p@example.org>"])
def test_address_to_write_from_may_have_a_name(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, PORTAL_MAIL_FROM=text).mail_from == text


@pytest.mark.parametrize("text", ["", "portal", "a@b@c", "x <>", "p@example.org\nBcc: x@y.z"])
def test_address_to_write_from_is_one(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"^PORTAL_MAIL_FROM: "):
        load(tmp_path, PORTAL_MAIL_FROM=text)
