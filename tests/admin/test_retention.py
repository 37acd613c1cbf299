"""The admin pages of rules and legal holds."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from conftest import Browser, user_named
from documents.keeping_stage import ALICE, hold, make_folder, rule, until
from portal.documents import holds
from portal.extensions import db
from portal.models import LegalHold, RetentionRule
from stage import NOTHING, database_dump, events, program
from two_factor import forget_proof

HOLDS = "/admin/holds"
ADA = "ada@example.org"


def page_of(app: Flask, email: str = ALICE) -> str:
    return f"/admin/users/{user_named(app, email).public_id}/retention"


def rules(app: Flask) -> list[RetentionRule]:
    with app.app_context():
        return list(db.session.scalars(select(RetentionRule)))


def live(app: Flask) -> list[LegalHold]:
    with app.app_context():
        return list(db.session.scalars(select(LegalHold).where(LegalHold.released_at.is_(None))))


# Rules


def test_admin_sets_changes_and_removes_a_rule(app: Flask, alice: Browser, ada: Browser) -> None:
    page = page_of(app)
    make_folder(app, "2026", make_folder(app, "Taxes"))
    assert "Taxes / 2026" in ada.get(page).text
    terms = {"keep_days": "10", "keep_until": "2090-01-01", "delete_after_days": "30"}
    response = ada.post(page, {"action": "save-rule", "folder": "", **terms})
    assert (response.status_code, response.location) == (303, page)
    (made,) = rules(app)
    assert (made.keep_days, made.keep_until, made.delete_after_days) == (10, until(2090), 30)
    assert made.folder_id is None
    text = ada.get(page).text
    assert "Kept for 10 days" in text
    response = ada.post_json(page, {"action": "save-rule", "folder": "", "keep_days": "11"})
    assert [each["keep_days"] for each in response.json["rules"]] == [11]
    response = ada.post_json(page, {"action": "remove-rule", "id": made.public_id})
    assert (response.status_code, response.json["rules"]) == (201, [])
    assert rules(app) == []
    said = events(app, "retention.set")
    assert (said[0].actor, said[0].owner) == (ADA, ALICE)
    assert said[0].detail["place"] == f"all documents of {ALICE}"


def test_admin_sets_a_rule_for_a_folder(app: Flask, alice: Browser, ada: Browser) -> None:
    folder = make_folder(app, "Taxes")
    fields = {"action": "save-rule", "folder": str(folder), "keep_days": "10"}
    assert ada.post(page_of(app), fields).status_code == 303
    found = ada.get(page_of(app), headers={"Accept": "application/json"}).json
    assert found["rules"][0]["folder"] == str(folder)
    assert found["rules"][0]["folder_name"] == "Taxes"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("keep_days", "0"),
        ("keep_days", "soon"),
        ("keep_days", "36501"),
        ("delete_after_days", "-3"),
        ("keep_until", "2020-01-01"),
        ("keep_until", "tomorrow"),
        ("folder", NOTHING),
    ],
)
def test_wrong_field_is_told_beside_it_and_the_rest_is_kept(
    app: Flask, alice: Browser, ada: Browser, field: str, value: str
) -> None:
    fields = {"action": "save-rule", "folder": "", "delete_after_days": "77", field: value}
    response = ada.post(page_of(app), fields)
    assert response.status_code == 422
    assert f'id="{field}-wrong"' in response.text
    assert field == "delete_after_days" or 'value="77"' in response.text
    assert rules(app) == []


def test_folder_of_another_person_is_no_place(
    app: Flask, alice: Browser, bob: Browser, ada: Browser
) -> None:
    folder = str(make_folder(app, "Bob's", owner="bob@example.org"))
    for fields in (
        {"action": "save-rule", "folder": folder, "keep_days": "3"},
        {"action": "place-hold", "folder": folder, "reason": "because"},
    ):
        assert ada.post(page_of(app), fields).status_code == 422
    rule(app, UUID(folder), owner="bob@example.org", keep_days=3)
    rule_id = rules(app)[0].public_id
    assert ada.post(page_of(app), {"action": "remove-rule", "id": rule_id}).status_code == 404
    assert len(rules(app)) == 1
    assert live(app) == []


def test_rules_and_releases_take_a_fresh_proof_and_holds_do_not(
    app: Flask, alice: Browser, ada: Browser
) -> None:
    rule(app, keep_days=3)
    hold_id = hold(app)
    rule_id = rules(app)[0].public_id
    forget_proof(app, ADA)
    before = database_dump(app, "audit_events", "audit_head", "sessions")
    for path, fields in (
        (page_of(app), {"action": "save-rule", "folder": "", "keep_days": "1"}),
        (page_of(app), {"action": "remove-rule", "id": rule_id}),
        (HOLDS, {"id": hold_id, "reason": "over"}),
    ):
        response = ada.post_json(path, fields)
        assert (response.status_code, response.json["reason"]) == (403, "fresh_proof")
        assert ada.post(path, fields).location.startswith("/account/prove")
    assert database_dump(app, "audit_events", "audit_head", "sessions") == before
    fields = {"action": "place-hold", "folder": "", "reason": "because"}
    assert ada.post(page_of(app), fields).status_code == 303
    assert len(live(app)) == 2


# Holds


def test_admin_holds_everything_a_folder_and_a_document(
    app: Flask, alice: Browser, ada: Browser, deed: dict[str, Any]
) -> None:
    page = page_of(app)
    folder = str(make_folder(app, "Taxes"))
    assert "Nothing of Alice Archer is held" in ada.get(page).text
    for fields in ({"folder": ""}, {"folder": folder}, {"document": deed["id"]}):
        fields |= {"action": "place-hold", "reason": "Case 17"}
        response = ada.post(page, fields)
        assert (response.status_code, response.location) == (303, page)
    held = live(app)
    assert sorted((bool(each.folder_id), bool(each.document_id)) for each in held) == [
        (False, False),
        (False, True),
        (True, False),
    ]
    for path in (page, HOLDS):
        text = ada.get(path).text
        for words in ("all documents", "Taxes", "deed.pdf", "Case 17"):
            assert words in text, words
    assert alice.post(f"{deed['url']}/delete").status_code == 409


def test_page_of_their_documents_leads_to_a_hold_on_one(
    app: Flask, alice: Browser, bob: Browser, ada: Browser, deed: dict[str, Any]
) -> None:
    page = page_of(app)
    way = f"{page}?document={deed['id']}"
    assert f'href="{way}#hold"' in ada.get(page.replace("retention", "documents")).text
    text = ada.get(way).text
    assert f'name="document" value="{deed["id"]}"' in text
    assert "deed.pdf" in text
    bobs = page_of(app, "bob@example.org")
    assert ada.get(f"{bobs}?document={deed['id']}").status_code == 404
    assert ada.get(f"{page}?document=none").status_code == 400
    fields = {"action": "place-hold", "document": deed["id"], "reason": "x"}
    assert ada.post(bobs, fields).status_code == 404
    assert live(app) == []


@pytest.mark.parametrize("reason", ["", "  ", "x" * 2001])
def test_hold_without_a_reason_is_refused(
    app: Flask, alice: Browser, ada: Browser, reason: str
) -> None:
    fields = {"action": "place-hold", "folder": "", "reason": reason}
    response = ada.post(page_of(app), fields)
    assert response.status_code == 422
    assert 'id="reason-wrong"' in response.text
    assert live(app) == []


def test_hold_is_released_with_a_reason_and_once(app: Flask, alice: Browser, ada: Browser) -> None:
    hold_id = hold(app)
    response = ada.post(HOLDS, {"id": hold_id, "reason": " "})
    assert response.status_code == 422
    assert 'id="reason-wrong"' in response.text
    assert ada.post(HOLDS, {"reason": "over"}).status_code == 400
    assert ada.post(HOLDS, {"id": "none", "reason": "over"}).status_code == 400
    assert ada.post(HOLDS, {"id": NOTHING, "reason": "over"}).status_code == 404
    assert len(live(app)) == 1
    response = ada.post(HOLDS, {"id": hold_id, "reason": "over"})
    assert (response.status_code, response.location) == (303, HOLDS)
    assert live(app) == []
    assert "Nothing is held" in ada.get(HOLDS).text
    assert ada.post_json(HOLDS, {"id": hold_id, "reason": "over"}).status_code == 409
    (event,) = events(app, "legal_hold.released")
    assert (event.actor, event.owner, event.detail["reason"]) == (ADA, ALICE, "over")


def test_list_of_holds_goes_on_page_by_page(
    app: Flask, alice: Browser, ada: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "PAGE_SIZE", 2)
    made = [str(hold(app, reason=f"Case {number}")) for number in range(5)]
    seen, path = [], HOLDS
    while path:
        answer = ada.get(path, headers={"Accept": "application/json"}).json
        seen += [each["id"] for each in answer["holds"]]
        assert len(answer["holds"]) <= 2
        path = answer["next"]
    assert seen == made[::-1]
    assert "More holds" in ada.get(HOLDS).text
    assert "See all holds" in ada.get(page_of(app)).text
    assert ada.get(f"{HOLDS}?before=none").status_code == 400


def test_looking_is_in_the_log(app: Flask, alice: Browser, ada: Browser) -> None:
    ada.get(HOLDS)
    ada.get(page_of(app))
    (listed,) = events(app, "admin.holds_listed")
    (looked,) = events(app, "admin.directory_listed")
    assert listed.actor == looked.actor == ADA
    assert looked.owner == ALICE


def test_program_of_an_admin_places_holds_and_reads_and_releases_none(
    app: Flask, alice: Browser, ada: Browser
) -> None:
    token = program(ada, "admin")
    page = page_of(app)
    made = token.post(page, {"action": "place-hold", "folder": "", "reason": "because"})
    assert made.status_code == 201
    (found,) = token.open(HOLDS).json["holds"]
    assert found["id"] == made.json["id"]
    assert (found["owner"], found["reason"]) == (ALICE, "because")
    assert token.open(page).json["holds"] == [found]
    assert token.post(HOLDS, {"id": found["id"], "reason": "over"}).status_code in {401, 403}
    for fields in (
        {"action": "save-rule", "folder": "", "keep_days": "1"},
        {"action": "remove-rule"},
    ):
        assert token.post(page, fields).status_code == 403
    assert len(live(app)) == 1
    assert rules(app) == []


def test_nobody_else_reaches_these_pages(
    app: Flask, alice: Browser, bob: Browser, visitor: Browser
) -> None:
    page, hold_id = page_of(app), hold(app)
    for path in (page, HOLDS):
        for browser in (alice, bob):
            assert browser.get(path).status_code == 404
            assert browser.post(path, {"id": hold_id, "reason": "x"}).status_code == 404
        assert visitor.get(path).location.startswith("/login?next=")
    assert len(live(app)) == 1


@pytest.mark.parametrize("action", ["", "save", "release"])
def test_unknown_act_changes_nothing(app: Flask, alice: Browser, ada: Browser, action: str) -> None:
    response = ada.post(page_of(app), {"action": action, "folder": "", "reason": "x"})
    assert response.status_code == 400
    assert ada.post(f"/admin/users/{NOTHING}/retention", {"action": action}).status_code == 404
    assert live(app) == []
