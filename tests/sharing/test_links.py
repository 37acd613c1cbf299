"""Making, listing and ending share links: what their owner sees and may do."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from conftest import Browser, Cast
from portal.errors import Invalid
from portal.models import utcnow
from portal.sharing import links
from portal.sharing.links import Terms
from stage import COOKIE, NOTHING, at_once, cookie_of, database_dump, events, settings_of, twins


def create(browser: Browser, document: dict[str, Any], **fields: str) -> Any:
    return browser.post_json(f"{document['url']}/share-links", {"expires_in_days": "7", **fields})


def test_made_link_is_answered_once_with_its_address(
    app: Flask, alice: Browser, deed: dict[str, Any], time_machine: Any
) -> None:
    now = utcnow()
    time_machine.move_to(now, tick=False)
    response = create(alice, deed, label="  For the   bank ", max_downloads="3")
    assert response.status_code == 201
    link = response.get_json()
    assert set(link) == {"id", "url", "label", "expires_at", "max_downloads"}
    assert (link["label"], link["max_downloads"]) == ("For the bank", 3)
    expires_at = datetime.fromisoformat(link["expires_at"])
    assert expires_at == now + timedelta(days=7)
    token = link["url"].removeprefix("http://127.0.0.1:8000/s/")
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)
    (event,) = events(app, "share_link.created")
    assert (event.actor, event.document) == ("alice@example.org", deed["id"])
    assert event.detail == {
        "link": link["id"],
        "label": "For the bank",
        "name": "deed.pdf",
        "days": 7,
        "max_downloads": 3,
        "has_password": False,
    }


def test_browser_is_shown_the_address_and_what_it_allows(
    alice: Browser, deed: dict[str, Any]
) -> None:
    response = alice.post(
        f"{deed['url']}/share-links",
        {"expires_in_days": "1", "password": "open sesame", "max_downloads": "1"},
    )
    assert (response.status_code, response.location) == (303, f"{deed['url']}/share-links")
    response = alice.get(response.location)
    assert re.search(r"http://127\.0\.0\.1:8000/s/[A-Za-z0-9_-]{43}", response.text)
    assert "with this address and its password" in response.text
    assert "1 time at most" in response.text
    assert 'src="data:image/svg+xml' in response.text
    assert "open sesame" not in response.text
    again = alice.get(f"{deed['url']}/share-links")
    assert (again.status_code, again.location) == (302, deed["url"])


def test_address_comes_from_the_settings_and_never_from_the_host(
    alice: Browser, deed: dict[str, Any]
) -> None:
    token = alice.token()
    alice.client.set_cookie(COOKIE, cookie_of(alice), domain="localhost")
    response = alice.client.post(
        f"{deed['url']}/share-links",
        data={"expires_in_days": "7"},
        headers={"Host": "localhost:8000", "X-CSRFToken": token, "Accept": "application/json"},
    )
    assert response.get_json()["url"].startswith("http://127.0.0.1:8000/s/")


def test_label_is_one_line_any_database_can_hold(alice: Browser, deed: dict[str, Any]) -> None:
    assert create(alice, deed, label=" a\0b\r\n c ").get_json()["label"] == "a b c"


def test_two_links_never_have_the_same_address(alice: Browser, deed: dict[str, Any]) -> None:
    assert len({alice.share(deed)["url"] for _ in range(5)}) == 5


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"expires_in_days": ""}, "expires_in_days"),
        ({"expires_in_days": "0"}, "expires_in_days"),
        ({"expires_in_days": "-1"}, "expires_in_days"),
        ({"expires_in_days": "91"}, "expires_in_days"),
        ({"expires_in_days": "9" * 30}, "expires_in_days"),
        ({"expires_in_days": "x"}, "expires_in_days"),
        ({"max_downloads": "0"}, "max_downloads"),
        ({"max_downloads": "-5"}, "max_downloads"),
        ({"max_downloads": "1000001"}, "max_downloads"),
        ({"max_downloads": "9" * 30}, "max_downloads"),
        ({"max_downloads": "x"}, "max_downloads"),
        ({"label": "x" * 201}, "label"),
        ({"password": "x" * 1025}, "password"),
        ({"recipient_email": "carol@example.org"}, "recipient_email"),
    ],
)
def test_terms_that_break_a_rule_make_no_link(
    app: Flask, alice: Browser, deed: dict[str, Any], fields: dict[str, str], field: str
) -> None:
    before = database_dump(app)
    response = create(alice, deed, **fields)
    assert response.status_code == 422
    assert set(response.get_json()["errors"]) == {field}
    page = alice.post(f"{deed['url']}/share-links", {"expires_in_days": "7", **fields})
    assert page.status_code == 422
    if field != "recipient_email":
        assert f'id="{field}-wrong"' in page.text
    assert database_dump(app) == before


@pytest.mark.parametrize(
    "fields",
    [
        {"expires_in_days": "1"},
        {"expires_in_days": "90"},
        {"max_downloads": "1"},
        {"max_downloads": "1000000"},
        {"label": "x" * 200},
        {"password": "x"},
        {"password": "x" * 1024},
        {"recipient_email": ""},
        {"notify": "1"},
    ],
)
def test_terms_within_the_rules_make_a_link(
    alice: Browser, deed: dict[str, Any], fields: dict[str, str]
) -> None:
    assert create(alice, deed, **fields).status_code == 201


def test_policy_of_the_portal_is_kept(make_app: Any) -> None:
    app = make_app(share_max_days=3, share_password_required=True)
    alice = Cast(app).person("alice@example.org", "Alice")
    document = alice.upload()
    assert create(alice, document, expires_in_days="3", password="x").status_code == 201
    response = create(alice, document, expires_in_days="4")
    assert response.status_code == 422
    assert set(response.get_json()["errors"]) == {"expires_in_days", "password"}


@pytest.mark.parametrize(
    "terms",
    [
        Terms(days=0),
        Terms(days=91),
        Terms(days=7, max_downloads=0),
        Terms(days=7, max_downloads=1_000_001),
        Terms(days=7, label="x" * 201),
        Terms(days=7, password="x" * 1025),
    ],
)
def test_service_keeps_the_rules_by_itself(
    app: Flask, alice: Browser, deed: dict[str, Any], terms: Terms
) -> None:
    person = type("Person", (), {"user_id": 1, "email": alice.email, "is_admin": False})()
    with app.app_context(), pytest.raises(Invalid):
        links.create(person, links.uuid.UUID(deed["id"]), terms, settings_of(app))


def test_password_of_a_link_is_kept_as_a_hash(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    create(alice, deed, password="open sesame")
    dump = repr(database_dump(app))
    assert "open sesame" not in dump
    assert "$2b$04$" in dump


# The list


def test_list_shows_ones_own_live_links(
    alice: Browser, bob: Browser, deed: dict[str, Any], time_machine: Any
) -> None:
    start = utcnow()
    alice.share(deed, label="Live", max_downloads="2")
    alice.share(deed, label="Short", expires_in_days="1")
    revoked = alice.share(deed, label="Revoked")
    alice.post(f"/share-links/{revoked['id']}/revoke")
    alice.get("/share-links")
    spent = alice.share(deed, label="Spent", max_downloads="1")
    alice.client.post(f"{spent['path']}/download")
    bob.share(bob.upload("b.txt", b"b"), label="Of Bob")
    page = alice.get("/share-links").text
    assert "Live" in page
    assert "Short" in page
    for label in ("Revoked", "Spent", "Of Bob"):
        assert label not in page
    assert "0 of 2" in page
    time_machine.move_to(start + timedelta(days=1, seconds=5))
    again = Browser(alice.app)
    again.sign_in("alice@example.org")
    page = again.get("/share-links").text
    assert "Live" in page
    assert "Short" not in page


def test_links_of_a_trashed_document_are_not_live(alice: Browser, deed: dict[str, Any]) -> None:
    link = alice.share(deed, label="Live")
    alice.post(f"{deed['url']}/delete")
    assert link["id"] not in alice.get("/share-links").text
    alice.post(f"{deed['url']}/restore")
    assert link["id"] in alice.get("/share-links").text


def test_page_of_a_document_lists_its_links_alone(alice: Browser, deed: dict[str, Any]) -> None:
    other = alice.upload("other.txt", b"x")
    mine, theirs = alice.share(deed), alice.share(other)
    page = alice.get(deed["url"]).text
    assert mine["id"] in page
    assert theirs["id"] not in page


def test_newest_link_is_first(alice: Browser, deed: dict[str, Any]) -> None:
    for label in ("one", "two", "three"):
        alice.share(deed, label=f"Link {label}")
    found = re.findall(r"Link (one|two|three)</strong>", alice.get(deed["url"]).text)
    assert found == ["three", "two", "one"]


# Ending


def test_ended_link_stops_at_once(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed, label="Bank")
    assert visitor.get(link["path"]).status_code == 200
    response = alice.post(f"/share-links/{link['id']}/revoke")
    assert (response.status_code, response.location) == (303, "/share-links")
    assert visitor.get(link["path"]).status_code == 410
    (event,) = events(app, "share_link.revoked")
    assert (event.actor, event.owner) == ("alice@example.org", "alice@example.org")
    assert event.detail == {"link": link["id"], "label": "Bank", "name": "deed.pdf"}


def test_ending_twice_is_noted_once(app: Flask, alice: Browser, deed: dict[str, Any]) -> None:
    link = alice.share(deed)
    assert alice.post_json(f"/share-links/{link['id']}/revoke").get_json() == {"revoked": 1}
    assert alice.post_json(f"/share-links/{link['id']}/revoke").get_json() == {"revoked": 0}
    assert len(events(app, "share_link.revoked")) == 1


def test_of_many_who_end_a_link_at_once_one_ends_it(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed)
    clicks = twins(alice, 8)
    ended = at_once(
        8, lambda n: clicks[n].post_json(f"/share-links/{link['id']}/revoke").get_json()["revoked"]
    )
    assert sum(ended) == 1
    assert len(events(app, "share_link.revoked")) == 1


def test_many_links_are_ended_together(
    app: Flask, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    made = [alice.share(deed) for _ in range(4)]
    ids = [link["id"] for link in made[:3]]
    response = alice.post_json("/share-links", {"action": "revoke", "id": [*ids, ids[0]]})
    assert (response.status_code, response.get_json()) == (201, {"revoked": 3})
    statuses = [visitor.get(link["path"]).status_code for link in made]
    assert statuses == [410, 410, 410, 200]
    assert len(events(app, "share_link.revoked")) == 3


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({}, 400),
        ({"action": "revoke"}, 422),
        ({"action": "other", "id": NOTHING}, 400),
        ({"action": "revoke", "id": "x"}, 400),
        ({"action": "revoke", "id": NOTHING}, 404),
    ],
)
def test_form_that_ends_nothing_says_why(
    alice: Browser, ada: Browser, data: dict[str, str], status: int
) -> None:
    assert alice.post("/share-links", data).status_code == status
    assert ada.post("/admin/share-links", data).status_code == status


def test_link_of_a_document_deleted_for_ever_can_still_be_ended(
    alice: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed)
    alice.post(f"{deed['url']}/delete")
    alice.post(f"/trash/{deed['id']}/purge")
    assert alice.post(f"/share-links/{link['id']}/revoke").status_code == 303


def test_admin_sees_and_ends_everybodys_links(
    app: Flask, alice: Browser, ada: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed, label="Bank")
    page = ada.get("/admin/share-links").text
    assert link["id"] in page
    assert "Alice Archer" in page
    assert link["id"] not in ada.get("/share-links").text
    response = ada.post("/admin/share-links", {"action": "revoke", "id": link["id"]})
    assert (response.status_code, response.location) == (303, "/admin/share-links")
    assert visitor.get(link["path"]).status_code == 410
    (event,) = events(app, "share_link.revoked")
    assert (event.actor, event.owner) == ("ada@example.org", "alice@example.org")


def test_sentence_says_what_a_link_allows() -> None:
    link = links.ShareLink(expires_at=datetime(2026, 3, 9, 17, 5, tzinfo=UTC))
    end = "can download the document until 9 March 2026, 17:05 UTC"
    assert links.sentence(link, has_password=False) == f"Anyone with this address {end}."
    link.max_downloads = 2
    assert links.sentence(link, has_password=True) == (
        f"Anyone with this address and its password {end}, 2 times at most."
    )
