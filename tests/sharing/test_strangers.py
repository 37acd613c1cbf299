"""What somebody without an account can do with a link, and what ends it."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from itsdangerous import URLSafeTimedSerializer
from sqlalchemy import select
from werkzeug.test import TestResponse

from conftest import DEED, Browser, Cast
from portal import access
from portal.accounts import people
from portal.database import transaction
from portal.errors import Gone, NotFound
from portal.extensions import db
from portal.models import Document, ShareLink, Throttle, Version, utcnow
from portal.sharing import links
from stage import at_once, database_dump, events, settings_of

TICKET = re.compile(r"/s/[A-Za-z0-9_-]{43}/file/[A-Za-z0-9._-]+")


def use(browser: Browser, link: dict[str, Any]) -> str:
    """Count one download; answers where its bytes are."""
    response = browser.client.post(f"{link['path']}/download")
    assert response.status_code == 303, response.text
    assert TICKET.fullmatch(response.location)
    location: str = response.location
    return location


def counted(app: Flask) -> int:
    with app.app_context():
        return sum(count for (count,) in db.session.query(ShareLink.download_count))


def token_of(link: dict[str, Any]) -> str:
    token: str = link["path"].removeprefix("/s/")
    return token


def unlock(browser: Browser, link: dict[str, Any], password: str) -> TestResponse:
    return browser.post(link["path"], {"password": password})


# What works


def test_stranger_sees_who_sent_what_and_downloads_it(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed, max_downloads="2")
    page = visitor.get(link["path"])
    assert page.status_code == 200
    for fact in ("Alice Archer", "deed.pdf", "38 bytes", "PDF", "2 downloads left"):
        assert fact in page.text
    assert "alice@example.org" not in page.text
    assert deed["id"] not in page.text
    assert deed["sha256"] not in page.text
    response = visitor.get(use(visitor, link))
    assert (response.status_code, response.data) == (200, DEED)
    assert "1 download left" in visitor.get(link["path"]).text


def test_download_through_a_link_has_the_headers_of_the_owners(
    alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    own = dict(alice.get(deed["download_url"]).headers)
    theirs = dict(visitor.get(use(visitor, alice.share(deed))).headers)
    assert theirs.pop("X-Robots-Tag") == "noindex, nofollow"
    own.pop("Vary", None)
    theirs.pop("Vary", None)
    assert theirs == own


def test_events_of_a_link_name_it_and_its_owner(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed, label="Bank")
    visitor.get(use(visitor, link))
    (used,) = events(app, "share_link.used")
    (sent,) = events(app, "document.downloaded")
    for event in (used, sent):
        assert (event.actor, event.owner) == ("visitor", "alice@example.org")
        assert event.document == deed["id"]
        assert (event.detail["link"], event.detail["label"]) == (link["id"], "Bank")
    assert sent.detail["reason"] == "share link"
    assert "through the link “Bank”" in alice.get(deed["url"]).text


def test_looking_is_no_download(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed, max_downloads="1")
    for _ in range(3):
        assert visitor.get(link["path"]).status_code == 200
        assert visitor.head(link["path"]).status_code == 200
        for path in (f"{link['path']}/download", f"{link['path']}/file/x"):
            assert visitor.get(path).status_code in {404, 302}
            assert visitor.head(path).status_code in {404, 302}
    assert counted(app) == 0
    assert events(app, "share_link.used") == []


def test_ticket_serves_parts_and_heads_without_counting_again(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    ticket = use(visitor, alice.share(deed, max_downloads="1"))
    for _ in range(2):
        assert visitor.get(ticket).data == DEED
        assert visitor.head(ticket).status_code == 200
        part = visitor.get(ticket, headers={"Range": "bytes=0-3"})
        assert (part.status_code, part.data) == (206, DEED[:4])
        etag = {"If-None-Match": f'"{deed["sha256"]}"'}
        assert visitor.get(ticket, headers=etag).status_code == 304
    assert counted(app) == 1


def test_ticket_works_in_any_browser_and_sets_no_cookie(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    ticket = use(visitor, alice.share(deed))
    response = Browser(app).get(ticket)
    assert response.data == DEED
    assert "Set-Cookie" not in response.headers


def test_link_shows_the_document_as_it_is_now(
    alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed)
    alice.post(f"{deed['url']}/rename", {"name": "Renamed.pdf"})
    assert "Renamed.pdf" in visitor.get(link["path"]).text
    assert "Renamed.pdf" in visitor.get(use(visitor, link)).headers["Content-Disposition"]


def test_no_answer_lets_the_address_out(
    alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link, locked, ended = (alice.share(deed, **more) for more in ({}, {"password": "x"}, {}))
    alice.post(f"/share-links/{ended['id']}/revoke")
    answers = [
        visitor.get(link["path"]),
        visitor.client.post(f"{link['path']}/download"),
        visitor.get(use(visitor, link)),
        visitor.get(f"{link['path']}/file/made-up"),
        visitor.get(locked["path"]),
        unlock(visitor, locked, "wrong"),
        visitor.get(ended["path"]),
        visitor.get("/s/made-up"),
        visitor.client.post("/s/made-up"),
    ]
    assert {each.status_code for each in answers} == {200, 303, 404, 401, 410, 400}
    for answer in answers:
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        if answer.status_code != 400:
            assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"


# Limits


def test_limit_of_n_is_n(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed, max_downloads="2")
    tickets = [use(visitor, link) for _ in range(2)]
    response = visitor.client.post(f"{link['path']}/download")
    assert response.status_code == 410
    page = visitor.get(link["path"])
    assert page.status_code == 410
    assert "as often as it allows" in page.text
    assert "Ask Alice Archer for a new one." in page.text
    for ticket in tickets:
        assert visitor.get(ticket).data == DEED
    assert counted(app) == 2


@pytest.mark.parametrize("limit", [1, 5, 49])
def test_of_fifty_at_once_exactly_as_many_as_allowed_get_through(
    app: Flask, alice: Browser, deed: dict[str, Any], limit: int
) -> None:
    link = alice.share(deed, max_downloads=str(limit))
    browsers = [Browser(app) for _ in range(50)]
    answers = at_once(50, lambda n: browsers[n].client.post(f"{link['path']}/download"))
    statuses = sorted(each.status_code for each in answers)
    assert statuses == [303] * limit + [410] * (50 - limit)
    assert counted(app) == limit
    assert len(events(app, "share_link.used")) == limit
    locations = [each.location for each in answers if each.status_code == 303]
    assert all(Browser(app).get(location).data == DEED for location in locations[:5])


# The ends of a link


def end_by_revoking(app: Flask, alice: Browser, deed: dict[str, Any], link: dict[str, Any]) -> None:
    alice.post(f"/share-links/{link['id']}/revoke")


def end_by_trashing(app: Flask, alice: Browser, deed: dict[str, Any], link: dict[str, Any]) -> None:
    alice.post(f"{deed['url']}/delete")


def end_by_deleting(app: Flask, alice: Browser, deed: dict[str, Any], link: dict[str, Any]) -> None:
    alice.post(f"{deed['url']}/delete")
    alice.post(f"/trash/{deed['id']}/purge")


def end_by_disabling(
    app: Flask, alice: Browser, deed: dict[str, Any], link: dict[str, Any]
) -> None:
    with app.app_context():
        people.disable(people.by_email(alice.email))


def end_by_expiry(app: Flask, alice: Browser, deed: dict[str, Any], link: dict[str, Any]) -> None:
    with app.app_context(), transaction():
        db.session.query(ShareLink).one().expires_at = utcnow()


ENDS = [end_by_revoking, end_by_trashing, end_by_deleting, end_by_disabling, end_by_expiry]


@pytest.mark.parametrize("end", ENDS)
def test_ended_link_and_its_tickets_are_gone_at_once(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any], end: Any
) -> None:
    link = alice.share(deed, max_downloads="5")
    ticket = use(visitor, link)
    assert visitor.get(ticket).status_code == 200
    end(app, alice, deed, link)
    for answer in (
        visitor.get(link["path"]),
        visitor.post(link["path"]),
        visitor.client.post(f"{link['path']}/download"),
        visitor.get(ticket),
        visitor.head(ticket),
        visitor.get(ticket, headers={"Range": "bytes=0-3"}),
        visitor.get(ticket, headers={"If-None-Match": "*"}),
    ):
        assert answer.status_code == 410
        assert DEED[:10] not in answer.data
        assert "deed.pdf" not in answer.text
    assert "Ask Alice Archer for a new one." in visitor.get(link["path"]).text
    with app.app_context():
        assert db.session.query(ShareLink.download_count).scalar() == 1
    refused = events(app, "share_link.refused")
    assert {each.detail["link"] for each in refused} == {link["id"]}


@pytest.mark.parametrize("end", ENDS)
def test_who_had_found_the_link_before_it_ended_gets_nothing(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any], end: Any
) -> None:
    """The services decide again, on what is true at that moment."""
    link = alice.share(deed)
    with app.app_context():
        found = access.open_link(token_of(link))
    end(app, alice, deed, link)
    with app.app_context():
        with pytest.raises(Gone):
            access.grant_to_link_holder(found)
        with pytest.raises(Gone):
            access.open_link(token_of(link))
        if end in {end_by_revoking, end_by_expiry}:
            with pytest.raises(Gone):
                links.use(found, links.signer(settings_of(app)))
            assert db.session.query(ShareLink.download_count).scalar() == 0


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        ({"spent"}, "used up"),
        ({"expired"}, "expired"),
        ({"revoked"}, "ended"),
        ({"trashed"}, "ended"),
        ({"spent", "expired"}, "expired"),
        ({"spent", "revoked"}, "ended"),
        ({"expired", "revoked"}, "ended"),
    ],
)
def test_log_says_why_a_link_had_ended(
    app: Flask,
    alice: Browser,
    visitor: Browser,
    deed: dict[str, Any],
    ended: set[str],
    reason: str,
) -> None:
    link = alice.share(deed, max_downloads="1")
    if "spent" in ended:
        use(visitor, link)
    if "revoked" in ended:
        end_by_revoking(app, alice, deed, link)
    if "expired" in ended:
        end_by_expiry(app, alice, deed, link)
    if "trashed" in ended:
        end_by_trashing(app, alice, deed, link)
    assert visitor.get(link["path"]).status_code == 410
    (event,) = events(app, "share_link.refused")
    assert event.detail["reason"] == reason


def test_link_sends_the_newest_version(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    newer = alice.upload("newer.pdf", b"newer bytes")
    link = alice.share(deed)
    with app.app_context():
        documents = {str(each.public_id): each for each in db.session.query(Document)}
        moved = db.session.query(Version).filter_by(document_id=documents[newer["id"]].id).one()
        moved.document_id, moved.number = documents[deed["id"]].id, 2
        documents[deed["id"]].version = 2
        db.session.commit()
    assert visitor.get(use(visitor, link)).data == b"newer bytes"


def test_link_lives_again_with_its_document_and_its_maker(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed)
    alice.post(f"{deed['url']}/delete")
    assert visitor.get(link["path"]).status_code == 410
    alice.post(f"{deed['url']}/restore")
    assert visitor.get(use(visitor, link)).data == DEED
    with app.app_context():
        people.disable(people.by_email(alice.email))
    assert visitor.get(link["path"]).status_code == 410
    with app.app_context():
        people.enable(people.by_email(alice.email))
    assert visitor.get(use(visitor, link)).data == DEED


def test_link_stops_at_its_moment_and_says_when_it_was(
    cast: Cast, visitor: Browser, time_machine: Any
) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    alice = cast.person("alice@example.org", "Alice Archer")
    link = alice.share(alice.upload(), expires_in_days="2")
    end = start + timedelta(days=2)
    time_machine.move_to(end - timedelta(seconds=1), tick=False)
    assert visitor.get(link["path"]).status_code == 200
    time_machine.move_to(end, tick=False)
    page = visitor.get(link["path"])
    assert page.status_code == 410
    assert f"stopped working on {end.day} {end:%B %Y}" in page.text


def test_download_is_not_counted_at_the_moment_of_the_end(
    app: Flask, alice: Browser, deed: dict[str, Any], time_machine: Any
) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    link = alice.share(deed, expires_in_days="1")
    with app.app_context():
        found = access.open_link(token_of(link))
        time_machine.move_to(start + timedelta(days=1), tick=False)
        with pytest.raises(Gone):
            links.use(found, links.signer(settings_of(app)))
        with pytest.raises(Gone):
            access.grant_to_link_holder(found)
    assert counted(app) == 0


def test_unknown_link_is_not_found_and_tells_nothing(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed)
    ticket = use(visitor, link).rpartition("/")[2]
    made_up = [
        "x",
        "x" * 43,
        token_of(link)[:-1],
        token_of(link).swapcase(),
        "x" * 4000,
        "%00",
        "é",
    ]
    for token in made_up:
        for answer in (
            visitor.get(f"/s/{token}"),
            visitor.post(f"/s/{token}"),
            visitor.client.post(f"/s/{token}/download"),
            visitor.get(f"/s/{token}/file/{ticket}"),
        ):
            assert answer.status_code == 404
            assert "Alice" not in answer.text
    assert {each.detail["reason"] for each in events(app, "share_link.refused")} == {"unknown"}


# Tickets


def test_ticket_lasts_fifteen_minutes(cast: Cast, visitor: Browser, time_machine: Any) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    alice = cast.person("alice@example.org", "Alice")
    ticket = use(visitor, alice.share(alice.upload()))
    time_machine.move_to(start + timedelta(minutes=15), tick=False)
    assert visitor.get(ticket).status_code == 200
    time_machine.move_to(start + timedelta(minutes=15, seconds=2), tick=False)
    assert visitor.get(ticket).status_code == 404


def test_ticket_of_one_link_opens_no_other(
    app: Flask, alice: Browser, bob: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    mine = alice.share(deed)
    same_document, others = alice.share(deed), bob.share(bob.upload("b.txt", b"b"))
    ticket = use(visitor, mine).rpartition("/")[2]
    for link in (same_document, others):
        assert visitor.get(f"{link['path']}/file/{ticket}").status_code == 404
        assert visitor.head(f"{link['path']}/file/{ticket}").status_code == 404
    assert visitor.get(f"{mine['path']}/file/{ticket}").status_code == 200
    assert len(events(app, "document.downloaded")) == 1


def test_forged_ticket_is_not_found(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed)
    ticket = use(visitor, link).rpartition("/")[2]
    settings = settings_of(app)
    forged = [
        "",
        "x",
        ticket[:-2],
        ticket + "A",
        "." + ticket,
        # Signed with our key for another purpose, and for this purpose with another key.
        URLSafeTimedSerializer(settings.secret_key, salt="cookie-session").dumps(link["id"]),
        URLSafeTimedSerializer("another key " * 4, salt="share link ticket").dumps(link["id"]),
        links.signer(settings).dumps({"id": link["id"]}),
        links.signer(settings).dumps(None),
    ]
    for each in forged:
        assert visitor.get(f"{link['path']}/file/{each}").status_code in {302, 404}, each
    assert events(app, "document.downloaded") == []


def test_service_refuses_a_ticket_that_is_not_its_own(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed)
    with app.app_context():
        found = access.open_link(token_of(link))
        signer = links.signer(settings_of(app))
        with pytest.raises(NotFound):
            links.redeem(found, signer.dumps("another"), signer)
        assert links.redeem(found, signer.dumps(link["id"]), signer).link_id == found.public_id


# Passwords


def test_locked_link_says_no_name_and_opens_with_its_password(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed, password="open sesame", label="Bank")
    locked = visitor.get(link["path"]).text
    assert 'name="password"' in locked
    assert "Alice Archer" in locked
    assert "deed.pdf" not in locked
    response = visitor.client.post(f"{link['path']}/download")
    assert (response.status_code, response.location) == (303, link["path"])
    assert counted(app) == 0
    response = unlock(visitor, link, "open sesame")
    assert (response.status_code, response.location) == (303, link["path"])
    unlocked = visitor.get(link["path"]).text
    assert 'name="password"' not in unlocked
    assert "deed.pdf" in unlocked
    assert visitor.get(use(visitor, link)).data == DEED
    (event,) = events(app, "share_link.unlocked")
    assert (event.document, event.detail["link"]) == (deed["id"], link["id"])


def test_unlocking_is_for_this_browser_and_this_link(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link, other = (alice.share(deed, password="open sesame") for _ in range(2))
    unlock(visitor, link, "open sesame")
    elsewhere = Browser(app)
    assert elsewhere.client.post(f"{link['path']}/download").location == link["path"]
    assert visitor.client.post(f"{other['path']}/download").location == other["path"]
    assert counted(app) == 0


def test_owners_own_session_does_not_unlock(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed, password="open sesame")
    assert alice.client.post(f"{link['path']}/download").location == link["path"]


def test_many_links_can_be_unlocked_side_by_side(
    alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    made = [alice.share(deed, password="open sesame") for _ in range(22)]
    for link in made:
        assert unlock(visitor, link, "open sesame").status_code == 303
    assert use(visitor, made[-1])
    assert use(visitor, made[2])
    assert visitor.client.post(f"{made[1]['path']}/download").location == made[1]["path"]
    assert len(visitor.client.get_cookie("portal_session", domain="127.0.0.1").value) < 2000


@pytest.mark.parametrize("password", ["wrong", "OPEN SESAME", "open sesame ", "x" * 5000, "\0"])
def test_wrong_password_opens_nothing(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any], password: str
) -> None:
    link = alice.share(deed, password="open sesame")
    response = unlock(visitor, link, password)
    assert response.status_code == 401
    assert "does not open the link" in response.text
    assert visitor.client.post(f"{link['path']}/download").location == link["path"]
    assert counted(app) == 0
    (event,) = events(app, "share_link.refused")
    assert event.detail["reason"] == "wrong password"


def test_empty_password_is_asked_for_again(
    alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed, password="open sesame")
    response = unlock(visitor, link, "")
    assert response.status_code == 422
    assert 'id="password-wrong"' in response.text


def test_unlocking_needs_the_token_of_the_form(
    alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed, password="open sesame")
    response = visitor.client.post(link["path"], data={"password": "open sesame"})
    assert response.status_code == 400
    assert visitor.client.post(f"{link['path']}/download").location == link["path"]


def test_unlocking_a_link_without_password_leads_to_it(
    alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed)
    response = unlock(visitor, link, "anything")
    assert (response.status_code, response.location) == (303, link["path"])


def test_guesses_at_a_links_password_are_throttled(
    app: Flask, alice: Browser, deed: dict[str, Any], time_machine: Any
) -> None:
    start = utcnow()
    link, other = (alice.share(deed, password="open sesame") for _ in range(2))
    assert [unlock(Browser(app), link, "wrong").status_code for _ in range(10)] == [401] * 10
    response = unlock(Browser(app), link, "open sesame")
    assert response.status_code == 429
    assert 0 < int(response.headers["Retry-After"]) <= 900
    assert unlock(Browser(app), other, "open sesame").status_code == 303
    time_machine.move_to(start + timedelta(minutes=16))
    assert unlock(Browser(app), link, "open sesame").status_code == 303


def test_guesses_at_the_same_moment_are_all_counted(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed, password="open sesame")
    browsers = [Browser(app) for _ in range(16)]
    tokens = [browser.token() for browser in browsers]

    def guess(number: int) -> int:
        headers = {"X-CSRFToken": tokens[number]}
        data = {"password": "wrong"}
        return browsers[number].client.post(link["path"], data=data, headers=headers).status_code

    assert sorted(at_once(16, guess)) == [401] * 10 + [429] * 6


def test_right_password_forgets_the_wrong_ones(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed, password="open sesame")
    for _ in range(2):
        for _ in range(9):
            assert unlock(Browser(app), link, "wrong").status_code == 401
        assert unlock(Browser(app), link, "open sesame").status_code == 303


def test_unlocking_gives_the_try_of_the_address_back(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed, password="open sesame")
    for _ in range(3):
        assert unlock(visitor, link, "open sesame").status_code == 303
    with app.app_context():
        tries = dict(db.session.execute(select(Throttle.key, Throttle.tries)).all())
    assert [n for key, n in tries.items() if key.startswith("address:")] == [0]
    assert not [key for key in tries if key.startswith("link:")]


def test_guesses_at_many_links_from_one_address_are_throttled(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    made = [alice.share(deed, password="open sesame") for _ in range(7)]
    browser = Browser(app)
    guesses = [unlock(browser, made[n // 9], "wrong").status_code for n in range(60)]
    assert guesses == [401] * 60
    assert unlock(browser, made[6], "open sesame").status_code == 429


# Where the token is


def test_token_is_in_no_table_no_log_no_audit_and_no_file(
    app: Flask,
    alice: Browser,
    ada: Browser,
    visitor: Browser,
    deed: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    link = alice.share(deed, password="open sesame")
    unlock(visitor, link, "wrong")
    unlock(visitor, link, "open sesame")
    ticket = use(visitor, link)
    visitor.get(ticket)
    visitor.get("/s/" + "made-up-token" * 3)
    alice.post(f"/share-links/{link['id']}/revoke")
    visitor.get(link["path"])
    visitor.get(ticket)
    token, secret = token_of(link), ticket.rpartition("/")[2]
    pages = [
        browser.get(path).text
        for browser, path in (
            (alice, "/share-links"),
            (alice, deed["url"]),
            (ada, "/admin/share-links"),
            (ada, "/admin/audit"),
            (ada, "/admin/audit.csv"),
        )
    ]
    files = b"".join(_bytes_of(settings_of(app).instance_dir))
    for hidden in (token, secret, "made-up-token", "open sesame"):
        assert hidden not in repr(database_dump(app))
        assert hidden.encode() not in files
        assert hidden not in caplog.text
        assert not any(hidden in page for page in pages)


def _bytes_of(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]
