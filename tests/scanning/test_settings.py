"""The setting of the scanner: understood, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mail.test_settings import load
from portal.config import ConfigError, Scanner


@pytest.mark.parametrize(
    ("url", "scanner"),
    [
        ("unix:/run/clamav/clamd.ctl", Scanner(path="/run/clamav/clamd.ctl")),
        (" unix:///run/clamav/clamd.ctl ", Scanner(path="/run/clamav/clamd.ctl")),
        ("unix:/run/with space", Scanner(path="/run/with space")),
        ("tcp://127.0.0.1:3310", Scanner(host="127.0.0.1", port=3310)),
        ("tcp://Scanner.example.org:3310/", Scanner(host="scanner.example.org", port=3310)),
        ("tcp://[::1]:3310", Scanner(host="::1", port=3310)),
    ],
)
def test_address_of_the_scanner_is_understood(tmp_path: Path, url: str, scanner: Scanner) -> None:
    settings = load(tmp_path, PORTAL_CLAMD_URL=url)
    assert settings.clamd_url == scanner
    assert load(tmp_path, PORTAL_CLAMD_URL=str(scanner)).clamd_url == scanner


def test_there_is_no_scanner_unless_it_is_set(tmp_path: Path) -> None:
    assert load(tmp_path).clamd_url is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/run/clamav/clamd.ctl",
        "unix:",
        "unix:clamd.ctl",
        "unix://clamd.ctl",
        "unix:/run/\nclamd",
        "unix:/" + "x" * 107,
        "tcp:",
        "tcp://",
        "tcp://localhost",
        "tcp://localhost:0",
        "tcp://localhost:clamd",
        "tcp://localhost:99999",
        "tcp://:3310",
        "tcp://[::1:3310",
        "tcp://me:secret@localhost:3310",
        "tcp://localhost:3310/path",
        "tcp://localhost:3310?x=1",
        "tcp://localhost:3310#x",
        "http://localhost:3310",
        "localhost:3310",
        "clamd",
    ],
)
def test_malformed_address_stops_the_start_with_one_line(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(tmp_path, PORTAL_CLAMD_URL=url)
    assert str(refusal.value).startswith("PORTAL_CLAMD_URL: must be ")
    assert "\n" not in str(refusal.value)
