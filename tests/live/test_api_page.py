"""The page for programs: every command on it, run as it stands there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from conftest import DEED, missing
from live.client import Bytes
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

    upload, listing, show, download, rename, delete, restore, share, links, revoke = commands()
    (document,) = run(upload)["documents"]
    known["id"] = document["id"]
    assert document in run(listing)["documents"]
    assert run(show) == document
    (tmp_path / "deed.pdf").unlink()
    run(download)
    assert (tmp_path / "deed.pdf").read_bytes() == DEED
    assert run(rename)["name"] == "house.pdf"
    assert run(delete) == {"id": known["id"]}
    assert run(restore)["id"] == known["id"]
    shared = run(share)
    assert portal.visitor().get(shared["url"].removeprefix(portal.url)).status == 200
    known["link"] = shared["id"]
    assert shared["id"] in {each["id"] for each in run(links)["links"]}
    assert run(revoke) == {"revoked": 1}
    assert portal.visitor().get(shared["url"].removeprefix(portal.url)).status == 410


def test_example_of_an_answer_has_the_fields_of_a_real_one(portal: LivePortal) -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    document = portal.client(EMAIL).upload_one("deed.pdf", Bytes(DEED))
    shown = json.loads(example)
    assert set(shown) == {"documents", "rejected"}
    assert list(shown["documents"][0]) == list(document)
    assert shown["documents"][0]["size"] == len(DEED)
