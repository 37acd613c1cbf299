"""The page for programs: every command on it, run as it stands there."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from conftest import DEED, missing
from live.client import Bytes
from live.interruptions import make_token
from live.running import ROOT, LivePortal

PAGE = (ROOT / "docs" / "api.md").read_text("utf-8")
EMAIL = "alice@example.org"


def commands() -> list[str]:
    """The lines that call curl."""
    (using,) = re.findall(r"## Using it\n+```sh\n(.*?)```", PAGE, re.DOTALL)
    return [line for line in using.splitlines() if line.startswith("curl ")]


def test_every_command_of_the_page_works(portal: LivePortal, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        missing("curl", "apt-get install curl")
    making = re.search(r"python3 manage.py (create-token .*?) > token.txt", PAGE, re.DOTALL)
    assert making
    arguments = [
        quoted or plain
        for quoted, plain in re.findall(r'"([^"]+)"|(\S+)', making[1].replace("\\\n", " "))
    ]
    portal.client(EMAIL)  # whoever it is, there is an account
    token = portal.manage(*arguments).stdout
    (tmp_path / "token.txt").write_text(token)
    (tmp_path / "deed.pdf").write_bytes(DEED)
    known: dict[str, str] = {}

    def run(command: str) -> Any:
        setting = 'auth="Authorization: Bearer $(cat token.txt)"'
        assert setting in PAGE
        done = subprocess.run(
            ["bash", "-euc", f"{setting}\n{command} -f --noproxy '*' -m 30"],
            cwd=tmp_path,
            capture_output=True,
            env={"PATH": "/usr/bin:/bin:/usr/local/bin", "portal": portal.url, **known},
            timeout=40,
        )
        assert done.returncode == 0, (command, done.stderr)
        return json.loads(done.stdout) if done.stdout.startswith((b"{", b"[")) else done.stdout

    upload, listing, show, download, *more = commands()
    make, look, into, move, several, rename, delete, *others = more
    restore, share, links, revoke = others
    (document,) = run(upload)["documents"]
    known["id"] = document["id"]
    assert any(each.items() >= document.items() for each in run(listing)["documents"])
    assert run(show).items() >= document.items()
    known["folder"] = run(make)["id"]
    (inside,) = run(into)["documents"]
    assert run(look)["documents"] == [inside]
    assert run(move)["folder"] == known["folder"]
    (tmp_path / "deed.pdf").unlink()
    run(download)
    assert (tmp_path / "deed.pdf").read_bytes() == DEED
    known["other"] = run(upload)["documents"][0]["id"]
    run(several)
    (made,) = tmp_path.glob("Documents *.zip")
    assert zipfile.ZipFile(made).namelist() == ["deed.pdf", "deed (2).pdf"]
    assert run(rename)["name"] == "house.pdf"
    assert run(delete) == {"id": known["id"]}
    assert run(restore)["id"] == known["id"]
    shared = run(share)
    assert portal.visitor().get(shared["url"].removeprefix(portal.url)).status == 200
    known["link"] = shared["id"]
    assert shared["id"] in {each["id"] for each in run(links)["links"]}
    assert run(revoke) == {"revoked": 1}
    assert portal.visitor().get(shared["url"].removeprefix(portal.url)).status == 410


@pytest.mark.parametrize("language", ["sh", "python", "js"])
def test_upload_in_pieces_works_as_the_page_says(
    portal: LivePortal, tmp_path: Path, language: str
) -> None:
    (section,) = re.findall(r"## Uploads that can be gone on with\n(.*?)\n## ", PAGE, re.DOTALL)
    (example,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    program = shutil.which({"sh": "curl", "python": sys.executable, "js": "node"}[language])
    client = Path(__file__).parent / "tus" / "node_modules"
    if program is None:
        missing("curl or Node.js", "apt-get install curl nodejs")
    if language == "js" and not client.is_dir():
        missing("tus-js-client", f"npm ci --ignore-scripts --prefix {client.parent}")
    commands = {
        "sh": ["bash", "-euc", 'auth="Authorization: Bearer $(cat token.txt)"\n' + example],
        "python": [sys.executable, "-c", example],
        "js": [str(program), "--input-type=module", "--eval", example],
    }
    alice = portal.client(EMAIL)
    content = random.Random(language).randbytes(300_000)
    (tmp_path / "deed.pdf").write_bytes(b"%PDF-1.7\n" + content)
    (tmp_path / "token.txt").write_text(make_token(alice))
    (tmp_path / "node_modules").symlink_to(client)
    known = set(alice.listed())
    done = subprocess.run(
        commands[language],
        cwd=tmp_path,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "portal": portal.url, "NO_PROXY": "*"},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    (address,) = set(alice.listed()) - known
    digest = hashlib.sha256(b"%PDF-1.7\n" + content).hexdigest()
    assert alice.download(f"{address}/download")[2] == digest
    if language == "sh":
        assert done.stdout.decode() == address


def test_example_of_an_answer_has_the_fields_of_a_real_one(portal: LivePortal) -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    document = portal.client(EMAIL).upload_one("deed.pdf", Bytes(DEED))
    shown = json.loads(example)
    assert set(shown) == {"documents", "rejected"}
    assert list(shown["documents"][0]) == list(document)
    assert shown["documents"][0]["size"] == len(DEED)
