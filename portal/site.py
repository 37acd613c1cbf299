"""What the portal is called."""

from __future__ import annotations

from sqlalchemy import select

from portal.config import Settings
from portal.extensions import db
from portal.models import Setup


def name(settings: Settings) -> str:
    """The setting where one is set, else the name chosen at set-up."""
    if settings.site_name != Settings.site_name:
        return settings.site_name
    chosen = db.session.scalar(select(Setup.site_name).where(Setup.id == 1))
    return chosen or settings.site_name
