"""What stands where there is no picture: an icon of the kind of file, as an image of its own."""

from __future__ import annotations

import re
from functools import cache

from flask import current_app

from portal.assets import Assets
from portal.models import Drawing
from portal.presentation import media_kind

MEDIA_TYPE = "image/svg+xml"
#: Readable on paper as in the dark: an image does not know on what it is shown.
_COLOUR = "#7b8794"
_WAITING = "hourglass-split"


def icon(media_type: str, name: str, state: Drawing) -> bytes:
    """The icon for a file of that type and name; one that is yet to be drawn has an hourglass."""
    assets: Assets = current_app.extensions["assets"]
    badge = (
        f'<svg x="11" y="11" width="7" height="7" viewBox="0 0 16 16">{_shape(assets, _WAITING)}'
        "</svg>"
        if state is Drawing.PENDING
        else ""
    )
    shape = _shape(assets, media_kind(media_type, name).icon)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="320" height="320" viewBox="-8 -8 32 32"'
        f' fill="{_COLOUR}">{shape}{badge}</svg>'
    ).encode()


@cache
def _shape(assets: Assets, name: str) -> str:
    sprite = (assets.directory / "icons.svg").read_text("utf-8")
    found = re.search(rf'<symbol id="{re.escape(name)}"[^>]*>(.*?)</symbol>', sprite, re.DOTALL)
    if found is None:
        raise KeyError(name)
    return found[1]
