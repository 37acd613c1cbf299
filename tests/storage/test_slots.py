"""Places for transfers, of which nobody takes all."""

from __future__ import annotations

import pytest

from portal.errors import Busy
from portal.storage.slots import Slots


def test_one_person_leaves_half_of_the_places_to_others() -> None:
    slots = Slots(10)
    for _ in range(5):
        slots.take("alice@example.org")
    with pytest.raises(Busy, match="yours"):
        slots.take("alice@example.org")
    for _ in range(5):
        slots.take("bob@example.org")
    with pytest.raises(Busy, match="Too many uploads and downloads run"):
        slots.take("carol@example.org")
    assert slots.taken == 10


def test_place_is_given_back_once() -> None:
    slots = Slots(2)
    give_back = slots.take("alice@example.org")
    other = slots.take("bob@example.org")
    give_back()
    give_back()
    assert slots.taken == 1
    slots.take("alice@example.org")
    other()
    assert slots.taken == 1
