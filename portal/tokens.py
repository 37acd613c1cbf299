"""Random tokens for cookies and addresses, and what is stored of them."""

from __future__ import annotations

import hashlib
import secrets


def new_token() -> str:
    """256 random bits, safe in an address."""
    return secrets.token_urlsafe(32)


def bearer_token(authorization: str | None) -> str | None:
    """The token in an `Authorization` header (RFC 6750, 2.1); None where it holds none."""
    if not authorization:
        return None
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def hash_token(token: str) -> bytes:
    """What is stored of a token: enough to recognise it, useless to whoever reads it.

    A plain SHA-256 is right here: a random token cannot be guessed from its hash.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
