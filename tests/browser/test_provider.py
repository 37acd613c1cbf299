"""Signing in at a real provider's own page, in Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from browser.chromium import PHONE, Visit
from live.client import Client
from live.fixtures import live_portal
from live.provider import RealProvider, real_provider
from live.running import LivePortal

Open = Callable[..., Visit]


@dataclass
class Together:
    portal: LivePortal
    provider: RealProvider
    ada: Client


@pytest.fixture(scope="module")
def together(module_database: str) -> Iterator[Together]:
    """A portal and a provider that know each other; Ada is the portal's admin."""
    with (
        live_portal(module_database) as portal,
        real_provider(f"{portal.url}/login/oidc/callback") as provider,
    ):
        settings = provider.settings().items()
        portal.settings |= {f"PORTAL_{name.upper()}": value for name, value in settings}
        portal.start()
        yield Together(portal, provider, portal.set_up())


@pytest.fixture(scope="module")
def portal(together: Together) -> LivePortal:
    """The portal that `visit` goes to."""
    return together.portal


def sign_in_there(page: Page, login: str) -> None:
    """What the provider asks for, on its own page."""
    page.get_by_placeholder("Enter any login").fill(login)
    page.get_by_placeholder("and password").fill("not looked at")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


@pytest.fixture
def open_both(visit: Open, together: Together) -> Open:
    """A visit that may also look at the provider's pages."""

    def open_visit(**options: object) -> Visit:
        made = visit(**options)
        made.places = (*made.places, together.provider.issuer)
        return made

    return open_visit


@pytest.mark.parametrize("options", [{}, {"viewport": PHONE}, {"java_script_enabled": False}])
def test_an_invited_person_signs_in_at_the_provider(
    open_both: Open, together: Together, options: dict[str, object]
) -> None:
    email = f"carol{len(repr(options))}@example.org"
    invited = {"email": email, "name": "Carol Carter", "role": "user"}
    together.ada.post_json("/admin/users", invited)
    carol = open_both(**options)
    page = carol.go("/trash")
    assert carol.path == "/login"
    page.get_by_role("link", name="Sign in with 127.0.0.1").click()
    sign_in_there(page, email)
    expect(page.get_by_role("heading", name="Trash", exact=True)).to_be_visible()
    assert carol.path == "/trash"

    page.get_by_label("Your account").click() if options.get("java_script_enabled", True) else (
        page.locator("details.account summary").click()
    )
    page.get_by_role("button", name="Sign out").click()
    carol.go("/documents")
    assert carol.path == "/login"


def test_a_stranger_is_told_what_to_do(open_both: Open) -> None:
    mallory = open_both()
    page = mallory.go("/login")
    page.get_by_role("link", name="Sign in with 127.0.0.1").click()
    sign_in_there(page, "mallory@example.org")
    expect(page.get_by_role("heading", name="There is no account for you")).to_be_visible()
    expect(page.get_by_text("mallory@example.org")).to_be_visible()
    page.get_by_role("link", name="Go to sign in").click()
    assert mallory.path == "/login"


def test_the_way_back_button_does_not_sign_in_twice(open_both: Open, together: Together) -> None:
    invited = {"email": "dave@example.org", "name": "Dave Dyer", "role": "user"}
    together.ada.post_json("/admin/users", invited)
    dave = open_both()
    page = dave.go("/login")
    page.get_by_role("link", name="Sign in with 127.0.0.1").click()
    with page.expect_response(lambda answer: "/login/oidc/callback" in answer.url) as answer:
        sign_in_there(page, "dave@example.org")
    expect(page.get_by_role("heading", name="Documents", exact=True)).to_be_visible()
    page.goto(answer.value.url)
    expect(page.get_by_role("heading", name="cannot be continued")).to_be_visible()
    page.get_by_role("link", name="Go to your documents").click()
    expect(page.get_by_role("heading", name="Documents", exact=True)).to_be_visible()


def test_a_link_is_removed_from_the_command_line(open_both: Open, together: Together) -> None:
    portal = together.portal
    erin = {"email": "erin@example.org", "name": "Erin Eliot", "role": "user"}
    together.ada.post_json("/admin/users", erin)
    refused = portal.manage("unlink-provider", "erin@example.org", check=False)
    assert refused.returncode != 0
    assert "is not linked to a provider" in refused.stderr
    visit = open_both()
    page = visit.go("/login")
    page.get_by_role("link", name="Sign in with 127.0.0.1").click()
    sign_in_there(page, "erin@example.org")
    expect(page.get_by_role("heading", name="Documents", exact=True)).to_be_visible()
    assert (
        "linked to no provider now" in portal.manage("unlink-provider", "erin@example.org").stdout
    )
    visit.go("/documents")
    assert visit.path == "/login"
    # The provider still knows her, and asks for nothing.
    page.get_by_role("link", name="Sign in with 127.0.0.1").click()
    expect(page.get_by_role("heading", name="Documents", exact=True)).to_be_visible()
