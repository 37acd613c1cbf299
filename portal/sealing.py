"""Keeping secrets in the database so that the database alone does not tell them."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from portal.config import Settings


class NotOurs(ValueError):
    """Sealed with another key or for another purpose, or changed since."""


def seal(text: str, purpose: str, settings: Settings) -> str:
    """`text`, readable only with the portal's secret key and for the same `purpose`."""
    return _box(purpose, settings).encrypt(text.encode()).decode("ascii")


def unseal(sealed: str, purpose: str, settings: Settings) -> str:
    """What was sealed. Raises `NotOurs`."""
    try:
        return _box(purpose, settings).decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise NotOurs(purpose) from error


def _box(purpose: str, settings: Settings) -> Fernet:
    key = HKDF(SHA256(), 32, salt=None, info=f"portal {purpose}".encode())
    return Fernet(base64.urlsafe_b64encode(key.derive(settings.secret_key.encode())))
