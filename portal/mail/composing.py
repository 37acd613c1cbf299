"""Writing a mail: subject and templates become a whole message (RFC 5322), text and HTML.

Templates know nothing of the present request: not its Host header, not who is signed in.
"""

from __future__ import annotations

import unicodedata
import uuid
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, parseaddr
from typing import Any
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email
from flask import current_app

from portal import site
from portal.config import Settings
from portal.models import utcnow

#: RFC 5322 allows 998 characters in a line.
_LONGEST_LINE = 990
_LONGEST_SUBJECT = 300


@dataclass(frozen=True, slots=True)
class Letter:
    """What a mail says. Its subject never holds a secret: it is kept readable."""

    #: What it is about, for the admins' list, such as `invitation`.
    kind: str
    subject: str
    #: The HTML template; the plain text beside it has the same name and ends in `.txt`.
    template: str
    facts: dict[str, Any] = field(default_factory=dict)


def one_line(text: str) -> str:
    """`text` as a single line: what could end a header or turn its direction becomes a space."""
    kept = (" " if unicodedata.category(char)[0] in "CZ" else char for char in text)
    return " ".join("".join(kept).split())


def on_the_wire(address: str) -> str:
    """`address` as mail servers take it: in ASCII where it can be, its domain in IDNA."""
    try:
        found = validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return address
    return found.ascii_email or found.normalized


def sender(settings: Settings) -> tuple[str, str]:
    """Name and address that mails come from."""
    name, address = parseaddr(settings.mail_from)
    host = urlsplit(settings.base_url).hostname or "localhost"
    # Without a mail server a mail goes nowhere, but is a mail all the same.
    address = address or f"portal@{host if host[-1:].isalpha() else 'localhost'}"
    return one_line(name or site.name(settings)), on_the_wire(address)


def compose(
    letter: Letter, recipient: str, name: str, settings: Settings, mail_id: uuid.UUID
) -> tuple[str, bytes]:
    """Subject and bytes of the message that tells `recipient` what `letter` says.

    Its Message-ID stays the same however often it is sent, so that copies are known as such.
    """
    site_name = one_line(site.name(settings))
    subject = one_line(f"{site_name}: {letter.subject}")[:_LONGEST_SUBJECT]
    facts = {
        "site_name": site_name,
        "portal_url": settings.base_url,
        "subject": letter.subject,
        "name": one_line(name),
        **letter.facts,
    }
    text = _render(letter.template.removesuffix(".html") + ".txt", facts)
    html = _render(letter.template, facts)

    own_name, own_address = sender(settings)
    recipient = on_the_wire(recipient)
    is_ascii = (own_address + recipient).isascii()
    message = EmailMessage(policy=SMTP.clone(cte_type="7bit") if is_ascii else SMTPUTF8)
    message["Subject"] = subject
    message["From"] = _address(own_name, own_address)
    message["To"] = _address(one_line(name), recipient)
    message["Date"] = format_datetime(utcnow())
    domain = own_address.rpartition("@")[2]
    message["Message-ID"] = f"<{mail_id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence note answers it
    message.set_content(text, cte=_encoding(text))
    message.add_alternative(html, subtype="html", cte=_encoding(html))
    return subject, message.as_bytes()


def _render(template: str, facts: dict[str, Any]) -> str:
    return current_app.jinja_env.get_template(template).render(facts)


def _address(name: str, address: str) -> Address:
    local, _, domain = address.rpartition("@")
    # What looks encoded (RFC 2047) would be decoded into another name.
    return Address(name.replace("=?", "= ?"), local, domain)


def _encoding(text: str) -> str:
    """Readable as it is where that is allowed, so that an address in it is never broken up."""
    is_plain = text.isascii() and all(len(line) < _LONGEST_LINE for line in text.splitlines())
    return "7bit" if is_plain else "quoted-printable"
