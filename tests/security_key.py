"""A security key in software: what a device does with passkeys (WebAuthn, level 3), no more."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from conftest import Browser

ORIGIN = "http://localhost:8000"
PRESENT, VERIFIED, HAS_CREDENTIAL = 0x01, 0x04, 0x40


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class SecurityKey:
    """One passkey, and the ways in which a device or a page could cheat."""

    origin: str = ORIGIN
    domain: str = "localhost"
    flags: int = PRESENT | VERIFIED
    count: int = 0
    user_handle: bytes = b""
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def make(self, options: dict[str, Any], **changes: Any) -> str:
        """Answer the options of `navigator.credentials.create`."""
        self.user_handle = decoded(options["user"]["id"])
        numbers = self.private.public_key().public_numbers()
        public = {
            1: 2,
            3: -7,
            -1: 1,
            -2: numbers.x.to_bytes(32, "big"),
            -3: numbers.y.to_bytes(32, "big"),
        }
        length = len(self.credential_id).to_bytes(2, "big")
        attested = bytes(16) + length + self.credential_id + cbor2.dumps(public)
        data = self._data(self.flags | HAS_CREDENTIAL) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._credential(
            {
                "clientDataJSON": self._client_data("webauthn.create", options),
                "attestationObject": encoded(attestation),
                "transports": ["internal"],
            },
            **changes,
        )

    def use(self, options: dict[str, Any], **changes: Any) -> str:
        """Answer the options of `navigator.credentials.get`."""
        data = self._data(self.flags)
        client = self._client_data("webauthn.get", options)
        signed = data + hashlib.sha256(decoded(client)).digest()
        signature = self.private.sign(signed, ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": client,
            "authenticatorData": encoded(data),
            "signature": encoded(signature),
            "userHandle": encoded(self.user_handle),
        }
        return self._credential(response | changes.pop("response", {}), **changes)

    def _data(self, flags: int) -> bytes:
        domain = hashlib.sha256(self.domain.encode()).digest()
        return domain + bytes([flags]) + self.count.to_bytes(4, "big")

    def _client_data(self, kind: str, options: dict[str, Any]) -> str:
        facts = {"type": kind, "challenge": options["challenge"], "origin": self.origin}
        return encoded(json.dumps(facts).encode())

    def _credential(self, response: dict[str, Any], **changes: Any) -> str:
        id_ = encoded(self.credential_id)
        facts = {"id": id_, "rawId": id_, "type": "public-key", "response": response}
        return json.dumps(facts | changes)


def options_to_make(browser: Browser) -> dict[str, Any]:
    response = browser.post_json("/account/passkeys/options")
    assert response.status_code == 200, response.text
    options: dict[str, Any] = response.get_json()
    return options


def options_to_use(browser: Browser) -> dict[str, Any]:
    response = browser.post_json("/login/passkey-options")
    assert response.status_code == 200, response.text
    options: dict[str, Any] = response.get_json()
    return options


def add_passkey(
    browser: Browser, name: str = "Laptop", key: SecurityKey | None = None
) -> SecurityKey:
    """Give the person of `browser` a passkey."""
    key = key or SecurityKey()
    answer = key.make(options_to_make(browser))
    data = {"action": "add", "name": name, "credential": answer}
    response = browser.post("/account/passkeys", data)
    assert response.status_code == 303, response.text
    return key
