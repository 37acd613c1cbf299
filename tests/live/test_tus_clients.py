"""Uploads by the clients that people use, over connections that are cut and a server that dies."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import requests

from conftest import missing
from live.interruptions import Line, assert_stored_once, line_to_portal, make_file

HERE = Path(__file__).resolve().parent / "tus"
MIB = 1024 * 1024
SIZE = 24 * MIB + 4711
SECONDS = 40


@pytest.fixture(scope="module")
def line(module_database: str) -> Iterator[Line]:
    with line_to_portal(module_database) as line:
        yield line


def run(line: Line, path: Path, *program: str, **options: Any) -> subprocess.Popen[str]:
    """Start a client of Alice's that uploads `path`."""
    asked = {"endpoint": line.endpoint, "token": line.token, "file": str(path), **options}
    return subprocess.Popen(
        [*program, json.dumps(asked)],
        cwd=HERE,
        env=line.portal.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a client said at its end."""
    try:
        text, _ = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0
    said: dict[str, Any] = json.loads(text)
    return said


# -- PyPI tuspy


def tuspy(line: Line, path: Path, **options: Any) -> subprocess.Popen[str]:
    return run(line, path, sys.executable, "upload.py", **options)


@pytest.mark.parametrize("checksum", [False, True], ids=["plain", "checked"])
@pytest.mark.parametrize("chunk_size", [SIZE, 5 * MIB], ids=["one", "many"])
def test_tuspy_gets_through_cuts(
    line: Line, tmp_path: Path, chunk_size: int, checksum: bool
) -> None:
    path = make_file(tmp_path, f"tuspy-{chunk_size}-{checksum}.bin", SIZE)
    # tuspy tries again to send a piece, but not to announce a file.
    line.proxy.cut(Random(path.name), 4, least=3000, most=chunk_size // 4)
    said = told(tuspy(line, path, chunk_size=chunk_size, upload_checksum=checksum))
    assert said["outcome"] == "stored", said
    assert line.proxy.cuts_left == 0
    assert_stored_once(line, path)


@pytest.mark.parametrize("checksum", [False, True], ids=["plain", "checked"])
def test_tuspy_outlives_the_server(line: Line, tmp_path: Path, checksum: bool) -> None:
    path = make_file(tmp_path, f"tuspy-restart-{checksum}.bin", SIZE)
    line.proxy.when_passed(SIZE // 2, line.restart)
    said = told(tuspy(line, path, chunk_size=7 * MIB, upload_checksum=checksum))
    assert said["outcome"] == "stored", said
    assert_stored_once(line, path)


def test_tuspy_goes_on_after_it_was_killed(line: Line, tmp_path: Path) -> None:
    path = make_file(tmp_path, "tuspy-later.bin", SIZE)
    kept = {"storage": str(tmp_path / "urls.json"), "chunk_size": 4 * MIB}
    first = tuspy(line, path, **kept)
    line.proxy.when_passed(SIZE // 2, first.kill)
    first.communicate(timeout=SECONDS)
    said = told(tuspy(line, path, **kept))
    assert said["outcome"] == "stored", said
    assert said["begun"] >= SIZE // 3
    assert_stored_once(line, path)


def test_tuspy_is_told_the_rule(line: Line, tmp_path: Path) -> None:
    path = make_file(tmp_path, "name.bin", 10)
    said = told(tuspy(line, path, metadata={"filename": ""}))
    assert (said["outcome"], said["status"]) == ("refused", 422)
    assert said["answer"]["reason"] == "name"


# -- npm tus-js-client


def node(line: Line, path: Path, **options: Any) -> subprocess.Popen[str]:
    program = shutil.which("node")
    if program is None or not (HERE / "node_modules" / "tus-js-client").is_dir():
        missing("tus-js-client", f"Node.js, and npm ci --ignore-scripts --prefix {HERE}")
    return run(line, path, str(program), "upload.mjs", **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("one", {}),
        ("many", {"chunkSize": 3 * MIB}),
        ("along", {"uploadDataDuringCreation": True, "chunkSize": 5 * MIB}),
        ("override", {"overridePatchMethod": True, "chunkSize": 9 * MIB}),
    ],
)
def test_tus_js_client_gets_through_cuts(
    line: Line, tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    path = make_file(tmp_path, f"node-{name}.bin", SIZE)
    line.proxy.cut(Random(path.name), 4, least=1, most=SIZE // 6)
    said = told(node(line, path, **options))
    assert said["outcome"] == "stored", said
    assert line.proxy.cuts_left == 0
    assert_stored_once(line, path)


def test_tus_js_client_sends_whole_files_with_their_announcement(
    line: Line, tmp_path: Path
) -> None:
    for size in (0, 1, 20_000, SIZE):
        path = make_file(tmp_path, f"node-whole-{size}.bin", size)
        # An empty file has nothing to send along, and the client stumbles over trying.
        said = told(node(line, path, uploadDataDuringCreation=size > 0))
        assert said["outcome"] == "stored", said
        assert said["answers"] == ["POST 201"]
        assert_stored_once(line, path)


@pytest.mark.parametrize("chunk_size", [SIZE, 2 * MIB], ids=["one", "many"])
def test_tus_js_client_outlives_the_server(line: Line, tmp_path: Path, chunk_size: int) -> None:
    path = make_file(tmp_path, f"node-restart-{chunk_size}.bin", SIZE)
    line.proxy.when_passed(SIZE // 2, line.restart)
    said = told(node(line, path, chunkSize=chunk_size))
    assert said["outcome"] == "stored", said
    assert "HEAD 200" in said["answers"]
    assert_stored_once(line, path)


def test_tus_js_client_goes_on_after_it_was_killed(line: Line, tmp_path: Path) -> None:
    path = make_file(tmp_path, "node-later.bin", SIZE)
    kept = {"storage": str(tmp_path / "urls.json"), "chunkSize": 2 * MIB}
    first = node(line, path, **kept)
    line.proxy.when_passed(SIZE // 2, first.kill)
    first.communicate(timeout=SECONDS)
    said = told(node(line, path, **kept))
    assert said["outcome"] == "stored", said
    assert said["answers"][0] == "HEAD 200"
    assert len(said["answers"]) < 10
    assert_stored_once(line, path)


def test_tus_js_client_gives_an_upload_up(line: Line, tmp_path: Path) -> None:
    path = make_file(tmp_path, "node-given-up.bin", SIZE)
    said = told(node(line, path, chunkSize=2 * MIB, giveUpAt=0.4))
    assert said["outcome"] == "given up", said
    assert said["answers"][-1] == "DELETE 204"
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {line.token}"
        assert session.head(said["url"], timeout=20).status_code == 404
    assert line.documents(path.name) == []
    assert _soon_nothing_left(line)


def _soon_nothing_left(line: Line) -> bool:
    """The piece that was cut when the upload was given up may still be on its way."""
    deadline = time.monotonic() + 5
    while line.portal.incoming() and time.monotonic() < deadline:
        time.sleep(0.05)
    return not line.portal.incoming()
