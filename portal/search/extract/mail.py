"""A mail: from whom, to whom, about what, its words, and what its attachments are called."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

from . import html
from .collected import Collected
from .plain import decode

_HEADS = ("subject", "from", "to", "cc", "date")
#: Mails in mails, and pictures in each: more parts than these are not looked at.
_MOST_PARTS = 500


def read(data: bytes, out: Collected) -> None:
    message = BytesParser(EmailMessage, policy=policy.default).parsebytes(data)
    for number, part in enumerate(message.walk()):
        if number == _MOST_PARTS:
            return
        if number == 0 or part.get_content_maintype() == "message":
            _heads(part, out)
        if name := part.get_filename():
            out.add(f"{name}\n")
        elif part.get_content_maintype() == "text":
            _words(part, out)


def _heads(part: EmailMessage, out: Collected) -> None:
    for name in _HEADS:
        if value := part.get(name):
            out.add(f"{value}\n")


def _words(part: EmailMessage, out: Collected) -> None:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return
    text = decode(content, part.get_content_charset() or "")
    if part.get_content_subtype() == "html":
        html.take(text, out)
    else:
        out.add(text)
    out.add("\n")
