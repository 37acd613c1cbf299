"""Walls around every child that opens a document: real children, before this machine's kernel."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from PIL import Image, ImageDraw, ImageFont

from conftest import Browser, missing
from portal.confinement import landlock, places, starting, system_calls
from portal.confinement.limits import Limits
from portal.previews import child as drawing
from portal.previews.kinds import MIB, Kind
from portal.search import reading
from previews.stage import given
from stage import settings_of, stored_files

#: Of everything that a parser taken over by a document could try: what became of it.
ATTEMPTS = """
import errno, os, socket, subprocess, sys
document, instance, port, local, new, parent = {given!r}
def tried(act, *what):
    try:
        act(*what)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.connect(address)
found = dict(
    read_document=tried(open, document),
    list_documents=tried(os.listdir, os.path.dirname(document)),
    read_key=tried(open, instance + "/secret_key"),
    list_instance=tried(os.listdir, instance),
    read_environment=tried(open, "/proc/%d/environ" % parent),
    read_memory=tried(open, "/proc/%d/mem" % parent, "rb"),
    read_people=tried(open, "/etc/passwd"),
    overwrite=tried(open, document, "r+b"),
    remove=tried(os.unlink, document),
    rename=tried(os.rename, document, new),
    link=tried(os.link, document, new),
    create=tried(open, new, "wb"),
    create_in_tmp=tried(open, "/tmp/" + os.path.basename(new), "wb"),
    make_folder=tried(os.mkdir, new),
    truncate=tried(os.truncate, document, 0),
    open_to_all=tried(os.chmod, document, 0o777),
    give_away=tried(os.chown, document, 1, 1),
    connect=tried(connect, socket.AF_INET, ("127.0.0.1", port)),
    connect_6=tried(connect, socket.AF_INET6, ("::1", port)),
    connect_local=tried(connect, socket.AF_UNIX, local),
    pair=tried(socket.socketpair),
    netlink=tried(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW),
    run=tried(subprocess.call, ["/bin/true"]),
    run_itself=tried(subprocess.call, [sys.executable, "-V"]),
    signal=tried(os.kill, parent, 0),
)
"""
#: What needs Landlock, and since which version.
_LATER = {"signal": 6}
_BY_FILTER = ("open_to_all", "give_away", "truncate", "connect", "connect_6", "connect_local")
_BY_FILTER = (*_BY_FILTER, "pair", "netlink")


@pytest.fixture
def document(app: Flask, alice: Browser) -> Path:
    alice.upload("deed.txt", b"of Alice alone")
    (file,) = stored_files(app)
    return file


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the program lies; beside that of the portal."""
    return tmp_path_factory.mktemp("program")


@pytest.fixture
def attempts(app: Flask, document: Path, tmp_path: Path) -> Iterator[str]:
    """The code of `ATTEMPTS`, against a document, an instance and servers that are there."""
    local = str(tmp_path / "local")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as other:
        other.bind(local)
        other.listen()
        instance = settings_of(app).instance_dir
        (instance / "secret_key").touch()
        port = server.getsockname()[1]
        new = str(tmp_path / f"new-{os.getpid()}")
        yield ATTEMPTS.format(given=(str(document), str(instance), port, local, new, os.getpid()))


def main_of(folder: Path, package: str, code: str) -> None:
    (folder / package).mkdir()
    program = folder / package / "child.py"
    program.write_text(f"def main(*_):\n{textwrap.indent(code, '    ')}")


def drawn(kind: Kind, folder: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a child that draws says in the place of a picture."""
    say = (
        "import json, sys\ndata = json.dumps(found).encode()\n"
        'line = {"size": "text", "page": 0, "width": 0, "height": 0, "bytes": len(data)}\n'
        'print(json.dumps(line), data.decode(), sep="\\n", end="")\n'
        'print(json.dumps({"end": True, "pages": 1}))'
    )
    main_of(folder, "drawing", f"{code}\n{say}")
    monkeypatch.setattr(drawing, "_HERE", folder)
    with given(b"") as descriptor:
        (frame,) = drawing.draw(kind, "any/thing", descriptor, threading.Event()).frames
    found: dict[str, str] = json.loads(frame.data)
    return found


def read(reader: str, folder: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a child that takes out text says in its place."""
    say = "import json\n"
    say += 'print(json.dumps({"text": json.dumps(found), "problem": "", "is_cut": False}))'
    main_of(folder, "extract", f"{code}\n{say}")
    monkeypatch.setattr(reading, "_HERE", folder)
    found: dict[str, str] = json.loads(reading.read(reader, iter([b""]), reading.Limits()).text)
    return found


def assert_nothing_was_done(found: dict[str, str], document: Path) -> None:
    for name in _BY_FILTER:
        assert found.pop(name) == "EACCES", name
    if landlock.version() < 1:
        missing("Landlock", "a kernel that has it")
    for name, answer in found.items():
        if landlock.version() >= _LATER.get(name, 1):
            assert answer in {"EACCES", "EPERM", "EXDEV"}, (name, answer)
    assert document.read_bytes() == b"of Alice alone"


@pytest.mark.parametrize("kind", [Kind.IMAGE, Kind.PDF, Kind.TEXT])
def test_child_that_draws_reaches_its_document_and_nothing_else(
    kind: Kind, attempts: str, document: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_nothing_was_done(drawn(kind, folder, attempts, monkeypatch), document)


@pytest.mark.parametrize("reader", ["text", "docx", "pdf", "picture"])
def test_child_that_reads_reaches_its_document_and_nothing_else(
    reader: str, attempts: str, document: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_nothing_was_done(read(reader, folder, attempts, monkeypatch), document)


def test_program_that_reads_scans_stands_behind_the_same_walls(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads a picture that is handed to it, and none that it is told of."""
    if shutil.which("tesseract") is None:
        missing("tesseract", "apt-get install tesseract-ocr")
    picture = Image.new("L", (1240, 400), 255)
    font = ImageFont.load_default(64)
    ImageDraw.Draw(picture).text((80, 120), "The needle is in the haystack", font=font)
    private = tmp_path / "private.png"
    picture.save(private)
    code = f"""
import subprocess
def words(where, **more):
    done = subprocess.run(["tesseract", where, "-"], capture_output=True, **more)
    return done.stdout.decode()
found = dict(handed=words("-", input={private.read_bytes()!r}), named=words({str(private)!r}))
"""
    found = read("picture", folder, code, monkeypatch)
    assert "haystack" in found["handed"]
    if landlock.version() < 1:
        missing("Landlock", "a kernel that has it")
    assert found["named"] == ""


def test_without_landlock_children_work_on_without_network_and_programs(
    attempts: str, folder: Path
) -> None:
    main_of(folder, "extract", f"{attempts}\nimport json, PIL.Image\nprint(json.dumps(found))")
    limits = Limits(512 * MIB, cpu_seconds=10)
    command = starting.module(folder, "extract.child", [], limits)
    # This kernel as those are that have none, to whoever comes after.
    filtered = "import os, sys; from portal.confinement import system_calls as calls; "
    filtered += f"calls._filter(calls._known_machine(), ({landlock._CREATE_RULESET},), "
    filtered += "with_local_sockets=True); os.execv(sys.argv[1], sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", filtered, *command], capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    assert found["read_document"] == "done", "it was not without Landlock"
    for name in (*_BY_FILTER, "run", "run_itself"):
        assert found[name] == "EACCES", name
    assert found["create"] == "done", "an empty one"


def test_walls_stand_around_threads_that_come_later(
    attempts: str, document: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = f"""
import threading
told = {{}}
def act():
{textwrap.indent(attempts, "    ")}
    told.update(found)
thread = threading.Thread(target=act)
thread.start()
thread.join()
found = told
"""
    assert_nothing_was_done(drawn(Kind.TEXT, folder, later, monkeypatch), document)


def test_what_lies_beside_the_portal_is_not_readable_with_its_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A portal that was put among the libraries of the system has its documents there."""
    portal = tmp_path / "lib" / "portal"
    (portal / "instance").mkdir(parents=True)
    (tmp_path / "lib" / "other").mkdir()
    monkeypatch.setattr(places, "_PORTAL", str(portal))
    monkeypatch.setattr(places, "_LIBRARIES", (str(tmp_path / "lib"), str(portal)))
    readable = places.of_python()
    assert str(tmp_path / "lib" / "other") in readable
    assert not [each for each in readable if str(portal / "instance").startswith(f"{each}/")]


def test_this_machine_has_the_filter() -> None:
    if not system_calls._known_machine():
        missing("a filter of system calls", "a machine with x86-64 or 64-bit ARM")
