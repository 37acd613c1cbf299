"""Mails through a real mail server: how they get there, and what becomes of those that do not."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from conftest import Browser, Cast
from live.running import free_port
from portal.config import SmtpServer
from portal.database import transaction
from portal.extensions import db
from portal.mail import delivery, letters, post, smtp
from portal.models import Mail, utcnow
from post_office import (
    PASSWORD,
    USER,
    PostOffice,
    certificate,
    html_of,
    only_us,
    post_office,
    send,
    text_of,
)
from stage import at_once, database_dump, events, settings_of

CAROL = "carol@example.org"


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with post_office() as office:
        yield office


@pytest.fixture
def app(make_app: Any, office: PostOffice) -> Flask:
    app: Flask = make_app(smtp_url=office.server(), mail_from="Documents <portal@example.org>")
    return app


def write(app: Flask, recipient: str = CAROL) -> None:
    with app.app_context():
        with transaction():
            post.put(letters.test(), recipient, name="Carol")
        db.session.remove()


def only_mail(app: Flask) -> Mail:
    with app.app_context():
        mail = db.session.scalars(select(Mail)).one()
        db.session.expunge(mail)
        return mail


def test_mail_is_sent_once_and_its_text_erased(app: Flask, office: PostOffice) -> None:
    write(app)
    assert office.taken == []
    assert (send(app), send(app)) == (1, 0)
    (mail,) = office.taken
    assert str(mail["To"]) == f"Carol <{CAROL}>"
    assert str(mail["From"]) == "Documents <portal@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "multipart/alternative"
    assert "test mail" in text_of(mail)
    assert "test mail" in html_of(mail)
    assert office.envelopes[0].mail_from == "portal@example.org"
    assert office.envelopes[0].rcpt_tos == [CAROL]
    row = only_mail(app)
    assert (row.sealed_message, row.next_try_at, row.problem, row.tries) == ("", None, "", 1)
    assert row.sent_at is not None
    assert not (settings_of(app).instance_dir / "outbox").exists()


def test_mail_is_sealed_until_it_is_sent(app: Flask) -> None:
    write(app)
    assert "test mail" not in repr(database_dump(app))
    assert only_mail(app).sealed_message


def test_mail_of_a_change_that_is_given_up_is_not_sent(app: Flask, office: PostOffice) -> None:
    with app.app_context(), suppress(ZeroDivisionError), transaction():
        post.put(letters.test(), CAROL)
        raise ZeroDivisionError
    assert send(app) == 0
    assert office.taken == []


def test_mail_belongs_to_a_transaction(app: Flask) -> None:
    with app.app_context(), pytest.raises(RuntimeError):
        post.put(letters.test(), CAROL)


def test_one_mail_is_sent_by_one_of_many_workers(app: Flask, office: PostOffice) -> None:
    write(app)
    assert sum(at_once(6, lambda _: send(app))) == 1
    assert len(office.taken) == 1


def test_worker_that_dies_before_it_noted_the_success_sends_again(
    app: Flask, office: PostOffice, monkeypatch: pytest.MonkeyPatch, time_machine: Any
) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    write(app)

    class Killed(BaseException):
        pass

    def die(*_arguments: object, **_options: object) -> None:
        real(*_arguments, **_options)  # type: ignore[arg-type]
        raise Killed

    real = smtp.send
    with monkeypatch.context() as patch:
        patch.setattr(smtp, "send", die)
        with pytest.raises(Killed):
            send(app)
    assert len(office.taken) == 1
    time_machine.move_to(start + delivery.LEASE - timedelta(seconds=1), tick=False)
    assert send(app) == 0, "another worker sent what the first may still be sending"
    time_machine.move_to(start + delivery.LEASE, tick=False)
    assert send(app) == 1
    assert office.taken[0]["Message-ID"] == office.taken[1]["Message-ID"]


# What does not work


def test_recipient_refused_for_good_is_given_up_at_once(app: Flask, office: PostOffice) -> None:
    office.to_recipient = "550 5.1.1 Nobody of that name here"
    write(app)
    assert send(app) == 0
    row = only_mail(app)
    assert (row.next_try_at, row.sent_at, row.tries) == (None, None, 1)
    assert "550 5.1.1 Nobody of that name here" in row.problem
    (event,) = events(app, "mail.failed")
    assert (event.actor, event.owner) == ("system", CAROL)
    assert "Nobody of that name" in event.detail["problem"]
    assert send(app) == 0


def test_mail_refused_for_good_is_given_up_at_once(app: Flask, office: PostOffice) -> None:
    office.to_mail = "554 5.7.1 Too friendly"
    write(app)
    send(app)
    assert "554 5.7.1 Too friendly" in only_mail(app).problem
    assert only_mail(app).next_try_at is None


def test_server_that_cannot_take_it_now_is_tried_for_a_day_with_growing_pauses(
    app: Flask, office: PostOffice, time_machine: Any
) -> None:
    office.to_recipient = "451 4.7.1 Come back later"
    start = utcnow()
    time_machine.move_to(start, tick=False)
    write(app)
    pauses = []
    while True:
        before = utcnow()
        send(app)
        row = only_mail(app)
        assert "Come back later" in row.problem
        if row.next_try_at is None:
            break
        assert send(app) == 0, "tried before its time"
        pauses.append(row.next_try_at - before)
        time_machine.move_to(row.next_try_at, tick=False)
    assert pauses == sorted(pauses)
    assert pauses[0] <= timedelta(minutes=1)
    assert timedelta(hours=20) < sum(pauses, timedelta()) < timedelta(hours=30)
    assert len(events(app, "mail.failed")) == 1
    assert row.tries == len(pauses) + 1


def test_server_that_dies_in_the_middle_and_is_back_gets_the_mail(
    app: Flask, office: PostOffice, time_machine: Any
) -> None:
    office.to_mail = "die"
    start = utcnow()
    time_machine.move_to(start, tick=False)
    write(app)
    assert send(app) == 0
    assert "ended the connection" in only_mail(app).problem
    assert events(app, "mail.failed") == []
    office.to_mail = ""
    time_machine.move_to(start + timedelta(minutes=1), tick=False)
    assert send(app) == 1
    assert len(office.taken) == 1
    assert only_mail(app).problem == ""


def test_server_that_is_away_and_comes_back_gets_the_mail(make_app: Any, time_machine: Any) -> None:
    port = free_port()
    server = SmtpServer("127.0.0.1", port, "none")
    app = make_app(smtp_url=server, mail_from="portal@example.org")
    start = utcnow()
    time_machine.move_to(start, tick=False)
    write(app)
    assert send(app) == 0
    assert f"127.0.0.1:{port} cannot be reached" in only_mail(app).problem
    with post_office(port) as office:
        time_machine.move_to(start + timedelta(minutes=1), tick=False)
        assert send(app) == 1
        assert len(office.taken) == 1


def test_one_mail_that_is_refused_keeps_no_other_back(app: Flask, office: PostOffice) -> None:
    office.to_recipient = "550 no"
    write(app)
    send(app)
    office.to_recipient = ""
    write(app, "dave@example.org")
    assert send(app) == 1


def test_mail_written_with_another_key_is_given_up(
    app: Flask, make_app: Any, office: PostOffice
) -> None:
    write(app)
    other = make_app(
        smtp_url=office.server(), mail_from="a@example.org", secret_key="another key, long " * 3
    )
    assert send(other) == 0
    assert "another secret key" in only_mail(app).problem
    assert only_mail(app).next_try_at is None
    assert office.taken == []


# How one gets in


def test_starttls_encrypts_before_anything_is_said(
    make_app: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    options = {"authenticator": only_us, "auth_required": True}
    with post_office(tls_context=context, require_starttls=True, **options) as office:
        server = office.server("starttls", user=USER, password=PASSWORD)
        app = make_app(smtp_url=server, mail_from="portal@example.org")
        write(app)
        assert send(app) == 1
        assert office.tls == [True]


def test_certificate_that_nobody_vouches_for_gets_no_mail(make_app: Any, tmp_path: Path) -> None:
    context, _trusted = certificate(tmp_path)
    with post_office(tls_context=context, require_starttls=True) as office:
        app = make_app(smtp_url=office.server("starttls"), mail_from="portal@example.org")
        write(app)
        assert send(app) == 0
        assert "certificate is not accepted: self" in only_mail(app).problem
        assert office.taken == []


def test_certificate_of_another_server_gets_no_mail(
    make_app: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = certificate(tmp_path, "192.0.2.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with post_office(tls_context=context) as office:
        app = make_app(smtp_url=office.server("starttls"), mail_from="portal@example.org")
        write(app)
        assert send(app) == 0
        assert "certificate is not accepted" in only_mail(app).problem
        assert office.taken == []


def test_server_that_offers_no_encryption_gets_no_mail(make_app: Any, office: PostOffice) -> None:
    app = make_app(smtp_url=office.server("starttls"), mail_from="portal@example.org")
    write(app)
    assert send(app) == 0
    assert "STARTTLS" in only_mail(app).problem
    assert only_mail(app).next_try_at is not None
    assert office.taken == []


def test_wrong_password_is_told_without_it_and_tried_again(
    make_app: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    context, trusted = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    options = {"authenticator": only_us, "auth_required": True}
    with post_office(tls_context=context, require_starttls=True, **options) as office:
        server = office.server("starttls", user=USER, password="a wrong secret")
        app = make_app(smtp_url=server, mail_from="portal@example.org")
        write(app)
        with caplog.at_level(logging.DEBUG):
            assert send(app) == 0
        row = only_mail(app)
        assert "refused our user or password: 535" in row.problem
        assert row.next_try_at is not None
        assert "a wrong secret" not in caplog.text + row.problem + repr(settings_of(app))
        assert USER not in repr(settings_of(app).smtp_url)


def test_server_that_repeats_the_password_is_not_quoted(app: Flask, office: PostOffice) -> None:
    server = office.server(user=USER, password=PASSWORD)
    said = smtp._without_secrets(server, f"535 you said {PASSWORD}")
    assert PASSWORD not in said


def test_people_whose_address_has_other_letters_get_their_mail(make_app: Any) -> None:
    with post_office(enable_SMTPUTF8=True) as office:
        app = make_app(smtp_url=office.server(), mail_from="portal@example.org")
        write(app, "zoë@bücher.example")
        write(app, "carol@bücher.example")
        assert send(app) == 2
        assert [each.rcpt_tos for each in office.envelopes] == [
            ["zoë@bücher.example"],
            ["carol@xn--bcher-kva.example"],
        ]


def test_address_with_other_letters_at_a_server_that_takes_none_is_given_up(
    make_app: Any,
) -> None:
    with post_office(enable_SMTPUTF8=False) as office:
        app = make_app(smtp_url=office.server(), mail_from="portal@example.org")
        write(app, "zoë@example.org")
        assert send(app) == 0
        assert "only addresses in ASCII" in only_mail(app).problem
        assert only_mail(app).next_try_at is None


def test_check_of_the_server_sends_nothing(office: PostOffice) -> None:
    smtp.check(office.server(), "127.0.0.1:8000")
    with pytest.raises(smtp.NotTaken):
        smtp.check(SmtpServer("127.0.0.1", free_port(), "none"), "127.0.0.1:8000")
    assert office.taken == []


def test_invited_person_gets_a_mail_and_the_admin_no_address(
    app: Flask, office: PostOffice, cast: Cast, ada: Browser
) -> None:
    response = ada.post("/admin/users", {"email": CAROL, "name": "Carol", "role": "user"})
    assert response.status_code == 303
    page = ada.get("/admin/users").text
    assert "/invitations/" not in page
    assert f"on its way to {CAROL}" in page
    send(app)
    assert [str(mail["To"]) for mail in office.taken] == [f"Carol <{CAROL}>"]
