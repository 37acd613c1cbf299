"""Random tokens for cookies and addresses, and what is stored of them."""

from __future__ import annotations

import hashlib
import secrets


def new_token() -> str:
    """256 random bits, safe in an address."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> bytes:
    """What is stored of a token: enough to recognise it, useless to whoever reads it.

    A plain SHA-256 is right here: a random token cannot be guessed from its hash.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
