"""The systems under test: how each is started, signed in to, given a file and asked for it."""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlencode

import environments
from clients import Answered
from processes import Server, ServerError, free_port
from reading import Reading
from wire import Target, Tus, Upload, form_upload, put_upload
from worker import BusyWorker, Verifying

CHECKOUT = Path(__file__).resolve().parent.parent
EMAIL = "ada@example.org"
START_PATIENCE = 90.0
_UPLOADS = "/api/v1/uploads"


class Browser:
    """A signed-in person's cookies, and the few requests that are not measured."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cookies: dict[str, str] = {}

    @property
    def cookie(self) -> str:
        """The Cookie header."""
        return "; ".join(f"{name}={value}" for name, value in self._cookies.items())

    def ask(
        self, method: str, path: str, form: dict[str, str] | None = None, **headers: str
    ) -> tuple[int, str]:
        """One request; the answer is the status and the body."""
        body = urlencode(form) if form is not None else None
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        if self._cookies:
            sent["Cookie"] = self.cookie
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
            for line in response.headers.get_all("Set-Cookie") or []:
                name, _, value = line.partition(";")[0].partition("=")
                self._cookies[name.strip()] = value.strip()
            return response.status, text
        finally:
            connection.close()


class System(ABC):
    """One server with a folder of its own."""

    name: ClassVar[str]
    about: ClassVar[str]

    def __init__(self, label: str, work: Path, cache: Path) -> None:
        self.label = label
        self.home = work / label
        self.cache = cache
        self.port = free_port()
        self.browser = Browser(self.port)
        self.version = "not started"
        self._server: Server | None = None

    @property
    @abstractmethod
    def stored(self) -> Path:
        """The folder in which uploaded bytes end up."""

    @property
    def server(self) -> Server:
        """The running server."""
        if self._server is None:
            raise ServerError(f"{self.label} is not running")
        return self._server

    @abstractmethod
    def start(self) -> None:
        """Make what it needs, start it, and sign in."""

    @abstractmethod
    def upload(self, filename: str) -> Upload:
        """The upload of one file under that name."""

    @abstractmethod
    def download_path(self, filename: str, answered: Answered) -> str:
        """Where a file can be downloaded, from its name and the answer to its upload."""

    def target(self, path: str) -> Target:
        """A request for that path by the signed-in person."""
        return Target(self.port, path, self.browser.cookie)

    def tus(self, filename: str) -> Tus | None:
        """The same by tus; None where that is not spoken."""
        return None

    @property
    def speaks_tus(self) -> bool:
        """Whether it has uploads by tus."""
        return self.tus("") is not None

    def zipped(self, paths: Iterable[str]) -> tuple[Target, bytes] | None:
        """Where several files can be had as one ZIP, and the request; None where they cannot."""
        return None

    def give_up(self, unfinished: Upload) -> None:
        """Take away what an upload that was cut has left; a server's own form leaves nothing."""
        return

    def discard(self, paths: Iterable[str], files: set[Path]) -> None:
        """Take uploaded files away again: where they are downloaded, and where they lie."""
        for file in files:
            file.unlink(missing_ok=True)

    def files(self) -> set[Path]:
        """Every stored file there is now."""
        return {path for path in self.stored.rglob("*") if path.is_file()}

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def verifying(self) -> BusyWorker | None:
        """Have what it has stored verified meanwhile; None where nothing does that."""
        return None

    def reading(self) -> BusyWorker | None:
        """Have documents indexed and drawn meanwhile; None where nothing does that."""
        return None

    def recover(self, path: str, patience: float) -> None:
        """Wait until it answers again after it was treated badly."""
        give_up = time.monotonic() + patience
        while time.monotonic() < give_up:
            with suppress(OSError, http.client.HTTPException):
                if self.browser.ask("GET", path)[0] == 200:
                    return
            time.sleep(0.5)
        raise ServerError(f"{self.label} did not come back within {patience:.0f} s")

    def _launch(self, command: list[str], **extra: str) -> None:
        spool = self.home / "tmp"
        spool.mkdir(parents=True, exist_ok=True)
        self._server = Server(
            command,
            env=self._environment(**extra),
            folder=self.home,
            log=self.home / "server.log",
        )
        self._server.wait_until_listening(self.port, START_PATIENCE)

    def _environment(self, **extra: str) -> dict[str, str]:
        """A clean environment: none of the caller's settings, spools beside the files."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return kept | {
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "TMPDIR": str(self.home / "tmp"),
            **extra,
        }


class Nginx(System):
    """nginx with plain files: no people, no rights, no hash, no log. As fast as it gets."""

    name = "nginx"
    about = "static files and PUT: no sign-in, no hash, no fsync, no log"

    @property
    def stored(self) -> Path:
        return self.home / "files"

    def start(self) -> None:
        asked = subprocess.run(["nginx", "-v"], check=True, capture_output=True, text=True)
        self.version = asked.stderr.strip().rpartition("/")[2]
        self.stored.mkdir(parents=True)
        (self.home / "tmp").mkdir()
        user = "user root;" if os.geteuid() == 0 else ""
        spools = "\n".join(
            f"  {kind}_temp_path {self.home}/tmp/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config = self.home / "nginx.conf"
        config.write_text(f"""
daemon off;
{user}
worker_processes auto;
pid {self.home}/nginx.pid;
error_log {self.home}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  client_max_body_size 0;
  client_body_buffer_size 256k;
{spools}
  server {{
    listen 127.0.0.1:{self.port};
    location / {{ root {self.stored}; dav_methods PUT; }}
  }}
}}
""")
        self._launch(["nginx", "-e", str(self.home / "error.log"), "-c", str(config)])

    def upload(self, filename: str) -> Upload:
        return put_upload(self.target(f"/{filename}"), accepted=(201, 204))

    def download_path(self, filename: str, answered: Answered) -> str:
        return f"/{filename}"


class Copyparty(System):
    """copyparty with one account and its default settings."""

    name = "copyparty"
    about = "defaults: sign-in by cookie, SHA-512 of form uploads, no fsync, no audit"
    _password = "benchmark-password"

    @property
    def stored(self) -> Path:
        return self.home / "files"

    def start(self) -> None:
        self.stored.mkdir(parents=True)
        python = environments.ensure("copyparty", self.cache)
        self.version = environments.version(python, "copyparty")
        self._launch(
            [
                *(str(python), "-m", "copyparty"),
                *("-i", "127.0.0.1", "-p", str(self.port)),
                *("-a", f"ada:{self._password}", "-v", f"{self.stored}:/:rwd,ada"),
            ]
        )
        self.browser.ask("GET", f"/?pw={self._password}")
        if "cppwd" not in self.browser.cookie:
            raise ServerError("copyparty did not sign us in")

    def upload(self, filename: str) -> Upload:
        return form_upload(
            self.target("/?j"),
            filename,
            fields={"act": "bput"},
            file_field="f",
            accepted=(200, 201),
        )

    def download_path(self, filename: str, answered: Answered) -> str:
        return f"/{filename}"


class Baseline(System):
    """The tutorial portal under gunicorn, two processes of sixteen threads."""

    name = "baseline"
    about = "the tutorial portal: sign-in, a row a file; no hash, no fsync of files, no audit"

    @property
    def stored(self) -> Path:
        return self.home / "uploads"

    def start(self) -> None:
        self.stored.mkdir(parents=True)
        environment = environments.ensure("baseline", self.cache)
        self.version = ", ".join(
            f"{name} {environments.version(environment, name)}" for name in ("flask", "gunicorn")
        )
        python = str(environment)
        app = ("--app", str(environments.HERE / "baseline" / "app.py"))
        settings = {"BASELINE_HOME": str(self.home), "SECRET_KEY": secrets.token_hex()}
        subprocess.run(
            [python, "-m", "flask", *app, "init-db"],
            env=self._environment(**settings),
            check=True,
            timeout=60,
        )
        self._launch(
            [
                *(python, "-m", "gunicorn", "--chdir", str(environments.HERE / "baseline")),
                *("--worker-class", "gthread", "--workers", "2", "--threads", "16"),
                *("--bind", f"127.0.0.1:{self.port}", "app:app"),
            ],
            **settings,
        )
        account = {"email": EMAIL, "password": secrets.token_hex()}
        self.browser.ask("POST", "/register", account)
        self.browser.ask("POST", "/login", account)
        if not self.browser.cookie:
            raise ServerError("the baseline did not sign us in")

    def upload(self, filename: str) -> Upload:
        return form_upload(
            self.target("/upload"), filename, fields={}, file_field="file", accepted=(302,)
        )

    def download_path(self, filename: str, answered: Answered) -> str:
        found = re.search(rb"uploaded=(\d+)", answered.body)
        if not found:
            raise ServerError(
                f"the baseline did not say where the file is: {answered.body[:200]!r}"
            )
        return f"/download/{int(found[1])}"


class Portal(System):
    """This product, as `manage.py run` starts it."""

    name = "portal"
    about = "sign-in, ownership, SHA-256, fsync of file and row, audit"
    checkout = CHECKOUT

    @property
    def stored(self) -> Path:
        return self.home / "private_files"

    def start(self) -> None:
        asked = subprocess.run(
            ["git", "-C", str(self.checkout), "describe", "--always", "--dirty"],
            check=False,
            capture_output=True,
            text=True,
        )
        self.version = asked.stdout.strip() or "of unknown version"
        manage = [sys.executable, str(self.checkout / "manage.py")]
        settings = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "VIRTUAL_ENV": sys.prefix,
            "PORTAL_INSTANCE_DIR": str(self.home / "instance"),
            "PORTAL_FILES_DIR": str(self.stored),
        }
        self._worker = [*manage, "worker"], self._environment(**settings)
        password = secrets.token_urlsafe(24)
        self._launch([*manage, "run", "--port", str(self.port)], **settings)
        subprocess.run(
            [*manage, "create-user", EMAIL, "--name", "Ada Lovelace", "--password-stdin"],
            env=self._environment(**settings),
            input=password,
            text=True,
            check=True,
            timeout=60,
            stdout=subprocess.DEVNULL,
        )
        form = {"email": EMAIL, "password": password, "csrf_token": self._csrf_token("/login")}
        status, _ = self.browser.ask("POST", "/login", form)
        if status != 303:
            raise ServerError(f"{self.label} answered the sign-in with {status}")
        self._token = self._csrf_token("/documents")
        self._has_tus = self.browser.ask("OPTIONS", _UPLOADS)[0] == 204

    def _csrf_token(self, path: str) -> str:
        _, page = self.browser.ask("GET", path)
        for tag in re.findall(r"<(?:meta|input)\b[^>]*>", page):
            attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
            if attributes.get("name") == "csrf-token":
                return str(attributes["content"])
            if attributes.get("name") == "csrf_token":
                return str(attributes["value"])
        raise ServerError(f"{self.label} shows no CSRF token at {path}")

    def upload(self, filename: str) -> Upload:
        return form_upload(
            self.target("/documents"),
            filename,
            fields={"csrf_token": self._token},
            file_field="file",
            accepted=(201,),
            headers=[("Accept", "application/json")],
        )

    def tus(self, filename: str) -> Tus | None:
        if not self._has_tus:
            return None
        return Tus(self.target(_UPLOADS), filename, (("X-CSRFToken", self._token),))

    def zipped(self, paths: Iterable[str]) -> tuple[Target, bytes] | None:
        target = self.target("/documents/zip")
        ids = [("id", path.split("/")[2]) for path in paths]
        return target, target.post([("csrf_token", self._token), *ids])

    def verifying(self) -> BusyWorker:
        """By one more worker, as the setting has it, for which everything is due all the time."""
        command, environment = self._worker
        return Verifying(command, environment, self.home)

    def reading(self) -> BusyWorker:
        """By its own worker, which is given documents all the time."""
        return Reading(self)

    def give_up(self, unfinished: Upload) -> None:
        path = unfinished.target.path
        if path.startswith(_UPLOADS):
            self.browser.ask("DELETE", path, Tus_Resumable="1.0.0", X_CSRFToken=self._token)

    def download_path(self, filename: str, answered: Answered) -> str:
        if page := answered.headers.get("content-location"):
            return f"{page}/download"
        answer = answered.body
        documents = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])["documents"]
        url = str(documents[0]["download_url"])
        return re.sub(r"^https?://[^/]+", "", url)

    def discard(self, paths: Iterable[str], files: set[Path]) -> None:
        """Through the trash, as people do, so that rows, usage and files stay in step."""
        for path in paths:
            self._post(f"{path.rpartition('/download')[0]}/delete")
        self._post("/trash/empty")

    def _post(self, address: str) -> None:
        # Not as a page: what it would say to the person piles up in the cookie.
        form = {"csrf_token": self._token}
        status, _ = self.browser.ask("POST", address, form, Accept="application/json")
        if status != 201:
            raise ServerError(f"{self.label} answered {address} with {status}")


KINDS: dict[str, type[System]] = {kind.name: kind for kind in (Portal, Nginx, Copyparty, Baseline)}
