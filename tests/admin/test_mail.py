"""The admin's page of mail: what did not arrive and why, another try, a test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from conftest import Browser, Cast, user_named
from portal.admin import checks
from portal.database import transaction
from portal.documents import housekeeping
from portal.extensions import db
from portal.jobs import heartbeat
from portal.mail import letters, post, undelivered
from portal.models import Mail, Role, utcnow
from post_office import PostOffice, link_in, mails_to, outbox, post_office, send
from stage import NOTHING, events, settings_of

CAROL = "carol@example.org"
ADDRESS = re.compile(r"http://127\.0\.0\.1:8000/invitations/[\w-]+")


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with post_office() as office:
        yield office


@pytest.fixture
def app(make_app: Any, office: PostOffice) -> Flask:
    app: Flask = make_app(smtp_url=office.server(), mail_from="portal@example.org")
    return app


def write(app: Flask, recipient: str = CAROL) -> str:
    """A mail on its way; answers its id."""
    with app.app_context(), transaction():
        return str(post.put(letters.test(), recipient).public_id)


def test_mail_that_did_not_arrive_is_shown_with_the_reason(
    app: Flask, office: PostOffice, ada: Browser
) -> None:
    assert "Nothing is waiting" in ada.get("/admin/mail").text
    write(app)
    assert "Waiting" in ada.get("/admin/mail").text
    office.to_recipient = "451 4.2.2 Their box is <full>"
    send(app)
    page = ada.get("/admin/mail").text
    assert CAROL in page
    assert "Their box is &lt;full&gt;" in page
    assert "Trying again" in page
    office.to_recipient = "550 5.1.1 unknown"
    with app.app_context():
        db.session.execute(update(Mail).values(next_try_at=utcnow()))
        db.session.commit()
    send(app)
    page = ada.get("/admin/mail").text
    assert "Given up" in page
    assert "550 5.1.1 unknown" in page


def test_mail_that_arrived_is_not_shown(app: Flask, ada: Browser) -> None:
    write(app)
    send(app)
    assert CAROL not in ada.get("/admin/mail").text


def test_text_of_a_mail_is_not_shown(app: Flask, office: PostOffice, ada: Browser) -> None:
    office.to_recipient = "550 no"
    ada.post("/admin/users", {"email": CAROL, "role": "user"})
    send(app)
    page = ada.get("/admin/mail").text
    assert CAROL in page
    assert "/invitations/" not in page


def test_another_try_sends_it(app: Flask, office: PostOffice, ada: Browser) -> None:
    office.to_recipient = "550 no"
    mail = write(app)
    send(app)
    office.to_recipient = ""
    response = ada.post("/admin/mail", {"action": "retry", "id": mail})
    assert (response.status_code, response.location) == (303, "/admin/mail")
    assert send(app) == 1
    assert len(office.taken) == 1
    assert ada.post("/admin/mail", {"action": "retry", "id": mail}).status_code == 409


def test_mail_that_is_being_sent_is_not_sent_by_another_try(
    app: Flask, office: PostOffice, ada: Browser
) -> None:
    mail = write(app)
    answers = []

    def press() -> None:
        answers.append(ada.post("/admin/mail", {"action": "retry", "id": mail}).status_code)

    office.before = press
    assert send(app) == 1
    assert answers == [409]
    assert len(office.taken) == 1


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 400),
        ({"action": "explode"}, 400),
        ({"action": "retry"}, 400),
        ({"action": "retry", "id": "x"}, 400),
        ({"action": "retry", "id": [NOTHING, NOTHING]}, 400),
        ({"action": "retry", "id": NOTHING}, 404),
    ],
)
def test_what_is_not_understood_is_refused(
    ada: Browser, fields: dict[str, Any], status: int
) -> None:
    assert ada.post("/admin/mail", fields).status_code == status


def test_pages_go_on_where_the_one_before_ended(
    app: Flask, ada: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undelivered, "PAGE_SIZE", 2)
    for number in range(5):
        write(app, f"p{number}@example.org")
    path, seen = "/admin/mail", []
    while path:
        page = ada.get(path).text
        seen.append(re.findall(r"(p\d)@example", page))
        found = re.search(r'rel="next" href="([^"]+)"', page)
        path = found[1].replace("&amp;", "&") if found else ""
    assert [sorted(set(names), reverse=True) for names in seen] == [
        ["p4", "p3"],
        ["p2", "p1"],
        ["p0"],
    ]


# The test mail


def test_test_mail_goes_to_oneself_at_once(app: Flask, office: PostOffice, ada: Browser) -> None:
    assert ada.post("/admin/mail", {"action": "test"}).status_code == 303
    assert "The mail server took a test mail to ada@example.org" in ada.get("/admin/mail").text
    (mail,) = office.taken
    assert str(mail["To"]) == "Ada Admin <ada@example.org>"
    assert send(app) == 0
    answer = ada.post_json("/admin/mail", {"action": "test"})
    assert (answer.status_code, answer.get_json()) == (201, {"sent": True, "problem": ""})


def test_test_mail_says_what_went_wrong_and_is_not_tried_again(
    app: Flask, office: PostOffice, ada: Browser
) -> None:
    office.to_mail = "451 4.3.0 not today"
    ada.post("/admin/mail", {"action": "test"})
    page = ada.get("/admin/mail").text
    assert "The test mail could not be sent" in page
    assert page.count("451 4.3.0 not today") == 2
    assert send(app) == 0
    assert len(events(app, "mail.failed")) == 1


def test_worker_does_not_take_the_test_mail_first(
    app: Flask, office: PostOffice, ada: Browser
) -> None:
    counts = []
    office.before = lambda: counts.append(send(app))
    ada.post("/admin/mail", {"action": "test"})
    assert counts == [0]
    assert len(office.taken) == 1


# Without a mail server


@pytest.fixture
def bare(make_app: Any) -> Flask:
    app: Flask = make_app()
    return app


def test_page_says_that_nobody_is_sent_anything(bare: Flask) -> None:
    ada = Cast(bare).person("ada@example.org", "Ada", Role.ADMIN)
    page = ada.get("/admin/mail").text
    assert "There is no mail server" in page
    assert str(settings_of(bare).instance_dir / "outbox") in page
    ada.post("/admin/mail", {"action": "test"})
    assert "lies in the outbox" in ada.get("/admin/mail").text
    (mail,) = outbox(bare)
    assert str(mail["To"]) == "Ada <ada@example.org>"
    answer = ada.post_json("/admin/mail", {"action": "test"})
    assert answer.get_json() == {"sent": False, "problem": ""}
    assert "There is no mail server" in ada.get("/admin").text


def test_outbox_that_cannot_be_written_is_told_and_retried(bare: Flask) -> None:
    ada = Cast(bare).person("ada@example.org", "Ada", Role.ADMIN)
    in_the_way = settings_of(bare).instance_dir / "outbox"
    in_the_way.write_text("")
    assert ada.post("/admin/users", {"email": CAROL, "role": "user"}).status_code == 303
    page = ada.get("/admin/mail").text
    assert "The outbox cannot be written to" in page
    in_the_way.unlink()
    with bare.app_context():
        mail = db.session.scalars(select(Mail)).one().public_id
    assert ada.post("/admin/mail", {"action": "retry", "id": str(mail)}).status_code == 303
    assert len(mails_to(bare, CAROL)) == 1


# Checks


def test_list_of_what_to_do_tells_of_mails_that_failed(
    app: Flask, office: PostOffice, ada: Browser
) -> None:
    assert "Mails go through 127.0.0.1." in ada.get("/admin").text
    office.to_recipient = "550 no"
    write(app)
    send(app)
    page = ada.get("/admin").text
    assert "A mail did not arrive." in page
    assert 'href="/admin/mail"' in page


def test_doctor_knocks_at_the_mail_server(app: Flask, office: PostOffice, make_app: Any) -> None:
    def mail_check(of: Flask) -> checks.Check:
        with of.app_context():
            (found,) = [c for c in checks.everything(settings_of(of)) if c.name == "Mail"]
            return found

    assert mail_check(app).ok
    assert "outbox" in mail_check(make_app()).detail
    assert mail_check(make_app()).ok
    with post_office() as gone:
        server = gone.server()
    away = mail_check(make_app(smtp_url=server, mail_from="portal@example.org"))
    assert not away.ok
    assert "cannot be reached" in away.detail


def test_page_says_when_nothing_is_sent_for_want_of_the_worker(app: Flask, ada: Browser) -> None:
    assert "worker is not running" in ada.get("/admin/mail").text
    heartbeat.beat(settings_of(app).instance_dir)
    assert "worker is not running" not in ada.get("/admin/mail").text


def test_old_mails_are_purged_but_for_those_on_their_way(app: Flask, time_machine: Any) -> None:
    write(app)
    send(app)
    write(app, "dave@example.org")
    with app.app_context():
        assert housekeeping.purge(settings_of(app)).mails == 0
        time_machine.move_to(utcnow() + timedelta(days=31))
        assert housekeeping.purge(settings_of(app)).mails == 1
        assert db.session.scalars(select(Mail.recipient)).all() == ["dave@example.org"]


# Invitations


def test_invitation_is_mailed_and_shown_only_if_asked(
    app: Flask, office: PostOffice, ada: Browser, visitor: Browser
) -> None:
    answer = ada.post_json("/admin/users", {"email": CAROL, "role": "user"}).get_json()
    assert answer.keys() == {"id", "email", "mailed"}
    assert answer["mailed"] is True
    send(app)
    first = link_in(office.taken[-1])
    assert visitor.get(first).status_code == 200
    here = f"/admin/users/{user_named(app, CAROL).public_id}"
    ada.post(here, {"action": "reset-password"})
    assert not ADDRESS.search(ada.get(here).text)
    send(app)
    second = link_in(office.taken[-1])
    assert visitor.get(first).status_code == 404
    assert visitor.get(second).status_code == 200
    ada.post(here, {"action": "reset-password", "show_address": "1"})
    (shown,) = set(ADDRESS.findall(ada.get(here).text))
    assert not ADDRESS.search(ada.get(here).text)
    assert visitor.get(shown.removeprefix("http://127.0.0.1:8000")).status_code == 200


def test_without_a_mail_server_it_is_mailed_to_the_outbox_and_shown(bare: Flask) -> None:
    ada = Cast(bare).person("ada@example.org", "Ada", Role.ADMIN)
    ada.post("/admin/users", {"email": CAROL, "name": "Carol Clark", "role": "user"})
    (shown,) = set(ADDRESS.findall(ada.get("/admin/users").text))
    (mail,) = mails_to(bare, CAROL)
    assert shown.endswith(link_in(mail))


# Who may


def test_nobody_else_sees_or_sends(
    app: Flask, office: PostOffice, alice: Browser, visitor: Browser
) -> None:
    assert alice.get("/admin/mail").status_code == 404
    assert alice.post("/admin/mail", {"action": "test"}).status_code == 404
    assert visitor.get("/admin/mail").status_code == 302
    assert visitor.post("/admin/mail", {"action": "test"}).status_code == 302
    assert office.taken == []


def test_form_without_token_sends_nothing(office: PostOffice, ada: Browser) -> None:
    assert ada.client.post("/admin/mail", data={"action": "test"}).status_code == 400
    assert office.taken == []
