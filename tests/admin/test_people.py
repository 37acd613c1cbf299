"""The admin's pages of people: inviting, changing, and shutting out at once."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask

from conftest import DEED, Browser, Cast, user_named
from portal.errors import NotFound
from portal.models import Role
from portal.presentation import of_this_machine
from stage import NOTHING, at_once, browser_with, cookie_of, events, program, twins
from two_factor import forget_proof

ADDRESS = re.compile(r"http://127\.0\.0\.1:8000/invitations/[\w-]+")


def page_of(app: Flask, browser: Browser) -> str:
    return f"/admin/users/{user_named(app, browser.email).public_id}"


def act(app: Flask, ada: Browser, whom: Browser, action: str, **fields: str) -> Any:
    return ada.post(page_of(app, whom), {"action": action, **fields})


def beside(page: str, field: str) -> str:
    """What the page says beside a field."""
    _, _, after = page.partition(f'id="{field}-wrong"')
    text = re.sub(r"<[^>]+>", "", after.partition(">")[2].partition("</div>")[0])
    return " ".join(text.split())


# Inviting


def test_invitation_is_made_and_shown_once(app: Flask, ada: Browser, visitor: Browser) -> None:
    fields = {"email": "Carol@Example.org", "name": "Carol", "role": "user", "quota_bytes": "5000"}
    response = ada.post("/admin/users", fields)
    assert (response.status_code, response.location) == (303, "/admin/users")
    page = ada.get("/admin/users").text
    (address,) = set(ADDRESS.findall(page))
    assert ("opens on this computer alone" in page) is of_this_machine(address)
    assert not ADDRESS.search(ada.get("/admin/users").text)
    carol = user_named(app, "carol@example.org")
    assert (carol.name, carol.role, carol.quota_bytes) == ("Carol", "user", 5000)
    assert carol.status == "invited"
    assert "carol@example.org" in ada.get("/admin/users").text
    path = urlsplit(address).path
    done = visitor.post(path, {"name": "Carol C", "password": "three quiet herons wade"})
    assert done.status_code == 303
    assert user_named(app, "carol@example.org").status == "active"
    assert [e.owner for e in events(app, "user.invited")] == ["carol@example.org"]


def test_program_gets_the_invitation_as_json(app: Flask, ada: Browser) -> None:
    response = ada.post_json("/admin/users", {"email": "carol@example.org", "role": "admin"})
    assert response.status_code == 201
    answer = response.get_json()
    assert ADDRESS.fullmatch(answer["invitation_url"])
    carol = user_named(app, "carol@example.org")
    assert (answer["id"], answer["email"]) == (str(carol.public_id), carol.email)
    assert (carol.name, carol.role, carol.quota_bytes) == ("carol", "admin", None)


def test_address_already_used_is_said_beside_its_field(
    app: Flask, ada: Browser, alice: Browser
) -> None:
    for email in ("alice@example.org", " ALICE@example.ORG "):
        response = ada.post("/admin/users", {"email": email, "name": "Twin", "role": "user"})
        assert response.status_code == 409
        assert "already an account" in beside(response.text, "email")
        assert 'value="Twin"' in response.text
        assert not ADDRESS.search(response.text)
        problem = ada.post_json("/admin/users", {"email": email, "role": "user"})
        assert problem.status_code == 409
        assert problem.get_json()["errors"].keys() == {"email"}
    assert user_named(app, "alice@example.org").name == "Alice Archer"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", ""),
        ("email", "nobody"),
        ("email", "a@b@c.org"),
        ("email", "a\0@example.org"),
        ("name", "x" * 201),
        ("name", "a\0b"),
        ("role", "owner"),
        ("role", ""),
        ("quota_bytes", "-1"),
        ("quota_bytes", "much"),
        ("quota_bytes", "1.5"),
        ("quota_bytes", "9" * 30),
        ("quota_bytes", "9" * 5000),
    ],
)
def test_wrong_field_is_said_beside_it_and_nobody_is_invited(
    app: Flask, ada: Browser, field: str, value: str
) -> None:
    fields = {"email": "carol@example.org", "name": "Carol", "role": "user", field: value}
    response = ada.post("/admin/users", fields)
    assert response.status_code == 422
    assert beside(response.text, field)
    assert ada.post_json("/admin/users", fields).get_json()["errors"].keys() == {field}
    assert "carol@example.org" not in ada.get("/admin/users").text
    assert events(app, "user.invited") == []


def test_two_who_invite_the_same_person_make_one_account(app: Flask, ada: Browser) -> None:
    admins = twins(ada, 5)
    fields = {"email": "carol@example.org", "role": "user"}
    answers = at_once(5, lambda n: admins[n].post_json("/admin/users", fields).status_code)
    assert sorted(answers) == [201, 409, 409, 409, 409]
    assert len(events(app, "user.created")) == 2


@pytest.mark.parametrize("as_json", [False, True])
def test_nobody_becomes_an_admin_without_a_fresh_proof(
    app: Flask, ada: Browser, alice: Browser, as_json: bool
) -> None:
    """With a stolen session somebody could else make an admin who has a password of their own."""
    ada.post("/admin/users", {"email": "carol@example.org", "role": "admin"})
    carol = f"/admin/users/{user_named(app, 'carol@example.org').public_id}"
    forget_proof(app, ada.email)
    for path, fields in (
        ("/admin/users", {"email": "dan@example.org", "role": "admin"}),
        (page_of(app, alice), {"action": "save", "name": "Alice", "role": "admin"}),
        (carol, {"action": "reset-password", "show_address": "y"}),
    ):
        response = ada.post_json(path, fields) if as_json else ada.post(path, fields)
        assert response.status_code == (403 if as_json else 303), path
        assert as_json or response.location.startswith("/account/prove?next="), path
    with pytest.raises(NotFound):
        user_named(app, "dan@example.org")
    assert user_named(app, alice.email).role == "user"
    assert len(events(app, "user.invited")) == 1
    # Everything else that is done to people every day asks for none.
    fields = {"email": "eve@example.org", "role": "user"}
    assert ada.post_json("/admin/users", fields).status_code == 201
    assert ada.post_json(carol, {"action": "save", "name": "C", "role": "admin"}).status_code == 201


def test_token_makes_nobody_an_admin(app: Flask, ada: Browser, alice: Browser) -> None:
    """An admin whom a token made would outlive the token."""
    token = program(ada, "admin")
    fields = {"email": "dan@example.org", "role": "admin"}
    assert token.post("/admin/users", fields).get_json()["reason"] == "fresh_proof"
    fields = {"action": "save", "name": "Alice", "role": "admin"}
    assert token.post(page_of(app, alice), fields).get_json()["reason"] == "fresh_proof"
    assert user_named(app, alice.email).role == "user"
    fields = {"email": "dan@example.org", "role": "user"}
    assert token.post("/admin/users", fields).status_code == 201


# Changing


def test_saved_facts_are_kept_shown_and_audited(app: Flask, ada: Browser, alice: Browser) -> None:
    response = act(app, ada, alice, "save", name="Alice A", role="admin", quota_bytes="1000")
    assert (response.status_code, response.location) == (303, page_of(app, alice))
    user = user_named(app, alice.email)
    assert (user.name, user.role, user.quota_bytes) == ("Alice A", "admin", 1000)
    assert "Alice A" in ada.get(page_of(app, alice)).text
    (event,) = events(app, "user.changed")
    assert (event.actor, event.owner) == ("ada@example.org", "alice@example.org")
    assert event.detail["changed"] == {
        "name": ["Alice Archer", "Alice A"],
        "role": ["user", "admin"],
        "quota_bytes": [None, 1000],
    }
    act(app, ada, alice, "save", name="Alice A", role="admin", quota_bytes="1000")
    assert len(events(app, "user.changed")) == 1
    act(app, ada, alice, "save", name="Alice A", role="user", quota_bytes="")
    assert user_named(app, alice.email).quota_bytes is None


def test_new_role_counts_from_the_next_request(app: Flask, ada: Browser, alice: Browser) -> None:
    assert alice.get("/admin").status_code == 404
    act(app, ada, alice, "save", name="Alice", role="admin")
    assert alice.get("/admin").status_code == 200
    act(app, ada, alice, "save", name="Alice", role="user")
    assert alice.get("/admin").status_code == 404


@pytest.mark.parametrize(
    ("field", "value"), [("name", ""), ("name", " "), ("role", "x"), ("quota_bytes", "-5")]
)
def test_wrong_change_is_said_beside_its_field(
    app: Flask, ada: Browser, alice: Browser, field: str, value: str
) -> None:
    fields = {"name": "Alice A", "role": "user", "quota_bytes": "", field: value}
    response = act(app, ada, alice, "save", **fields)
    assert response.status_code == 422
    assert beside(response.text, field)
    assert user_named(app, alice.email).name == "Alice Archer"
    assert events(app, "user.changed") == []


def test_unknown_act_and_unknown_person_are_refused(
    app: Flask, ada: Browser, alice: Browser
) -> None:
    for action in ("", "explode", "SAVE"):
        assert act(app, ada, alice, action).status_code == 400
    for path in (f"/admin/users/{NOTHING}", f"/admin/users/{NOTHING}/documents"):
        assert ada.get(path).status_code == 404
        assert ada.post(path, {"action": "disable"}).status_code == 404


@pytest.mark.parametrize(
    ("action", "fields"), [("disable", {}), ("save", {"name": "Ada", "role": "user"})]
)
def test_last_admin_stays(app: Flask, ada: Browser, action: str, fields: dict[str, str]) -> None:
    response = act(app, ada, ada, action, **fields)
    assert response.status_code == 409
    assert "last active admin" in response.text
    user = user_named(app, ada.email)
    assert (user.role, user.disabled_at) == ("admin", None)
    assert ada.get("/admin").status_code == 200


def test_disabled_or_invited_admin_counts_for_nothing(app: Flask, cast: Cast, ada: Browser) -> None:
    eve = cast.person("eve@example.org", "Eve", Role.ADMIN)
    assert act(app, ada, eve, "disable").status_code == 303
    assert act(app, ada, ada, "disable").status_code == 409
    assert act(app, ada, eve, "enable").status_code == 303
    assert act(app, ada, ada, "disable").status_code == 303


def test_two_admins_who_shut_each_other_out_leave_one(app: Flask, cast: Cast, ada: Browser) -> None:
    eve = cast.person("eve@example.org", "Eve", Role.ADMIN)
    pages = [page_of(app, eve), page_of(app, ada)]
    tokens = [browser.token() for browser in (ada, eve)]

    def shut_out(number: int) -> int:
        browser = (ada, eve)[number]
        headers = {"X-CSRFToken": tokens[number]}
        return browser.client.post(
            pages[number], data={"action": "disable"}, headers=headers
        ).status_code

    answers = at_once(2, shut_out)
    assert 303 in answers
    left = [user_named(app, browser.email).is_active for browser in (ada, eve)]
    assert sorted(left) == [False, True]


# Shutting out


def test_disabling_closes_sessions_links_and_tickets_at_once(
    app: Flask, ada: Browser, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed)["path"]
    ticket = visitor.client.post(f"{link}/download").location
    copied = cookie_of(alice)
    assert visitor.get(ticket).data == DEED
    assert act(app, ada, alice, "disable").status_code == 303
    for browser in (alice, browser_with(app, copied)):
        assert browser.get("/documents").status_code == 302
        assert browser.get(deed["download_url"]).status_code == 302
    assert visitor.get(link).status_code == 410
    assert visitor.client.post(f"{link}/download").status_code == 410
    for method in ("GET", "HEAD"):
        assert visitor.client.open(ticket, method=method).status_code == 410
    assert visitor.get(ticket, headers={"Range": "bytes=0-1"}).status_code == 410
    assert Browser(app).sign_in("alice@example.org").status_code == 401
    assert "Disabled" in ada.get(page_of(app, alice)).text
    assert ada.get("/admin/share-links").text.count("deed.pdf") == 0
    (event,) = events(app, "user.disabled")
    assert (event.actor, event.owner) == ("ada@example.org", "alice@example.org")


def test_enabling_lets_in_again_and_old_sessions_stay_ended(
    app: Flask, ada: Browser, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed)["path"]
    copied = cookie_of(alice)
    act(app, ada, alice, "disable")
    act(app, ada, alice, "disable")
    act(app, ada, alice, "enable")
    act(app, ada, alice, "enable")
    assert browser_with(app, copied).get("/documents").status_code == 302
    assert visitor.get(link).status_code == 200
    again = Browser(app)
    assert again.sign_in("alice@example.org").status_code == 303
    assert again.get(deed["download_url"]).data == DEED
    assert len(events(app, "user.disabled")) == len(events(app, "user.enabled")) == 1


def test_disabling_ends_an_open_invitation(app: Flask, ada: Browser, visitor: Browser) -> None:
    answer = ada.post_json("/admin/users", {"email": "carol@example.org", "role": "user"})
    path = urlsplit(answer.get_json()["invitation_url"]).path
    page = f"/admin/users/{answer.get_json()['id']}"
    assert ada.post(page, {"action": "disable"}).status_code == 303
    assert visitor.get(path).status_code == 404
    ada.post(page, {"action": "enable"})
    assert visitor.get(path).status_code == 404


def test_ended_sessions_can_begin_again(
    app: Flask, ada: Browser, alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed)["path"]
    elsewhere = Browser(app)
    elsewhere.sign_in("alice@example.org")
    assert act(app, ada, alice, "end-sessions").status_code == 303
    for browser in (alice, elsewhere):
        assert browser.get("/documents").status_code == 302
    assert visitor.get(link).status_code == 200
    assert Browser(app).sign_in("alice@example.org").status_code == 303
    assert [e.owner for e in events(app, "user.sessions_ended")] == ["alice@example.org"]
    assert ada.get("/admin").status_code == 200


def test_new_invitation_replaces_the_one_before(app: Flask, ada: Browser, visitor: Browser) -> None:
    ada.post("/admin/users", {"email": "ivy@example.org", "role": "user"})
    (old,) = set(ADDRESS.findall(ada.get("/admin/users").text))
    page = f"/admin/users/{user_named(app, 'ivy@example.org').public_id}"
    again = ada.post(page, {"action": "reset-password"})
    assert (again.status_code, again.location) == (303, page)
    (new,) = set(ADDRESS.findall(ada.get(page).text))
    assert not ADDRESS.search(ada.get(page).text)
    assert visitor.get(urlsplit(old).path).status_code == 404
    assert visitor.get(urlsplit(new).path).status_code == 200
    program = ada.post_json(page, {"action": "reset-password"})
    assert ADDRESS.fullmatch(program.get_json()["invitation_url"])


def test_admin_gets_no_address_by_which_to_sign_in_as_somebody(
    app: Flask, ada: Browser, alice: Browser
) -> None:
    """With it an admin could read what they may not, in another's name."""
    response = act(app, ada, alice, "reset-password")
    assert response.status_code == 303
    page = response.text + ada.get(response.location).text
    assert not ADDRESS.findall(page)
    assert "/reset-password/" not in page
    assert events(app, "user.invited") == []
    assert alice.get("/documents").status_code == 200


# Who may


def test_nobody_else_sees_or_changes_people(
    app: Flask, alice: Browser, bob: Browser, visitor: Browser
) -> None:
    page = page_of(app, alice)
    for path in ("/admin/users", page, f"{page}/documents"):
        assert bob.get(path).status_code == 404
        assert bob.post(path, {"action": "disable"}).status_code == 404
        assert visitor.get(path).status_code == 302
    assert user_named(app, alice.email).is_active


def test_form_without_token_changes_nothing(app: Flask, ada: Browser, alice: Browser) -> None:
    response = ada.client.post(page_of(app, alice), data={"action": "disable"})
    assert response.status_code == 400
    assert user_named(app, alice.email).is_active
