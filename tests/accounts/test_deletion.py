"""Asking to be deleted, taking it back, and the admin who does it after the grace time."""

from __future__ import annotations

from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, func, insert, select, update

from accounts.listening import Told, told
from api.tus import Tus
from conftest import PASSWORD, Browser, Cast, user_named
from portal.accounts import deletion, passwords, people
from portal.database import transaction
from portal.documents import housekeeping
from portal.errors import Invalid
from portal.extensions import db
from portal.mail.notices import Notice
from portal.models import (
    ApiToken,
    Base,
    DiscardedBlob,
    Document,
    Folder,
    Identity,
    Mail,
    OpenUpload,
    Passkey,
    Role,
    User,
    utcnow,
)
from stage import (
    at_once,
    browser_with,
    cookie_of,
    database_dump,
    events,
    make_token,
    settings_of,
    stored_files,
)
from stage import twins as twins_of
from two_factor import forget_proof, prove_now

__all__ = ["told"]

PATH = "/account/delete"
ALICE = "alice@example.org"


def ask(browser: Browser, password: str = PASSWORD) -> Any:
    return browser.post(PATH, {"action": "ask", "password": password})


def page_of(app: Flask, email: str) -> str:
    return f"/admin/users/{user_named(app, email).public_id}"


def let_days_pass(app: Flask, days: float = 14) -> None:
    with app.app_context(), transaction() as session:
        asked_at = utcnow() - timedelta(days=days)
        session.execute(
            update(User)
            .where(User.deletion_asked_at.is_not(None))
            .values(deletion_asked_at=asked_at)
        )


# Asking


def test_wish_is_noted_told_and_audited(app: Flask, alice: Browser, told: Told) -> None:
    response = ask(alice)
    assert (response.status_code, response.location) == (303, PATH)
    asked_at = user_named(app, ALICE).deletion_asked_at
    assert asked_at
    assert utcnow() - asked_at < timedelta(minutes=1)
    ((email, facts),) = told.of(Notice.DELETION_ASKED)
    assert email == ALICE
    assert facts["delete_after"] == asked_at + timedelta(days=14)
    (event,) = events(app, "user.deletion_asked")
    assert (event.actor, event.owner) == (ALICE, ALICE)
    page = alice.get(PATH).text
    assert "Keep my account" in page
    assert 'name="password"' not in page
    assert alice.get("/documents").status_code == 200
    assert "take it back" in alice.get("/account/data").text


def test_page_says_what_stays(alice: Browser) -> None:
    page = alice.get(PATH).text
    assert "The audit log stays" in page
    assert ALICE in page
    assert "14 days" in page


def test_program_is_told_from_when(app: Flask, alice: Browser) -> None:
    response = alice.post_json(PATH, {"action": "ask", "password": PASSWORD})
    assert response.status_code == 201
    asked_at = user_named(app, ALICE).deletion_asked_at
    assert asked_at
    assert datetime.fromisoformat(response.json["possible_from"]) == asked_at + deletion.GRACE
    assert alice.post_json(PATH, {"action": "withdraw"}).json == {"possible_from": None}


@pytest.mark.parametrize("password", ["", "wrong wrong wrong", PASSWORD.upper()])
def test_wrong_password_changes_nothing(
    app: Flask, alice: Browser, told: Told, password: str
) -> None:
    before = database_dump(app, "throttles")
    response = ask(alice, password)
    assert response.status_code == 422
    assert 'id="password-wrong"' in response.text
    assert database_dump(app, "throttles") == before
    assert told.all == []


def test_guessing_is_throttled(app: Flask, alice: Browser) -> None:
    assert [ask(alice, "wrong wrong wrong").status_code for _ in range(10)] == [422] * 10
    response = ask(alice)
    assert response.status_code == 429
    assert response.headers["Retry-After"]
    assert user_named(app, ALICE).deletion_asked_at is None


def test_right_password_forgets_the_wrong_ones(alice: Browser) -> None:
    for _ in range(9):
        ask(alice, "wrong wrong wrong")
    assert ask(alice).status_code == 303
    assert ask(alice, "wrong wrong wrong").status_code == 422


def test_asking_again_does_not_begin_anew(app: Flask, alice: Browser, told: Told) -> None:
    ask(alice)
    let_days_pass(app, 5)
    first = user_named(app, ALICE).deletion_asked_at
    assert ask(alice).status_code == 303
    assert user_named(app, ALICE).deletion_asked_at == first
    assert len(told.of(Notice.DELETION_ASKED)) == len(events(app, "user.deletion_asked")) == 1


def test_asking_at_once_is_noted_once(app: Flask, alice: Browser, told: Told) -> None:
    mine = twins_of(alice, 4)
    for each in mine:
        each.token()
    assert at_once(4, lambda n: ask(mine[n]).status_code) == [303] * 4
    assert len(told.of(Notice.DELETION_ASKED)) == len(events(app, "user.deletion_asked")) == 1


def test_account_without_a_password_asks_by_a_fresh_proof(app: Flask, alice: Browser) -> None:
    with app.app_context(), transaction() as session:
        session.execute(update(User).values(password_hash=None))
    assert 'name="password"' not in alice.get(PATH).text
    forget_proof(app, ALICE)
    assert ask(alice, "None").location.startswith("/account/prove")
    assert user_named(app, ALICE).deletion_asked_at is None
    prove_now(app, ALICE)
    assert ask(alice, "None").location == PATH
    assert user_named(app, ALICE).deletion_asked_at is not None


def test_fresh_proof_is_no_password_where_there_is_one(app: Flask, alice: Browser) -> None:
    person = type("Person", (), {"user_id": user_named(app, ALICE).id, "email": ALICE})()
    with app.app_context(), pytest.raises(Invalid):
        deletion.ask(person, None, settings_of(app))
    assert ask(alice, "").status_code == 422
    assert user_named(app, ALICE).deletion_asked_at is None


def test_password_changed_while_it_is_checked_asks_for_nothing(
    app: Flask, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = passwords.check_password

    def slowly(*args: Any) -> bool:
        with transaction() as session:
            session.execute(update(User).values(password_hash="another"))
        return check(*args)

    monkeypatch.setattr(passwords, "check_password", slowly)
    assert ask(alice).status_code == 422
    assert user_named(app, ALICE).deletion_asked_at is None


def test_wish_can_be_taken_back(app: Flask, alice: Browser) -> None:
    ask(alice)
    response = alice.post(PATH, {"action": "withdraw"})
    assert (response.status_code, response.location) == (303, PATH)
    assert user_named(app, ALICE).deletion_asked_at is None
    assert len(events(app, "user.deletion_withdrawn")) == 1
    alice.post(PATH, {"action": "withdraw"})
    assert len(events(app, "user.deletion_withdrawn")) == 1
    assert "What will happen" in alice.get(PATH).text


@pytest.mark.parametrize("action", ["", "ASK", "delete"])
def test_unknown_act_changes_nothing(app: Flask, alice: Browser, action: str) -> None:
    before = database_dump(app)
    assert alice.post(PATH, {"action": action, "password": PASSWORD}).status_code == 400
    assert database_dump(app) == before


def test_visitor_is_sent_to_sign_in(visitor: Browser) -> None:
    assert visitor.get(PATH).location == "/login?next=%2Faccount%2Fdelete"
    assert ask(visitor).status_code == 302


def test_wish_of_one_is_no_wish_of_another(app: Flask, alice: Browser, bob: Browser) -> None:
    ask(alice)
    bob.post(PATH, {"action": "withdraw"})
    assert user_named(app, ALICE).deletion_asked_at
    assert user_named(app, "bob@example.org").deletion_asked_at is None


# The admin


def test_overview_shows_who_waits(app: Flask, alice: Browser, bob: Browser, ada: Browser) -> None:
    assert "Wishes to be deleted" not in ada.get("/admin").text
    ask(alice)
    page = ada.get("/admin").text
    assert "Wishes to be deleted" in page
    assert page_of(app, ALICE) in page
    assert page_of(app, "bob@example.org") not in page
    assert "They can take it back" in page
    let_days_pass(app)
    assert "it waits for you" in ada.get("/admin").text


@pytest.mark.parametrize("days", [None, 0, 13.99])
def test_nobody_is_deleted_before_the_grace_time_ends(
    app: Flask, alice: Browser, ada: Browser, deed: dict[str, Any], days: float | None
) -> None:
    if days is not None:
        ask(alice)
        let_days_pass(app, days)
    before = database_dump(app)
    page = page_of(app, ALICE)
    assert "Delete for ever" not in ada.get(page).text
    response = ada.post(page, {"action": "delete"})
    assert response.status_code == 409
    assert ("can take this back until" if days is not None else "has not asked") in response.text
    assert database_dump(app) == before
    assert alice.get(deed["download_url"]).status_code == 200


def test_wish_taken_back_in_time_keeps_the_account(
    app: Flask, alice: Browser, ada: Browser
) -> None:
    ask(alice)
    let_days_pass(app, 20)
    alice.post(PATH, {"action": "withdraw"})
    assert ada.post(page_of(app, ALICE), {"action": "delete"}).status_code == 409
    assert alice.get("/documents").status_code == 200


def test_last_admin_is_not_deleted(app: Flask, cast: Cast, ada: Browser) -> None:
    ask(ada)
    let_days_pass(app)
    response = ada.post(page_of(app, ada.email), {"action": "delete"})
    assert response.status_code == 409
    assert "last active admin" in response.text
    assert ada.get("/admin").status_code == 200
    eve = cast.person("eve@example.org", "Eve", Role.ADMIN)
    assert eve.post(page_of(app, ada.email), {"action": "delete"}).status_code == 303
    assert ada.get("/admin").status_code == 302


def test_two_admins_who_want_to_leave_do_not_both_go(app: Flask, cast: Cast, ada: Browser) -> None:
    eve = cast.person("eve@example.org", "Eve", Role.ADMIN)
    both = (ada, eve)
    for each in both:
        ask(each)
    let_days_pass(app)
    pages = [page_of(app, each.email) for each in both]
    tokens = [each.token() for each in both]

    def go(number: int) -> int:
        headers = {"X-CSRFToken": tokens[number]}
        return (
            both[number]
            .client.post(pages[1 - number], data={"action": "delete"}, headers=headers)
            .status_code
        )

    assert 303 in at_once(2, go)
    with app.app_context():
        left = db.session.scalars(select(User).where(User.deleted_at.is_(None))).all()
        assert [each.is_admin and each.is_active for each in left] == [True]


def fill(app: Flask) -> None:
    """Give Alice one of everything that is somebody's own."""
    with app.app_context(), transaction() as session:
        user_id = people.by_email(ALICE).id
        soon = utcnow() + timedelta(days=1)
        facts = {
            "user_id": user_id,
            "expires_at": soon,
            "name": "x",
            "scopes": "",
            "new_email": "x@example.org",
            "issuer": "https://id.example.org",
            "subject": "1",
            "credential_id": b"c",
            "public_key": b"k",
            "sealed_secret": "s",
            "how": "password",
        }
        for number, model in enumerate(deletion._OWN):
            hashes = {
                column.name: f"{model.__tablename__}{column.name}".encode()
                for column in model.__table__.columns
                if column.name.endswith("_hash")
            }
            known = {k: v for k, v in facts.items() if k in model.__table__.columns}
            session.execute(insert(model).values(**known, **hashes))
            assert number < 20


def test_everything_goes_but_the_log(
    app: Flask, alice: Browser, bob: Browser, ada: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed, label="For the bank", password="the garden gate")
    alice.upload("second.pdf", b"second")
    trashed = alice.upload("gone.txt", b"gone")
    alice.post(f"{trashed['url']}/delete")
    bobs = bob.upload("Bob's plan.pdf", b"plan")
    bobs_link = bob.share(bobs)
    make_token(bob, "documents:read")  # told by a mail that waits
    fill(app)
    ask(alice)
    let_days_pass(app)
    copied = browser_with(app, cookie_of(alice))
    alices = user_named(app, ALICE)
    page = page_of(app, ALICE)
    assert "Delete for ever" in ada.get(page).text
    response = ada.post(page, {"action": "delete"})
    assert (response.status_code, response.location) == (303, "/admin/users")

    for browser in (alice, copied):
        assert browser.get("/documents").status_code == 302
    assert Browser(app).sign_in(ALICE).status_code == 401
    for path in (page, f"{page}/documents"):
        assert ada.get(path).status_code == 404
    assert ALICE not in ada.get("/admin/users").text
    assert visitor.get(link["path"]).status_code == 410
    assert "Ask whoever sent it to you" in visitor.get(link["path"]).text
    assert bob.get(bobs["download_url"]).data == b"plan"
    assert visitor.get(bobs_link["path"]).status_code == 200
    with app.app_context():
        assert bob.email in db.session.scalars(select(Mail.recipient)).all()

    log = database_dump(app)
    traces = {name: rows for name, rows in log.items() if name != "audit_events"}
    for words in (ALICE, "Alice", "For the bank", "deed.pdf", "second.pdf", "gone.txt"):
        assert words not in repr(traces), words
        assert words in repr(log["audit_events"]) or words == "Alice"
    tombstone = [row for row in log["users"] if alices.public_id in row]
    assert len(tombstone) == 1
    names = [e.detail["name"] for e in events(app, "document.purged")]
    assert sorted(names) == ["deed.pdf", "gone.txt", "second.pdf"]
    (event,) = events(app, "user.deleted")
    assert (event.actor, event.owner) == ("ada@example.org", ALICE)
    with app.app_context():
        user = db.session.get_one(User, alices.id)
        assert (user.used_bytes, user.password_hash, user.is_active) == (0, None, False)
        assert (user.role, user.status, user.name) == ("user", "deleted", "Deleted account")


def test_no_row_that_is_somebodys_own_is_left(app: Flask, alice: Browser, ada: Browser) -> None:
    """A new table with a column for a person must be thought of in `deletion`."""
    others = {"documents", "versions", "share_links", "open_uploads"}
    # By owner: `documents/test_retention.py` and `test_holds.py` see them go.
    others |= {"folders", "retention_rules", "legal_holds"}
    others |= {"search_texts"}  # swept when their documents are gone: `search/test_waiting.py`
    own = {
        table.name
        for table in Base.metadata.sorted_tables
        for key in table.foreign_keys
        if key.column.table.name == "users" and table.name not in others
    }
    assert own == {model.__tablename__ for model in deletion._OWN}
    fill(app)
    alices = user_named(app, ALICE)
    with app.app_context():
        for model in deletion._OWN:
            assert count(model, alices.id), model
    outer = alice.post_json("/folders", {"name": "Taxes"}).get_json()["id"]
    inner = alice.post_json("/folders", {"name": "2026", "parent": outer}).get_json()["id"]
    alice.post_json("/documents", {"folder": inner, "file": (BytesIO(b"x"), "a.txt")})
    alice.post(f"/folders/{inner}/delete")
    ask(alice)
    let_days_pass(app)
    ada.post(page_of(app, ALICE), {"action": "delete"})
    with app.app_context():
        for model in deletion._OWN:
            assert not count(model, alices.id), model
        for kind in (Document, Folder):
            assert not db.session.scalar(select(func.count()).where(kind.owner_id == alices.id))


def test_uploads_on_their_way_are_given_up(
    app: Flask, alice: Browser, ada: Browser, bob: Browser
) -> None:
    Tus(alice).begin("from alice.bin", 10)
    Tus(alice).announce("stored.txt", 3, b"abc")
    Tus(ada).begin("for alice.bin", 10, owner=str(user_named(app, ALICE).public_id))
    Tus(bob).begin("another's.bin", 10)
    ask(alice)
    let_days_pass(app)
    ada.post(page_of(app, ALICE), {"action": "delete"})
    with app.app_context():
        left = db.session.scalars(select(OpenUpload.name)).all()
    assert left == ["another's.bin"]
    assert user_named(app, bob.email).reserved_bytes == 10


def count(model: Any, user_id: int) -> int:
    return db.session.scalar(select(func.count()).where(model.user_id == user_id)) or 0


def test_bytes_are_gone_when_the_worker_has_been(
    app: Flask, alice: Browser, ada: Browser, deed: dict[str, Any]
) -> None:
    ask(alice)
    let_days_pass(app)
    ada.post(page_of(app, ALICE), {"action": "delete"})
    assert len(stored_files(app)) == 1  # for a backup that runs
    with app.app_context():
        with transaction() as session:
            long_ago = utcnow() - timedelta(hours=2)
            session.execute(update(DiscardedBlob).values(discarded_at=long_ago))
        housekeeping.purge(settings_of(app))
    assert stored_files(app) == []


def test_address_is_free_for_somebody_else(app: Flask, alice: Browser, ada: Browser) -> None:
    for _ in range(2):
        ask(alice)
        let_days_pass(app)
        ada.post(page_of(app, ALICE), {"action": "delete"})
        alice = Cast(app).person(ALICE, "Another Alice")
        assert alice.get("/documents").status_code == 200
    assert len(events(app, "user.deleted")) == 2


def test_what_they_did_for_others_stays(app: Flask, cast: Cast, ada: Browser) -> None:
    eve = cast.person("eve@example.org", "Eve Elder", Role.ADMIN)
    alice = cast.person(ALICE, "Alice Archer")
    made = eve.post_json(f"{page_of(app, ALICE)}/documents", {"file": (BytesIO(b"x"), "x.txt")})
    url = made.json["documents"][0]["url"]
    assert "Eve Elder" in alice.get(url).text
    ask(eve)
    let_days_pass(app)
    assert ada.post(page_of(app, eve.email), {"action": "delete"}).status_code == 303
    page = alice.get(url).text
    assert "Eve Elder" not in page
    assert "Deleted account" in page


def test_two_admins_at_once_do_it_once(
    app: Flask, alice: Browser, ada: Browser, deed: dict[str, Any]
) -> None:
    for number in range(30):
        alice.upload(f"{number}.txt", b"x" * number)
    ask(alice)
    let_days_pass(app)
    page = page_of(app, ALICE)
    admins = twins_of(ada, 3)
    tokens = [each.token() for each in admins]

    def go(number: int) -> int:
        headers = {"X-CSRFToken": tokens[number]}
        return (
            admins[number].client.post(page, data={"action": "delete"}, headers=headers).status_code
        )

    assert sorted(at_once(3, go)) == [303, 404, 404]
    assert len(events(app, "user.deleted")) == 1
    purged = [event.document for event in events(app, "document.purged")]
    assert len(purged) == len(set(purged)) == 31
    with app.app_context():
        assert db.session.scalar(select(func.sum(User.used_bytes))) == 0


def test_interrupted_deletion_goes_on_when_asked_again(
    app: Flask, alice: Browser, ada: Browser, deed: dict[str, Any]
) -> None:
    alice.upload("second.txt", b"second")
    ask(alice)
    let_days_pass(app)
    with app.app_context(), transaction() as session:
        user = people.by_email(ALICE)
        user.disabled_at = utcnow()  # as far as it came
        session.execute(delete(ApiToken))
    page = page_of(app, ALICE)
    assert "it waits for you" in ada.get("/admin").text
    assert ada.post(page, {"action": "delete"}).status_code == 303
    assert ada.get(page).status_code == 404


def test_wish_taken_back_in_the_middle_keeps_the_account(
    app: Flask, alice: Browser, ada: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete_some = deletion._delete_some

    def taken_back(user_id: int) -> bool:
        more = delete_some(user_id)
        with transaction() as session:
            session.execute(update(User).values(deletion_asked_at=None))
        return more

    ask(alice)
    let_days_pass(app)
    page = page_of(app, ALICE)
    monkeypatch.setattr(deletion, "_delete_some", taken_back)
    assert ada.post(page, {"action": "delete"}).status_code == 409
    assert user_named(app, ALICE).deleted_at is None


def test_document_that_comes_at_the_last_moment_goes_too(
    app: Flask,
    alice: Browser,
    ada: Browser,
    deed: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delete_some = deletion._delete_some
    seen = iter([False])  # nothing is there yet when it is looked the first time

    def late(user_id: int) -> bool:
        return next(seen) if seen.__length_hint__() else delete_some(user_id)

    ask(alice)
    let_days_pass(app)
    monkeypatch.setattr(deletion, "_delete_some", late)
    assert ada.post(page_of(app, ALICE), {"action": "delete"}).status_code == 303
    with app.app_context():
        assert db.session.scalar(select(func.count(Document.id))) == 0


def test_program_is_told(app: Flask, alice: Browser, ada: Browser) -> None:
    ask(alice)
    let_days_pass(app)
    response = ada.post_json(page_of(app, ALICE), {"action": "delete"})
    assert response.status_code == 201
    assert response.json["status"] == "deleted"


def test_nobody_else_deletes(app: Flask, alice: Browser, bob: Browser) -> None:
    ask(alice)
    let_days_pass(app)
    for browser in (alice, bob):
        assert browser.post(page_of(app, ALICE), {"action": "delete"}).status_code == 404
    assert user_named(app, ALICE).deleted_at is None


def test_upload_for_a_deleted_account_is_refused(app: Flask, alice: Browser, ada: Browser) -> None:
    ask(alice)
    let_days_pass(app)
    page = page_of(app, ALICE)
    ada.post(page, {"action": "delete"})
    response = ada.post_json(f"{page}/documents", {"file": (BytesIO(b"x"), "x.txt")})
    assert response.status_code == 404
    assert stored_files(app) == []
    for model in (Identity, Passkey):
        with app.app_context():
            assert db.session.scalar(select(func.count()).select_from(model)) == 0
