"""A portal started by its one command in a folder of its own, stopped by process id."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from live import commands
from live.client import Client

ROOT = Path(__file__).resolve().parents[2]
MANAGE = (sys.executable, str(ROOT / "manage.py"))
PASSWORD = "three quiet herons wade"
START_SECONDS = 30
STOP_SECONDS = 45


class NotRunning(AssertionError):
    """The portal did not do what a running portal does; the text has its last words."""


class LivePortal:
    """One portal on a loopback port; may be killed and started again on the same folders."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.instance = folder / "instance"
        self.files = folder / "files"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = settings
        self.log = folder / "portal.log"
        self._process: subprocess.Popen[bytes] | None = None

    # -- Its life ------------------------------------------------------------------------------

    def start(self, *arguments: str) -> float:
        """Start it and wait until it is healthy; answers how many seconds that took."""
        began = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*MANAGE, "run", "--port", str(self.port), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment(),
                start_new_session=True,
            )
        while time.monotonic() - began < START_SECONDS:
            if self._process.poll() is not None:
                break
            if self.is_ready():
                return time.monotonic() - began
            time.sleep(0.05)
        self.kill()
        raise NotRunning(f"it did not come up:\n{self.last_words()}")

    def is_ready(self) -> bool:
        """Whether it answers that it can serve."""
        try:
            return Client(self.url, timeout=5).get("/readyz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def terminate(self) -> None:
        """Ask it to stop (SIGTERM), without waiting."""
        os.kill(self.pid, signal.SIGTERM)

    def wait(self, timeout: float = STOP_SECONDS) -> int:
        """Wait until it has ended; answers its return code."""
        assert self._process is not None
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise NotRunning(f"it did not stop within {timeout} s:\n{self.last_words()}") from None

    def stop(self) -> int:
        self.terminate()
        return self.wait()

    def kill(self) -> None:
        """kill -9 of every process it has, as far as there are any."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(10)
        deadline = time.monotonic() + 10
        while self.pids() and time.monotonic() < deadline:
            time.sleep(0.01)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def pids(self) -> list[int]:
        """Every process of its group that lives."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                facts = _stat(int(entry.name))
                if facts and facts[2] == str(self.pid) and facts[0] != "Z":
                    found.append(int(entry.name))
        return found

    def children(self) -> dict[int, str]:
        """The command line of every process it started, by id."""
        lines = {}
        for pid in self.pids():
            if pid != self.pid:
                try:
                    raw = Path(f"/proc/{pid}/cmdline").read_bytes()
                except OSError:
                    continue
                lines[pid] = raw.replace(b"\0", b" ").decode(errors="replace")
        return lines

    # -- Looking into it -----------------------------------------------------------------------

    def last_words(self) -> str:
        return self.log.read_text("utf-8", errors="replace")[-4000:] if self.log.exists() else ""

    def setup_link(self) -> str:
        """The address of the first start, as it was printed."""
        deadline = time.monotonic() + 10  # it is printed a little after the first answer
        while time.monotonic() < deadline:
            if found := re.findall(r"http\S+/setup\?token=\S+", self.log.read_text("utf-8")):
                return str(found[-1])
            time.sleep(0.05)
        raise NotRunning(f"no set-up link was printed:\n{self.last_words()}")

    def memory_peak(self) -> int:
        """Bytes of memory its processes had at their most since `forget_memory_peak`, summed."""
        total = 0
        for pid in self.pids():
            try:
                text = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            if found := re.search(r"VmHWM:\s+(\d+) kB", text):
                total += int(found.group(1)) * 1024
        return total

    def forget_memory_peak(self) -> None:
        for pid in self.pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def incoming(self) -> list[Path]:
        """Files of uploads that are not finished."""
        return [path for path in self.files.glob("*/.incoming/*") if path.is_file()]

    # -- Commands and people -------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not _is_ours(name)}
        return {
            **clean,
            "PORTAL_INSTANCE_DIR": str(self.instance),
            "PORTAL_FILES_DIR": str(self.files),
            "PORTAL_BASE_URL": self.url,
            **self.settings,
        }

    def manage(
        self, *arguments: str, text: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run another command of the portal on the same folders."""
        done = commands.manage(arguments, text, self.environment(), timeout=60)
        if check and done.returncode:
            raise NotRunning(f"manage.py {arguments[0]}: {done.stdout}{done.stderr}")
        return done

    def create_user(self, email: str, name: str = "", *, admin: bool = False) -> None:
        options = [*(["--name", name] if name else []), *(["--admin"] if admin else [])]
        self.manage("create-user", email, *options, "--password-stdin", text=PASSWORD + "\n")

    def set_up(self) -> Client:
        """Make Ada the first admin through the set-up link; answers her client."""
        ada = self.visitor()
        path = self.setup_link().removeprefix(self.url)
        token = ada.hidden(path, "csrf_token")
        fields = {"name": "Ada Admin", "email": "ada@example.org", "password": PASSWORD}
        fields |= {"token": path.partition("token=")[2], "csrf_token": token}
        answer = ada.post("/setup", fields)
        assert answer.status == 303, answer.text[:2000]
        return ada

    def invite(self, admin: Client, email: str, name: str) -> None:
        """Give somebody an account: invited by an admin, accepted with the usual password."""
        made = admin.post_json("/admin/users", {"email": email, "name": name, "role": "user"})
        path = made["invitation_url"].removeprefix(self.url)
        guest = self.visitor()
        fields = {"name": name, "password": PASSWORD}
        fields["csrf_token"] = guest.hidden(path, "csrf_token")
        answer = guest.post(path, fields)
        assert answer.status == 303, answer.text[:2000]

    def visitor(self, timeout: float = 60) -> Client:
        return Client(self.url, timeout)

    def client(self, email: str, timeout: float = 60) -> Client:
        """A person's client, signed in."""
        client = Client(self.url, timeout)
        client.sign_in(email, PASSWORD)
        return client

    def __enter__(self) -> LivePortal:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


def free_port() -> int:
    """A loopback port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_ours(name: str) -> bool:
    return name.startswith(("PORTAL_", "HTTP_", "FLASK_")) or name.lower().endswith("_proxy")


def _stat(pid: int) -> list[str] | None:
    """State, parent and process group of a process; None where there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()[:3]
