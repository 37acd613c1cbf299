"""Settings: where they come from, what is refused, and what is made private."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from portal import config
from portal.collation import LOCALES
from portal.config import ConfigError, Settings
from stage import at_once

KEY = "k" * 32


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "PORTAL_INSTANCE_DIR": str(tmp_path / "instance"),
        "PORTAL_FILES_DIR": str(tmp_path / "files"),
    }


def write_file(environ: dict[str, str], content: str | bytes) -> None:
    folder = Path(environ["PORTAL_INSTANCE_DIR"])
    folder.mkdir(exist_ok=True)
    content = content.encode() if isinstance(content, str) else content
    (folder / "config.toml").write_bytes(content)


def refusal(environ: dict[str, str], **more: str) -> str:
    """The one line by which these settings are refused."""
    with pytest.raises(ConfigError) as caught:
        config.load({**environ, **more})
    text = str(caught.value)
    assert "\n" not in text
    return text


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Values


@pytest.mark.parametrize(
    ("key", "raw"),
    [
        ("instance_dir", " "),
        ("files_dir", ""),
        ("files_dir", "a\0b"),
        ("database_url", "mysql://x"),
        ("storage_url", "s3://bucket"),
        ("secret_key", "k" * 31),
        ("secret_key", " " * 20 + "k" * 31),
        ("base_url", "documents.example.org"),
        ("base_url", "ftp://documents.example.org"),
        ("base_url", "https://"),
        ("base_url", "https://documents.example.org/portal"),
        ("base_url", "https://documents.example.org?a=b"),
        ("base_url", "https://documents.example.org#top"),
        ("base_url", "https://ada@documents.example.org"),
        ("base_url", "https://:word@documents.example.org"),
        ("base_url", "https://documents.example.org:port"),
        ("trusted_proxies", "-1"),
        ("trusted_proxies", "١"),
        ("site_name", " "),
        ("site_name", "two\nlines"),
        ("max_upload_bytes", "0"),
        ("max_upload_bytes", "5 GB"),
        ("max_upload_bytes", "²"),
        ("max_upload_bytes", str(2**62 + 1)),
        ("default_quota_bytes", "-1"),
        ("allowed_extensions", "pdf,."),
        ("allowed_extensions", "pdf,a b"),
        ("blocked_extensions", "../exe"),
        ("blocked_extensions", "e\0e"),
        ("share_max_days", "0"),
        ("share_password_required", "perhaps"),
        ("trash_days", "1.5"),
        ("session_idle_minutes", "0"),
        ("session_days", "0"),
        ("allow_http", "2"),
        ("log_format", "xml"),
        ("sort_locale", "klingon"),
        ("sort_locale", "sv_SE"),
        ("sort_locale", "sv,da"),
    ],
)
def test_value_that_cannot_be_is_refused_by_the_name_of_its_setting(
    environ: dict[str, str], key: str, raw: str
) -> None:
    name = f"PORTAL_{key.upper()}"
    assert refusal(environ, **{name: raw}).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("key", "raw", "value"),
    [
        ("database_url", " sqlite:////tmp/a.db ", "sqlite:////tmp/a.db"),
        ("database_url", "postgresql+psycopg://db/portal", "postgresql+psycopg://db/portal"),
        ("storage_url", " file: ", "file:"),
        ("secret_key", f" {KEY} ", KEY),
        ("base_url", " https://a.example/ ", "https://a.example"),
        ("base_url", "https://a.example:8443", "https://a.example:8443"),
        ("trusted_proxies", " 0 ", 0),
        ("site_name", " Archer & Co ", "Archer & Co"),
        ("max_upload_bytes", "1", 1),
        ("max_upload_bytes", str(2**62), 2**62),
        ("default_quota_bytes", "0", 0),
        ("allowed_extensions", " .PDF, docx, ,", frozenset({"pdf", "docx"})),
        ("blocked_extensions", "", frozenset()),
        ("share_password_required", " Yes ", True),
        ("allow_http", "off", False),
        ("trash_days", "0", 0),
        ("session_days", "1", 1),
        ("log_format", " json ", "json"),
        ("sort_locale", " SV ", "sv"),
        ("sort_locale", "de", "de"),
        ("sort_locale", "", ""),
    ],
)
def test_value_is_read(environ: dict[str, str], key: str, raw: str, value: Any) -> None:
    settings = config.load({**environ, f"PORTAL_{key.upper()}": raw})
    assert getattr(settings, key) == value


def test_language_without_an_order_is_told_which_have_one(environ: dict[str, str]) -> None:
    said = refusal(environ, PORTAL_SORT_LOCALE="xx")
    assert said.startswith("PORTAL_SORT_LOCALE: must be empty or one of bs, ca, cs, ")
    assert all(f" {locale}" in said for locale in LOCALES)


def test_yes_and_no_may_be_said_in_several_ways(environ: dict[str, str]) -> None:
    ways = {True: ("1", "true", "yes", "on"), False: ("0", "false", "no", "off")}
    for value, raws in ways.items():
        for raw in raws:
            assert config.load({**environ, "PORTAL_ALLOW_HTTP": raw}).allow_http is value


def test_folder_may_be_written_as_a_shell_would(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for raw in ("~/there", " there "):
        assert config.load({**environ, "PORTAL_FILES_DIR": raw}).files_dir == tmp_path / "there"


# Where they come from


def test_environment_beats_the_file_which_beats_the_defaults(environ: dict[str, str]) -> None:
    write_file(environ, 'trash_days = 5\nsession_days = 3\nsite_name = "Ours"')
    settings = config.load({**environ, "PORTAL_TRASH_DAYS": "6"})
    assert (settings.trash_days, settings.session_days, settings.site_name) == (6, 3, "Ours")
    assert settings.share_max_days == Settings.share_max_days


def test_file_says_lists_and_truths_as_toml_does(environ: dict[str, str]) -> None:
    write_file(environ, 'allowed_extensions = ["pdf", "txt"]\nshare_password_required = true')
    settings = config.load(environ)
    assert settings.allowed_extensions == {"pdf", "txt"}
    assert settings.share_password_required is True


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("trash_days = ", "not readable as TOML"),
        (b"\xff\xfe", "not readable as TOML"),
        ("trash_day = 5", "there is no such setting"),
        ("trash_days = 1.5", "must be text, a number or true/false"),
        ("allowed_extensions = [1]", "must be text, a number or true/false"),
        ('trash_days = "many"', "must be a whole number"),
        ('instance_dir = "/tmp"', "set PORTAL_INSTANCE_DIR in the environment"),
    ],
)
def test_file_that_cannot_be_is_refused_by_its_name(
    environ: dict[str, str], content: str | bytes, words: str
) -> None:
    write_file(environ, content)
    text = refusal(environ)
    assert words in text
    assert "config.toml" in text


def test_file_that_cannot_be_read_is_refused(environ: dict[str, str]) -> None:
    (Path(environ["PORTAL_INSTANCE_DIR"]) / "config.toml").mkdir(parents=True)
    assert "config.toml: cannot be read" in refusal(environ)


def test_unknown_setting_is_refused_but_for_the_switches_of_the_tests(
    environ: dict[str, str],
) -> None:
    assert "no such setting" in refusal(environ, PORTAL_TRASH_DAY="5")
    for switch in ("PORTAL_TEST_FULL", "PORTAL_TEST_REQUIRE_ALL", "PORTAL_TEST_SEED", "TRASH_DAY"):
        assert config.load({**environ, switch: "1"})


def test_port_of_the_server_completes_the_address_that_is_not_set(environ: dict[str, str]) -> None:
    assert config.load(environ, port=9000).base_url == "http://127.0.0.1:9000"
    assert config.load(environ).base_url == Settings.base_url
    own = {**environ, "PORTAL_BASE_URL": "https://a.example"}
    assert config.load(own, port=9000).base_url == "https://a.example"


def test_database_is_a_file_in_the_instance_folder_unless_set(environ: dict[str, str]) -> None:
    settings = config.load(environ)
    assert settings.database_url == f"sqlite:///{settings.instance_dir / 'portal.db'}"


# What is unsafe


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_only_names_of_this_machine_are_loopback(host: str, is_ours: bool) -> None:
    assert config.is_loopback(host) == is_ours


def test_plain_http_is_for_this_machine_unless_allowed(environ: dict[str, str]) -> None:
    there = {"PORTAL_BASE_URL": "http://documents.example.org"}
    assert "PORTAL_ALLOW_HTTP" in refusal(environ, **there)
    assert config.load({**environ, **there, "PORTAL_ALLOW_HTTP": "1"}).is_https is False
    for url in ("http://localhost:8000", "http://[::1]:8000", "https://documents.example.org"):
        assert config.load({**environ, "PORTAL_BASE_URL": url}).base_url == url


def test_files_do_not_lie_in_the_instance_folder_itself(environ: dict[str, str]) -> None:
    same = environ["PORTAL_INSTANCE_DIR"]
    assert refusal(environ, PORTAL_FILES_DIR=same).startswith("PORTAL_FILES_DIR: must not be")


@pytest.mark.parametrize("name", ["PORTAL_INSTANCE_DIR", "PORTAL_FILES_DIR"])
def test_nothing_private_lies_where_everybody_is_served(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(config, "ROOT", tmp_path)
    folder = tmp_path / "portal" / "static" / "files"
    assert "is served to everybody" in refusal(environ, **{name: str(folder)})
    assert not folder.exists()


# What is made


def test_folders_are_made_private_and_kept_so(environ: dict[str, str]) -> None:
    for _ in range(2):
        settings = config.load(environ)
        for folder in (settings.instance_dir, settings.files_dir):
            assert mode_of(folder) == 0o700
            folder.chmod(0o755)


def test_folder_that_cannot_be_made_is_refused_by_its_setting(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "a file").write_text("")
    text = refusal(environ, PORTAL_FILES_DIR=str(tmp_path / "a file" / "files"))
    assert text.startswith("PORTAL_FILES_DIR: ")
    assert "cannot be made private" in text


def test_secret_key_is_made_once_and_for_the_portal_alone(environ: dict[str, str]) -> None:
    keys = at_once(8, lambda _: config.load(environ).secret_key)
    assert len(set(keys)) == 1
    assert len(keys[0]) >= 32
    assert config.load(environ).secret_key == keys[0]
    folder = Path(environ["PORTAL_INSTANCE_DIR"])
    assert [path.name for path in folder.iterdir()] == ["secret.key"]
    assert mode_of(folder / "secret.key") == 0o600


def test_secret_key_that_is_set_is_written_nowhere(environ: dict[str, str]) -> None:
    settings = config.load({**environ, "PORTAL_SECRET_KEY": KEY})
    assert settings.secret_key == KEY
    assert KEY not in repr(settings)
    assert list(settings.instance_dir.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64])
def test_secret_key_that_is_none_stops_the_start(environ: dict[str, str], content: bytes) -> None:
    path = config.load(environ).instance_dir / "secret.key"
    path.write_bytes(content)
    text = refusal(environ)
    assert "remove it and a new key is made" in text
    assert str(path) in text
