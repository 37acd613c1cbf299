"""Static files: whole, kept for a year, never mixed between versions, never entering the app."""

from __future__ import annotations

import gzip
import os
import posixpath
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import Client, TestResponse

from portal import assets
from portal.assets import Assets


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("static")


@pytest.fixture(scope="module")
def built(folder: Path) -> Assets:
    return assets.build(folder)


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    app = Flask(__name__, static_folder=None)

    @app.before_request
    def entered() -> None:
        raise AssertionError("the app was entered for a static file")

    assets.init_app(app, tmp_path / "static")
    return app


@pytest.fixture
def client(app: Flask) -> Client:
    return Client(app.wsgi_app)


def get(client: Client, path: str, **headers: str) -> TestResponse:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return client.get(path, headers=named, buffered=True)


def test_the_same_content_has_the_same_version(built: Assets, tmp_path: Path) -> None:
    assert assets.build(tmp_path).version == built.version


def test_other_content_has_another_version(
    built: Assets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "ICONS", assets.ICONS - {"upload"})
    assert assets.build(tmp_path).version != built.version


def test_every_text_file_has_a_compressed_twin_with_the_same_content(built: Assets) -> None:
    texts = [name for name in built.names if name.endswith((".css", ".js", ".svg"))]
    assert texts
    for name in texts:
        plain = (built.directory / name).read_bytes()
        assert gzip.decompress((built.directory / f"{name}.gz").read_bytes()) == plain


def test_the_sprite_holds_exactly_the_icons_we_use(built: Assets) -> None:
    sprite = (built.directory / "icons.svg").read_text("utf-8")
    assert set(re.findall(r'<symbol id="([^"]+)"', sprite)) == assets.ICONS
    assert len(sprite) < 60_000


def test_scripts_import_only_files_that_are_there(built: Assets) -> None:
    for name in built.names:
        if name.endswith(".js"):
            for target in re.findall(r'from "(\.[^"]+)"', (built.directory / name).read_text()):
                assert posixpath.normpath(f"{posixpath.dirname(name)}/{target}") in built.names


def test_building_again_keeps_the_files(built: Assets, folder: Path) -> None:
    before = (built.directory / "icons.svg").stat().st_ino
    assert assets.build(folder) == built
    assert (built.directory / "icons.svg").stat().st_ino == before


@pytest.mark.parametrize("harm", ["emptied", "removed", "compressed twin emptied"])
def test_a_damaged_version_is_replaced(tmp_path: Path, harm: str) -> None:
    built = assets.build(tmp_path)
    path = built.directory / "css" / "portal.css"
    if harm == "removed":
        path.unlink()
    elif harm == "emptied":
        path.write_bytes(b"")
    else:
        Path(f"{path}.gz").write_bytes(b"")
    assets.build(tmp_path)
    assert path.read_bytes()
    assert gzip.decompress(Path(f"{path}.gz").read_bytes()) == path.read_bytes()


def test_many_may_build_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(assets.build, [tmp_path] * 16))
    assert len(set(results)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [results[0].version]


def test_old_versions_go_but_not_the_one_before_nor_anything_else(tmp_path: Path) -> None:
    long_ago = time.time() - 30 * 24 * 3600
    ages = {"0" * 16: 3, "1" * 16: 2, "2" * 16: 1}
    for name, order in ages.items():
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (long_ago - order, long_ago - order))
    (tmp_path / "something-else").mkdir()
    os.utime(tmp_path / "something-else", (long_ago, long_ago))
    built = assets.build(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {built.version, "2" * 16, "something-else"}


def test_unknown_names_are_refused(built: Assets) -> None:
    with pytest.raises(KeyError, match="no static file"):
        built.url("css/missing.css")
    with pytest.raises(KeyError, match="no icon"):
        built.icon("rocket")


def test_a_file_is_kept_for_a_year_and_is_what_it_says(app: Flask, client: Client) -> None:
    built: Assets = app.extensions["assets"]
    for name, media_type in {
        "css/portal.css": "text/css",
        "css/bootstrap.css": "text/css",
        "js/portal.js": "text/javascript",
        "icons.svg": "image/svg+xml",
    }.items():
        response = get(client, built.url(name))
        assert response.status_code == 200
        assert response.mimetype == media_type
        assert response.headers["Cache-Control"] == "max-age=31536000, public, immutable"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in response.headers
        assert "Set-Cookie" not in response.headers


def test_who_takes_compressed_files_gets_them(app: Flask, client: Client) -> None:
    url = app.extensions["assets"].url("css/bootstrap.css")
    response = get(client, url, Accept_Encoding="gzip")
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(response.data) == get(client, url).data


@pytest.mark.parametrize(
    "path",
    [
        "/static/0000000000000000/css/portal.css",
        "/static/css/portal.css",
        "/static/",
        "/static/../portal/config.py",
        "/static/%2e%2e/%2e%2e/portal.db",
        "/static//etc/passwd",
    ],
)
def test_anything_else_under_static_is_not_found(client: Client, path: str) -> None:
    response = get(client, path)
    assert response.status_code == 404
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_static_files_can_only_be_read(app: Flask, client: Client) -> None:
    assert client.post(app.extensions["assets"].url("css/portal.css")).status_code == 405


@pytest.mark.parametrize("path", ["/favicon.ico", "/favicon.svg"])
def test_icons_that_browsers_ask_for_are_kept_for_a_day(client: Client, path: str) -> None:
    response = get(client, path)
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "max-age=86400, public"


def test_templates_can_name_files_and_icons(app: Flask) -> None:
    built: Assets = app.extensions["assets"]
    template = app.jinja_env.from_string("{{ asset('css/portal.css') }} {{ icon('upload') }}")
    address, _, icon = template.render().partition(" ")
    assert address == f"/static/{built.version}/css/portal.css"
    assert icon == (
        f'<svg class="icon" aria-hidden="true" focusable="false">'
        f'<use href="/static/{built.version}/icons.svg#upload"></use></svg>'
    )
