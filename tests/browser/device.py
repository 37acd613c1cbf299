"""Passkeys in Chromium: the address at which it uses them, and a device that holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playwright.sync_api import CDPSession

from browser.chromium import Visit
from live.running import LivePortal


@dataclass
class AtLocalhost:
    """The portal under the one name of this machine at which browsers use passkeys."""

    portal: LivePortal

    @property
    def url(self) -> str:
        return f"http://localhost:{self.portal.port}"


class Device:
    """What Chromium's virtual authenticator stands for: a phone or laptop with a sensor."""

    def __init__(self, visit: Visit) -> None:
        self.session: CDPSession = visit.context.new_cdp_session(visit.page)
        self.session.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        made = self.session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        self.id = made["authenticatorId"]

    def passkeys(self) -> list[dict[str, Any]]:
        found = self.session.send("WebAuthn.getCredentials", {"authenticatorId": self.id})
        credentials: list[dict[str, Any]] = found["credentials"]
        return credentials

    def know_the_owner(self, is_owner: bool) -> None:
        facts = {"authenticatorId": self.id, "isUserVerified": is_owner}
        self.session.send("WebAuthn.setUserVerified", facts)
