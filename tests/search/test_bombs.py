"""Files made to do harm cost one child within its limits, and nothing else."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from conftest import Browser
from portal.jobs import priority
from portal.search import reading
from portal.search.reading import Killed, Limits, Unreadable
from search import made
from search.stage import ask, index, names, problem_of

#: Small, so that the tests are quick; the real ones are larger.
TIGHT = Limits(memory_bytes=400 * 1024 * 1024, cpu_seconds=6, seconds=60)


@pytest.mark.parametrize(
    ("reader", "bomb"),
    [
        ("docx", made.zip_bomb),
        ("docx", made.xml_bomb),
        ("docx", made.outside_entity),
        ("docx", made.deep_xml),
        ("docx", made.wide_xml),
        ("pdf", made.pdf_of_endless_pages),
        ("pdf", made.pdf_that_unpacks),
        ("mail", made.mail_of_mails),
        ("html", lambda: b"<a " * 10_000_000),
        ("html", lambda: b"<![" * 3_000_000),
        ("rtf", lambda: b"{" * 30_000_000),
        ("text", lambda: made.noise(4_000_000)),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_bomb_costs_no_more_than_its_limits(reader: str, bomb: Callable[[], bytes]) -> None:
    data = bomb()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        found = reading.read(reader, iter([data]), TIGHT).text
    except Unreadable as error:
        found = str(error)
        assert found.endswith(".")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < TIGHT.cpu_seconds + 2
    assert len(found) <= TIGHT.characters
    hostname = Path("/etc/hostname").read_text("utf-8").strip()
    assert hostname not in found


@pytest.fixture
def instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a program of the test's own in the place of the one that reads, confined like it."""

    def put(code: str) -> None:
        (tmp_path / "extract").mkdir()
        program = tmp_path / "extract" / "child.py"
        program.write_text(f"def main(*_):\n{textwrap.indent(code, '    ')}")
        monkeypatch.setattr(reading, "_HERE", tmp_path)

    return put


def test_child_that_works_for_too_long_is_killed(instead: Callable[[str], None]) -> None:
    instead("while True: pass")
    began = time.monotonic()
    with pytest.raises(Killed, match="too long"):
        reading.read("text", iter([b"x"]), Limits(seconds=1))
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("act", "why"),
    [
        ("while True: pass", "too long"),
        ("x = bytearray(900_000_000)", "damaged"),
        ("open('/tmp/x', 'wb').write(b'x')", "damaged"),
        ("import os; os.write(os.memfd_create('x'), b'x')", "damaged"),
        ("import os; os.kill(os.getpid(), 11)", "damaged"),
        ("import os; os.abort()", "memory"),
        ("import os\nwhile True: os.write(1, b'x' * 100_000)", "more than is read"),
        ("print('no JSON')", "damaged"),
        ("print('[]')", "damaged"),
        ("""print('{"text": 1, "problem": "", "is_cut": false}')""", "damaged"),
        ("print('[' * 100_000)", "damaged"),
    ],
)
def test_child_taken_over_by_a_file_can_do_nothing(
    act: str, why: str, instead: Callable[[str], None]
) -> None:
    instead(act)
    with pytest.raises(Killed, match=why):
        reading.read("text", iter([b"x"]), Limits(TIGHT.memory_bytes, cpu_seconds=1, seconds=60))


def test_child_knows_no_secrets_and_no_open_files(
    monkeypatch: pytest.MonkeyPatch, instead: Callable[[str], None]
) -> None:
    monkeypatch.setenv("PORTAL_SECRET_KEY", "a secret")
    told = "import fcntl, json, os, sys\ndef is_open(number):\n"
    told += "    try: return fcntl.fcntl(number, fcntl.F_GETFD) >= 0\n    except OSError: pass\n"
    told += "print(json.dumps({'problem': '', 'is_cut': False, 'text': ' '.join("
    told += "[*os.environ, *map(str, filter(is_open, range(1024))), *sys.modules])}))"
    instead(told)
    with Path(os.devnull).open("rb"):
        found = reading.read("text", iter([b"x"]), Limits()).text.split()
    assert "PORTAL_SECRET_KEY" not in found
    assert {each for each in found if each.isdigit()} == {"0", "1", "2"}
    assert "portal" not in found


def test_child_waits_for_everybody(
    monkeypatch: pytest.MonkeyPatch, instead: Callable[[str], None]
) -> None:
    """Also where it did not ask for that itself."""
    patient = partial(reading.confinement.Limits, niceness=0)
    monkeypatch.setattr(reading.confinement, "Limits", patient)
    told = f"""
import json, os, time
until = time.monotonic() + 30
while os.nice(0) < {priority.NICENESS} and time.monotonic() < until: time.sleep(0.01)
print(json.dumps({{'problem': '', 'is_cut': False, 'text': str(os.nice(0))}}))"""
    instead(told)
    assert reading.read("text", iter([b"x"]), Limits()).text == str(priority.NICENESS)


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="asks the kernel of Linux")
@pytest.mark.parametrize(("only_idle", "policy"), [(True, "SCHED_IDLE"), (False, "SCHED_OTHER")])
def test_child_has_the_processor_while_nobody_wants_it_or_competes(
    instead: Callable[[str], None], only_idle: bool, policy: str
) -> None:
    instead("""
import json, os
found = [os.sched_getscheduler(0), os.getsid(0)]
print(json.dumps({'problem': '', 'is_cut': False, 'text': json.dumps(found)}))""")
    text = reading.read("text", iter([b"x"]), Limits(only_idle=only_idle)).text
    assert json.loads(text) == [getattr(os, policy), os.getsid(0)]


def test_children_leave_nothing_behind(tmp_path: Path) -> None:
    def children() -> set[str]:
        command = ["ps", "-o", "pid=,comm=", "--ppid", str(os.getpid())]
        found = subprocess.run(command, capture_output=True, text=True).stdout
        return {line for line in found.splitlines() if not line.endswith(" ps")}

    before = children()  # others may be what other tests keep
    threads = threading.active_count()
    with pytest.raises(Killed):
        reading.read("docx", iter([made.zip_bomb()]), Limits(seconds=0.1))
    assert threading.active_count() == threads
    assert children() <= before


def test_whoever_waits_for_a_child_can_end_it() -> None:
    class Enough(Exception):
        pass

    def beat() -> None:
        raise Enough

    def pieces() -> Iterator[bytes]:
        while True:
            yield b"x" * 100_000

    with pytest.raises(Enough):
        reading.read("html", pieces(), Limits(), beat)


def test_bomb_is_recorded_and_everything_else_is_indexed(alice: Browser) -> None:
    bomb = alice.upload("bomb.docx", made.xml_bomb())
    locked = alice.upload("locked.pdf", made.locked_pdf())
    alice.upload("fine.txt", b"a needle in a haystack")
    assert index(alice.app) == 3
    assert names(alice, "needle") == ["fine.txt"]
    assert problem_of(alice.app, bomb) == "It holds what no document of its kind holds."
    assert problem_of(alice.app, locked) == "It is locked with a password."
    assert ask(alice, "bomb")["unreadable"] == 2
    page = alice.get("/documents?q=nothing").get_data(as_text=True)
    assert "2 of your documents" in page
    assert index(alice.app) == 0
