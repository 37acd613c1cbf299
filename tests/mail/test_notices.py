"""Security mails: every one is written, says what, when and from where, and gives nothing away."""

from __future__ import annotations

import stat
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask

from conftest import Cast
from portal import audit
from portal.accounts import people
from portal.audit import Origin
from portal.database import transaction
from portal.mail import notices
from portal.mail.composing import one_line
from portal.mail.notices import Notice
from post_office import html_of, mails_to, outbox, text_of
from stage import settings_of

ALICE = "alice@example.org"


def told(app: Flask, notice: Notice, whose: str = "Alice Archer", **facts: Any) -> Any:
    """The mail that Alice gets."""
    with app.app_context():
        people.create(ALICE, settings_of(app), name=whose)
        here = Origin("visitor", "192.0.2.7", "Mozilla/5.0 (X11; Linux) Firefox/140 <b>call us</b>")
        with audit.acting(here), transaction():
            notices.tell(people.by_email(ALICE), notice, **facts)
    return mails_to(app, ALICE)[-1]


@pytest.mark.parametrize("notice", list(Notice))
def test_every_notice_is_a_mail_in_text_and_html(app: Flask, notice: Notice) -> None:
    mail = told(app, notice)
    assert str(mail["To"]) == f"Alice Archer <{ALICE}>"
    assert str(mail["Subject"]).startswith("Document Portal: ")
    for text in (text_of(mail), html_of(mail)):
        assert "Alice Archer" in text
        assert "192.0.2.7" in text
        assert "cannot be switched off" in text
        assert "http://127.0.0.1:8000/forgot-password" in text
        assert "{" not in text
    # In the portal's own words: whoever acts could have their browser say anything.
    assert "Browser: Firefox on Linux\n" in text_of(mail)
    assert "call us" not in text_of(mail) + html_of(mail)


def test_facts_are_shown_by_their_names(app: Flask) -> None:
    until = datetime(2026, 12, 1, 8, 30, tzinfo=UTC)
    mail = told(
        app,
        Notice.TOKEN_CREATED,
        name="Backup\r\nBcc: x@y.z",
        scopes=["documents:read", "admin"],
        expires_at=until,
        owner_note=None,
        left=3,
        browser="Firefox on Linux",
    )
    text = text_of(mail)
    assert "Name: Backup Bcc: x@y.z\n" in text
    assert "May do: documents:read, admin\n" in text
    assert "Works until: 1 December 2026, 08:30 (UTC)\n" in text
    assert "Codes left: 3\n" in text
    assert text.count("Browser: ") == 1
    assert "Owner note" not in text
    assert mail["Bcc"] is None


def test_moments_are_in_the_persons_own_zone(app: Flask) -> None:
    at = datetime(2026, 7, 1, 8, 30, tzinfo=UTC)
    with app.app_context():
        user = people.create(ALICE, settings_of(app))
        people.save_own(user.id, name="Alice", timezone="Europe/Berlin")
        with transaction():
            notices.tell(people.by_email(ALICE), Notice.NEW_DEVICE, at=at)
    assert "When: 1 July 2026, 10:30 (CEST)" in text_of(mails_to(app, ALICE)[-1])


@pytest.mark.parametrize(
    "name",
    [
        "Alice\u2028Bcc: eve@example.org",
        "Alice, eve@example.org",
        '"Alice" <eve@example.org>',
        "Алиса \u202eevil",
        "=?utf-8?q?Eve?= <eve@example.org>",
        "x" * 200,
    ],
)
def test_name_adds_no_header_and_no_recipient(app: Flask, name: str) -> None:
    mail = told(app, Notice.PASSWORD_CHANGED, whose=name)
    assert [address.addr_spec for address in mail["To"].addresses] == [ALICE]
    shown = mail["To"].addresses[0].display_name
    assert shown == one_line(name).replace("=?", "= ?")
    assert set(mail.keys()) == {
        "Subject",
        "From",
        "To",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    }


def test_name_of_the_site_adds_no_header(make_app: Any) -> None:
    app = make_app(site_name="Archer & Co\u2029Bcc: eve@example.org")
    mail = told(app, Notice.PASSWORD_CHANGED)
    assert mail["Bcc"] is None
    assert mail["From"].addresses[0].display_name == "Archer & Co Bcc: eve@example.org"
    assert "Archer &amp; Co" in html_of(mail)


def test_every_kind_of_control_character_leaves_a_line() -> None:
    assert one_line("a\r\nb\0c\x85d\u2028e\u2029f\u202eg\ud800h") == "a b c d e f g h"


def test_change_of_address_is_told_to_both(app: Flask) -> None:
    told(app, Notice.EMAIL_CHANGED, old_email="old@example.org", new_email=ALICE)
    assert len(mails_to(app, "old@example.org")) == len(mails_to(app, ALICE)) == 1
    assert f"from old@example.org to {ALICE}" in text_of(mails_to(app, ALICE)[0])


def test_notice_is_mailed_exactly_if_its_change_is_kept(app: Flask, cast: Cast) -> None:
    with app.app_context():
        user = people.create(ALICE, settings_of(app))
        with suppress(ZeroDivisionError), transaction():
            notices.tell(user, Notice.SECOND_FACTOR_OFF)
            raise ZeroDivisionError
    assert outbox(app) == []


def test_outbox_is_readable_for_the_portal_alone(app: Flask) -> None:
    told(app, Notice.PASSWORD_CHANGED)
    folder = settings_of(app).instance_dir / "outbox"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (path,) = folder.iterdir()
    assert path.suffix == ".eml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_addresses_in_the_file_can_be_read_as_they_are(app: Flask) -> None:
    """Whoever runs the portal may open the file with any editor."""
    told(app, Notice.PASSWORD_CHANGED)
    (path,) = (settings_of(app).instance_dir / "outbox").iterdir()
    assert b"http://127.0.0.1:8000/forgot-password\r\n" in path.read_bytes()


def test_every_mail_has_a_plain_text_beside_the_html() -> None:
    from test_house_rules import TEMPLATES

    skeletons = {"base", "pieces"}
    pages = {path.stem for path in (TEMPLATES / "mail").glob("*.html")} - skeletons
    assert pages == {path.stem for path in (TEMPLATES / "mail").glob("*.txt")}
