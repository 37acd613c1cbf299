"""manage.py makes its own environment: once, whole, and whatever happens in between.

Each test has a small checkout of its own: the real manage.py, a lock file that names one small
package in a folder, and a command line that says where it runs.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import zipfile
from pathlib import Path

import pytest

from conftest import missing

ROOT = Path(__file__).resolve().parents[1]
SAYS_WHERE = """
import sys, tiny
def main():
    print("runs in", sys.prefix, "with tiny", tiny.VERSION, sys.argv[1:])
"""


def uv_folder() -> Path:
    """The folder of uv, which makes an environment in no time."""
    scripts = Path(sysconfig.get_path("scripts"))
    if not (scripts / "uv").exists():
        missing("uv", "it is in requirements-test.txt")
    return scripts


class Checkout:
    """A checkout with nothing installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.venv = folder / ".venv"
        (folder / "portal" / "cli").mkdir(parents=True)
        (folder / "portal" / "cli" / "__init__.py").write_text(SAYS_WHERE)
        shutil.copy(ROOT / "manage.py", folder)
        self.lock("1.0")

    def lock(self, version: str, *, reachable: bool = True, test_version: str = "") -> None:
        """Write lock files that ask for this version of the small package."""
        wheels = self.folder / "wheels"
        wheels.mkdir(exist_ok=True)
        for each in {version, test_version or version}:
            self._wheel(wheels, each)
        for name, wanted in (
            ("requirements.txt", version),
            ("requirements-test.txt", test_version or version),
        ):
            wheel = wheels / f"tiny-{wanted}-py3-none-any.whl"
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            place = wheels if reachable else self.folder / "nowhere"
            (self.folder / name).write_text(
                f"--no-index\n--find-links {place}\ntiny=={wanted} \\\n    --hash=sha256:{digest}\n"
            )

    @staticmethod
    def _wheel(folder: Path, version: str) -> None:
        info = f"tiny-{version}.dist-info"
        files = {
            # Versions of a module that are equally long and old are one to Python's cache.
            "tiny.py": f"VERSION = {version!r}{' ' * int(float(version) * 10)}\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = ""
        date = (2026, 1, 1, 0, 0, 0)  # the same wheel each time
        with zipfile.ZipFile(folder / f"tiny-{version}-py3-none-any.whl", "w") as wheel:
            for name, text in files.items():
                wheel.writestr(zipfile.ZipInfo(name, date), text)
                digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
                record += f"{name},sha256={digest.rstrip(b'=').decode()},{len(text)}\n"
            wheel.writestr(zipfile.ZipInfo(f"{info}/RECORD", date), f"{record}{info}/RECORD,,\n")

    def start(
        self, *arguments: str, python: str = "", with_uv: bool = False
    ) -> subprocess.Popen[str]:
        # Installers for the tests alone: the one a person may have is as good as not there.
        path = str(uv_folder()) if with_uv else "/nowhere"
        return subprocess.Popen(
            [python or sys.executable, "manage.py", *arguments],
            cwd=self.folder,
            env={"PATH": path, "HOME": str(self.folder), "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, python: str = "", with_uv: bool = True) -> tuple[int, str, str]:
        process = self.start(*arguments, python=python, with_uv=with_uv)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout whose environment was made; tests leave it as it is."""
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    code, _, err = made.run("run")
    assert code == 0, err
    return made


def test_first_start_installs_and_goes_on_in_its_own_environment(checkout: Checkout) -> None:
    code, out, err = checkout.run("run", "--port", "1", with_uv=False)
    assert code == 0, err
    assert out == f"runs in {checkout.venv} with tiny 1.0 ['run', '--port', '1']\n"
    assert "Preparing .venv" in err


def test_second_start_installs_nothing(ready: Checkout) -> None:
    code, out, err = ready.run("run")
    assert (code, err) == (0, "")
    assert f"runs in {ready.venv} " in out


def test_a_changed_lock_file_is_installed_at_the_next_start(checkout: Checkout) -> None:
    checkout.run("run")
    checkout.lock("2.0")
    assert "with tiny 2.0" in checkout.run("run")[1]
    assert checkout.run("run")[2] == "", "it was installed twice"


def test_the_test_requirements_are_installed_for_the_tests_alone(checkout: Checkout) -> None:
    checkout.lock("1.0", test_version="1.5")
    assert "with tiny 1.0" in checkout.run("run")[1]
    assert "with tiny 1.5" in checkout.run("test")[1]


def test_an_environment_that_has_the_requirements_is_used_as_it_is(
    ready: Checkout, checkout: Checkout
) -> None:
    code, out, _ = checkout.run("run", python=str(ready.venv / "bin" / "python3"))
    assert code == 0
    assert f"runs in {ready.venv} " in out
    assert not checkout.venv.exists()


def test_an_environment_with_other_versions_is_left_alone(
    ready: Checkout, checkout: Checkout
) -> None:
    checkout.lock("2.0")
    _, out, _ = checkout.run("run", python=str(ready.venv / "bin" / "python3"))
    assert f"runs in {checkout.venv} with tiny 2.0" in out


@pytest.mark.parametrize("after", [0.1, 1.0, 3.0])
def test_a_preparation_that_was_killed_heals_itself(checkout: Checkout, after: float) -> None:
    process = checkout.start("run")
    time.sleep(after)
    process.kill()
    process.communicate()
    code, out, err = checkout.run("run")  # waits for an installer that outlived the kill
    assert code == 0, err
    assert "with tiny 1.0" in out


def test_an_environment_without_its_stamp_is_made_anew(checkout: Checkout) -> None:
    checkout.run("run")
    (checkout.venv / "installed").unlink()
    (site,) = checkout.venv.glob("lib/python3*/site-packages")
    (site / "tiny.py").unlink()
    (site / "tiny.py").write_text("half a pack")
    code, out, _ = checkout.run("run")
    assert code == 0
    assert "with tiny 1.0" in out


def test_a_python_that_is_gone_is_replaced(checkout: Checkout) -> None:
    checkout.run("run")
    for link in (checkout.venv / "bin").glob("python*"):
        link.unlink()
    assert "with tiny 1.0" in checkout.run("run")[1]


def test_a_python_that_was_upgraded_gets_an_environment_of_its_own(checkout: Checkout) -> None:
    checkout.run("run")
    stamp = checkout.venv / "installed"
    stamp.write_text(stamp.read_text().replace(f"python {sys.version_info[0]}", "python 2"))
    code, out, err = checkout.run("run")
    assert code == 0, err
    assert "Preparing" in err
    assert "with tiny 1.0" in out


def test_two_starts_at_once_prepare_one_environment(checkout: Checkout) -> None:
    both = [checkout.start("run", with_uv=True), checkout.start("run", with_uv=True)]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("Preparing" in err for _, err in said) == 1
    assert all("with tiny 1.0" in out for out, _ in said)


@pytest.mark.parametrize("with_uv", [True, False])
def test_without_a_network_it_says_so_and_leaves_what_works(
    checkout: Checkout, with_uv: bool
) -> None:
    checkout.run("run", with_uv=with_uv)
    checkout.lock("2.0", reachable=False)
    code, out, err = checkout.run("run", with_uv=with_uv)
    assert (code, out) == (1, "")
    assert "Check the network" in err
    assert "Traceback" not in err
    checkout.lock("1.0")
    assert checkout.run("run", with_uv=with_uv)[2] == "", "the environment was thrown away"


def test_uv_does_it_where_it_is_installed_and_pip_goes_on_from_there(checkout: Checkout) -> None:
    checkout.run("run")
    assert not (checkout.venv / "bin" / "pip").exists()
    checkout.lock("2.0")
    assert "with tiny 2.0" in checkout.run("run", with_uv=False)[1]


def test_ctrl_c_while_installing_is_a_line_and_no_traceback(checkout: Checkout) -> None:
    process = checkout.start("run")
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "interrupted" in err
    assert "Traceback" not in err


def pretend(checkout: Checkout, lie: str) -> tuple[int, str]:
    """Run manage.py in a Python that was told something untrue."""
    lines = f"import runpy, sys\n{lie}\nsys.argv = ['manage.py', 'run']\n"
    done = subprocess.run(
        [sys.executable, "-c", lines + "runpy.run_path('manage.py', run_name='__main__')"],
        cwd=checkout.folder,
        env={"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr


def test_an_old_python_is_told_that_it_is_old(checkout: Checkout) -> None:
    code, said = pretend(checkout, "sys.version_info = (3, 9, 2)")
    assert code == 1
    assert said == "manage.py: needs Python 3.11 or newer, this is 3.9. Try: python3.12 manage.py\n"


def test_an_old_python_can_parse_the_file() -> None:
    ast.parse((ROOT / "manage.py").read_text("utf-8"), feature_version=(3, 6))


def test_a_python_without_venv_names_the_package(checkout: Checkout) -> None:
    code, said = pretend(
        checkout,
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'ensurepip' else find(name, *more)",
    )
    assert code == 1
    assert said.splitlines() == [
        "manage.py: Python's venv module is missing. Try: apt install python3-venv"
    ]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-test.txt"])
def test_every_requirement_is_locked_with_its_hashes(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    pins = [line for line in text.splitlines() if line[:1].isalnum()]
    assert len(pins) > 20
    for line in pins:
        assert "==" in line
        assert line.endswith("\\"), f"{line} has no hash"
    assert "://" not in text, "a lock names no address"


def test_the_tests_run_with_the_versions_that_people_run() -> None:
    def pins(name: str) -> set[str]:
        lines = (ROOT / name).read_text("utf-8").splitlines()
        return {line.split(" ")[0] for line in lines if line[:1].isalnum()}

    assert pins("requirements.txt") <= pins("requirements-test.txt")
