"""Rules of retention: what they keep, what they move to the trash, and exactly when."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select, update

from conftest import Browser, Cast, user_named
from documents.keeping_stage import (
    ALICE,
    Owner,
    admin_of,
    change,
    folder_row,
    hold,
    make_folder,
    put_into,
    row,
    rule,
    trashed,
    until,
)
from documents.test_holds import ask_to_leave, is_there, rows_of
from portal.database import transaction
from portal.documents import housekeeping, keeping, retention
from portal.documents.retention import Terms
from portal.errors import Invalid, Kept, NotFound
from portal.extensions import db
from portal.models import Document, RetentionRule, utcnow
from stage import Program, at_once, events, program, settings_of

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
Travel = Callable[[timedelta], None]


@pytest.fixture
def later(time_machine: Any) -> Travel:
    """Go to a moment so long after the beginning of the test."""
    start = utcnow()
    time_machine.move_to(start, tick=False)
    return lambda span: time_machine.move_to(start + span, tick=False)


def purge(app: Flask) -> housekeeping.Purged:
    with app.app_context():
        return housekeeping.purge(settings_of(app))


def in_trash(app: Flask, document: dict[str, Any]) -> bool:
    found = row(app, document)
    assert found is not None
    return found.trashed_at is not None


# Keeping


def owners(app: Flask, _deed: dict[str, Any]) -> None:
    return None


def its_folders(app: Flask, deed: dict[str, Any]) -> UUID:
    folder = make_folder(app, "Taxes")
    put_into(app, folder, deed)
    return folder


def one_far_above(app: Flask, deed: dict[str, Any]) -> UUID:
    top = make_folder(app, "Household")
    put_into(app, make_folder(app, "2026", make_folder(app, "Taxes", top)), deed)
    return top


every_place = pytest.mark.parametrize("place", [owners, its_folders, one_far_above])
every_keep = pytest.mark.parametrize("terms", [{"keep_days": 365}, {"keep_until": until(2090)}])


@every_place
@every_keep
def test_kept_document_cannot_be_deleted_on_any_road(
    app: Flask, alice: Browser, ada: Browser, deed: dict[str, Any], place: Any, terms: Any
) -> None:
    other = trashed(alice, alice.upload("other.txt", b"other"))
    folder = place(app, deed)
    if folder:
        change(app, other, folder_id=folder_row(app, folder))
    rule(app, folder, **terms)
    response = alice.post_json(f"{deed['url']}/delete")
    assert (response.status_code, response.json["reason"]) == (409, "kept")
    assert "is kept until" in response.json["detail"]
    assert "by the rule for" in response.json["detail"]
    assert "Ask an admin" in response.json["detail"]
    response = alice.post(f"/trash/{other['id']}/purge")
    assert response.status_code == 409
    assert alice.post_json("/trash/empty").json == {"deleted": 0, "left": 1}
    change(app, other, trashed_at=utcnow() - 40 * DAY)
    assert purge(app).documents == 0
    page = ask_to_leave(app, alice)
    response = ada.post(page, {"action": "delete"})
    assert response.status_code == 409
    assert "A rule of retention keeps documents" in response.text
    assert is_there(app, deed)
    assert is_there(app, other)
    refused = events(app, "document.deletion_refused")
    assert [each.detail["reason"] for each in refused] == ["kept", "kept", "stays"]


def test_document_is_kept_to_the_second(app: Flask, later: Travel, cast: Cast) -> None:
    alice = cast.person(ALICE, "Alice")
    token = program(alice, "documents:write")
    deed = alice.upload("a.txt", b"x")
    rule(app, keep_days=10)
    later(10 * DAY - SECOND)
    assert token.post(f"{deed['url']}/delete").status_code == 409
    later(10 * DAY)
    assert token.post(f"{deed['url']}/delete").status_code == 201


def test_new_version_is_kept_as_long_again(app: Flask, alice: Browser, deed: Any) -> None:
    rule(app, keep_days=10)
    change(app, deed, uploaded_at=utcnow() - 11 * DAY)
    assert alice.post(f"{deed['url']}/delete").status_code == 303
    assert alice.post(f"{deed['url']}/restore").status_code == 303
    change(app, deed, uploaded_at=utcnow() - 9 * DAY)
    assert alice.post(f"{deed['url']}/delete").status_code == 409


def test_strictest_of_all_covering_rules_keeps(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    top = make_folder(app, "Household")
    inner = make_folder(app, "Taxes", top)
    put_into(app, inner, deed)
    rule(app, keep_days=5)
    rule(app, top, keep_days=400, keep_until=until(2080))
    rule(app, inner, keep_days=30, keep_until=until(2070))
    with app.app_context():
        document = db.session.scalars(select(Document)).one()
        why = keeping.of_document(document)
    assert why.kept_until == until(2080)
    assert why.kept_by == "the folder “Household”"
    page = alice.get(deed["url"]).text
    assert "Kept until" in page
    assert "Household" in page
    assert f'action="{deed["url"]}/delete"' not in page


def test_rule_of_one_keeps_nothing_of_another(
    app: Flask, alice: Browser, bob: Browser, deed: dict[str, Any]
) -> None:
    rule(app, owner="bob@example.org", keep_days=10)
    rule(app, make_folder(app, "Elsewhere"), keep_days=10)
    assert alice.post(f"{deed['url']}/delete").status_code == 303


def test_nothing_is_moved_out_of_what_keeps_it(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    top = make_folder(app, "Taxes")
    inner = make_folder(app, "2026", top)
    old = alice.upload("old.txt", b"old")
    put_into(app, top, deed, old)
    rule(app, top, keep_days=10)
    change(app, old, uploaded_at=utcnow() - 11 * DAY)
    with app.app_context():
        inner_row = rows_of(app, inner)[0]
        document, free = db.session.scalars(select(Document).order_by(Document.name)).all()
        with pytest.raises(Kept), transaction():
            keeping.check_may_leave(document.owner_id, None, documents=[document])
        with pytest.raises(Kept), transaction():
            keeping.check_may_leave(document.owner_id, None, folders=[inner_row])
        with transaction():
            keeping.check_may_leave(document.owner_id, None, documents=[free])
            keeping.check_may_leave(document.owner_id, inner_row.id, documents=[document])
        with pytest.raises(Kept), transaction():
            keeping.check_may_delete_folder(*rows_of(app, top))
        with transaction():
            keeping.check_may_delete_folder(inner_row)
    assert len(events(app, "document.move_refused")) == 2


# Deleting


@every_place
def test_worker_moves_to_the_trash_what_is_old_enough_and_not_before(
    app: Flask, later: Travel, cast: Cast, place: Any
) -> None:
    alice = cast.person(ALICE, "Alice")
    deed = alice.upload("a.txt", b"x")
    rule(app, place(app, deed), delete_after_days=100)
    later(100 * DAY - SECOND)
    assert purge(app).trashed == 0
    assert not in_trash(app, deed)
    later(100 * DAY)
    assert purge(app).trashed == 1
    assert in_trash(app, deed)
    (event,) = events(app, "document.trashed")
    assert (event.actor, event.document, event.owner) == ("system", deed["id"], ALICE)
    assert event.detail["rule"] == "deleted after 100 days"
    later(130 * DAY)
    assert purge(app).documents == 0
    later(130 * DAY + SECOND)
    assert purge(app).documents == 1
    assert not is_there(app, deed)


def test_rule_is_named_in_what_people_read(app: Flask, alice: Browser, deed: Any) -> None:
    folder = make_folder(app, "Letters")
    put_into(app, folder, deed)
    rule(app, folder, delete_after_days=30)
    change(app, deed, uploaded_at=utcnow() - 31 * DAY)
    assert purge(app).trashed == 1
    page = alice.get("/account/activity").text
    assert "to the trash, by the rule for the folder “Letters”" in page


def test_nearest_rule_that_deletes_beats_those_above_it(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    top = make_folder(app, "Top")
    strict = make_folder(app, "Strict", top)
    silent = make_folder(app, "Silent", strict)
    patient = make_folder(app, "Patient", silent)
    for folder, days in ((None, 10), (top, 100), (strict, 50), (patient, 200)):
        rule(app, folder, delete_after_days=days)
    rule(app, silent, keep_days=1)
    places = {"at top": None, "in top": top, "in strict": strict, "in silent": silent}
    places["in patient"] = patient
    for name, folder in places.items():
        put_into(app, folder, alice.upload(name, b"x"))
    alice.post(f"{deed['url']}/delete")
    goes: dict[int, set[str]] = {}
    for age in (9, 10, 49, 50, 99, 100, 199, 200):
        change_all(app, utcnow() - age * DAY - SECOND)
        purge(app)
        with app.app_context():
            goes[age] = set(
                db.session.scalars(select(Document.name).where(Document.trashed_at.is_not(None)))
            ) - {"deed.pdf"}
    assert goes[9] == set()
    assert goes[10] == goes[49] == {"at top"}
    assert goes[50] == goes[99] == {"at top", "in strict", "in silent"}
    assert goes[100] == goes[199] == {"at top", "in strict", "in silent", "in top"}
    assert goes[200] == set(places)


def change_all(app: Flask, uploaded_at: Any) -> None:
    with app.app_context(), transaction() as session:
        session.execute(update(Document).values(uploaded_at=uploaded_at))


def test_rule_does_not_delete_what_is_held_or_kept_longer(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    kept = alice.upload("kept.txt", b"kept")
    goes = alice.upload("goes.txt", b"goes")
    folder = make_folder(app, "Taxes")
    put_into(app, folder, kept)
    rule(app, delete_after_days=10)
    rule(app, folder, keep_days=100)
    hold(app, document_id=UUID(deed["id"]))
    change_all(app, utcnow() - 11 * DAY)
    assert purge(app).trashed == 1
    assert [in_trash(app, each) for each in (deed, kept, goes)] == [False, False, True]
    with app.app_context():
        found = db.session.scalars(select(Document).where(Document.name == "kept.txt")).one()
        why = keeping.of_document(found)
        assert why.goes_at == why.kept_until == found.uploaded_at + 100 * DAY
    page = alice.get(kept["url"]).text
    assert "Will be deleted on" in page
    assert "Would be deleted on" in alice.get(deed["url"]).text


def test_restored_document_gets_its_days_again(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    rule(app, delete_after_days=10)
    change_all(app, utcnow() - 11 * DAY)
    assert purge(app).trashed == 1
    assert alice.post(f"{deed['url']}/restore").status_code == 303
    assert purge(app).trashed == 0
    with app.app_context():
        document = db.session.scalars(select(Document)).one()
        assert document.restored_at
        assert keeping.of_document(document).goes_at == document.restored_at + 10 * DAY
    change(app, deed, restored_at=utcnow() - 10 * DAY)
    assert purge(app).trashed == 1


def test_many_go_batch_by_batch_and_nobody_elses(
    app: Flask, alice: Browser, bob: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_BATCH", 2)
    for number in range(5):
        alice.upload(f"{number}.txt", b"x")
    other = bob.upload("b.txt", b"x")
    rule(app, delete_after_days=10)
    change_all(app, utcnow() - 11 * DAY)
    assert purge(app).trashed == 5
    assert not in_trash(app, other)
    assert len(events(app, "document.trashed")) == 5


def test_two_workers_at_once_move_it_once(app: Flask, alice: Browser) -> None:
    for number in range(4):
        alice.upload(f"{number}.txt", b"x")
    rule(app, delete_after_days=10)
    change_all(app, utcnow() - 11 * DAY)
    assert sum(at_once(3, lambda _n: purge(app).trashed)) == 4
    assert len(events(app, "document.trashed")) == 4


# The decision and its words agree


@pytest.mark.parametrize("seed", range(6))
def test_decision_and_words_agree_on_any_tree(app: Flask, alice: Browser, seed: int) -> None:
    """What the database decides is what the pages say, and what a plain walk upwards finds."""
    chance = random.Random(seed)
    documents = [alice.upload(f"{number}.txt", b"x") for number in range(8)]
    folders: list[UUID] = []
    parents: dict[UUID, UUID | None] = {}
    for number in range(7):
        parent = chance.choice([None, *folders])
        folder = make_folder(app, f"F{number}", parent)
        folders.append(folder)
        parents[folder] = parent
    places: dict[str, UUID | None] = {}
    now = utcnow()
    for document in documents:
        places[document["id"]] = chance.choice([None, *folders])
        put_into(app, places[document["id"]], document)
        change(app, document, uploaded_at=now - chance.randrange(60) * DAY)
    rules: dict[UUID | None, Terms] = {}
    for place in chance.sample([None, *folders], 4):
        terms = Terms(
            keep_days=chance.choice([None, 20, 40]),
            keep_until=chance.choice([None, None, until(2090)]),
            delete_after_days=chance.choice([None, 15, 30]),
        )
        if not terms.is_empty:
            rules[place] = terms
            rule(app, place, **{k: getattr(terms, k) for k in terms.__slots__})
    held = chance.choice(folders)
    hold(app, folder_id=held)

    with app.app_context():
        owner_id = user_named(app, ALICE).id
        staying = set(db.session.scalars(select(Document.public_id).where(keeping.must_stay())))
        assert staying == set(
            db.session.scalars(select(Document.public_id).where(keeping.must_stay([owner_id])))
        )
        said = keeping.of(Document.id.is_not(None), owner_ids=[owner_id])
        uploaded = {row.public_id: row.uploaded_at for row in db.session.scalars(select(Document))}
    due = set()
    for document in documents:
        key = UUID(document["id"])
        chain, place = [], places[document["id"]]
        while place is not None:
            chain.append(place)
            place = parents[place]
        ends = [
            end
            for each in [*chain, None]
            if (terms := rules.get(each))
            for end in (
                terms.keep_until,
                uploaded[key] + terms.keep_days * DAY if terms.keep_days else None,
            )
            if end and end > utcnow()
        ]
        deletes = [
            terms.delete_after_days
            for each in [*chain, None]
            if (terms := rules.get(each)) and terms.delete_after_days
        ]
        why = said[key]
        assert why.kept_until == max(ends, default=None)
        assert (why.held_since is not None) == (held in chain)
        assert why.must_stay == (key in staying)
        if deletes:
            goes_at = uploaded[key] + deletes[0] * DAY
            assert why.goes_at == max([goes_at, *ends])
            if goes_at <= utcnow() and not why.must_stay:
                due.add(key)
        else:
            assert why.goes_at is None
    purge(app)
    with app.app_context():
        gone = select(Document.public_id).where(Document.trashed_at.is_not(None))
        assert set(db.session.scalars(gone)) == due


# Setting


def test_rule_is_set_changed_and_removed_and_the_log_says_so(app: Flask, alice: Browser) -> None:
    rule(app, keep_days=10, delete_after_days=1)
    rule(app, keep_days=10, delete_after_days=1)  # nothing new
    rule(app, keep_days=20)
    rule(app)
    rule(app)
    with app.app_context():
        assert db.session.scalars(select(RetentionRule)).all() == []
    said = [(each.action, each.detail["rule"]) for each in events(app) if "rule" in each.detail]
    assert said == [
        ("retention.set", "kept for 10 days, deleted after 1 day"),
        ("retention.set", "kept for 20 days"),
        ("retention.removed", "kept for 20 days"),
    ]


def test_rules_that_cannot_be_are_refused(app: Flask, alice: Browser, bob: Browser) -> None:
    for wrong in (
        {"keep_days": 0},
        {"keep_days": -1},
        {"delete_after_days": 0},
        {"keep_days": 36_501},
        {"delete_after_days": 36_501},
    ):
        with pytest.raises(Invalid):
            Terms(**wrong)
    with pytest.raises(Invalid):
        rule(app, keep_until=until(2020))
    with pytest.raises(NotFound):
        rule(app, make_folder(app, "Bob's", owner="bob@example.org"), keep_days=1)
    alices = user_named(app, ALICE)
    with app.app_context():
        with pytest.raises(NotFound):
            retention.decide(Owner(alices), alices, None, Terms(keep_days=1))
        with pytest.raises(NotFound):
            retention.remove(Owner(alices), alices, UUID(int=1))
        with pytest.raises(NotFound):
            retention.remove(admin_of(app), alices, UUID(int=1))
        assert db.session.scalars(select(RetentionRule)).all() == []


def test_day_that_is_over_may_stand_while_the_rest_is_changed(app: Flask, alice: Browser) -> None:
    rule(app, keep_until=until(2090))
    with app.app_context(), transaction() as session:
        session.execute(update(RetentionRule).values(keep_until=until(2020)))
    rule(app, keep_until=until(2020), keep_days=3)


def test_admins_at_once_leave_one_rule(app: Flask, alice: Browser) -> None:
    admin, user = admin_of(app), user_named(app, ALICE)

    def go(number: int) -> None:
        with app.app_context():
            retention.decide(admin, user, None, Terms(keep_days=number + 1))

    at_once(4, go)
    with app.app_context():
        assert len(db.session.scalars(select(RetentionRule)).all()) == 1


# One's own folders


def path_of(folder: UUID) -> str:
    return f"/folders/{folder}/retention"


def decide(browser: Browser | Program, folder: UUID, days: str) -> Any:
    data = {"delete_after_days": days}
    if isinstance(browser, Program):
        return browser.post(path_of(folder), data)
    return browser.post_json(path_of(folder), data)


def test_owner_has_documents_in_a_folder_go_by_themselves(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    folder = its_folders(app, deed)
    response = alice.post(path_of(folder), {"delete_after_days": "30"})
    assert (response.status_code, response.location) == (303, path_of(folder))
    page = alice.get(path_of(folder)).text
    assert 'value="30"' in page
    change(app, deed, uploaded_at=utcnow() - 31 * DAY)
    assert purge(app).trashed == 1
    assert decide(alice, folder, "").json["delete_after_days"] is None
    with app.app_context():
        assert db.session.scalars(select(RetentionRule)).all() == []


def test_program_of_the_owner_reads_and_sets_it(app: Flask, alice: Browser) -> None:
    folder = make_folder(app, "Taxes")
    rule(app, folder, keep_days=7, keep_until=until(2090))
    writer, reader = program(alice, "documents:write"), program(alice, "documents:read")
    assert decide(writer, folder, "12").status_code == 201
    assert decide(reader, folder, "12").status_code == 403
    assert reader.open(path_of(folder)).json == {
        "id": str(folder),
        "keep_days": 7,
        "keep_until": "2090-01-01T00:00:00Z",
        "delete_after_days": 12,
    }
    assert decide(writer, folder, "13").status_code == 201
    page = alice.get(path_of(folder)).text
    assert "for 7 days" in page


@pytest.mark.parametrize("days", ["0", "-1", "36501", "soon", "99999999999999999999"])
def test_wrong_number_is_refused_beside_its_field(app: Flask, alice: Browser, days: str) -> None:
    folder = make_folder(app, "Taxes")
    response = alice.post(path_of(folder), {"delete_after_days": days})
    assert response.status_code == 422
    assert 'id="delete_after_days-wrong"' in response.text


def test_owner_cannot_undo_what_the_administration_decided(app: Flask, alice: Browser) -> None:
    top = make_folder(app, "Top")
    inner = make_folder(app, "Inner", top)
    rule(app, top, delete_after_days=50)
    for days in ("40", "60", ""):
        response = decide(alice, top, days)
        assert response.status_code == 409
        assert "The administration decided" in response.json["detail"]
    assert decide(alice, inner, "51").status_code == 422
    assert "deleted after 50 days" in decide(alice, inner, "51").json["detail"]
    assert decide(alice, inner, "50").status_code == 201
    rule(app, delete_after_days=20)
    assert decide(alice, inner, "21").status_code == 422
    assert decide(alice, inner, "20").status_code == 201
    assert decide(alice, inner, "").status_code == 201
    page = alice.post(path_of(top), {"delete_after_days": "60"})
    assert page.status_code == 409
    assert "The administration decided" in page.text


def test_owner_changes_nothing_of_what_is_kept(app: Flask, alice: Browser) -> None:
    folder = make_folder(app, "Taxes")
    rule(app, folder, keep_days=9, keep_until=until(2090))
    alice.post(path_of(folder), {"delete_after_days": "5", "keep_days": "", "keep_until": ""})
    decide(alice, folder, "")
    with app.app_context():
        (left,) = db.session.scalars(select(RetentionRule)).all()
        assert (left.keep_days, left.keep_until) == (9, until(2090))


def test_rule_of_ones_own_can_be_taken_over_by_an_admin(app: Flask, alice: Browser) -> None:
    folder = make_folder(app, "Taxes")
    decide(alice, folder, "30")
    rule(app, folder, keep_days=5, delete_after_days=30)  # as it was: still hers
    assert decide(alice, folder, "31").status_code == 201
    rule(app, folder, delete_after_days=20)
    assert decide(alice, folder, "10").status_code == 409


def test_folder_of_somebody_else_is_not_there(
    app: Flask, alice: Browser, bob: Browser, ada: Browser, visitor: Browser
) -> None:
    folder = make_folder(app, "Taxes")
    gone = make_folder(app, "Gone", trashed_at=utcnow())
    for browser, path in ((bob, folder), (ada, folder), (alice, gone), (alice, UUID(int=9))):
        assert browser.get(path_of(path)).status_code == 404
        assert decide(browser, path, "3").status_code == 404
    assert visitor.get(path_of(folder)).location.startswith("/login?next=")
    owner = Owner(user_named(app, "bob@example.org"))
    with app.app_context(), pytest.raises(NotFound):
        retention.decide_own(owner, folder, 3)
    with app.app_context():
        assert db.session.scalars(select(RetentionRule)).all() == []
