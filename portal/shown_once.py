"""Secrets that a page shows once, between the form that made them and that page.

They travel in the person's own signed cookie: reloading shows nothing twice and makes nothing
twice, and no table ever holds them.
"""

from __future__ import annotations

from typing import Any

from flask import session

_KEY = "shown_once"


def keep(subject: str, **facts: str) -> None:
    """Keep `facts` for the next page about `subject`; what was kept before is forgotten."""
    session[_KEY] = {"subject": subject, **facts}


def take(subject: str) -> dict[str, Any]:
    """What was kept for `subject`, this one time; empty where nothing was."""
    if session.get(_KEY, {}).get("subject") != subject:
        return {}
    kept: dict[str, Any] = session.pop(_KEY)
    return kept
