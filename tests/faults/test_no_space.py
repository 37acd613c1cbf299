"""A full disk is told as such, keeps nobody from reading, and leaves nothing half-done."""

from __future__ import annotations

import pytest

from faults.needs import or_skipped
from faults.no_space import tight
from live.fixtures import IS_FULL

KINDS = {"ext4": False, "tmpfs": True} if IS_FULL else {"ext4": False}


@pytest.mark.parametrize("in_memory", KINDS.values(), ids=KINDS)
@or_skipped
def test_without_room_nothing_is_half_stored_and_with_room_all_is_well(
    own_database: str, in_memory: bool
) -> None:
    with tight(1, own_database, in_memory=in_memory) as portal:
        portal.begin()
        portal.everything()
        assert not portal.witness.found.broken, "\n".join(portal.answers)
        assert sum(answer.endswith(" 507") for answer in portal.answers) >= 8, portal.answers
