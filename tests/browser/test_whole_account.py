"""One account from its invitation to “sign out everywhere else”, in one piece."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from browser.chromium import Visit
from browser.device import AtLocalhost, Device
from browser.pages import (
    add_passkey,
    app_on_page,
    choose,
    enter_code,
    is_in,
    recovery_codes,
    row,
    sign_in,
    sign_out,
    strength,
    turn_on,
)
from live.client import Answer, Client
from live.real_files import pdf
from live.running import LivePortal
from post_office import PostOffice

CAROL, CHOSEN = "carol@example.org", "five loud rivers bend"
JSON = "application/json"


def copy_of(visit: Visit, portal: LivePortal) -> Client:
    """Somebody with every cookie that a browser has at this moment."""
    copy = portal.visitor()
    copy.cookies = {each["name"]: each["value"] for each in visit.context.cookies()}
    assert "portal_session" in copy.cookies
    return copy


def asked(client: Client, document: str) -> dict[str, Answer]:
    """What a client is answered here and there; it keeps no cookie that comes with an answer."""
    kept = dict(client.cookies)
    answers = {}
    for path in ("/documents", document, f"{document}/download", "/account", "/account/data"):
        for accept in ("text/html", JSON):
            answers[f"{path} as {accept}"] = client.get(path, Accept=accept)
            client.cookies = dict(kept)
    return answers


def assert_dead(copy: Client, document: str, portal: LivePortal) -> None:
    """A copy is answered as somebody who never was here."""
    as_visitor = asked(portal.visitor(), document)
    for place, answer in asked(copy, document).items():
        visitors = as_visitor[place]
        if place.endswith(JSON):
            assert answer.status == 401, (place, answer)
        else:
            assert answer.status == 302, (place, answer)
            assert answer.location.startswith("/login?next="), (place, answer)
        assert (answer.status, answer.location, answer.body) == (
            visitors.status,
            visitors.location,
            visitors.body,
        ), place


def test_an_account_from_its_invitation_to_the_end_of_every_other_session(
    mailing: LivePortal, office: PostOffice, visit: Callable[..., Visit], tmp_path: Path
) -> None:
    here = AtLocalhost(mailing)
    copies: list[Client] = []

    # Ada invites Carol, whose mail arrives
    page = visit("ada@example.org", at=mailing).go("/admin/users")
    page.get_by_text("Invite somebody").click()
    page.get_by_label("E-mail address").fill(CAROL)
    page.get_by_label("Name", exact=True).fill("Carol Carter")
    page.get_by_role("button", name="Send the invitation").click()
    expect(page.get_by_text(f"on its way to {CAROL}")).to_be_visible()

    # Carol opens it, chooses a password, and is in
    carol = visit(at=here)
    device = Device(carol)
    page = carol.go(office.path_about("your invitation", mailing.url))
    field = page.get_by_label("Choose a password")
    field.press_sequentially("heron")
    expect(strength(page)).to_have_text("Use at least 12 characters.")
    field.fill(CHOSEN)
    expect(strength(page)).to_have_text("Strength: strong.")
    page.get_by_role("button", name="Open the account").click()
    is_in(page)
    (tmp_path / "deed.pdf").write_bytes(pdf())
    choose(page, tmp_path / "deed.pdf")
    link = row(page, "deed.pdf").get_by_role("link", name="deed.pdf", exact=True)
    document = link.get_attribute("href") or ""
    assert document.startswith("/documents/")

    # Two-factor sign-in, and the codes for a lost phone
    app = app_on_page(page)
    turn_on(page, app.code())
    codes = recovery_codes(page)
    copies.append(copy_of(carol, mailing))
    sign_out(page)

    # In with password and code
    sign_in(page, CAROL, CHOSEN)
    enter_code(page, app.code(steps=1))
    is_in(page)

    # A passkey, and in with it alone
    add_passkey(page, "Laptop")
    expect(page.get_by_text("The passkey was added.")).to_be_visible()
    copies.append(copy_of(carol, mailing))
    sign_out(page)
    page.get_by_role("button", name="Sign in with a passkey").click()
    is_in(page)
    (passkey,) = device.passkeys()
    assert passkey["signCount"] > 1

    # A second browser, with several pages open, and a third that has shown the password alone
    second, third = visit(at=here), visit(at=here)
    sign_in(second.page, CAROL, CHOSEN)
    enter_code(second.page, codes[0])
    is_in(second.page)
    opened = [second.page]
    for path in (document, "/account/sessions"):
        opened.append(second.context.new_page())
        opened[-1].goto(path)
    sign_in(third.page, CAROL, CHOSEN)
    expect(third.page.get_by_role("heading", name="One more step")).to_be_visible()

    # What was copied of it opens everything, until all others are signed out
    copies += [copy_of(second, mailing), copy_of(third, mailing)]
    alive = {answer.status for answer in asked(copies[2], document).values()}
    assert alive == {200}
    page.goto("/account/sessions")
    expect(page.get_by_role("button", name=re.compile("^Sign out Chrome"))).to_have_count(1)
    page.get_by_text("Sign out all others").first.click()
    page.get_by_role("button", name="Sign out all others").click()
    expect(page.get_by_text("You are signed in nowhere else.")).to_be_visible()

    for each, name in zip(opened, ("deed.pdf", "Download", "Activity"), strict=True):
        each.get_by_role("link", name=name, exact=True).click()
        expect(each).to_have_url(re.compile(r"/login\?next="))
    third.page.get_by_label("Code").fill(codes[1])
    third.page.get_by_role("button", name="Sign in", exact=True).click()
    expect(third.page.get_by_text("has taken too long, or was ended")).to_be_visible()
    for copy in copies:
        assert_dead(copy, document, mailing)

    # Where it was asked for, one stays signed in
    carol.go("/documents")
    is_in(page)
    assert {answer.status for answer in asked(copy_of(carol, mailing), document).values()} == {200}
