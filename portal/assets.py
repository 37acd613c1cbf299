"""Static files: assembled once at start, served before the application is entered.

Style sheets, scripts and icons come from `portal/static` and, for Bootstrap and its
icons, from the Bootstrap-Flask package. `build` puts them into one folder named after
a hash of all their contents, so an address never changes its meaning, may be kept by
browsers for a year, and the relative imports between scripts stay true.
"""

from __future__ import annotations

import gzip
import os
import re
import secrets
import shutil
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import flask_bootstrap
from flask import Flask
from markupsafe import Markup
from whitenoise import WhiteNoise

if TYPE_CHECKING:
    from wsgiref.headers import Headers
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

PREFIX = "/static/"
SOURCE = Path(__file__).resolve().parent / "static"
BOOTSTRAP = Path(flask_bootstrap.__file__).resolve().parent / "static" / "bootstrap5"

ONE_YEAR = 365 * 24 * 3600
ONE_DAY = 24 * 3600
ONE_WEEK = 7 * ONE_DAY

#: The icons the pages use, by their names in Bootstrap Icons. `icon` knows no others.
ICONS = frozenset(
    {
        "arrow-clockwise",
        "arrow-counterclockwise",
        "arrow-down",
        "arrow-left",
        "arrow-up",
        "box-arrow-right",
        "check-circle-fill",
        "check2",
        "chevron-down",
        "chevron-right",
        "cloud-arrow-up",
        "copy",
        "download",
        "envelope",
        "exclamation-circle-fill",
        "exclamation-triangle-fill",
        "eye",
        "eye-slash",
        "file-earmark",
        "file-earmark-code",
        "file-earmark-image",
        "file-earmark-music",
        "file-earmark-pdf",
        "file-earmark-play",
        "file-earmark-slides",
        "file-earmark-spreadsheet",
        "file-earmark-text",
        "file-earmark-word",
        "file-earmark-zip",
        "files",
        "fingerprint",
        "folder-plus",
        "folder-symlink",
        "folder2",
        "folder2-open",
        "gear",
        "grid",
        "hourglass-split",
        "info-circle-fill",
        "journal-text",
        "key",
        "keyboard",
        "link-45deg",
        "list-ul",
        "lock",
        "pencil",
        "laptop",
        "layout-sidebar-reverse",
        "pause-fill",
        "people",
        "phone",
        "person",
        "person-plus",
        "play-fill",
        "search",
        "sliders",
        "shield-check",
        "shield-exclamation",
        "slash-circle",
        "speedometer2",
        "three-dots",
        "trash3",
        "upload",
        "x-lg",
    }
)

#: What takes part in compression; pictures are compressed already.
_TEXT = (".css", ".js", ".svg")


@dataclass(frozen=True, slots=True)
class Assets:
    """One assembled set of static files."""

    #: Hash over every name and byte: a different content has a different version.
    version: str
    directory: Path
    names: frozenset[str]

    @property
    def prefix(self) -> str:
        return f"{PREFIX}{self.version}/"

    def url(self, name: str) -> str:
        """The address of a file, like `css/portal.css`; a name that is not there is a KeyError."""
        if name not in self.names:
            raise KeyError(f"no static file {name!r}")
        return self.prefix + name

    def icon(self, name: str, *, class_: str = "") -> Markup:
        """A decorative icon; what it means must also stand in words beside it or in a label."""
        if name not in ICONS:
            raise KeyError(f"no icon {name!r}; add it to assets.ICONS")
        classes = f"icon {class_}".strip()
        return Markup(
            '<svg class="{}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>'
        ).format(classes, self.url("icons.svg"), name)


def build(directory: Path) -> Assets:
    """Make sure the present static files stand in `directory/<version>/`, whole.

    Several processes may do this at once. A version that is damaged (a crash may leave
    empty files) is replaced. Versions long out of use are removed; the one before the
    present one is kept, since a process that still runs may be serving it.
    """
    files = dict(_contents())
    version = _version(files)
    target = directory / version
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_whole(target, files):
        _write(directory, target, files)
    os.utime(target)
    _remove_old(directory, keep=version)
    return Assets(version=version, directory=target, names=frozenset(files))


def init_app(app: Flask, directory: Path | None = None) -> Assets:
    """Assemble the files, serve them in front of `app`, and give templates `asset` and `icon`.

    They go under the instance folder unless `directory` says otherwise.
    """
    assets = build(directory or Path(app.instance_path) / "cache" / "static")
    app.extensions["assets"] = assets
    app.jinja_env.globals["asset"] = assets.url
    app.jinja_env.globals["icon"] = assets.icon
    app.wsgi_app = StaticFiles(app.wsgi_app, assets)  # type: ignore[method-assign]
    return assets


class StaticFiles:
    """WSGI middleware: answers everything under `/static/` and the two icon addresses.

    The application never sees these requests: no session, no database, and an address
    from another version is a plain 404.
    """

    def __init__(self, application: WSGIApplication, assets: Assets) -> None:
        self.application = application
        self._files = _WhiteNoise(
            _not_found,
            root=str(assets.directory),
            prefix=assets.prefix,
            max_age=ONE_DAY,
            allow_all_origins=False,
            immutable_file_test=lambda _path, url: url.startswith(PREFIX),
            add_headers_function=_add_headers,
        )
        # Browsers ask for these by themselves, at fixed addresses.
        for name in ("favicon.ico", "favicon.svg"):
            self._files.add_file_to_dictionary(f"/{name}", str(assets.directory / name))
        self._fixed = frozenset({"/favicon.ico", "/favicon.svg"})

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.startswith(PREFIX) or path in self._fixed:
            answer: Iterable[bytes] = self._files(environ, start_response)
            return answer
        return self.application(environ, start_response)


class _WhiteNoise(WhiteNoise):
    FOREVER = ONE_YEAR


def _add_headers(headers: Headers, _path: str, _url: str) -> None:
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"


def _not_found(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    body = b"Not found\n"
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    ]
    start_response("404 Not Found", headers)
    return [body]


def _contents() -> Iterator[tuple[str, bytes]]:
    for path in sorted(SOURCE.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            yield path.relative_to(SOURCE).as_posix(), path.read_bytes()
    # Without the source map comment: it would make developer tools ask for a file we do not serve.
    bootstrap = (BOOTSTRAP / "css" / "bootstrap.min.css").read_text("utf-8")
    yield "css/bootstrap.css", re.sub(r"/\*# sourceMappingURL=.*?\*/", "", bootstrap).encode()
    yield "icons.svg", _sprite((BOOTSTRAP / "icons" / "bootstrap-icons.svg").read_text("utf-8"))


def _sprite(whole: str) -> bytes:
    """Cut the icons we use out of the bundled sprite of two thousand."""
    symbols = {
        match[2]: match[1] + match[3]
        for match in re.finditer(
            r'<symbol class="[^"]*"( viewBox="[^"]*") id="([^"]*)"(>.*?)</symbol>', whole, re.DOTALL
        )
    }
    missing = ICONS - symbols.keys()
    if missing:
        raise RuntimeError(f"Bootstrap-Flask has no icons named {sorted(missing)}")
    inner = "".join(f'<symbol id="{name}"{symbols[name]}</symbol>' for name in sorted(ICONS))
    return f'<svg xmlns="http://www.w3.org/2000/svg">{inner}</svg>'.encode()


def _version(files: Mapping[str, bytes]) -> str:
    digest = sha256()
    for name in sorted(files):
        # Lengths first, so that no other split of names and bytes gives the same hash.
        digest.update(f"{len(name)}:{name}:{len(files[name])}:".encode())
        digest.update(files[name])
    return digest.hexdigest()[:16]


def _compressed(name: str) -> bool:
    return name.endswith(_TEXT)


def _is_whole(target: Path, files: Mapping[str, bytes]) -> bool:
    try:
        for name, content in files.items():
            path = target / name
            if path.read_bytes() != content:
                return False
            if _compressed(name) and gzip.decompress(Path(f"{path}.gz").read_bytes()) != content:
                return False
    except (OSError, EOFError, zlib.error):
        return False
    return True


def _write(directory: Path, target: Path, files: Mapping[str, bytes]) -> None:
    """Write all files beside the target and move them there in one step."""
    draft = directory / f".draft-{secrets.token_hex(8)}"
    try:
        for name, content in files.items():
            path = draft / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(content)
            if _compressed(name):
                Path(f"{path}.gz").write_bytes(gzip.compress(content, 9, mtime=0))
        for _ in range(10):
            try:
                draft.rename(target)
                return
            except OSError:
                # Another process was first, or what stands there is damaged.
                if _is_whole(target, files):
                    return
                _set_aside(target)
        raise OSError(f"{target} cannot be replaced")
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _set_aside(path: Path) -> None:
    aside = path.parent / f".old-{secrets.token_hex(8)}"
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)


def _remove_old(directory: Path, *, keep: str) -> None:
    now = time.time()
    versions: list[tuple[float, Path]] = []
    for path in directory.iterdir():
        try:
            used_at = path.stat().st_mtime
        except OSError:
            continue
        if re.fullmatch(r"\.(draft|old)-[0-9a-f]{16}", path.name):
            if now - used_at > ONE_DAY:
                shutil.rmtree(path, ignore_errors=True)
        elif re.fullmatch(r"[0-9a-f]{16}", path.name) and path.name != keep:
            versions.append((used_at, path))
    for used_at, path in sorted(versions, reverse=True)[1:]:
        if now - used_at > ONE_WEEK:
            _set_aside(path)
