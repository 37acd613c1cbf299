"""The child that draws: its limits, its end, and what it is told and believed."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from portal.confinement import starting
from portal.confinement.limits import Limits
from portal.jobs import priority
from portal.previews import child, office, waiting
from portal.previews.child import Failed, Frame, Impossible, Stopped
from portal.previews.kinds import MIB, Kind
from previews.stage import corners, drawn, given, saved


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of the test's own in the place of the one that draws, confined like it."""
    package = tmp_path / "drawing"
    package.mkdir()
    monkeypatch.setattr(child, "_HERE", tmp_path)
    return package / "child.py"


def run(
    program: Path, code: str, *, stop: threading.Event | None = None, again: bool = False
) -> list[Frame]:
    program.write_text(
        f"import sys\ndef main(*_):\n{textwrap.indent(textwrap.dedent(code), '    ')}"
    )
    with given(b"") as descriptor:
        stop = stop or threading.Event()
        answer = child.draw(Kind.PDF, "application/pdf", descriptor, stop, again=again)
        return list(answer.frames)


def limited(monkeypatch: pytest.MonkeyPatch, wall: float = 60, **limits: int) -> None:
    defaults = {"memory_bytes": 256 * MIB, "cpu_seconds": 5}
    monkeypatch.setitem(child.LIMITS, Kind.PDF, (Limits(**{**defaults, **limits}), wall))


def test_memory_is_bounded(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch)
    code = """
    try:
        hoard = bytearray(512 * 1024 * 1024)
    except MemoryError:
        print('{"impossible": "limits", "bytes": 0}', flush=True)
    """
    with pytest.raises(Impossible, match="limits"):
        run(program, code)


def test_processor_time_is_bounded(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, cpu_seconds=1)
    with pytest.raises(Impossible, match="limits"):
        run(program, "while True: pass")


def test_waiting_is_bounded(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(monkeypatch, wall=1)
    began = time.monotonic()
    with pytest.raises(Failed, match="too long"):
        run(program, "import time; time.sleep(600)")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "code",
    [
        # One picture without end, many pictures, and a line without end.
        'sys.stdout.write(\'{"size": "page", "bytes": 999999999}\\n\' + "x" * 9999)',
        """
        frame = b'{"size":"text","page":0,"width":0,"height":0,"bytes":8000000}\\n' + b"x" * 8000000
        while True: sys.stdout.buffer.write(frame)
        """,
        'while True: sys.stdout.write("x" * 65536)',
    ],
)
def test_the_answer_is_bounded(program: Path, code: str) -> None:
    with pytest.raises((Impossible, Failed)):
        run(program, code)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ('{"size": "page", "page": 1, "width": 5, "height": 5, "bytes": 6}\n<html>', "no picture"),
        ('{"size": "text", "page": 0, "width": 0, "height": 0, "bytes": 12}\nRIFF....WEBP', "no p"),
        ('{"size": "page", "page": -1, "width": 5, "height": 5, "bytes": 0}\n', "picture|figure"),
        ('{"size": "page", "page": 1, "bytes": -5}\n', "figure"),
        ('{"size": "original", "page": 1, "bytes": 0}\n', "understood"),
        ('{"end": true, "pages": "many"}\n', "figure"),
        ("[]\n", "understood"),
        ("no json\n", "understood"),
        ("x" * 5000, "without an end"),
    ],
)
def test_an_answer_that_is_no_picture_is_not_believed(program: Path, answer: str, why: str) -> None:
    with pytest.raises(Failed, match=why):
        run(program, f"sys.stdout.write({answer!r})")


@pytest.mark.parametrize("signal", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGTRAP"])
def test_one_that_crashes_of_a_document_gives_an_icon(program: Path, signal: str) -> None:
    with pytest.raises(Impossible, match="limits"):
        run(program, f"import os, signal; os.kill(os.getpid(), signal.{signal})")


def test_one_that_somebody_else_killed_is_tried_again(program: Path) -> None:
    with pytest.raises(Failed):
        run(program, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")


def test_it_ends_when_the_worker_is_told_to_stop(program: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        run(program, "import time; time.sleep(600)", stop=stop)
    assert time.monotonic() - began < 20


def test_what_it_has_started_ends_with_it(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, wall=2)
    code = """
    import os, time
    os.fork()
    time.sleep(600)
    """
    with pytest.raises(Failed):
        run(program, code)
    time.sleep(0.2)
    assert subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True).stdout == b""


def test_it_knows_no_secret_and_stands_back(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTAL_SECRET_KEY", "a secret")
    monkeypatch.setenv("PORTAL_DATABASE_URL", "postgresql://with:password@here")
    secret = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(secret, True)
    try:
        with pytest.raises(Failed) as raised:
            run(
                program,
                """
                import fcntl, json, os, resource
                limits = [resource.getrlimit(getattr(resource, "RLIMIT_" + name))
                          for name in ("AS", "CPU", "FSIZE", "CORE")]
                def is_open(number):
                    try: return fcntl.fcntl(number, fcntl.F_GETFD) >= 0
                    except OSError: return False
                found = [sorted(os.environ), sum(map(is_open, range(1024))), os.nice(0), limits,
                         [name for name in sys.modules if name.startswith(("portal", "flask"))]]
                sys.stdout.write(json.dumps({"failed": json.dumps(found)[:200]}) + "\\n")
                """,
            )
    finally:
        os.close(secret)
    environment, open_files, niceness, limits, modules = json.loads(str(raised.value))
    assert set(environment) - {"LC_CTYPE"} == {"LANG", "PATH"}
    assert open_files == 3
    assert niceness >= 15
    assert limits == [[1024 * MIB] * 2, [60, 61], [0, 0], [0, 0]]
    assert modules == []


def test_it_waits_for_everybody(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it did not ask for that itself."""
    limited(monkeypatch, niceness=0)
    code = f"""
    import json, os, time
    until = time.monotonic() + 30
    while os.nice(0) < {priority.NICENESS} and time.monotonic() < until: time.sleep(0.01)
    sys.stdout.write(json.dumps({{"failed": str(os.nice(0))}}) + "\\n")
    """
    with pytest.raises(Failed, match=f"^{priority.NICENESS}$"):
        run(program, code)


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="asks the kernel of Linux")
@pytest.mark.parametrize(("again", "policy"), [(False, "SCHED_IDLE"), (True, "SCHED_OTHER")])
def test_only_what_is_tried_again_competes_for_the_processor(
    program: Path, again: bool, policy: str
) -> None:
    code = """
    import json, os
    found = [os.sched_getscheduler(0), os.getsid(0)]
    sys.stdout.write(json.dumps({"failed": json.dumps(found)}) + "\\n")
    """
    with pytest.raises(Failed) as raised:
        run(program, code, again=again)
    # Of another session it would have as much as this one, if Linux shares it out so.
    assert json.loads(str(raised.value)) == [getattr(os, policy), os.getsid(0)]


def test_claim_lasts_longer_than_any_drawing() -> None:
    longest = max(seconds for _, seconds in child.LIMITS.values()) + office.WALL_SECONDS
    assert waiting.LEASE.total_seconds() > longest


def test_the_limits_are_there_before_the_program(tmp_path: Path) -> None:
    (tmp_path / "writes.py").write_text(
        "import os\n"
        "def main():\n"
        "    try: os.write(os.memfd_create('any'), b'x')\n"
        "    except OSError as error: print(error.errno)\n"
    )
    command = starting.module(tmp_path, "writes", [], Limits(512 * MIB, cpu_seconds=5))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split() == ["27"], done  # EFBIG
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0


def test_it_starts_without_the_portal() -> None:
    """Loading the portal would cost more than most drawings."""
    frames = drawn("image", "image/png", saved(corners(), "PNG"))
    assert [frame.size for frame in frames] == ["page", "large", "small"] or len(frames) == 3
    code = "import drawing.images, drawing.pages, drawing.text, sys; print(*sys.modules)"
    here = str(Path(child.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={"PYTHONPATH": here},
        capture_output=True,
        text=True,
    )
    loaded = set(done.stdout.split())
    assert "drawing.pages" in loaded
    assert not loaded & {"portal", "flask", "sqlalchemy"}


def test_the_web_processes_load_no_library_that_draws() -> None:
    code = (
        "import portal, sys\n"
        "import portal.jobs.worker\n"
        "print(*(name for name in sys.modules if name.split('.')[0] in {'PIL', 'pypdfium2'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == [], done
