"""What the portal is called."""

from __future__ import annotations

from sqlalchemy import select

from portal.config import Settings
from portal.extensions import db
from portal.models import Setup

#: The name chosen at set-up, for a question that is asked anyway.
CHOSEN = select(Setup.site_name).where(Setup.id == 1).scalar_subquery()


def name(settings: Settings, chosen: str | None = None) -> str:
    """The setting where one is set, else the name chosen at set-up: `chosen` where it is known."""
    if settings.site_name != Settings.site_name:
        return settings.site_name
    if chosen is None:
        chosen = db.session.scalar(select(CHOSEN))
    return chosen or settings.site_name
