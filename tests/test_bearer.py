"""Programs at the gate: a token opens what its scopes say, and nothing else."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from conftest import DEED, PASSWORD, Asked, Browser, user_named
from portal import audit
from portal.accounts import api_tokens, people, throttle
from portal.accounts.api_tokens import Scope
from portal.accounts.policies import TwoFactor
from portal.config import Settings
from portal.database import transaction
from portal.errors import NotFound
from portal.extensions import db
from portal.models import ApiToken, AuditEvent, Role, Throttle, utcnow
from stage import (
    FORM_TYPE,
    NOTHING,
    Program,
    at_once,
    browser_with,
    cookie_of,
    database_dump,
    events,
    field_part,
    file_part,
    form,
    make_token,
    program,
    settings_of,
    stored_files,
)
from test_gate import ELSEWHERE, Unreadable, addresses
from test_house_rules import FOR_TOKENS, PUBLIC
from two_factor import decide

#: Nobody guesses one of these.
WRONG = "dp_" + "A" * 43
BODY = form([field_part("name", "x"), file_part(b"bytes")])
#: What a refused request may leave behind.
TRACES = ("audit_events", "audit_head", "throttles")


def _about(statements: list[Asked], table: str) -> list[Asked]:
    return [s for s in statements if re.search(rf"\b(FROM|JOIN|UPDATE) {table}\b", s.text)]


def is_refused(response: TestResponse) -> bool:
    """Whether a token was told that it is worth nothing, the same way as everywhere."""
    assert response.status_code == 401, response.get_data(as_text=True)
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert response.content_type == "application/problem+json"
    assert "Set-Cookie" not in response.headers
    return True


def with_scopes(app: Flask, token: dict[str, Any], scopes: str) -> Program:
    """A program whose token has just those scopes, whoever may choose them."""
    with app.app_context(), transaction() as session:
        session.execute(
            update(ApiToken).where(ApiToken.name == token["name"]).values(scopes=scopes)
        )
    return Program(app, token["token"])


# What a program can do


def test_program_uploads_lists_shows_downloads_and_shares(alice: Browser) -> None:
    script = program(alice, "documents:read", "documents:write", "shares:write")
    body = form([file_part(DEED, "deed.pdf")])
    uploaded = script.post("/documents", body, content_type=FORM_TYPE)
    assert uploaded.status_code == 201
    (document,) = uploaded.get_json()["documents"]
    listed = script.open("/documents")
    assert listed.get_json() == {"folders": [], "documents": [document], "next": None}
    assert script.open(document["url"]).get_json().items() >= document.items()
    assert script.open(document["download_url"]).get_data() == DEED
    shared = script.post(f"{document['url']}/share-links", {"expires_in_days": "7"})
    assert shared.status_code == 201
    link = shared.get_json()
    (live,) = script.open("/share-links").get_json()["links"]
    assert (live["id"], live["document"]) == (
        link["id"],
        {"id": document["id"], "name": "deed.pdf"},
    )
    assert link["url"] not in repr(live)
    assert script.post(f"/share-links/{link['id']}/revoke").get_json() == {"revoked": 1}
    assert script.open("/share-links").get_json() == {"links": []}


def test_program_renames_deletes_restores_and_deletes_for_ever(
    alice: Browser, deed: dict[str, Any]
) -> None:
    script = program(alice, "documents:read", "documents:write")
    renamed = script.post(f"{deed['url']}/rename", {"name": "house.pdf"})
    assert (renamed.status_code, renamed.get_json()["name"]) == (201, "house.pdf")
    assert script.post(f"{deed['url']}/delete").get_json() == {"id": deed["id"]}
    (trashed,) = script.open("/trash").get_json()["documents"]
    assert (trashed["id"], trashed["name"], trashed["sha256"]) == (
        deed["id"],
        "house.pdf",
        deed["sha256"],
    )
    assert trashed["trashed_at"] < trashed["purge_at"]
    assert "download_url" not in trashed
    assert script.post(trashed["restore_url"]).status_code == 201
    script.post(f"{deed['url']}/delete")
    assert script.post(trashed["purge_url"]).status_code == 201
    assert script.open("/trash").get_json() == {"folders": [], "documents": [], "next": None}
    assert script.post("/trash/empty").get_json() == {"deleted": 0, "left": 0}


def test_list_goes_on_where_next_leads(alice: Browser) -> None:
    for number in range(51):
        alice.upload(f"{number:02}.txt", b"x")
    script = program(alice, "documents:read")
    first = script.open("/documents?sort=name&order=asc").get_json()
    assert len(first["documents"]) == 50
    second = script.open(first["next"]).get_json()
    names = [each["name"] for each in first["documents"] + second["documents"]]
    assert names == [f"{number:02}.txt" for number in range(51)]
    assert second["next"] is None
    assert script.open("/documents?sort=x").status_code == 400
    found = script.open("/documents?q=07").get_json()["documents"]
    assert [each["name"] for each in found] == ["07.txt"]


def test_signed_in_person_gets_the_same_json(alice: Browser, deed: dict[str, Any]) -> None:
    headers = {"Accept": "application/json"}
    assert alice.get("/documents", headers=headers).get_json()["documents"] == [deed]
    assert alice.get(deed["url"], headers=headers).get_json().items() >= deed.items()
    assert alice.get("/trash", headers=headers).get_json()["documents"] == []
    assert alice.get("/documents").content_type.startswith("text/html")


def test_program_needs_no_csrf_token_and_may_come_from_anywhere(
    alice: Browser, deed: dict[str, Any]
) -> None:
    script = program(alice, "documents:write")
    for number, headers in enumerate(
        [{}, {"Origin": ELSEWHERE}, {"Sec-Fetch-Site": "cross-site"}, {"Accept": "text/html"}]
    ):
        response = script.post(f"{deed['url']}/rename", {"name": f"{number}.pdf"}, headers=headers)
        assert (response.status_code, response.get_json()["name"]) == (201, f"{number}.pdf")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", " Bearer ", "Bearer  "])
def test_scheme_is_read_as_the_standard_says(alice: Browser, scheme: str) -> None:
    script = program(alice, "documents:read")
    headers = {"Authorization": f"{scheme} {script.token} "}
    assert script.open("/documents", headers=headers).status_code == 200


def test_admins_program_manages_people(alice: Browser, ada: Browser) -> None:
    script = program(ada, "admin")
    users = {each["email"]: each for each in script.open("/admin/users").get_json()["users"]}
    path = f"/admin/users/{users[alice.email]['id']}"
    assert script.open(path).get_json() == users[alice.email]
    assert "password" not in repr(users)
    body = form([file_part(DEED, "deed.pdf"), field_part("note", "From us")])
    uploaded = script.post(f"{path}/documents", body, content_type=FORM_TYPE)
    assert uploaded.status_code == 201
    (row,) = script.open(f"{path}/documents").get_json()["documents"]
    assert (row["name"], row["size"]) == ("deed.pdf", len(DEED))
    assert "sha256" not in row
    # Uploading for somebody gives no right to read.
    reader = program(ada, "admin", "documents:read")
    assert reader.open(f"/documents/{row['id']}/download").status_code == 404
    assert script.post(path, {"action": "disable"}).get_json()["status"] == "disabled"
    assert script.open("/admin/share-links").get_json() == {"links": []}
    assert b"user.disabled" in script.open("/admin/audit.csv").get_data()


# No session, no cookie


def test_no_answer_to_a_token_sets_a_cookie_or_makes_a_session(
    app: Flask, ada: Browser, deed: dict[str, Any]
) -> None:
    scripts = [program(ada, *Scope), Program(app, WRONG)]
    before = database_dump(app, "audit_events", "audit_head", "api_tokens", "throttles")
    for script in scripts:
        for _, path, methods in addresses(app, deed["id"]):
            for method in methods:
                response = script.open(path, method)
                assert "Set-Cookie" not in response.headers, (method, path)
                assert "Cookie" not in response.headers.get("Vary", ""), (method, path)
                response.close()
    after = database_dump(app, "audit_events", "audit_head", "api_tokens", "throttles")
    assert after["sessions"] == before["sessions"]
    assert after == before


def test_cookie_beside_a_token_counts_for_nothing(
    app: Flask, alice: Browser, bob: Browser, deed: dict[str, Any]
) -> None:
    token = make_token(bob, "documents:read", "documents:write")["token"]
    beside = browser_with(app, cookie_of(alice))
    headers = {"Authorization": f"Bearer {token}"}
    assert beside.client.get("/documents", headers=headers).get_json()["documents"] == []
    assert beside.client.get(deed["url"], headers=headers).status_code == 404
    for wrong in (WRONG, ""):
        headers = {"Authorization": f"Bearer {wrong}"}
        assert is_refused(beside.client.get("/documents", headers=headers))
        assert is_refused(beside.client.post(f"{deed['url']}/delete", headers=headers))
    # And the session is as it was.
    assert browser_with(app, cookie_of(alice)).get("/documents").status_code == 200


def test_another_scheme_spares_nobody_the_csrf_token(alice: Browser, deed: dict[str, Any]) -> None:
    token = make_token(alice, "documents:write")["token"]
    for header in (f"Basic {token}", f"Bearer{token}", f"Token {token}", token):
        headers = {"Authorization": header}
        assert alice.client.post(f"{deed['url']}/delete", headers=headers).status_code == 400
        visitor = Browser(alice.app)
        assert visitor.client.get(deed["url"], headers=headers).status_code == 302


def test_program_without_a_token_is_told_what_to_bring(visitor: Browser) -> None:
    response = visitor.get("/documents", headers={"Accept": "application/json"})
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "WWW-Authenticate" not in visitor.sign_in("nobody@example.org").headers


def test_token_counts_in_the_header_alone(alice: Browser, visitor: Browser) -> None:
    token = quote(make_token(alice, "documents:read")["token"])
    for path in (f"/documents?access_token={token}", f"/documents?token={token}"):
        assert visitor.get(path).status_code == 302


def test_host_of_another_is_refused_with_a_token_too(alice: Browser) -> None:
    script = program(alice, "documents:read")
    response = script.open("/documents", headers={"Host": "elsewhere.example"})
    assert response.status_code == 400
    assert response.content_type == "application/problem+json"


# Scopes


@pytest.mark.parametrize("scope", ["", *(each.value for each in Scope)])
def test_token_opens_what_its_scope_says_and_nothing_else(
    app: Flask, ada: Browser, alice: Browser, deed: dict[str, Any], scope: str
) -> None:
    own = ada.upload()
    script = with_scopes(app, make_token(ada, "documents:read", name="one"), scope)
    script.open("/nothing")  # its use is noted
    asked = [
        (FOR_TOKENS.get(endpoint), method, path)
        for endpoint, path, methods in addresses(app, own["id"])
        for method in sorted(methods - {"OPTIONS"})  # there routing decides which view is asked
    ]
    assert len(asked) > 60
    before, files = database_dump(app, *TRACES), stored_files(app)
    for needed, method, path in asked:
        if needed != scope:
            response = script.open(path, method, data=BODY, content_type=FORM_TYPE)
            assert response.status_code == 403, (method, path)
            challenge = 'Bearer error="insufficient_scope"'
            if needed:
                challenge += f', scope="{needed}"'
            assert response.headers["WWW-Authenticate"] == challenge
            if method != "HEAD":
                problem = response.get_json()
                assert problem.get("scope") == needed
                assert (needed or "No token") in problem["detail"]
    assert (database_dump(app, *TRACES), stored_files(app)) == (before, files)
    for needed, method, path in asked:
        if needed == scope:
            # Bytes or JSON, or what is wrong with the form: nothing stands in the way.
            action = "revoke" if path.endswith("share-links") else "save"
            headers = {"Tus-Resumable": "1.0.0"}
            data = {"name": "x", "action": action, "folder": ""}
            response = script.open(path, method, data=data, headers=headers)
            # What is sent is no piece of an upload, and is told so.
            tus = {400, 415} if path.startswith("/api/v1/uploads") else set()
            assert response.status_code in {200, 201, 404, 409, 422} | tus, (method, path)
            assert "html" not in response.content_type, (method, path)
            response.close()


def test_view_without_a_scope_takes_no_token_whatever_it_may(app: Flask, ada: Browser) -> None:
    everything = program(ada, *Scope)
    for endpoint, path, methods in addresses(app):
        if endpoint not in FOR_TOKENS:
            for method in methods - {"OPTIONS"}:
                assert everything.open(path, method).status_code == 403, path
    assert everything.open("/account/tokens").status_code == 403
    assert everything.open("/login").status_code == 403
    assert everything.open("/nothing").status_code == 404


def test_refusal_for_want_of_a_scope_is_in_the_audit_log(app: Flask, alice: Browser) -> None:
    program(alice, "documents:read").post("/trash/empty")
    (refused,) = events(app, "token.refused")
    assert (refused.actor, refused.owner) == (alice.email, alice.email)
    assert refused.detail == {
        "reason": "it lacks documents:write",
        "place": "documents.empty_trash",
        "token": "script",
    }


def test_missing_scope_is_said_before_the_body_is_read(alice: Browser) -> None:
    script = program(alice, "documents:read")
    response = script.open(
        "/documents",
        "POST",
        environ_overrides={"wsgi.input": Unreadable(), "CONTENT_LENGTH": "1000"},
        content_type=FORM_TYPE,
    )
    assert response.status_code == 403


def test_ordinary_persons_token_is_told_that_no_admin_page_exists(
    app: Flask, alice: Browser
) -> None:
    script = with_scopes(app, make_token(alice, "documents:read"), " ".join(Scope))
    missing = script.open("/nothing-is-here").get_json()
    for endpoint, path, methods in addresses(app):
        if endpoint.startswith("admin."):
            for method in methods - {"HEAD"}:
                response = script.open(path, method)
                assert (response.status_code, response.get_json()) == (404, missing), path


def test_role_counts_as_it_is_now(app: Flask, ada: Browser) -> None:
    people_ = program(ada, "admin")
    with app.app_context():
        people.create("second@example.org", settings_of(app), role=Role.ADMIN, password=PASSWORD)
    ada_now = user_named(app, "ada@example.org")
    assert people_.open("/admin/users").status_code == 200
    for role, status in ((Role.USER, 404), (Role.ADMIN, 200)):
        with app.app_context():
            user = people.by_email(ada_now.email)
            people.save(user, name=user.name, role=role, quota_bytes=None)
        assert people_.open("/admin/users").status_code == status


def test_token_waits_while_its_owner_owes_a_second_factor(app: Flask, alice: Browser) -> None:
    script = program(alice, "documents:read")
    assert script.open("/documents").status_code == 200
    decide(app, TwoFactor.EVERYONE)
    refused = script.open("/documents")
    assert (refused.status_code, refused.get_json()["reason"]) == (403, "second_factor")
    decide(app, TwoFactor.ADMINS)
    assert script.open("/documents").status_code == 200


def test_admins_scopes_are_void_once_they_are_none(app: Flask, ada: Browser) -> None:
    token = make_token(ada, *Scope)["token"]
    with app.app_context():
        assert api_tokens.with_token(token).scopes == set(Scope)
        with transaction():
            people.by_email(ada.email).role = Role.USER.value
        holder = api_tokens.with_token(token)
        assert holder.scopes == set(Scope) - {Scope.ADMIN, Scope.METRICS_READ}
        assert not holder.is_admin


def test_admins_token_without_the_admin_scope_is_an_ordinary_one(
    alice: Browser, ada: Browser, deed: dict[str, Any]
) -> None:
    link = alice.share(deed)
    without = program(ada, "shares:write")
    assert without.post(f"/share-links/{link['id']}/revoke").status_code == 404
    with_it = program(ada, "shares:write", "admin")
    assert with_it.post(f"/share-links/{link['id']}/revoke").get_json() == {"revoked": 1}


def test_strangers_token_is_told_it_does_not_exist(bob: Browser, deed: dict[str, Any]) -> None:
    script = program(bob, "documents:read", "documents:write", "shares:write")
    missing = f"/documents/{NOTHING}"
    for end in ("", "/download"):
        mine, other = script.open(missing + end), script.open(deed["url"] + end)
        assert (mine.status_code, mine.get_data()) == (404, other.get_data())
    for end in ("/rename", "/delete", "/restore", "/share-links"):
        mine, other = script.post(missing + end, {}), script.post(deed["url"] + end, {})
        assert (mine.status_code, mine.get_data()) == (404, other.get_data())


# What has ended


def everywhere_dead(app: Flask, token: str, document_id: str) -> bool:
    script = Program(app, token)
    return all(
        script.open(path, method).status_code in {401, 429}
        for _, path, methods in addresses(app, document_id)
        for method in methods
    ) and script.open("/nothing").status_code in {401, 429}


def test_refusal_is_noted_where_it_came_from(app: Flask, alice: Browser) -> None:
    """And not where the request before it came from, which the same thread has answered."""
    elsewhere, here = ({"REMOTE_ADDR": f"192.0.2.{number}"} for number in (1, 2))
    alice.get("/documents", environ_overrides=elsewhere)
    Program(app, WRONG).open("/documents", environ_overrides=here)
    with app.app_context():
        refused = db.session.scalars(select(AuditEvent).order_by(AuditEvent.seq.desc())).first()
        assert refused
        assert (refused.action, refused.actor) == ("token.refused", "visitor")
        assert refused.address == "192.0.2.2"
        counted = db.session.scalars(select(Throttle.key)).all()
    assert throttle.for_tokens("192.0.2.2").key in counted
    assert throttle.for_tokens("192.0.2.1").key not in counted


def test_made_up_token_is_refused_the_same_everywhere(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    right = make_token(alice, "documents:read")["token"]
    for wrong in (WRONG, "", "x", right[:-1], right + "x", right.removeprefix("dp_"), "=", "a=b"):
        script = Program(app, wrong)
        for path in ("/documents", deed["url"], deed["download_url"], "/login", "/nothing"):
            assert is_refused(script.open(path))
    assert everywhere_dead(app, WRONG, deed["id"])


def test_revoked_token_is_dead_everywhere_at_once(
    app: Flask, alice: Browser, deed: dict[str, Any]
) -> None:
    token = make_token(alice, *["documents:read", "documents:write", "shares:write"])
    other = program(alice, "documents:read", name="other")
    assert Program(app, token["token"]).open(deed["url"]).status_code == 200
    alice.post("/account/tokens", {"action": "revoke", "id": token["id"]})
    assert everywhere_dead(app, token["token"], deed["id"])
    assert other.open(deed["url"]).status_code == 200


def test_expired_token_is_dead_everywhere_at_once(
    app: Flask, alice: Browser, deed: dict[str, Any], time_machine: Any
) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    token = make_token(alice, "documents:read", days="1")["token"]
    time_machine.move_to(start + timedelta(hours=23, minutes=59), tick=False)
    assert Program(app, token).open(deed["url"]).status_code == 200
    time_machine.move_to(start + timedelta(days=1), tick=False)
    assert everywhere_dead(app, token, deed["id"])
    assert events(app, "token.refused")[0].detail == {"reason": "expired", "name": "script"}


def test_token_of_a_disabled_account_is_dead_for_good(
    app: Flask, alice: Browser, ada: Browser, deed: dict[str, Any]
) -> None:
    token = make_token(alice, "documents:read")["token"]
    with app.app_context():
        people.disable(people.by_email(alice.email))
    assert everywhere_dead(app, token, deed["id"])
    with app.app_context():
        people.enable(people.by_email(alice.email))
    assert is_refused_or_throttled(Program(app, token).open(deed["url"]))


def test_token_of_a_disabled_account_is_dead_by_the_account_alone(
    app: Flask, alice: Browser
) -> None:
    script = program(alice, "documents:read")
    with app.app_context(), transaction():
        people.by_email(alice.email).disabled_at = utcnow()
    assert is_refused(script.open("/documents"))
    (refused,) = events(app, "token.refused")
    assert (refused.owner, refused.detail["reason"]) == (alice.email, "its account is disabled")


def test_token_made_while_the_account_is_disabled_does_not_outlive_that(
    app: Flask, alice: Browser
) -> None:
    user_id = user_named(app, alice.email).id

    def act(number: int) -> str:
        with app.app_context():
            if number == 0:
                people.disable(people.by_email(alice.email))
                return ""
            try:
                return api_tokens.create(user_id, name="x", scopes=["documents:read"])[1]
            except NotFound:
                return ""

    for _ in range(5):
        made = [each for each in at_once(4, act) if each]
        with app.app_context():
            people.enable(people.by_email(alice.email))
            assert api_tokens.of_user(user_id) == []
        for token in made:
            assert is_refused_or_throttled(Program(app, token).open("/documents"))


def test_new_password_ends_every_token(app: Flask, alice: Browser, settings: Settings) -> None:
    first = program(alice, "documents:read")
    new = "five loud rivers bend"
    data = {"current_password": PASSWORD, "new_password": new}
    assert alice.post("/account/password", data).status_code == 303
    assert is_refused(first.open("/documents"))
    second = program(alice, "documents:read")
    with app.app_context():
        people.set_password(people.by_email(alice.email), PASSWORD, settings)
    assert is_refused(second.open("/documents"))


def is_refused_or_throttled(response: TestResponse) -> bool:
    return response.status_code == 429 or is_refused(response)


# Guessing


def test_guesses_are_counted_for_each_address_however_many_come_at_once(app: Flask) -> None:
    def guess(number: int) -> TestResponse:
        headers = {"X-Forwarded-For": f"203.0.113.{number}"}  # from no proxy of ours
        return Program(app, f"dp_{number:043}").open("/documents", headers=headers)

    answers = at_once(64, guess)
    assert sorted(each.status_code for each in answers) == [401] * 60 + [429] * 4
    throttled = next(each for each in answers if each.status_code == 429)
    # A little over the window, where another began it while this one waited its turn.
    assert 0 < int(throttled.headers["Retry-After"]) <= 15 * 60 + 5
    assert throttled.content_type == "application/problem+json"
    elsewhere = {"REMOTE_ADDR": "203.0.113.7"}
    assert is_refused(Program(app, WRONG).open("/documents", environ_overrides=elsewhere))
    reasons = [each.detail["reason"] for each in events(app, "token.refused")]
    assert sorted(reasons) == ["throttled"] * 4 + ["unknown"] * 61


def test_guesses_shut_nobody_out(
    app: Flask, alice: Browser, visitor: Browser, time_machine: Any
) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    script = program(alice, "documents:read")
    for _ in range(61):
        last = Program(app, WRONG).open("/documents")
    assert last.status_code == 429
    # From the same address: programs with a right token, and people.
    assert script.open("/documents").status_code == 200
    assert visitor.sign_in("alice@example.org").status_code == 303
    time_machine.move_to(start + timedelta(minutes=15), tick=False)
    assert is_refused(Program(app, WRONG).open("/documents"))


def test_no_token_and_no_hash_of_one_is_in_the_log(
    app: Flask, alice: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    script = program(alice, "documents:read")
    script.open("/documents")
    Program(app, WRONG).open("/documents")
    for text in (script.token, WRONG):
        assert text not in caplog.text
        assert text.removeprefix("dp_") not in repr(database_dump(app))


# What is noted


def test_what_is_done_through_a_token_says_so_in_the_audit_log(
    app: Flask, alice: Browser, ada: Browser, deed: dict[str, Any]
) -> None:
    script = program(alice, "documents:read", "documents:write", name="Backup at home")
    script.open(deed["download_url"]).close()
    script.post(f"{deed['url']}/rename", {"name": "house.pdf"})
    for action in ("document.downloaded", "document.renamed"):
        (done,) = events(app, action)
        assert (done.actor, done.detail["token"]) == (alice.email, "Backup at home")
    page = alice.get(deed["url"]).text
    assert "Renamed “deed.pdf” to “house.pdf” with the token “Backup at home”" in page
    (uploaded,) = events(app, "document.uploaded")
    assert "token" not in uploaded.detail


def test_use_of_one_is_no_use_of_another(app: Flask, alice: Browser) -> None:
    used, _ = (program(alice, "documents:read") for _ in range(2))
    used.open("/documents")
    with app.app_context():
        noted = db.session.scalars(select(ApiToken.last_address).order_by(ApiToken.id)).all()
    assert noted == ["127.0.0.1", ""]


def test_last_use_is_noted_at_most_once_a_minute(
    app: Flask, alice: Browser, deed: dict[str, Any], time_machine: Any
) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    script = program(alice, "documents:read")

    def used() -> tuple[Any, str]:
        with app.app_context():
            return tuple(  # type: ignore[return-value]
                db.session.execute(select(ApiToken.last_used_at, ApiToken.last_address)).one()
            )

    assert used() == (None, "")
    script.open("/documents", environ_overrides={"REMOTE_ADDR": "203.0.113.7"})
    assert used() == (start, "203.0.113.7")
    time_machine.move_to(start + timedelta(seconds=59), tick=False)
    script.open("/documents", environ_overrides={"REMOTE_ADDR": "203.0.113.8"})
    assert used() == (start, "203.0.113.7")
    time_machine.move_to(start + timedelta(seconds=60), tick=False)
    script.open(deed["download_url"], environ_overrides={"REMOTE_ADDR": "203.0.113.8"}).close()
    assert used() == (start + timedelta(seconds=60), "203.0.113.8")


def test_of_those_who_come_at_once_one_notes_its_use(app: Flask, alice: Browser) -> None:
    token = make_token(alice, "documents:read")["token"]
    with app.app_context():
        holder = api_tokens.with_token(token)  # as each of them found it
        for address in ("203.0.113.7", "203.0.113.8"):
            with audit.acting(audit.Origin(alice.email, address)):
                api_tokens.touch(holder)
        assert db.session.scalar(select(ApiToken.last_address)) == "203.0.113.7"


# What it costs


def test_one_query_finds_session_and_user(alice: Browser, statements: list[Asked]) -> None:
    alice.get("/")
    statements.clear()
    assert alice.get("/").status_code == 302
    assert len(statements) == 1, statements
    assert len(_about(statements, "sessions")) == len(_about(statements, "users")) == 1


def test_one_query_finds_token_and_user(alice: Browser, statements: list[Asked]) -> None:
    script = program(alice, "documents:read")
    script.open("/nothing")
    statements.clear()
    assert script.open("/nothing").status_code == 404
    assert len(statements) == 1, statements
    assert len(_about(statements, "api_tokens")) == len(_about(statements, "users")) == 1


def test_no_route_asks_a_second_time_who_is_there(
    app: Flask, ada: Browser, deed: dict[str, Any], statements: list[Asked]
) -> None:
    own = ada.upload()
    script = program(ada, *Scope)
    ada.get("/")
    script.open("/nothing")
    for endpoint, path, methods in addresses(app, own["id"]):
        if "GET" in methods and endpoint not in PUBLIC:
            for who, table in ((ada.get, "sessions"), (script.open, "api_tokens")):
                statements.clear()
                who(path).close()
                # Pages that list tokens or sessions ask for those besides.
                if path in {"/account/tokens", "/account/sessions"}:
                    continue
                about_sessions = len(_about(statements, "sessions"))
                if not path.startswith("/admin/users/"):
                    assert len(_about(statements, table)) == 1, (path, statements)
                assert about_sessions == (table == "sessions"), (path, statements)


def test_refused_upload_of_a_program_leaves_no_file(app: Flask, alice: Browser) -> None:
    script = program(alice, "documents:write")
    files = stored_files(app)
    body = form([file_part(b"", "")])
    assert script.post("/documents", body, content_type=FORM_TYPE).status_code == 422
    assert stored_files(app) == files
