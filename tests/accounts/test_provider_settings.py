"""The settings of sign-in with a provider: all three or none, and nothing unsafe."""

from __future__ import annotations

from pathlib import Path

import pytest

from portal.config import ConfigError, Settings, load

ALL = {
    "PORTAL_OIDC_ISSUER": "https://login.example.org/realms/firm",
    "PORTAL_OIDC_CLIENT_ID": "portal",
    "PORTAL_OIDC_CLIENT_SECRET": "keep this to yourself",
}


def read(folder: Path, **changes: str | None) -> Settings:
    values = {**ALL, **changes}
    folders = {
        "PORTAL_INSTANCE_DIR": str(folder / "instance"),
        "PORTAL_FILES_DIR": str(folder / "files"),
    }
    return load({**folders, **{name: value for name, value in values.items() if value is not None}})


def test_all_three_are_taken_as_they_are(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings.oidc_issuer == "https://login.example.org/realms/firm"
    assert settings.oidc_client_id == "portal"
    assert settings.oidc_client_secret == "keep this to yourself"
    assert settings.oidc_host == "login.example.org"
    assert "keep this" not in repr(settings)


def test_last_slash_of_the_issuer_is_kept(tmp_path: Path) -> None:
    settings = read(tmp_path, PORTAL_OIDC_ISSUER="https://login.example.org/")
    assert settings.oidc_issuer == "https://login.example.org/"


def test_none_is_no_provider(tmp_path: Path) -> None:
    settings = read(tmp_path, **dict.fromkeys(ALL))
    assert (settings.oidc_issuer, settings.oidc_host) == ("", "")


@pytest.mark.parametrize("name", list(ALL))
def test_two_of_three_stop_the_start_and_name_the_third(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as stopped:
        read(tmp_path, **{name: None})
    assert str(stopped.value).startswith(f"{name}: not set")
    assert "\n" not in str(stopped.value)
    assert "keep this" not in str(stopped.value)


def test_one_of_three_stops_the_start_and_names_the_others(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PORTAL_OIDC_CLIENT_ID and PORTAL_OIDC_CLIENT_SECRET"):
        read(tmp_path, PORTAL_OIDC_CLIENT_ID=None, PORTAL_OIDC_CLIENT_SECRET=None)


@pytest.mark.parametrize(
    "issuer",
    [
        "http://login.example.org",
        "login.example.org",
        "https://",
        "https://login.example.org?tenant=1",
        "https://login.example.org/#top",
        "https://user:pass@login.example.org",
        "https://login.example.org:port",
        "https://[login",
        "https://login example.org",
        "file:///etc/passwd",
        "https://login.example.org/" + "x" * 500,
        "",
    ],
)
def test_issuer_that_is_no_safe_address_stops_the_start(tmp_path: Path, issuer: str) -> None:
    with pytest.raises(ConfigError, match="PORTAL_OIDC_ISSUER: "):
        read(tmp_path, PORTAL_OIDC_ISSUER=issuer)


@pytest.mark.parametrize("host", ["127.0.0.1:9000", "localhost", "[::1]:9000"])
def test_issuer_on_this_machine_may_be_plain_http(tmp_path: Path, host: str) -> None:
    assert read(tmp_path, PORTAL_OIDC_ISSUER=f"http://{host}").oidc_issuer == f"http://{host}"


@pytest.mark.parametrize("name", ["PORTAL_OIDC_CLIENT_ID", "PORTAL_OIDC_CLIENT_SECRET"])
@pytest.mark.parametrize("value", ["", " ", "two\nlines"])
def test_what_is_not_one_line_stops_the_start(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        read(tmp_path, **{name: value})
