"""Mail, from the button to the box: a real browser, a real worker, a real mail server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from browser.chromium import Visit
from live.fixtures import live_portal
from live.running import LivePortal
from post_office import PostOffice, post_office, text_of

ALICE, NEW = "alice@example.org", "five loud rivers bend"


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with post_office() as office:
        yield office


@pytest.fixture
def mailing(own_database: str, office: PostOffice) -> Iterator[LivePortal]:
    """A running portal that sends its mail."""
    settings = {
        "PORTAL_SMTP_URL": f"smtp://127.0.0.1:{office.port}",
        "PORTAL_MAIL_FROM": "Documents <portal@example.org>",
    }
    with live_portal(own_database, **settings) as portal:
        portal.create_user("ada@example.org", "Ada Admin", admin=True)
        portal.create_user(ALICE, "Alice Archer")
        portal.start()
        yield portal


def newest(office: PostOffice, about: str, portal: LivePortal) -> str:
    """The path in the mail about something, which comes within seconds."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        for mail in reversed(office.taken):
            if about in str(mail["Subject"]):
                path: str = text_of(mail).partition(portal.url)[2].split()[0]
                return path
        time.sleep(0.1)
    raise AssertionError([str(mail["Subject"]) for mail in office.taken])


def test_forgotten_password_is_chosen_anew_by_mail(
    mailing: LivePortal, office: PostOffice, visit: Callable[..., Visit]
) -> None:
    visitor = visit(at=mailing)
    page = visitor.go("/login")
    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("E-mail address").fill(ALICE)
    page.get_by_role("button", name="Mail me the link").click()
    page.get_by_text("Look into your mail").wait_for()
    visitor.go(newest(office, "choose a new password", mailing))
    page.get_by_label("New password").fill(NEW)
    page.get_by_role("button", name="Change the password").click()
    page.get_by_text("Your password was changed").wait_for()
    page.get_by_label("E-mail address").fill(ALICE)
    page.get_by_label("Password", exact=True).fill(NEW)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Documents").first.wait_for()
    newest(office, "your password was changed", mailing)


def test_change_of_address_is_agreed_to_in_two_mails(
    mailing: LivePortal, office: PostOffice, visit: Callable[..., Visit]
) -> None:
    alice = visit(ALICE, at=mailing)
    page = alice.go("/account")
    page.get_by_label("New e-mail address").fill("archer@example.com")
    page.get_by_label("Your password").fill("three quiet herons wade")
    page.get_by_role("button", name="Change the address").click()
    page.get_by_text("neither has agreed yet").wait_for()
    stranger = visit(at=mailing)
    for about in ("a change of your e-mail address", "confirm your e-mail address"):
        stranger.go(newest(office, about, mailing))
        stranger.page.get_by_role("button", name="I agree").click()
        stranger.page.wait_for_load_state()
    stranger.page.get_by_text("The address is archer@example.com now").wait_for()
    page.reload()
    page.get_by_text("You sign in with archer@example.com").wait_for()


def test_admin_sees_what_did_not_arrive_and_sends_it_again(
    mailing: LivePortal, office: PostOffice, visit: Callable[..., Visit]
) -> None:
    office.to_recipient = "550 5.1.1 Nobody of that name here"
    page = visit("ada@example.org", at=mailing).go("/admin/users")
    page.get_by_text("Invite somebody").click()
    page.get_by_label("E-mail address").fill("carol@example.org")
    page.get_by_role("button", name="Send the invitation").click()
    page.get_by_text("on its way to carol@example.org").wait_for()
    page.goto("/admin/mail")
    for _ in range(100):
        if page.get_by_text("Given up").count():
            break
        page.wait_for_timeout(100)
        page.reload()
    page.get_by_text("Nobody of that name here").wait_for()
    office.to_recipient = ""
    page.get_by_role("button", name="Try again: the mail to carol@example.org").click()
    page.get_by_text("It is tried again").wait_for()
    newest(office, "your invitation", mailing)
