"""Talking to the mail server (RFC 5321), encrypted and certificates checked."""

from __future__ import annotations

import base64
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from portal.config import SmtpServer

#: How long the server may take for one answer, in seconds.
TIMEOUT = 20


class NotTaken(Exception):
    """The mail server did not take it; the text says why, in the server's words where it spoke.

    `for_good`: it refused this mail itself, and would again. User and password are not in it.
    """

    def __init__(self, problem: str, *, for_good: bool = False) -> None:
        super().__init__(problem)
        self.for_good = for_good


def send(server: SmtpServer, own_host: str, sender: str, recipient: str, message: bytes) -> None:
    """Hand `message` over; when this returns the server has taken it. Raises `NotTaken`."""
    with _explaining(server), _connection(server, own_host) as connection:
        options = [] if (sender + recipient).isascii() else ["SMTPUTF8", "BODY=8BITMIME"]
        if options and not connection.has_extn("smtputf8"):
            problem = "The mail server takes only addresses in ASCII."
            raise NotTaken(problem, for_good=True)
        connection.sendmail(sender, [recipient], message, options)


def check(server: SmtpServer, own_host: str) -> None:
    """See that the server answers and lets us in, without sending anything. Raises `NotTaken`."""
    with _explaining(server), _connection(server, own_host) as connection:
        connection.noop()


@contextmanager
def _connection(server: SmtpServer, own_host: str) -> Iterator[smtplib.SMTP]:
    # The operating system's authorities, or those of SSL_CERT_FILE; always checked.
    context = ssl.create_default_context()
    ours = urlsplit(f"//{own_host}").hostname or "localhost"
    name = ours if ours[-1:].isalpha() else "localhost"
    connection: smtplib.SMTP
    if server.security == "tls":
        connection = smtplib.SMTP_SSL(
            server.host, server.port, name, timeout=TIMEOUT, context=context
        )
    else:
        connection = smtplib.SMTP(server.host, server.port, name, timeout=TIMEOUT)
    try:
        connection.ehlo_or_helo_if_needed()
        if server.security == "starttls":
            connection.starttls(context=context)
            connection.ehlo_or_helo_if_needed()
        if server.user:
            connection.login(server.user, server.password)
        yield connection
        # It has been taken: a farewell that fails changes nothing.
        with suppress(smtplib.SMTPException, OSError):
            connection.quit()
    finally:
        connection.close()


@contextmanager
def _explaining(server: SmtpServer) -> Iterator[None]:
    """Turn whatever can go wrong into `NotTaken`."""
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        raise _refused(server, "The mail server refused the recipient", code, said) from None
    except smtplib.SMTPDataError as error:
        what = "The mail server refused the mail"
        raise _refused(server, what, error.smtp_code, error.smtp_error) from None
    except smtplib.SMTPResponseException as error:
        # The sender, the sign-in, the greeting: somebody can set that right and need not resend.
        what = {
            smtplib.SMTPAuthenticationError: "The mail server refused our user or password",
            smtplib.SMTPSenderRefused: "The mail server refused our own address",
        }.get(type(error), "The mail server refused to talk")
        problem = _refused(server, what, error.smtp_code, error.smtp_error)
        raise NotTaken(str(problem)) from None
    except smtplib.SMTPServerDisconnected:
        raise NotTaken("The mail server ended the connection before it had the mail.") from None
    except smtplib.SMTPException as error:
        words = _without_secrets(server, str(error))
        raise NotTaken(f"The mail server could not do it: {words}") from None
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason or "no common version"
        raise NotTaken(f"The mail server's certificate is not accepted: {reason}.") from None
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        where = f"{server.host}:{server.port}"
        raise NotTaken(f"The mail server {where} cannot be reached: {reason}.") from None


def _refused(server: SmtpServer, what: str, code: int, said: bytes | str) -> NotTaken:
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    text = f"{what}: {code} {_without_secrets(server, words)}"
    return NotTaken(text, for_good=500 <= code < 600)


def _without_secrets(server: SmtpServer, text: str) -> str:
    """`text` without user and password, in case the server repeats what it was told."""
    for secret in filter(None, (server.password, server.user)):
        for form in (secret, base64.b64encode(secret.encode()).decode()):
            text = text.replace(form, "…")
    plain = base64.b64encode(f"\0{server.user}\0{server.password}".encode()).decode()
    return text.replace(plain, "…") if server.user else text
