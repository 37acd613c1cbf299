"""A real OpenID Connect provider (npm `oidc-provider`), and somebody who signs in there."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

import requests

from conftest import missing
from live.running import free_port

HERE = Path(__file__).resolve().parent / "oidc"
CLIENT_ID = "portal"
CLIENT_SECRET = "a secret: with + and %"
START_SECONDS = 20


class RealProvider:
    """One provider on a loopback port; may be stopped and started again, with other keys."""

    def __init__(self, *redirect_uris: str, client_auth: str = "client_secret_basic") -> None:
        self.redirect_uris = redirect_uris
        self.client_auth = client_auth
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[str] | None = None

    def settings(self) -> dict[str, str]:
        """What a portal is told of it, by the names of the settings."""
        return {
            "oidc_issuer": self.issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": CLIENT_SECRET,
        }

    def start(self) -> None:
        node = shutil.which("node")
        if node is None or not (HERE / "node_modules" / "oidc-provider").is_dir():
            missing("oidc-provider", f"Node.js, and npm ci --ignore-scripts --prefix {HERE}")
        self._process = subprocess.Popen(
            [str(node), "server.mjs", str(self.port), *self.redirect_uris],
            cwd=HERE,
            env={**os.environ, "CLIENT_AUTH": self.client_auth},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        late = threading.Timer(START_SECONDS, self._process.kill)
        late.start()
        said = ""
        assert self._process.stdout
        for line in self._process.stdout:
            said += line
            if line == "ready\n":
                break
        late.cancel()
        assert said.endswith("ready\n"), said
        # What it says from now on is read by nobody, and must not fill the pipe.
        threading.Thread(target=self._process.stdout.read, daemon=True).start()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            if self._process.stdout:
                self._process.stdout.close()
            self._process = None

    def sign_in(self, address: str, login: str, *, give_up: bool = False) -> str:
        """Go to `address`, sign in there as `login`, agree; answers where one is sent back to."""
        with requests.Session() as browser:
            browser.trust_env = False
            answer = browser.get(address, allow_redirects=False)
            for _ in range(12):
                if answer.is_redirect:
                    place = urljoin(answer.url, answer.headers["Location"])
                    if place.startswith(self.redirect_uris):
                        return place
                    answer = browser.get(place, allow_redirects=False)
                    continue
                page = answer.text
                action = re.search(r'<form[^>]* action="([^"]+)"', page)
                assert action, page[:3000]
                if give_up:
                    cancel = re.search(r'href="([^"]+/abort)"', page)
                    assert cancel, page
                    place = urljoin(answer.url, html.unescape(cancel[1]))
                    answer = browser.get(place, allow_redirects=False)
                    continue
                fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)"', page))
                fields |= {"login": login, "password": "not looked at"}
                place = urljoin(answer.url, html.unescape(action[1]))
                answer = browser.post(place, fields, allow_redirects=False)
        raise AssertionError(f"{login} does not come back:\n{answer.text[:3000]}")


@contextmanager
def real_provider(*redirect_uris: str, **options: str) -> Iterator[RealProvider]:
    """A running provider that sends people back to `redirect_uris`."""
    provider = RealProvider(*redirect_uris, **options)
    provider.start()
    try:
        yield provider
    finally:
        provider.stop()
