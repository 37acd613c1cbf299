"""Behind a real nginx with https, set up by the very text of docs/behind-a-proxy.md."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from live.client import Bytes, Client
from live.fixtures import live_portal
from live.running import PASSWORD, LivePortal, free_port
from portal.models.base import utcnow

pytestmark = pytest.mark.any_database

DOCS = Path(__file__).resolve().parents[2] / "docs" / "behind-a-proxy.md"
ALICE = "alice@example.org"
MOST = 12_000_000
SPOOLS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass
class Proxied:
    """A portal, the address of the proxy before it, and what lies in the proxy's folders."""

    portal: LivePortal
    port: int
    trust: ssl.SSLContext
    spools: Path
    nginx: int

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def client(self, email: str = "") -> Client:
        client = Client(self.url, context=self.trust)
        if email:
            client.sign_in(email, PASSWORD)
        return client

    def spooled(self) -> list[str]:
        """What nginx has open in its folders for temporary files, deleted or not."""
        children = Path(f"/proc/{self.nginx}/task/{self.nginx}/children").read_text().split()
        opened = [
            str(each.readlink()) for pid in children for each in Path(f"/proc/{pid}/fd").iterdir()
        ]
        return [place for place in opened if place.startswith(str(self.spools))]

    def head(self, method: str, path: str, client: Client, headers: dict[str, str]) -> bytes:
        """The head of a request of `client`, to be sent by hand."""
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Cookie: {cookies}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode()


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    if not shutil.which("nginx"):
        if os.environ.get("PORTAL_TEST_REQUIRE_ALL"):
            pytest.fail("nginx is needed: apt-get install nginx-light")
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("proxy")
    port = free_port()
    url = f"https://127.0.0.1:{port}"
    certificate = make_certificate(folder)
    with live_portal(
        PORTAL_BASE_URL=url, PORTAL_TRUSTED_PROXIES="1", PORTAL_MAX_UPLOAD_BYTES=str(MOST)
    ) as portal:
        portal.start()
        portal.create_user(ALICE, "Alice Archer")
        config = folder / "nginx.conf"
        config.write_text(whole_config(folder, documented(portal.port, port, certificate)))
        command = ["nginx", "-e", str(folder / "error.log"), "-c", str(config)]
        nginx = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            wait_for(port)
            trust = ssl.create_default_context(cafile=str(certificate))
            yield Proxied(portal, port, trust, folder / "spools", nginx.pid)
        finally:
            nginx.terminate()
            nginx.wait(timeout=20)


def documented(portal: int, own: int, certificate: Path) -> str:
    """The server of the documentation, with the places of this machine."""
    found = re.search(r"```nginx\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found
    text = found[1]
    for told, here in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{own} ssl;"),
        ("server_name documents.example.org;", "server_name 127.0.0.1;"),
        ("/etc/ssl/documents.example.org.pem", str(certificate)),
        ("/etc/ssl/documents.example.org.key", str(certificate.with_suffix(".key"))),
        ("http://127.0.0.1:8000", f"http://127.0.0.1:{portal}"),
    ):
        assert text.count(told) == 1, told
        text = text.replace(told, here)
    return text


def whole_config(folder: Path, server: str) -> str:
    (folder / "spools").mkdir()
    paths = "\n".join(f"{kind}_temp_path {folder}/spools/{kind};" for kind in SPOOLS)
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""
daemon off;
{user}
pid {folder}/nginx.pid;
events {{ }}
http {{
access_log off;
{paths}
{server}
}}
"""


def make_certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1, its own authority, beside its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    here = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = utcnow()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([here]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    place = folder / "proxy.pem"
    place.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    place.with_suffix(".key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return place


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("nginx does not answer")


def test_cookies_are_secure_and_the_visitors_address_is_told(proxied: Proxied) -> None:
    visitor = proxied.client()
    answer = visitor.get("/login", x_forwarded_for="198.51.100.7", x_forwarded_host="evil.example")
    assert answer.status == 200
    cookie = answer.headers["Set-Cookie"]
    assert "Secure" in cookie
    assert "HttpOnly" in cookie
    assert "max-age" in answer.headers["Strict-Transport-Security"]
    # What a visitor claims about the way is not believed.
    wrong = {"email": ALICE, "password": "not hers at all"}
    assert visitor.post("/login", wrong, x_forwarded_for="198.51.100.7").status in {400, 401, 422}
    activity = proxied.client(ALICE).get("/account/activity").text
    assert "127.0.0.1" in activity
    told = proxied.portal.manage("audit", "export").stdout
    assert "127.0.0.1" in told
    assert "198.51.100.7" not in told


def test_a_document_goes_up_and_comes_down_as_it_was(proxied: Proxied) -> None:
    client = proxied.client(ALICE)
    data = secrets.token_bytes(MOST)
    made = client.upload_one("Über alle Maßen.bin", Bytes(data))
    answer = client.get(f"{made['url']}/download")
    assert answer.status == 200
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(data).digest()
    assert answer.headers["Cache-Control"] == "no-store"
    assert (
        "filename*=UTF-8''%C3%9Cber%20alle%20Ma%C3%9Fen.bin"
        in answer.headers["Content-Disposition"]
    )
    part = client.get(f"{made['url']}/download", range="bytes=1000000-1000999")
    assert (part.status, part.body) == (206, data[1_000_000:1_001_000])


def test_nothing_is_laid_down_on_the_way_to_a_slow_reader(proxied: Proxied) -> None:
    client = proxied.client(ALICE)
    made = client.upload_one("slow.bin", Bytes(secrets.token_bytes(MOST)))
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(20)
        plain.connect(("127.0.0.1", proxied.port))
        with proxied.trust.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            connection.sendall(proxied.head("GET", f"{made['url']}/download", client, {}))
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
            time.sleep(1)
            assert not proxied.spooled()


def test_what_is_too_large_is_refused_in_the_portals_words(proxied: Proxied) -> None:
    client = proxied.client(ALICE)
    answer = client.upload([("large.bin", Bytes(secrets.token_bytes(MOST + 1)))])
    assert answer.status == 413
    assert "the most for one" in answer.text


def test_what_came_of_an_upload_in_pieces_before_a_cut_is_kept(proxied: Proxied) -> None:
    client = proxied.client(ALICE)
    data = secrets.token_bytes(1_000_000)
    tus = {"Tus-Resumable": "1.0.0", "X-CSRFToken": client.token()}
    name = "filename Y3V0LmJpbg=="  # cut.bin
    made = client.request(
        "POST",
        "/api/v1/uploads",
        headers={**tus, "Upload-Length": str(len(data)), "Upload-Metadata": name},
    )
    assert made.status == 201
    path = made.location.removeprefix(proxied.url)
    first = {**tus, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    cut_short(proxied, client, path, {**first, "Content-Length": str(len(data))}, data[:600_000])
    go_on(client, path, first, data, at_least=500_000)
    page = client.get("/documents", accept="application/json").json()
    stored = next(each for each in page["documents"] if each["name"] == "cut.bin")
    assert stored["sha256"] == hashlib.sha256(data).hexdigest()


def cut_short(
    proxied: Proxied, client: Client, path: str, headers: dict[str, str], data: bytes
) -> None:
    """Send a part of a PATCH and hang up."""
    plain = socket.create_connection(("127.0.0.1", proxied.port), timeout=20)
    with proxied.trust.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
        connection.sendall(proxied.head("PATCH", path, client, headers) + data)
        time.sleep(0.5)


def go_on(client: Client, path: str, headers: dict[str, str], data: bytes, at_least: int) -> None:
    """Send the rest, as soon as the portal has seen that the first request is over."""
    for _ in range(100):
        offset = int(client.request("HEAD", path, headers=headers).headers["Upload-Offset"] or 0)
        if offset >= at_least:
            rest = {"Upload-Offset": str(offset), "Content-Length": str(len(data) - offset)}
            answer = client.request("PATCH", path, [data[offset:]], {**headers, **rest})
            if answer.status == 204:
                return
            assert answer.status == 409, answer.text
        time.sleep(0.1)
    raise AssertionError("what came before the cut was not kept")
