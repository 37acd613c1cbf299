"""Tokens and app passwords: the page where one makes and ends them, and who they let in."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from audit.locking import locked_log
from conftest import PASSWORD, Asked, Browser, Cast, user_named
from portal import audit
from portal.accounts import api_tokens, people
from portal.accounts.api_tokens import AppPasswordRefused, Scope, TokenRefused
from portal.accounts.emails import normalised
from portal.documents import housekeeping
from portal.errors import PortalError, TooManyTries
from portal.extensions import db
from portal.models import ApiToken, utcnow
from portal.tokens import hash_token
from stage import (
    NOTHING,
    Program,
    at_once,
    database_dump,
    events,
    make_token,
    program,
    settings_of,
)

PATH = "/account/tokens"
TOKEN = re.compile(r"dp_[A-Za-z0-9_-]{43}")


def create(browser: Browser, **fields: Any) -> Any:
    data = {"action": "create", "name": "Backup", "scope": ["documents:read"], "days": "30"}
    return browser.post(PATH, {**data, **fields})


def shown(browser: Browser) -> str:
    """The table of the page, without tags and with single spaces."""
    page = browser.get(PATH).text
    table = page.partition("<table")[2].partition("</table>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", table).split())


# The page


def test_page_without_tokens_says_what_they_are_for(alice: Browser) -> None:
    page = alice.get(PATH)
    assert page.status_code == 200
    assert "You have no tokens" in page.text


def test_new_token_is_shown_once_and_works(alice: Browser, deed: dict[str, Any]) -> None:
    response = create(alice)
    assert (response.status_code, response.location) == (303, PATH)
    page = alice.get(PATH).text
    (token,) = set(TOKEN.findall(page))
    assert "It is shown this once" in page
    assert token not in alice.get(PATH).text
    assert Program(alice.app, token).open(deed["url"]).status_code == 200


def test_token_is_not_shown_to_the_next_person_in_the_same_browser(
    alice: Browser, bob: Browser
) -> None:
    create(alice)
    alice.client.post("/logout", headers={"X-CSRFToken": alice.token()})
    alice.email = ""
    alice.sign_in(bob.email)
    assert not TOKEN.search(alice.get(PATH).text)


def test_only_the_hash_of_a_token_is_kept(app: Flask, alice: Browser) -> None:
    token = make_token(alice, "documents:read")["token"]
    assert TOKEN.fullmatch(token)
    dump = database_dump(app)
    assert token.removeprefix("dp_") not in repr(dump)
    assert hash_token(token) in dump["api_tokens"][0]
    kept = b"".join(
        path.read_bytes() for path in settings_of(app).instance_dir.rglob("*") if path.is_file()
    )
    assert token.encode() not in kept


def test_page_lists_name_scopes_end_and_last_use(alice: Browser) -> None:
    first = make_token(alice, "documents:read", "shares:write", name="Backup at home")
    make_token(alice, "documents:write", name="Laptop", kind="app-password")
    listed = shown(alice)
    assert listed.index("Laptop") < listed.index("Backup at home")
    assert "See and download documents · See, make and end share links" in listed
    assert "Laptop App password Upload, rename and delete documents" in listed
    assert listed.count("Never") == 2
    here = {"REMOTE_ADDR": "203.0.113.7"}
    Program(alice.app, first["token"]).open("/documents", environ_overrides=here)
    assert "from 203.0.113.7" in shown(alice)
    rows = alice.get(PATH, headers={"Accept": "application/json"}).get_json()["tokens"]
    assert [row["name"] for row in rows] == ["Laptop", "Backup at home"]
    assert rows[1]["last_address"] == "203.0.113.7"
    assert "token" not in rows[0]


def test_token_is_made_for_as_long_as_asked(app: Flask, alice: Browser, time_machine: Any) -> None:
    time_machine.move_to(utcnow(), tick=False)
    for days in (1, 365):
        make_token(alice, "documents:read", days=str(days), name=f"for {days}")
        with app.app_context():
            ends = db.session.scalar(
                select(ApiToken.expires_at).where(ApiToken.name == f"for {days}")
            )
            assert ends == utcnow() + timedelta(days=days)
    assert re.search(r'<input[^>]* name="days"[^>]* value="90"', alice.get(PATH).text)


def test_expired_token_is_listed_as_that_for_thirty_days(
    app: Flask, alice: Browser, time_machine: Any
) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    make_token(alice, "documents:read", days="1")
    make_token(alice, "documents:read", days="365", name="lasting")
    assert "Expired" not in shown(alice)

    def tokens_after(span: timedelta) -> tuple[int, int]:
        time_machine.move_to(start + span, tick=False)
        with app.app_context():
            removed = housekeeping.purge(settings_of(app)).tokens
            return removed, db.session.scalar(select(func.count(ApiToken.id))) or 0

    time_machine.move_to(start + timedelta(days=1), tick=False)
    alice.email = ""
    alice.sign_in("alice@example.org")
    assert shown(alice).count("Expired") == 1
    assert tokens_after(timedelta(days=31) - timedelta(seconds=1)) == (0, 2)
    assert tokens_after(timedelta(days=31)) == (1, 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", " "),
        ("name", "x" * 101),
        ("name", "a\x07b"),
        ("name", "…"),
        ("days", ""),
        ("days", "0"),
        ("days", "-1"),
        ("days", "366"),
        ("days", "9" * 30),
        ("days", "soon"),
        ("scope", []),
        ("scope", [""]),
        ("scope", ["documents:everything"]),
        ("scope", ["documents:read", "documents:everything"]),
        ("scope", ["admin"]),
        ("scope", ["documents:read", "admin"]),
        ("scope", ["metrics:read"]),
        ("kind", "skeleton key"),
    ],
)
def test_field_that_breaks_a_rule_makes_no_token(
    app: Flask, alice: Browser, field: str, value: Any
) -> None:
    before = database_dump(app)
    response = create(alice, **{field: value})
    assert response.status_code == 422
    assert f'id="{field}-wrong"' in response.text
    assert not TOKEN.search(response.text)
    problem = alice.post_json(
        PATH,
        {"action": "create", "name": "x", "days": "1", "scope": ["documents:read"], field: value},
    )
    assert (problem.status_code, set(problem.get_json()["errors"])) == (422, {field})
    assert database_dump(app) == before


def test_what_was_entered_is_kept_when_a_field_is_wrong(alice: Browser) -> None:
    scopes = ["documents:write", "shares:write"]
    page = create(alice, name="Backup at home", scope=scopes, days="0").text
    assert 'value="Backup at home"' in page
    for scope in Scope:
        ticked = f'value="{scope}" checked' in page
        assert ticked == (scope in scopes), scope


def test_admin_may_choose_what_only_admins_may(ada: Browser, alice: Browser) -> None:
    token = make_token(ada, *Scope)
    assert token["scopes"] == [scope.value for scope in Scope]
    assert 'value="admin"' in ada.get(PATH).text
    assert 'value="admin"' not in alice.get(PATH).text


def test_app_password_opens_documents_alone(app: Flask, ada: Browser) -> None:
    before = database_dump(app)
    for scope in ("shares:write", "admin", "metrics:read"):
        response = create(ada, kind="app-password", scope=["documents:read", scope])
        assert response.status_code == 422
        assert "An app password can only read and change documents." in response.text
    assert database_dump(app) == before


def test_another_action_is_refused(app: Flask, alice: Browser) -> None:
    before = database_dump(app)
    for action in ("", "enable", "CREATE"):
        assert create(alice, action=action).status_code == 400
    assert database_dump(app) == before


# Ending one


def test_ended_token_leaves_the_list(alice: Browser) -> None:
    token = make_token(alice, "documents:read")
    response = alice.post(PATH, {"action": "revoke", "id": token["id"]})
    assert (response.status_code, response.location) == (303, PATH)
    assert "“script” stopped working." in alice.get(PATH).text
    assert "You have no tokens" in alice.get(PATH).text
    again = alice.post_json(PATH, {"action": "revoke", "id": token["id"]})
    assert again.status_code == 404


def owner_of(app: Flask, text: str) -> str:
    with app.app_context():
        return api_tokens.with_token(text).email


def test_ending_one_leaves_the_others(alice: Browser) -> None:
    one, other = (make_token(alice, "documents:read", name=name) for name in ("one", "other"))
    assert alice.post(PATH, {"action": "revoke", "id": one["id"]}).status_code == 303
    with pytest.raises(TokenRefused):
        owner_of(alice.app, one["token"])
    assert owner_of(alice.app, other["token"]) == alice.email


def test_token_that_has_expired_is_not_counted(
    app: Flask, alice: Browser, time_machine: Any
) -> None:
    make_token(alice, "documents:read", days="1")
    make_token(alice, "documents:read", days="2")
    time_machine.move_to(utcnow() + timedelta(days=1, seconds=1))
    with app.app_context():
        assert api_tokens.count_live(people.by_email(alice.email).id) == 1


def test_nobody_ends_the_token_of_another(
    app: Flask, alice: Browser, bob: Browser, ada: Browser
) -> None:
    token = make_token(alice, "documents:read")
    before = database_dump(app)
    for browser in (bob, ada):
        theirs = browser.post(PATH, {"action": "revoke", "id": token["id"]})
        missing = browser.post(PATH, {"action": "revoke", "id": NOTHING})
        assert (theirs.status_code, theirs.get_data()) == (404, missing.get_data())
        assert token["id"] not in browser.get(PATH).text
    for ids in ([], [token["id"], token["id"]]):
        assert alice.post(PATH, {"action": "revoke", "id": ids}).status_code == 404
    assert alice.post(PATH, {"action": "revoke", "id": "one"}).status_code == 400
    assert database_dump(app) == before


def test_making_and_ending_are_in_the_audit_log(app: Flask, alice: Browser) -> None:
    token = make_token(alice, "documents:read", name="Backup", days="30")
    alice.post(PATH, {"action": "revoke", "id": token["id"]})
    (made,), (ended,) = events(app, "token.created"), events(app, "token.revoked")
    assert (made.actor, made.owner) == (ended.actor, ended.owner) == (alice.email, alice.email)
    assert made.detail == {
        "name": "Backup",
        "id": token["id"],
        "scopes": "documents:read",
        "days": 30,
        "is_app_password": False,
    }
    assert ended.detail == {"name": "Backup"}


# Admins and the tokens of others


def test_admin_sees_how_many_tokens_somebody_has_and_ends_them_all(
    app: Flask, ada: Browser, alice: Browser, bob: Browser
) -> None:
    path = f"/admin/users/{user_named(app, alice.email).public_id}"
    assert "End all tokens" not in ada.get(path).text
    scripts = [
        Program(app, make_token(alice, "documents:read", name=f"Script {n}")["token"])
        for n in range(2)
    ]
    other = Program(app, make_token(bob, "documents:read")["token"])
    page = ada.get(path).text
    assert "Alice Archer has 2 for programs" in page
    assert "Script 1" not in page
    assert ada.post(path, {"action": "revoke-tokens"}).status_code == 303
    assert "2 tokens were ended." in ada.get(path).text
    assert [script.open("/documents").status_code for script in scripts] == [401, 401]
    assert other.open("/documents").status_code == 200
    assert alice.get("/documents").status_code == 200
    assert [each.actor for each in events(app, "token.revoked")] == [ada.email] * 2


# App passwords


def sign_in(app: Flask, email: str, password: str, address: str = "192.0.2.1") -> Any:
    """What a program with a name and a password is told."""
    with app.app_context(), audit.acting(audit.Origin("visitor", address)):
        try:
            return api_tokens.with_app_password(email, password)
        except PortalError as refusal:
            return type(refusal)


@pytest.fixture
def app_password(alice: Browser) -> str:
    fields = {"kind": "app-password", "name": "Laptop"}
    token: str = make_token(alice, "documents:read", **fields)["token"]
    return token


def test_app_password_lets_its_owner_in(app: Flask, alice: Browser, app_password: str) -> None:
    for email in (alice.email, " Alice@Example.ORG "):
        holder = sign_in(app, email, app_password)
        assert (holder.email, holder.token_name) == (alice.email, "Laptop")
        assert holder.scopes == {Scope.DOCUMENTS_READ}
        assert not holder.is_admin


def test_nothing_else_lets_anybody_in(
    app: Flask, alice: Browser, bob: Browser, app_password: str
) -> None:
    token = make_token(alice, "documents:read", name="token")["token"]
    for email, password in (
        (alice.email, PASSWORD),
        (alice.email, token),
        (alice.email, ""),
        (alice.email, app_password[:-1]),
        (bob.email, app_password),
        ("nobody@example.org", app_password),
        ("", app_password),
        ("\0", app_password),
    ):
        assert sign_in(app, email, password) is AppPasswordRefused, (email, password)
    assert Program(app, app_password).open("/documents").status_code == 401


def test_ended_app_password_lets_nobody_in(
    app: Flask, alice: Browser, app_password: str, time_machine: Any
) -> None:
    second = make_token(alice, "documents:read", kind="app-password", name="2", days="1")
    time_machine.move_to(utcnow() + timedelta(days=1, seconds=1), tick=False)
    assert sign_in(app, alice.email, second["token"]) is AppPasswordRefused
    with app.app_context():
        people.disable(people.by_email(alice.email))
    assert sign_in(app, alice.email, app_password) is AppPasswordRefused


def test_refusal_names_the_scheme_and_leaves_a_trace(app: Flask, cast: Cast) -> None:
    assert sign_in(app, "nobody@example.org", "wrong") is AppPasswordRefused
    assert AppPasswordRefused.status == 401
    assert AppPasswordRefused.challenge.startswith("Basic ")
    (refused,) = events(app, "token.refused")
    assert (refused.actor, refused.detail) == ("visitor", {"reason": "unknown"})


def test_guesses_at_one_account_are_limited_from_however_many_addresses(
    app: Flask, alice: Browser, app_password: str
) -> None:
    for email in (alice.email, "nobody@example.org"):
        told = at_once(
            16,
            lambda number, email=email: sign_in(app, email, f"wrong {number}", f"192.0.2.{number}"),
        )
        assert told.count(AppPasswordRefused) == 10
        assert told.count(TooManyTries) == 6
    # Whoever guesses shuts nobody out: the right one is let in meanwhile.
    assert sign_in(app, alice.email, app_password).email == alice.email


def test_guesses_from_one_address_are_limited_at_however_many_accounts(app: Flask) -> None:
    told = [sign_in(app, f"person{number}@example.org", "wrong") for number in range(62)]
    assert told == [AppPasswordRefused] * 60 + [TooManyTries] * 2
    assert sign_in(app, "other@example.org", "wrong", "192.0.2.2") is AppPasswordRefused


def test_unknown_account_costs_the_same_work_as_a_known_one(
    app: Flask, alice: Browser, app_password: str, statements: list[Asked]
) -> None:
    counts = []
    for email in (alice.email, "nobody@example.org"):
        sign_in(app, email, "warm up")
    for email in (alice.email, "nobody@example.org"):
        statements.clear()
        assert sign_in(app, email, "wrong") is AppPasswordRefused
        counts.append(len(statements))
    statements.clear()
    assert sign_in(app, alice.email, app_password).email == normalised(alice.email)
    assert len(statements) == 1
    assert counts[0] == counts[1]


def test_program_can_read_while_nothing_can_be_written(app: Flask, alice: Browser) -> None:
    script = program(alice, "documents:read")
    with app.app_context(), locked_log():
        assert script.open("/trash").status_code == 200
