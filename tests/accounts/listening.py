"""Hearing which security mails are sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from portal.mail import notices
from portal.mail.notices import Notice
from portal.models import User


@dataclass
class Told:
    """Every notice since the test began: whom, what, and the facts."""

    all: list[tuple[str, Notice, dict[str, Any]]] = field(default_factory=list)

    def of(self, notice: Notice) -> list[tuple[str, dict[str, Any]]]:
        return [(email, facts) for email, what, facts in self.all if what is notice]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Listen to the notices on their way; they are sent all the same."""
    heard, send = Told(), notices.tell

    def tell(user: User, notice: Notice, **facts: Any) -> None:
        heard.all.append((user.email, notice, facts))
        send(user, notice, **facts)

    monkeypatch.setattr(notices, "tell", tell)
    return heard
