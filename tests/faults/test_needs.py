"""What is missing fails where every part must be there; what cannot be is skipped anywhere."""

from __future__ import annotations

import pytest

from faults.needs import Impossible, Lacking, or_skipped


@or_skipped
def _lacking() -> None:
    raise Lacking("mkfs.ext4", "apt install e2fsprogs")


@or_skipped
def _impossible() -> None:
    raise Impossible("no loop devices")


def test_missing_part_is_skipped_and_fails_where_it_must_be_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PORTAL_TEST_REQUIRE_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt install e2fsprogs"):
        _lacking()
    monkeypatch.setenv("PORTAL_TEST_REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match="apt install e2fsprogs"):
        _lacking()


def test_what_the_machine_refuses_is_skipped_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTAL_TEST_REQUIRE_ALL", "1")
    with pytest.raises(pytest.skip.Exception, match="no loop devices"):
        _impossible()
