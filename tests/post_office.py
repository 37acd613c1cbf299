"""A real mail server, and what people find in their mail."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask import Flask

from live.running import free_port
from portal.config import SmtpServer
from portal.extensions import db
from portal.mail import delivery
from stage import settings_of

USER, PASSWORD = "portal", "a secret for the post"
#: Any address of the portal in a mail.
LINK = re.compile(r"http://127\.0\.0\.1:8000(/[\w/-]+)")


class PostOffice:
    """Takes mails, unless told otherwise: what is set here is looked at for each."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.envelopes: list[Envelope] = []
        self.tls: list[bool] = []
        #: Answers to the recipient and to the mail, such as "550 nobody here".
        self.to_recipient = self.to_mail = ""
        #: Called when a whole mail has come, before it is taken.
        self.before: Callable[[], None] = lambda: None
        self.port = 0

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.to_recipient:
            return self.to_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.to_mail == "die":
            assert server.transport
            server.transport.abort()
            return "421 gone"
        self.before()
        if self.to_mail:
            return self.to_mail
        assert isinstance(envelope.content, bytes)
        self.taken.append(parsed(envelope.content))
        self.envelopes.append(envelope)
        self.tls.append(session.ssl is not None)
        return "250 OK"

    def path_about(self, about: str, url: str) -> str:
        """The path, on the portal at `url`, in the newest mail about something; awaits the mail."""
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            for mail in reversed(self.taken):
                if about in str(mail["Subject"]):
                    path: str = text_of(mail).partition(url)[2].split()[0]
                    return path
            time.sleep(0.05)
        raise AssertionError([str(mail["Subject"]) for mail in self.taken])

    def server(self, security: str = "none", **changes: str) -> SmtpServer:
        """As the portal's setting has it."""
        return SmtpServer("127.0.0.1", self.port, security, **changes)


@contextmanager
def post_office(port: int = 0, **options: Any) -> Iterator[PostOffice]:
    """A mail server on a port of this machine, for as long as the block lasts."""
    office = PostOffice()
    office.port = port or free_port()
    controller = Controller(office, hostname="127.0.0.1", port=office.port, **options)
    controller.start()
    try:
        yield office
    finally:
        controller.stop()


def only_us(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
) -> AuthResult:
    """Let in who knows the user and password above."""
    assert isinstance(data, LoginPassword)
    is_ours = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=is_ours, handled=False)


def certificate(folder: Path, name: str = "127.0.0.1") -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate made just now, and the file that makes it trusted."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "post office")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(name))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    trusted, private = folder / "certificate.pem", folder / "key.pem"
    trusted.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trusted, private)
    return context, trusted


def parsed(content: bytes) -> EmailMessage:
    message = message_from_bytes(content, policy=default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def outbox(app: Flask) -> list[EmailMessage]:
    """Every mail in the outbox, oldest first, once the worker has been by."""
    send(app)
    paths = (settings_of(app).instance_dir / "outbox").glob("*.eml")
    return [parsed(path.read_bytes()) for path in sorted(paths, key=lambda p: p.stat().st_mtime_ns)]


def send(app: Flask) -> int:
    """Do what the worker does every second."""
    with app.app_context():
        try:
            return delivery.deliver_due(settings_of(app))
        finally:
            db.session.remove()


def mails_to(app: Flask, address: str) -> list[EmailMessage]:
    return [mail for mail in outbox(app) if mail["To"].addresses[0].addr_spec == address]


def text_of(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    text: str = part.get_content()
    return text.replace("\r\n", "\n")


def html_of(mail: EmailMessage) -> str:
    part = mail.get_body(("html",))
    assert part is not None
    text: str = part.get_content()
    return text.replace("\r\n", "\n")


def link_in(mail: EmailMessage) -> str:
    """The path of the first address in the mail, which is in both of its forms."""
    found = LINK.findall(text_of(mail))
    assert found
    assert found[0] in html_of(mail)
    path: str = found[0]
    return path
