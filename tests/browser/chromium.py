"""Chromium, driven by Playwright, with an ear for everything the pages complain about."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Response,
    sync_playwright,
)

from live.client import Client
from live.running import LivePortal

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
#: Said by the console of what a test does on purpose: an answer of 400 and above, and a date
#: in the address that is none.
_EXPECTED = re.compile(
    r"Failed to load resource: the server responded with a status of 4\d\d|"
    r'The specified value "yesterday" does not conform'
)


def executable() -> str | None:
    """Where Chromium is on this machine."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return None


@contextmanager
def launched(path: str) -> Iterator[Browser]:
    """Chromium at `path`, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """One browser of one person: its own cookies, and what its pages complained about."""

    def __init__(self, browser: Browser, portal: LivePortal, **options: Any) -> None:
        self.portal = portal
        self.complaints: list[str] = []
        #: What may be complained about besides, because the test does it on purpose.
        self.expected = re.compile(r"(?!)")
        #: Where its pages may load from.
        self.places = (portal.url, "data:", "blob:")
        options = {"viewport": DESKTOP, "locale": "en-GB", "timezone_id": "Europe/Berlin"} | options
        self.context: BrowserContext = browser.new_context(base_url=portal.url, **options)
        self.context.set_default_timeout(15_000)
        self.context.on("page", self._listen)
        self.page: Page = self.context.new_page()

    def _listen(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        page.on("response", self._response)
        # Somebody has to listen for file choosers all along: the order to intercept them goes
        # another way to the page than a key pressed right after it, and can come too late.
        page.on("filechooser", lambda chooser: None)

    def _console(self, message: ConsoleMessage) -> None:
        if self.expected.search(message.text) or _EXPECTED.match(message.text):
            return
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text} ({message.location})")

    def _response(self, response: Response) -> None:
        kind = response.request.resource_type
        complaint = f"{response.status}: {response.url}"
        is_failure = response.status >= 400 and kind not in {"document", "xhr"}
        if is_failure and not self.expected.search(complaint):
            self.complaints.append(complaint)
        if not response.url.startswith(self.places):
            self.complaints.append(f"another place was asked: {response.url}")

    def be(self, client: Client) -> Visit:
        """Carry on with the session of a client that is signed in."""
        self.context.add_cookies(
            [{"name": n, "value": v, "url": self.portal.url} for n, v in client.cookies.items()]
        )
        return self

    def go(self, path: str) -> Page:
        self.page.goto(path)
        return self.page

    @property
    def path(self) -> str:
        return urlsplit(self.page.url).path

    def close(self) -> None:
        self.context.close()
