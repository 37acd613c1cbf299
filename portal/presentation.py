"""How sizes, moments and kinds of file are put into words on the pages."""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo
from typing import NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import Flask, has_request_context
from flask_login import current_user
from markupsafe import Markup
from sqlalchemy.exc import SQLAlchemyError

from portal import site
from portal.config import Settings, is_loopback
from portal.errors import PortalError

_UNITS = ("kB", "MB", "GB", "TB", "PB")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


class Kind(NamedTuple):
    """What a file is, for people: a plain word and the icon that goes with it."""

    word: str
    icon: str


PDF = Kind("PDF", "file-earmark-pdf")
IMAGE = Kind("Image", "file-earmark-image")
WORD = Kind("Word document", "file-earmark-word")
SPREADSHEET = Kind("Spreadsheet", "file-earmark-spreadsheet")
SLIDES = Kind("Presentation", "file-earmark-slides")
VIDEO = Kind("Video", "file-earmark-play")
AUDIO = Kind("Audio", "file-earmark-music")
ARCHIVE = Kind("Archive", "file-earmark-zip")
EMAIL = Kind("Email", "envelope")
CODE = Kind("Code", "file-earmark-code")
TEXT = Kind("Text", "file-earmark-text")
FILE = Kind("File", "file-earmark")

#: The first match wins; a trailing slash or dot makes it a prefix.
_BY_MEDIA_TYPE = (
    ("application/pdf", PDF),
    ("image/", IMAGE),
    ("video/", VIDEO),
    ("audio/", AUDIO),
    ("application/msword", WORD),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.", WORD),
    ("application/vnd.oasis.opendocument.text", Kind("Text document", WORD.icon)),
    ("application/rtf", Kind("Text document", WORD.icon)),
    ("text/rtf", Kind("Text document", WORD.icon)),
    ("application/vnd.ms-excel", SPREADSHEET),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.", SPREADSHEET),
    ("application/vnd.oasis.opendocument.spreadsheet", SPREADSHEET),
    ("text/csv", SPREADSHEET),
    ("application/vnd.ms-powerpoint", SLIDES),
    ("application/vnd.openxmlformats-officedocument.presentationml.", SLIDES),
    ("application/vnd.oasis.opendocument.presentation", SLIDES),
    ("application/vnd.rar", ARCHIVE),
    ("application/x-rar", ARCHIVE),
    ("application/x-7z-compressed", ARCHIVE),
    ("application/x-tar", ARCHIVE),
    ("application/gzip", ARCHIVE),
    ("application/x-bzip2", ARCHIVE),
    ("application/x-xz", ARCHIVE),
    ("application/zstd", ARCHIVE),
    ("message/rfc822", EMAIL),
    ("application/vnd.ms-outlook", EMAIL),
    ("text/html", CODE),
    ("text/xml", CODE),
    ("text/javascript", CODE),
    ("application/json", CODE),
    ("application/xml", CODE),
)

#: Where the detected type is broad (a DOCX is also a ZIP), the ending of the name is more telling.
_BY_ENDING = {
    **dict.fromkeys(("pdf",), PDF),
    **dict.fromkeys(("jpg", "jpeg", "png", "gif", "webp", "heic", "tif", "tiff", "svg"), IMAGE),
    **dict.fromkeys(("doc", "docx", "docm", "dotx"), WORD),
    **dict.fromkeys(("odt", "rtf", "pages"), Kind("Text document", WORD.icon)),
    **dict.fromkeys(("xls", "xlsx", "xlsm", "ods", "csv", "numbers"), SPREADSHEET),
    **dict.fromkeys(("ppt", "pptx", "odp", "key"), SLIDES),
    **dict.fromkeys(("mp4", "mov", "webm", "mkv", "avi"), VIDEO),
    **dict.fromkeys(("mp3", "wav", "flac", "m4a", "ogg"), AUDIO),
    **dict.fromkeys(("zip", "7z", "rar", "tar", "gz", "tgz", "bz2", "xz", "zst"), ARCHIVE),
    **dict.fromkeys(("eml", "msg"), EMAIL),
    **dict.fromkeys(("html", "htm", "xml", "json", "js", "py", "css"), CODE),
    **dict.fromkeys(("txt", "md", "log"), TEXT),
}
_BROAD = frozenset(
    {"", "application/octet-stream", "application/zip", "application/x-ole-storage", "text/plain"}
)


def filesize(size_bytes: int) -> str:
    """A size in SI units with at most one decimal: `1.4 MB`, `0 bytes`, `1 byte`."""
    if size_bytes == 1:
        return "1 byte"
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    # In tenths and whole numbers, so that no rounding shows 1000 kB instead of 1 MB.
    amount, unit = float(size_bytes), "bytes"
    for unit in _UNITS:
        amount /= 1000
        shown = round(amount, 1) if amount < 9.95 else round(amount)
        if shown < 1000:
            return f"{shown:g} {unit}"
    return f"{round(amount)} {unit}"


def media_kind(media_type: str | None, name: str = "") -> Kind:
    """The word and icon for a file of this media type and name; never fails."""
    essence = (media_type or "").partition(";")[0].strip().lower()
    _, dot, ending = name.rpartition(".")
    by_ending = _BY_ENDING.get(ending.casefold()) if dot else None
    if essence in _BROAD:
        if by_ending is not None:
            return by_ending
        if essence == "application/zip":
            return ARCHIVE
        return TEXT if essence == "text/plain" else FILE
    for start, kind in _BY_MEDIA_TYPE:
        if essence == start or (start[-1] in "/." and essence.startswith(start)):
            return kind
    return TEXT if essence.startswith("text/") else FILE


def zone(name: str | None) -> tzinfo:
    """The time zone of that name; UTC where there is none."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def time_element(
    value: datetime, timezone: str | None, *, now: datetime, with_time: bool = True
) -> Markup:
    """A `<time>` element: short for the eye, exact in its title.

    In `timezone` if given; else in UTC and marked `data-local`, for the browser to turn
    into its own zone. A moment without a zone is taken as UTC. The year is said only
    when it is not the present one.
    """
    exact = _aware(value)
    there = exact.astimezone(zone(timezone))
    shown = f"{there.day} {_MONTHS[there.month - 1]}"
    if there.year != _aware(now).astimezone(there.tzinfo).year:
        shown += f" {there.year}"
    if with_time:
        shown += f", {there:%H:%M}"
    title = f"{there.day} {_MONTHS[there.month - 1]} {there.year}, {there:%H:%M:%S} {there:%Z}"
    local = Markup("") if timezone else Markup(' data-local="{}"').format(_style(with_time))
    return Markup('<time datetime="{}" title="{}"{}>{}</time>').format(
        exact.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), title, local, shown
    )


def moment(value: datetime | None) -> Markup:
    """Day and time in the reader's zone; a dash where there is no moment."""
    return _for_reader(value, with_time=True)


def spoken(value: datetime, timezone: str | None) -> str:
    """Day, time and zone as plain text: `3 March 2026, 14:02 (CET)`."""
    there = _aware(value).astimezone(zone(timezone))
    return f"{there.day} {_MONTHS[there.month - 1]} {there.year}, {there:%H:%M} ({there:%Z})"


def day(value: datetime | date | None) -> Markup:
    """The day in the reader's zone; a plain date is the same day everywhere."""
    if isinstance(value, date) and not isinstance(value, datetime):
        shown = f"{value.day} {_MONTHS[value.month - 1]}"
        if value.year != datetime.now(UTC).year:
            shown += f" {value.year}"
        return Markup('<time datetime="{}">{}</time>').format(value.isoformat(), shown)
    return _for_reader(value, with_time=False)


def init_app(app: Flask, settings: Settings) -> None:
    """Give templates `site_name`, the filters `filesize`, `moment`, `day`, and `media_kind`."""
    app.jinja_env.filters["filesize"] = filesize
    app.jinja_env.filters["moment"] = moment
    app.jinja_env.filters["day"] = day
    app.jinja_env.globals["media_kind"] = media_kind
    app.jinja_env.tests["of_this_machine"] = of_this_machine

    @app.context_processor
    def site_name() -> dict[str, object]:
        try:
            return {"site_name": site.name(settings, getattr(current_user, "site_name", None))}
        except (PortalError, SQLAlchemyError):  # the page that says so needs a name too
            return {"site_name": settings.site_name}


def _for_reader(value: datetime | None, *, with_time: bool) -> Markup:
    if value is None:
        return Markup("–")
    return time_element(value, _reader_timezone(), now=datetime.now(UTC), with_time=with_time)


def of_this_machine(url: str) -> bool:
    """Whether an address leads nowhere but on the machine that runs the portal."""
    return is_loopback(urlsplit(url).hostname or "")


def _reader_timezone() -> str | None:
    if not has_request_context():
        return None
    name = getattr(current_user, "timezone", None)
    return name if isinstance(name, str) and name else None


def _aware(value: datetime) -> datetime:
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def _style(with_time: bool) -> str:
    return "moment" if with_time else "day"
