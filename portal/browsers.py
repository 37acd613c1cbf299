"""What a browser calls itself, in words a person knows."""

from __future__ import annotations

import re

UNKNOWN = "Unknown browser"

#: Sign in the User-Agent, and what people call it. The first that fits wins: nearly all of
#: them claim to be Safari, and most of those to be Chrome.
_BROWSERS = (
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("Edg/", "Edge"),
    ("Edge/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("OPiOS/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Ddg/", "DuckDuckGo"),
    ("Whale/", "Whale"),
    ("FxiOS/", "Firefox"),
    ("Focus/", "Firefox"),
    ("SeaMonkey/", "SeaMonkey"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("GSA/", "Google app"),
    ("Chromium/", "Chromium"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Trident/", "Internet Explorer"),
    ("MSIE ", "Internet Explorer"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS ", "ChromeOS"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("FreeBSD", "FreeBSD"),
    ("Linux", "Linux"),
)
#: Systems that fit in a hand.
_PHONES = frozenset({"iPhone", "Android"})
#: Safari alone names its version apart from its name.
_SAFARI = re.compile(r"Version/[\d.]+ .*Safari/")


def in_words(user_agent: str) -> str:
    """Browser and system, like `Firefox on Windows`; `Unknown browser` where nobody can say.

    What a browser says of itself proves nothing: for recognising one's own devices only.
    """
    browser = _first(_BROWSERS, user_agent)
    if not browser:
        browser = "Safari" if _SAFARI.search(user_agent) else UNKNOWN
    system = _first(_SYSTEMS, user_agent)
    return f"{browser} on {system}" if system else browser


def is_phone(user_agent: str) -> bool:
    return _first(_SYSTEMS, user_agent) in _PHONES


def _first(table: tuple[tuple[str, str], ...], user_agent: str) -> str:
    return next((words for sign, words in table if sign in user_agent), "")
