"""Settings that stop the start, the doctor, purge, the audit log, the demo and the tests."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from live.client import Client
from live.fixtures import live_portal, module_database, own_database, portal
from live.running import MANAGE, LivePortal, free_port
from portal.audit import chain
from portal.cli.tests import _parallel

__all__ = ["module_database", "own_database", "portal"]


@pytest.fixture
def bare(own_database: str) -> Iterator[LivePortal]:
    with live_portal(own_database) as portal:
        yield portal


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORTAL_NO_SUCH_THING", "1"),
        ("PORTAL_TRASH_DAYS", "many"),
        ("PORTAL_BASE_URL", "http://documents.example.org"),
        ("PORTAL_SECRET_KEY", "short"),
    ],
)
@pytest.mark.parametrize("command", ["run", "doctor", "upgrade"])
def test_a_setting_that_cannot_be_stops_the_start_in_a_line(
    bare: LivePortal, command: str, name: str, value: str
) -> None:
    bare.settings[name] = value
    done = bare.manage(command, check=False)
    said = done.stderr + done.stdout
    assert name in said
    assert "Traceback" not in said
    assert done.returncode == (1 if command == "doctor" else 2)
    if command != "doctor":
        assert len(said.splitlines()) == 1, said


def test_commands_ask_for_an_upgrade_of_an_old_database(bare: LivePortal) -> None:
    done = bare.manage("purge", check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "Error: The database is not up to date. Run: python3 manage.py upgrade\n"
    )
    bare.manage("upgrade")
    assert bare.manage("purge").stdout.startswith("0 trashed removed\n0 documents removed\n")


def test_the_doctor_is_content_with_a_portal_that_runs(portal: LivePortal) -> None:
    deadline = time.monotonic() + 20
    while "worker.alive" not in {path.name for path in portal.instance.iterdir()}:
        assert time.monotonic() < deadline, "the worker gives no sign of life"
        time.sleep(0.1)
    done = portal.manage("doctor", "--deep")
    assert done.stdout.splitlines()[-1] == "All is well."
    answer = json.loads(portal.manage("doctor", "--json").stdout)
    assert answer["ok"] is True
    assert {"name", "ok", "detail", "cure"} == set(answer["checks"][0])


def test_the_doctor_names_what_is_wrong_and_its_cure(bare: LivePortal) -> None:
    bare.manage("upgrade")
    done = bare.manage("doctor", "--json", check=False)
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["ok"] is False
    wrong = [check for check in answer["checks"] if not check["ok"]]
    assert wrong
    assert all(check["detail"] and check["cure"] for check in wrong)


def test_the_doctor_speaks_even_where_nothing_can_be_read(bare: LivePortal) -> None:
    bare.instance.mkdir(parents=True)
    bare.settings["PORTAL_DATABASE_URL"] = f"sqlite:///{bare.instance / 'portal.db'}"
    (bare.instance / "portal.db").write_bytes(b"this is no database" * 100)
    done = bare.manage("doctor", "--json", check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["ok"] is False
    assert "Traceback" not in done.stderr


def test_routes_are_listed(bare: LivePortal) -> None:
    listed = bare.manage("routes").stdout
    assert re.search(r"^/documents +.*GET.*documents\.", listed, re.MULTILINE)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_an_export_of_the_log_is_checked_without_the_portal(
    portal: LivePortal, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / f"log.{kind}"
    file.write_text(portal.manage("audit", "export", "--format", kind).stdout, newline="")
    entries = list(chain.read(file))
    assert entries[-1].action == "audit.exported"
    assert entries[-1].actor == "command line"
    elsewhere = tmp_path / "elsewhere"
    for folder in (portal.instance, elsewhere):
        done = subprocess.run(
            [*MANAGE, "audit", "verify", str(file)],
            env={**portal.environment(), "PORTAL_INSTANCE_DIR": str(folder)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert f"{len(entries)} events" in done.stdout
    assert not elsewhere.exists(), "checking a file makes no portal"


def test_an_older_export_is_whole_but_a_cut_one_is_not(portal: LivePortal, tmp_path: Path) -> None:
    portal.manage("create-user", "eve@example.org")
    old = tmp_path / "old.jsonl"
    old.write_text(portal.manage("audit", "export", "--format", "jsonl").stdout)
    portal.manage("create-user", "carol@example.org")
    assert portal.manage("audit", "verify", str(old)).returncode == 0
    cut = tmp_path / "cut.jsonl"
    cut.write_text("".join(old.read_text().splitlines(keepends=True)[:-1]))
    done = portal.manage("audit", "verify", str(cut), check=False)
    assert done.returncode == 1
    assert "the end was cut off" in done.stderr
    assert portal.manage("audit", "verify", "--alone", str(cut)).returncode == 0


def test_another_head_than_the_one_kept_is_noticed(portal: LivePortal, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text(portal.manage("audit", "export", "--format", "jsonl").stdout)
    last = list(chain.read(file))[-1]
    head = tmp_path / "audit-head.json"
    head.write_text(json.dumps({"seq": last.seq, "hash": "f" * 64}))
    done = portal.manage("audit", "verify", "--head", str(head), str(file), check=False)
    assert done.returncode == 1
    assert "not the one first written" in done.stderr


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b'{"seq": 1}\n', b"\xff\xfe\x00"])
def test_a_file_that_is_no_log_is_refused_in_a_line(
    portal: LivePortal, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    done = portal.manage("audit", "verify", str(file), check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_the_live_log_is_whole(portal: LivePortal) -> None:
    assert portal.manage("audit", "verify").stdout.startswith("The log is whole: ")


def start_demo(port: int, folder: Path) -> subprocess.Popen[str]:
    """A demo whose temporary folder lies in `folder`."""
    return subprocess.Popen(
        [*MANAGE, "demo", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )


def test_the_demo_can_be_signed_in_to_and_leaves_nothing_behind(tmp_path: Path) -> None:
    port = free_port()
    process = start_demo(port, tmp_path)
    try:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(5)]
        assert f"http://127.0.0.1:{port}" in said[0], said
        password = said[-1].split()[-1]
        alice = Client(f"http://127.0.0.1:{port}")
        alice.sign_in("alice@example.org", password)
        assert "契約書.pdf" in alice.listed().values()
        ada = Client(f"http://127.0.0.1:{port}")
        ada.sign_in("ada@example.org", password)
        assert "Was refused access" in ada.get("/admin/audit").text
        assert list(tmp_path.glob("portal-demo-*/instance/portal.db"))
        process.send_signal(signal.SIGINT)
        assert process.wait(45) == 0
        assert list(tmp_path.iterdir()) == []
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_demo_stopped_while_it_is_made_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = start_demo(free_port(), tmp_path)
    try:
        deadline = time.monotonic() + 30
        while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        process.send_signal(number)
        out, _ = process.communicate(timeout=45)
        assert "Traceback" not in out
        assert list(tmp_path.iterdir()) == []
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("arguments", "spread"),
    [
        ((), True),
        (("tests/test_server.py", "-q"), True),
        (("-n", "0"), False),
        (("-n4",), False),
        (("--numprocesses=2",), False),
        (("-p", "no:xdist"), False),
        (("--pdb",), False),
    ],
)
def test_the_tests_run_on_all_cores_unless_told_otherwise(
    arguments: tuple[str, ...], spread: bool
) -> None:
    options = ["-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"]
    assert _parallel(arguments) == (options if spread else [])


def test_the_test_command_hands_arguments_and_exit_code_through() -> None:
    done = subprocess.run(
        [sys.executable, MANAGE[1], "test", "-n", "0", "tests/no_such_file.py"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 4, done.stdout + done.stderr
    assert "no_such_file" in done.stdout + done.stderr
