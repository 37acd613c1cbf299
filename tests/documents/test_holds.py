"""Legal holds: what is held cannot be deleted on any road, by anybody, and the log says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from conftest import Browser, user_named
from documents.keeping_stage import (
    ALICE,
    Owner,
    admin_of,
    change,
    folder_row,
    hold,
    let_go,
    make_folder,
    put_into,
    row,
    trashed,
)
from portal.accounts import deletion
from portal.database import transaction
from portal.documents import folders, holds, housekeeping, keeping, lifecycle
from portal.errors import Conflict, Held, Invalid, NotFound
from portal.extensions import db
from portal.models import Document, Folder, LegalHold, User, Version, utcnow
from stage import at_once, database_dump, events, settings_of, stored_files

LONG_AGO = utcnow() - timedelta(days=400)


def everything(app: Flask, deed: dict[str, Any]) -> dict[str, Any]:
    return {}


def the_document(app: Flask, deed: dict[str, Any]) -> dict[str, Any]:
    return {"document_id": UUID(deed["id"])}


def its_folder(app: Flask, deed: dict[str, Any]) -> dict[str, Any]:
    folder = make_folder(app, "Taxes")
    put_into(app, folder, deed)
    return {"folder_id": folder}


def a_folder_far_above(app: Flask, deed: dict[str, Any]) -> dict[str, Any]:
    top = make_folder(app, "Household")
    folder = make_folder(app, "2026", make_folder(app, "Taxes", top))
    put_into(app, folder, deed)
    return {"folder_id": top}


every_place = pytest.mark.parametrize(
    "place", [everything, the_document, its_folder, a_folder_far_above]
)
Place = Callable[[Flask, dict[str, Any]], dict[str, Any]]


def purge(app: Flask) -> housekeeping.Purged:
    with app.app_context():
        return housekeeping.purge(settings_of(app))


def is_there(app: Flask, document: dict[str, Any]) -> bool:
    return row(app, document) is not None


# Every road to the end


@every_place
def test_held_document_cannot_go_to_the_trash(
    app: Flask, alice: Browser, deed: dict[str, Any], place: Place
) -> None:
    hold(app, **place(app, deed))
    response = alice.post_json(f"{deed['url']}/delete")
    assert (response.status_code, response.json["reason"]) == (409, "held")
    assert "“deed.pdf” is held by the administration since" in response.json["detail"]
    assert "Ask an admin" in response.json["detail"]
    assert alice.get(deed["download_url"]).status_code == 200
    (event,) = events(app, "document.deletion_refused")
    assert (event.actor, event.document, event.owner) == (ALICE, deed["id"], ALICE)
    assert event.detail["reason"] == "held"
    assert not events(app, "document.trashed")


@every_place
def test_held_document_in_the_trash_cannot_be_deleted_for_ever(
    app: Flask, alice: Browser, deed: dict[str, Any], place: Place
) -> None:
    trashed(alice, deed)
    hold(app, **place(app, deed))
    response = alice.post(f"/trash/{deed['id']}/purge")
    assert response.status_code == 409
    assert "held by the administration" in response.text
    assert len(events(app, "document.deletion_refused")) == 1
    assert is_there(app, deed)


@every_place
def test_emptying_the_trash_leaves_what_is_held_and_says_how_many(
    app: Flask, alice: Browser, deed: dict[str, Any], place: Place
) -> None:
    free = alice.upload("free.txt", b"free")
    trashed(alice, deed)
    what = place(app, deed)
    trashed(alice, free)
    hold(app, **what)
    if not what:  # everything: the other one too
        assert alice.post_json("/trash/empty").json == {"deleted": 0, "left": 2}
        assert is_there(app, free)
        return
    assert alice.post_json("/trash/empty").json == {"deleted": 1, "left": 1}
    assert is_there(app, deed)
    assert not is_there(app, free)
    (event,) = events(app, "document.deletion_refused")
    assert event.detail["count"] == 1
    page = alice.post("/trash/empty", follow_redirects=True).text
    assert "1 document stays in the trash" in page


@every_place
def test_worker_leaves_what_is_held_however_long_it_lies_in_the_trash(
    app: Flask, alice: Browser, deed: dict[str, Any], place: Place
) -> None:
    trashed(alice, deed)
    hold_id = hold(app, **place(app, deed))
    change(app, deed, trashed_at=LONG_AGO)
    assert purge(app).documents == 0
    assert is_there(app, deed)
    assert len(stored_files(app)) == 1
    let_go(app, hold_id)
    assert purge(app).documents == 1
    assert not is_there(app, deed)


@every_place
def test_the_deleting_function_itself_leaves_what_is_held(
    app: Flask, alice: Browser, bob: Browser, deed: dict[str, Any], place: Place
) -> None:
    free = trashed(bob, bob.upload("free.txt", b"free"))
    trashed(alice, deed)
    hold(app, **place(app, deed))
    with app.app_context():
        ids = db.session.scalars(select(Document.id)).all()
        with transaction():
            assert lifecycle.delete_for_ever(ids) == 1
    assert is_there(app, deed)
    assert not is_there(app, free)
    assert not [each for each in events(app, "document.purged") if each.document == deed["id"]]


def ask_to_leave(app: Flask, browser: Browser) -> str:
    browser.post("/account/delete", {"action": "ask", "password": "three quiet herons wade"})
    with app.app_context(), transaction() as session:
        session.execute(update(User).values(deletion_asked_at=None))
        session.execute(
            update(User).where(User.email == browser.email).values(deletion_asked_at=LONG_AGO)
        )
    return f"/admin/users/{user_named(app, browser.email).public_id}"


@every_place
def test_account_with_something_held_is_not_deleted(
    app: Flask, alice: Browser, ada: Browser, deed: dict[str, Any], place: Place
) -> None:
    hold_id = hold(app, **place(app, deed))
    page = ask_to_leave(app, alice)
    response = ada.post(page, {"action": "delete"})
    assert response.status_code == 409
    assert "A legal hold covers documents of this account" in response.text
    assert alice.get(deed["download_url"]).status_code == 200  # not even shut
    let_go(app, hold_id)
    assert ada.post(page, {"action": "delete"}).status_code == 303
    assert not is_there(app, deed)
    with app.app_context():
        assert db.session.scalars(select(LegalHold.id)).all() == []


def test_hold_on_somebody_without_documents_keeps_the_account(
    app: Flask, alice: Browser, ada: Browser
) -> None:
    hold(app)
    page = ask_to_leave(app, alice)
    assert ada.post(page, {"action": "delete"}).status_code == 409


def test_hold_placed_while_an_account_is_deleted_keeps_what_is_left(
    app: Flask,
    alice: Browser,
    ada: Browser,
    deed: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    second = alice.upload("second.txt", b"second")
    page = ask_to_leave(app, alice)
    monkeypatch.setattr(deletion, "_BATCH", 1)
    delete_some = deletion._delete_some
    held: list[UUID] = []

    def between(user_id: int) -> bool:
        more = delete_some(user_id)
        if not held:
            left = deed if is_there(app, deed) else second
            user = user_named(app, ALICE)
            held.append(holds.place(admin_of(app), user, "late", document_id=UUID(left["id"])))
        return more

    monkeypatch.setattr(deletion, "_delete_some", between)
    assert ada.post(page, {"action": "delete"}).status_code == 409
    assert is_there(app, deed) != is_there(app, second)
    left = row(app, deed) or row(app, second)
    assert left
    assert left.trashed_at is None
    assert user_named(app, ALICE).deleted_at is None


def test_database_itself_refuses_to_lose_a_held_document(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    hold(app, document_id=UUID(deed["id"]))
    with app.app_context(), transaction() as session:
        session.execute(delete(Version))
    with app.app_context(), pytest.raises(IntegrityError), transaction() as session:
        session.execute(delete(Document))
    assert is_there(app, deed)


# What is still possible


def test_held_document_can_be_renamed_read_shared_and_renewed(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    hold(app, document_id=UUID(deed["id"]))
    assert alice.post(f"{deed['url']}/rename", {"name": "house.pdf"}).status_code == 303
    more = {"file": (BytesIO(b"second"), "second.pdf")}
    assert alice.post_json(f"{deed['url']}/versions", more).status_code == 201
    assert alice.get(f"{deed['url']}/download?version=1").status_code == 200
    assert alice.get(alice.share(deed)["path"]).status_code == 200


def test_what_comes_into_a_held_folder_later_is_held(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    top = make_folder(app, "Taxes")
    hold(app, folder_id=top)
    put_into(app, make_folder(app, "2026", top), deed)
    assert alice.post(f"{deed['url']}/delete").status_code == 409


def test_what_lies_elsewhere_is_not_held(
    app: Flask, alice: Browser, bob: Browser, deed: dict[str, Any]
) -> None:
    other = alice.upload("other.txt", b"other")
    third = alice.upload("third.txt", b"third")
    top = make_folder(app, "Taxes")
    put_into(app, make_folder(app, "2026", top), other)
    put_into(app, make_folder(app, "Letters"), third)
    hold(app, folder_id=folder_of(app, other))
    hold(app, document_id=UUID(other["id"]))
    hold(app, owner="bob@example.org")
    trashed(alice, deed)
    trashed(alice, third)
    assert alice.post_json("/trash/empty").json == {"deleted": 2, "left": 0}


def folder_of(app: Flask, document: dict[str, Any]) -> UUID:
    with app.app_context():
        return db.session.execute(
            select(Folder.public_id)
            .join(Document, Document.folder_id == Folder.id)
            .where(Document.public_id == UUID(document["id"]))
        ).scalar_one()


def test_released_document_can_be_deleted_and_what_the_hold_left_goes_with_it(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    let_go(app, hold(app, document_id=UUID(deed["id"])))
    trashed(alice, deed)
    assert alice.post(f"/trash/{deed['id']}/purge").status_code == 303
    assert not is_there(app, deed)
    assert len(events(app, "legal_hold.released")) == 1


def test_two_holds_are_released_one_by_one(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    first, second = hold(app), hold(app, document_id=UUID(deed["id"]))
    let_go(app, first)
    assert alice.post(f"{deed['url']}/delete").status_code == 409
    let_go(app, second)
    assert alice.post(f"{deed['url']}/delete").status_code == 303


# Moving, restoring, folders


def rows_of(app: Flask, *folders: UUID) -> list[Folder]:
    return [
        db.session.execute(select(Folder).where(Folder.public_id == each)).scalar_one()
        for each in folders
    ]


def test_nothing_is_moved_out_of_a_held_folder_and_within_it_everything_may(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    top = make_folder(app, "Taxes")
    one, two = make_folder(app, "2025", top), make_folder(app, "2026", top)
    elsewhere = make_folder(app, "Letters")
    put_into(app, one, deed)
    hold(app, folder_id=top)
    with app.app_context():
        one_row, two_row, top_row, other = rows_of(app, one, two, top, elsewhere)
        document = db.session.scalars(select(Document)).one()
        owner_id = document.owner_id
        for target in (None, other.id):
            with pytest.raises(Held, match="taken out of its folder"), transaction():
                keeping.check_may_leave(owner_id, target, documents=[document])
            with pytest.raises(Held), transaction():
                keeping.check_may_leave(owner_id, target, folders=[one_row])
        with transaction():
            keeping.check_may_leave(owner_id, two_row.id, documents=[document], folders=[one_row])
            keeping.check_may_leave(owner_id, top_row.id, documents=[document])
            keeping.check_may_leave(owner_id, other.id, folders=[top_row])  # the hold goes along
            keeping.check_may_leave(owner_id, top_row.id, folders=[other])  # into it
    assert len(events(app, "document.move_refused")) == 4


def test_document_held_by_itself_may_be_moved(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    put_into(app, make_folder(app, "Taxes"), deed)
    hold(app, document_id=UUID(deed["id"]))
    hold(app)
    with app.app_context(), transaction():
        document = db.session.scalars(select(Document)).one()
        keeping.check_may_leave(document.owner_id, None, documents=[document])


def test_folder_with_something_held_in_it_or_around_it_cannot_go_to_the_trash(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    top = make_folder(app, "Taxes")
    inner = make_folder(app, "2026", top)
    empty = make_folder(app, "Empty")
    below_empty = make_folder(app, "Below", empty)
    free = make_folder(app, "Free")
    put_into(app, inner, deed)
    hold(app, document_id=UUID(deed["id"]))
    hold(app, folder_id=below_empty)
    with app.app_context():
        for folder in rows_of(app, top, inner, empty, below_empty):
            with pytest.raises(Held), transaction():
                keeping.check_may_delete_folder(folder)
        with transaction():
            keeping.check_may_delete_folder(*rows_of(app, free))


def test_restoring_does_not_take_anything_out_of_a_held_folder(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    folder = make_folder(app, "Taxes")
    put_into(app, folder, deed)
    trashed(alice, deed)
    with app.app_context(), transaction() as session:
        session.execute(update(Folder).values(trashed_at=utcnow()))
    hold(app, folder_id=folder)
    assert alice.post(f"{deed['url']}/restore").status_code == 409
    with app.app_context(), transaction() as session:
        session.execute(update(Folder).values(trashed_at=None))
    assert alice.post(f"{deed['url']}/restore").status_code == 303
    document = row(app, deed)
    assert document
    assert document.folder_id == folder_row(app, folder)


def test_restoring_does_not_take_a_folder_out_of_a_held_one_that_lies_in_the_trash(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    top = make_folder(app, "Taxes")
    inner = make_folder(app, "2026", top)
    put_into(app, inner, deed)
    for folder in (inner, top):
        assert alice.post(f"/folders/{folder}/delete").status_code == 303
    placed = hold(app, folder_id=top)
    answer = alice.post_json(f"/folders/{inner}/restore")
    assert (answer.status_code, answer.json["reason"]) == (409, "held")
    assert alice.get(deed["download_url"]).status_code == 404
    (refused,) = events(app, "document.move_refused")
    assert (refused.actor, refused.detail["name"]) == (alice.email, "2026")
    # Back where it was it may go, and to the top once nothing holds it.
    assert alice.post(f"/folders/{top}/restore").status_code == 303
    assert alice.post_json(f"/folders/{inner}/restore").json["parent"] == str(top)
    let_go(app, placed)
    for folder in (inner, top):
        assert alice.post(f"/folders/{folder}/delete").status_code == 303
    assert alice.post_json(f"/folders/{inner}/restore").json["parent"] is None
    assert alice.get(deed["download_url"]).status_code == 200


def test_database_itself_refuses_to_lose_a_held_folder(app: Flask, alice: Browser) -> None:
    hold(app, folder_id=make_folder(app, "Taxes"))
    with app.app_context(), pytest.raises(IntegrityError), transaction() as session:
        session.execute(delete(Folder))


def test_folder_must_stay_for_a_hold_on_or_around_it_or_on_what_lies_in_it(
    app: Flask, alice: Browser, bob: Browser, deed: dict[str, Any]
) -> None:
    top = make_folder(app, "Top")
    make_folder(app, "Below", top)
    with_held = make_folder(app, "With held")
    make_folder(app, "Empty beside it", with_held)
    make_folder(app, "Free")
    make_folder(app, "Bob's", owner="bob@example.org")
    put_into(app, with_held, trashed(alice, deed))
    hold(app, folder_id=top)
    hold(app, document_id=UUID(deed["id"]))

    def staying(owners: list[int] | None = None) -> set[str]:
        with app.app_context():
            return set(
                db.session.scalars(select(Folder.name).where(keeping.folder_must_stay(owners)))
            )

    alices = user_named(app, ALICE).id
    assert staying() == staying([alices]) == {"Top", "Below", "With held"}
    hold(app, owner="bob@example.org")
    assert staying() == {"Top", "Below", "With held", "Bob's"}
    hold(app)
    assert staying([alices]) >= {"Free", "Empty beside it"}


# Placing and releasing


def test_hold_needs_an_admin_a_reason_and_something_of_the_owners(
    app: Flask, alice: Browser, bob: Browser, deed: dict[str, Any]
) -> None:
    bobs = bob.upload("bobs.txt", b"bobs")
    folder = make_folder(app, "Bob's", owner="bob@example.org")
    own_folder = make_folder(app, "Taxes")
    before = database_dump(app)
    nobody = type("Person", (), {"user_id": 1, "email": ALICE, "is_admin": False})()
    user = user_named(app, ALICE)
    with app.app_context(), pytest.raises(NotFound):
        holds.place(nobody, user, "because")
    admin = admin_of(app)
    with app.app_context():
        for reason in ("", " \n", "x" * 2001):
            with pytest.raises(Invalid):
                holds.place(admin, user, reason)
        for what in (
            {"document_id": UUID(bobs["id"])},
            {"folder_id": folder},
            {"folder_id": own_folder, "document_id": UUID(deed["id"])},
        ):
            with pytest.raises(NotFound):
                holds.place(admin, user, "because", **what)
    after = database_dump(app)
    assert after["legal_holds"] == before["legal_holds"] == []


def test_placing_and_releasing_are_in_the_log_with_their_reasons(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    hold_id = hold(app, document_id=UUID(deed["id"]), reason="Case 17")
    let_go(app, hold_id)
    (placed,) = events(app, "legal_hold.placed")
    (released,) = events(app, "legal_hold.released")
    for event, reason in ((placed, "Case 17"), (released, "The case is closed")):
        assert (event.owner, event.document) == (ALICE, deed["id"])
        assert event.detail["reason"] == reason
        assert event.detail["hold"] == str(hold_id)
    with app.app_context():
        row = db.session.scalars(select(LegalHold)).one()
        assert row.released_at
        assert (row.released_by_id, row.release_reason) == (row.placed_by_id, "The case is closed")


def test_nobody_but_an_admin_releases(app: Flask, alice: Browser) -> None:
    hold_id = hold(app)
    with app.app_context(), pytest.raises(NotFound):
        holds.release(Owner(user_named(app, ALICE)), hold_id, "because")
    assert not events(app, "legal_hold.released")


def test_hold_is_released_once(app: Flask, alice: Browser) -> None:
    hold_id = hold(app)
    admin = admin_of(app)

    def go(_number: int) -> str:
        with app.app_context():
            try:
                holds.release(admin, hold_id, "done")
            except Conflict:
                return "released already"
            return "released"

    assert sorted(at_once(4, go)) == ["released"] + ["released already"] * 3
    assert len(events(app, "legal_hold.released")) == 1
    with app.app_context(), pytest.raises(NotFound):
        holds.release(admin, UUID(int=7), "done")


# At the same moment


@pytest.mark.parametrize("place", [everything, the_document, its_folder])
@pytest.mark.parametrize("number", range(4))
def test_purge_and_hold_at_once_end_with_one_of_the_two(
    app: Flask, alice: Browser, deed: dict[str, Any], place: Place, number: int
) -> None:
    """A hold that says it covers a document finds it there for good."""
    trashed(alice, deed)
    admin, user, what = admin_of(app), user_named(app, ALICE), place(app, deed)
    token = alice.token()

    def act(part: int) -> int:
        if part == number % 2:
            headers = {"X-CSRFToken": token}
            return alice.client.post(f"/trash/{deed['id']}/purge", headers=headers).status_code
        with app.app_context():
            try:
                holds.place(admin, user, "at once", **what)
            except NotFound:
                return 404
            return int(row(app, deed) is not None)

    answers = at_once(2, act)
    purged, held = answers[number % 2], answers[1 - number % 2]
    assert purged in {303, 409}
    assert is_there(app, deed) == (purged == 409)
    # What was there when the hold was answered is there now.
    assert held != 1 or purged == 409


def test_hold_waits_for_a_deletion_that_has_decided(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    trashed(alice, deed)
    admin, user = admin_of(app), user_named(app, ALICE)
    decided = threading.Event()
    order: list[str] = []

    def delete_slowly() -> None:
        with transaction() as session:
            keeping.stand_in_line([user.id])
            ids = session.scalars(select(Document.id).where(~keeping.must_stay())).all()
            decided.set()
            time.sleep(0.5)
            lifecycle.delete_for_ever(ids)
            order.append("deleted")

    def act(part: int) -> None:
        with app.app_context():
            if part == 0:
                delete_slowly()
            else:
                decided.wait(10)
                holds.place(admin, user, "late")
                order.append("held")

    at_once(2, act)
    assert order == ["deleted", "held"]
    assert not is_there(app, deed)


@pytest.mark.parametrize("place", [everything, its_folder])
def test_deletion_waits_for_a_hold_that_is_being_placed(
    app: Flask,
    alice: Browser,
    deed: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    place: Place,
) -> None:
    trashed(alice, deed)
    admin, user, what = admin_of(app), user_named(app, ALICE), place(app, deed)
    placed = threading.Event()
    with app.app_context():
        document_id = db.session.scalars(select(Document.id)).one()

    def act(part: int) -> int:
        with app.app_context():
            if part == 1:
                placed.wait(10)
                with transaction():
                    return lifecycle.delete_for_ever([document_id])
            with transaction():
                holds.place(admin, user, "at once", **what)
                placed.set()
                time.sleep(0.5)
            return 0

    assert at_once(2, act) == [0, 0]
    assert is_there(app, deed)


def test_forgetting_a_folder_waits_for_a_hold_around_it(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    around = make_folder(app, "Household")
    folder = make_folder(app, "Taxes", around)
    put_into(app, folder, deed)
    trashed(alice, deed)
    assert alice.post(f"/folders/{folder}/delete").status_code == 303
    admin, user, number = admin_of(app), user_named(app, ALICE), folder_row(app, folder)
    placed = threading.Event()

    def act(part: int) -> int:
        with app.app_context():
            if part == 1:
                placed.wait(10)
                return folders.forget(Folder.id == number)
            with transaction():
                holds.place(admin, user, "at once", folder_id=around)
                placed.set()
                time.sleep(0.5)
            return 0

    assert at_once(2, act) == [0, 0]
    assert alice.post(f"/trash/{deed['id']}/purge").status_code == 409


# What is shown


def test_owner_sees_since_when_it_is_held_and_not_why(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    assert "Held since" not in alice.get(deed["url"]).text
    assert f'action="{deed["url"]}/delete"' in alice.get(deed["url"]).text
    hold(app, document_id=UUID(deed["id"]), reason="Case 17 against Alice")
    page = alice.get(deed["url"]).text
    assert "Held since" in page
    assert "by the administration" in page
    assert "Case 17" not in page
    assert f'action="{deed["url"]}/delete"' not in page
    assert "Case 17" not in alice.get("/account/activity").text


def test_trash_says_why_something_stays_and_offers_no_end(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    free = trashed(alice, alice.upload("free.txt", b"free"))
    trashed(alice, deed)
    hold(app, document_id=UUID(deed["id"]))
    page = alice.get("/trash").text
    assert "Held since" in page
    assert f"/trash/{deed['id']}/purge" not in page
    assert f"/trash/{free['id']}/purge" in page
    assert f"{deed['url']}/restore" in page
    found = {
        each["id"]: each
        for each in alice.get("/trash", headers={"Accept": "application/json"}).json["documents"]
    }
    assert found[deed["id"]]["held_since"]
    assert "purge_url" not in found[deed["id"]]
    assert "held_since" not in found[free["id"]]
    assert found[free["id"]]["purge_url"]


# On the pages of folders


@pytest.fixture
def held(app: Flask, alice: Browser, deed: dict[str, Any]) -> dict[str, UUID]:
    """A held folder with one inside it, in which the deed lies."""
    top = make_folder(app, "Taxes")
    inner = make_folder(app, "2025", top)
    put_into(app, inner, deed)
    hold(app, folder_id=top)
    return {"top": top, "inner": inner}


def test_no_page_moves_anything_out_of_a_held_folder(
    app: Flask, alice: Browser, deed: dict[str, Any], held: dict[str, UUID]
) -> None:
    for path, field in (
        (f"{deed['url']}/move", {"folder": ""}),
        ("/documents/move", {"id": deed["id"], "folder": ""}),
        (f"/folders/{held['inner']}/move", {"parent": ""}),
    ):
        response = alice.post_json(path, field)
        assert (response.status_code, response.json["reason"]) == (409, "held"), path
    assert alice.post_json(f"{deed['url']}/move", {"folder": held["top"]}).status_code == 201


def test_no_page_puts_a_held_folder_into_the_trash(
    app: Flask, alice: Browser, deed: dict[str, Any], held: dict[str, UUID]
) -> None:
    for path in (f"/folders/{held['top']}/delete", f"/folders/{held['inner']}/delete"):
        assert alice.post_json(path).status_code == 409
    assert alice.post_json("/documents/delete", {"folder": held["top"]}).status_code == 409
    assert alice.get(deed["download_url"]).status_code == 200


def test_folder_held_in_the_trash_is_not_deleted_for_ever(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    top = make_folder(app, "Taxes")
    put_into(app, top, deed)
    assert alice.post(f"/folders/{top}/delete").status_code == 303
    hold(app)
    assert alice.post_json(f"/trash/{top}/purge").status_code == 409
    assert alice.post_json("/trash/empty").json == {"deleted": 0, "left": 1}
    with app.app_context(), transaction() as session:
        session.execute(update(Document).values(trashed_at=LONG_AGO))
        session.execute(update(Folder).values(trashed_at=LONG_AGO))
    purge(app)
    assert alice.post(f"/folders/{top}/restore").status_code == 303
    assert alice.get(deed["download_url"]).status_code == 200


def test_empty_folder_held_in_the_trash_stays_there(app: Flask, alice: Browser) -> None:
    top = make_folder(app, "Taxes")
    assert alice.post(f"/folders/{top}/delete").status_code == 303
    hold(app, folder_id=top)
    assert alice.post_json("/trash/empty").status_code == 201
    assert alice.post(f"/folders/{top}/restore").status_code == 303
