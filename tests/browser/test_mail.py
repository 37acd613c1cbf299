"""Mail, from the button to the box: a real browser, a real worker, a real mail server."""

from __future__ import annotations

from collections.abc import Callable

from browser.chromium import Visit
from browser.pages import fill_sign_in, is_in
from live.running import LivePortal
from post_office import PostOffice

ALICE, NEW = "alice@example.org", "five loud rivers bend"


def test_forgotten_password_is_chosen_anew_by_mail(
    mailing: LivePortal, office: PostOffice, visit: Callable[..., Visit]
) -> None:
    visitor = visit(at=mailing)
    page = visitor.go("/login")
    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("E-mail address").fill(ALICE)
    page.get_by_role("button", name="Mail me the link").click()
    page.get_by_text("Look into your mail").wait_for()
    visitor.go(office.path_about("choose a new password", mailing.url))
    page.get_by_label("New password").fill(NEW)
    page.get_by_role("button", name="Change the password").click()
    page.get_by_text("Your password was changed").wait_for()
    fill_sign_in(page, ALICE, NEW)
    is_in(page)
    office.path_about("your password was changed", mailing.url)


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
        stranger.go(office.path_about(about, mailing.url))
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
    office.path_about("your invitation", mailing.url)
