"""What a list is narrowed down to beside words: kind, size and date, as the address says them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from sqlalchemy import ColumnElement, and_, or_, true

from portal.errors import Invalid
from portal.models import Document

_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN = "application/vnd.oasis.opendocument."
_ARCHIVES = ("zip", "gzip", "zstd", "vnd.rar", "x-tar", "x-7z-compressed", "x-rar", "x-bzip2")
#: The kinds a list can be narrowed down to, and how the media types of each begin.
TYPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "pdf": ("PDF", ("application/pdf",)),
    "office": (
        "Office documents",
        (
            _OFFICE,
            _OPEN,
            "application/msword",
            "application/vnd.ms-",
            "application/rtf",
            "text/rtf",
        ),
    ),
    "image": ("Pictures", ("image/",)),
    "text": ("Text", ("text/", "application/json", "application/xml", "application/javascript")),
    "mail": ("Mail", ("message/rfc822", "application/vnd.ms-outlook")),
    "video": ("Films", ("video/",)),
    "audio": ("Sound", ("audio/",)),
    "archive": ("Archives", tuple(f"application/{each}" for each in _ARCHIVES)),
}
#: What stands in the address, in the order of the form.
NAMES = ("type", "min_size", "max_size", "since", "until")
_SIZE = re.compile(r"(\d{1,15})(?:[.,](\d{1,3}))?\s*(k|m|g|t)?i?b?(?:ytes)?", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions on documents; those left out hold for every one."""

    type: str = ""
    min_size: int | None = None
    max_size: int | None = None
    #: From this moment on, and before that one.
    since: datetime | None = None
    until: datetime | None = None

    def __bool__(self) -> bool:
        return self != Filters()

    def condition(self) -> ColumnElement[bool]:
        """The condition on `Document`."""
        column = Document.media_type
        kinds = [column.startswith(start, autoescape=True) for start in self._starts()]
        conditions = [
            or_(*kinds) if kinds else None,
            None if self.min_size is None else Document.size_bytes >= self.min_size,
            None if self.max_size is None else Document.size_bytes <= self.max_size,
            None if self.since is None else Document.uploaded_at >= self.since,
            None if self.until is None else Document.uploaded_at < self.until,
        ]
        return and_(true(), *(each for each in conditions if each is not None))

    def _starts(self) -> tuple[str, ...]:
        return TYPES[self.type][1] if self.type else ()


def read(said: Mapping[str, str], zone: tzinfo) -> Filters:
    """The filters that an address names; days are those of `zone`, the last one included.

    Raises `Invalid`, with each name and its rule.
    """
    errors: dict[str, str] = {}
    kind = said.get("type", "").strip()
    if kind and kind not in TYPES:
        errors["type"] = f"Choose one of: {', '.join(TYPES)}."
    sizes = {name: _size(said, name, errors) for name in ("min_size", "max_size")}
    days = {name: _day(said, name, errors) for name in ("since", "until")}
    if errors:
        raise Invalid(" ".join(errors.values()), errors=errors)
    last = days["until"]
    return Filters(
        type=kind,
        min_size=sizes["min_size"],
        max_size=sizes["max_size"],
        since=_midnight(days["since"], zone),
        until=_midnight(last + timedelta(1) if last else None, zone),
    )


def _size(said: Mapping[str, str], name: str, errors: dict[str, str]) -> int | None:
    text = said.get(name, "").strip()
    if not text:
        return None
    found = _SIZE.fullmatch(text) if text.isascii() else None
    if found is None:
        errors[name] = "Write a size like 500 kB or 2.5 MB."
        return None
    whole, part, unit = found.groups(default="")
    thousandths = int(whole) * 1000 + int(f"{part:0<3}")
    return min(thousandths * _UNITS[unit.lower()] // 1000, _LARGEST)


def _day(said: Mapping[str, str], name: str, errors: dict[str, str]) -> date | None:
    text = said.get(name, "").strip()
    if not text:
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or not 1900 <= found.year <= 9998:
        errors[name] = "Write a day like 2026-03-31."
        return None
    return found


def _midnight(day: date | None, zone: tzinfo) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), zone).astimezone(UTC)
