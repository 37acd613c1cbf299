"""The gate: who may come in at all, from which pages, under which address."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from flask import Flask

from conftest import Browser, Cast
from portal.accounts.views.browser import safe_next
from portal.config import Settings
from stage import (
    COOKIE,
    FORM_TYPE,
    NOTHING,
    browser_with,
    database_dump,
    events,
    facts,
    field_part,
    file_part,
    form,
    stored_files,
)
from test_house_rules import PUBLIC, WITHOUT_CSRF_TOKEN

UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
METHODS = ("GET", "HEAD", "OPTIONS", *UNSAFE)
ELSEWHERE = "https://elsewhere.example"


class Unreadable(io.RawIOBase):
    """A body that must not be touched."""

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: Any) -> NoReturn:
        raise AssertionError("the body was read")


def addresses(app: Flask, some_id: str = NOTHING) -> Iterator[tuple[str, str, set[str]]]:
    """(endpoint, address, methods) of every route, filled in with an id."""
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<uuid:\w+>", some_id, rule.rule)
        yield rule.endpoint, re.sub(r"<\w+>", "made-up", path), set(rule.methods or ())


# Visitors


def test_visitor_is_sent_to_sign_in_whatever_they_ask_for(
    app: Flask, visitor: Browser, deed: dict[str, Any]
) -> None:
    tried = 0
    for endpoint, path, methods in addresses(app, deed["id"]):
        if endpoint in PUBLIC:
            continue
        for method in METHODS:
            if method == "OPTIONS" and method not in methods:
                continue
            tried += 1
            response = visitor.client.open(path, method=method)
            if path.startswith("/api/"):
                assert response.status_code == 401, (method, path)
                continue
            where = urlsplit(response.location)
            assert (response.status_code, where.path) == (302, "/login"), (method, path)
            assert parse_qs(where.query)["next"] == [path]
            assert not where.netloc
    assert tried > 150


def test_visitor_is_told_the_same_of_what_is_there_and_what_is_not(
    app: Flask, visitor: Browser, deed: dict[str, Any]
) -> None:
    there = list(addresses(app, deed["id"]))
    missing = list(addresses(app, NOTHING))
    for (endpoint, path, _), (_, other, _) in zip(there, missing, strict=True):
        if endpoint not in PUBLIC:
            mine, other_answer = facts(visitor.get(path)), facts(visitor.get(other))
            text = repr(mine).replace(deed["id"], NOTHING)
            assert text == repr(other_answer), path


def test_signing_in_is_asked_for_before_the_body_is_read(app: Flask, visitor: Browser) -> None:
    for endpoint, path, methods in addresses(app):
        if endpoint not in PUBLIC and "POST" in methods:
            response = visitor.client.post(
                path,
                environ_overrides={"wsgi.input": Unreadable(), "CONTENT_LENGTH": "1000"},
                content_type=FORM_TYPE,
            )
            assert response.status_code == (401 if path.startswith("/api/") else 302), path


def test_visitor_keeps_the_whole_address_they_asked_for(visitor: Browser) -> None:
    response = visitor.get("/documents?q=a%26b&sort=name")
    assert parse_qs(urlsplit(response.location).query)["next"] == ["/documents?q=a%26b&sort=name"]


def test_program_without_an_account_gets_401_as_a_problem(visitor: Browser) -> None:
    response = visitor.get("/documents", headers={"Accept": "application/json"})
    assert response.status_code == 401
    assert response.content_type == "application/problem+json"
    assert response.get_json()["status"] == 401
    assert visitor.get("/api/v1/documents").status_code == 401


def test_made_up_cookie_is_a_visitors(app: Flask, alice: Browser) -> None:
    cookie = alice.client.get_cookie(COOKIE, domain="127.0.0.1")
    assert cookie
    for value in ("", "x", cookie.value[:-3] + "abc", "." * 4000, "e30.e30.e30"):
        assert browser_with(app, value).get("/documents").status_code == 302


def test_page_that_is_not_there_sends_a_visitor_to_sign_in(visitor: Browser) -> None:
    assert visitor.get("/nothing/here").status_code == 302


# Ordinary users and admin pages


def test_ordinary_user_is_told_that_no_admin_page_exists(
    app: Flask, alice: Browser, ada: Browser, deed: dict[str, Any]
) -> None:
    tried = 0
    for endpoint, path, methods in addresses(app, deed["id"]):
        if not endpoint.startswith("admin."):
            continue
        for method in sorted(methods):
            tried += 1
            missing = alice.client.open("/nothing-is-here", method=method)
            assert missing.status_code == 404
            assert facts(alice.client.open(path, method=method)) == facts(missing), (method, path)
    assert tried > 20


def test_ordinary_user_is_refused_before_the_body_is_read(app: Flask, alice: Browser) -> None:
    for endpoint, path, methods in addresses(app):
        if endpoint.startswith("admin.") and "POST" in methods:
            response = alice.client.post(
                path,
                environ_overrides={"wsgi.input": Unreadable(), "CONTENT_LENGTH": "1000"},
                content_type=FORM_TYPE,
            )
            assert response.status_code == 404


def test_a_try_at_an_admin_page_is_in_the_audit_log(app: Flask, alice: Browser) -> None:
    alice.get("/admin/users")
    denied = events(app, "access.denied")
    assert [(each.actor, each.detail) for each in denied] == [
        (alice.email, {"place": "admin.users"})
    ]


def test_admin_who_is_demoted_is_out_at_once(app: Flask, cast: Cast, ada: Browser) -> None:
    second = cast.person("second@example.org", "Second Admin")
    assert second.get("/admin").status_code == 404
    users = ada.get("/admin/users").get_data(as_text=True)
    found = re.search(r'href="/admin/users/([0-9a-f-]{36})">Second Admin', users)
    assert found
    for role, status in (("admin", 200), ("user", 404)):
        data = {"action": "save", "name": "Second Admin", "role": role}
        assert ada.post(f"/admin/users/{found[1]}", data).status_code == 303
        assert second.get("/admin").status_code == status


# Where a request comes from


@pytest.mark.parametrize(
    "host", ["elsewhere.example", "127.0.0.1", "127.0.0.1:8001", "elsewhere.example:8000", ""]
)
def test_another_host_is_refused(alice: Browser, host: str) -> None:
    for path in ("/documents", "/login", "/static-or-not"):
        response = alice.get(path, headers={"Host": host})
        assert response.status_code == 400
        assert "elsewhere" not in response.get_data(as_text=True)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"])
def test_on_one_machine_every_name_of_loopback_is_ours(visitor: Browser, host: str) -> None:
    assert visitor.client.get("/login", headers={"Host": host}).status_code == 200


def test_loopback_is_no_other_name_for_a_public_address(make_app: Any) -> None:
    browser = Browser(make_app(base_url="https://documents.example.org"))
    assert browser.get("/login").status_code == 200
    assert browser.get("/login", headers={"Host": "127.0.0.1"}).status_code == 400
    assert browser.get("/login", headers={"Host": "DOCUMENTS.example.org"}).status_code == 200


def test_probes_are_answered_under_every_name(visitor: Browser) -> None:
    for path in ("/healthz", "/readyz"):
        response = visitor.get(path, headers={"Host": "10.1.2.3:9999"})
        assert (response.status_code, response.get_data(as_text=True)) == (200, "ok\n")


def test_forwarded_headers_count_only_behind_a_proxy(make_app: Any, visitor: Browser) -> None:
    forged = {"X-Forwarded-Host": "elsewhere.example", "X-Forwarded-For": "10.0.0.1"}
    assert visitor.get("/login", headers=forged).status_code == 200
    behind = Browser(make_app(trusted_proxies=1))
    assert behind.get("/login", headers=forged).status_code == 400
    own = {"X-Forwarded-Host": "127.0.0.1:8000", "X-Forwarded-For": "10.0.0.1"}
    assert behind.get("/login", headers=own).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": ELSEWHERE},
        {"Origin": "http://127.0.0.1:9000"},
        {"Origin": "https://127.0.0.1:8000"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "made-up"},
        {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "cross-site"},
        {"Origin": ELSEWHERE, "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_another_sites_request_is_refused_with_a_valid_token(
    app: Flask, alice: Browser, deed: dict[str, Any], headers: dict[str, str]
) -> None:
    link = alice.share(deed)
    before = database_dump(app)
    assert alice.post(f"{deed['url']}/delete", headers=headers).status_code == 400
    assert alice.post("/login", {"email": "a", "password": "b"}, headers=headers).status_code == 400
    if headers != {"Origin": "null"}:  # pages with a secret address hide their origin
        response = alice.client.post(f"{link['path']}/download", headers=headers)
        assert response.status_code == 400
    assert database_dump(app) == before


def test_page_with_a_secret_address_may_hide_its_origin(
    alice: Browser, visitor: Browser, deed: dict[str, Any]
) -> None:
    path = f"{alice.share(deed)['path']}/download"
    assert visitor.client.post(path, headers={"Origin": "null"}).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://127.0.0.1:8000"},
        {"Origin": "HTTP://127.0.0.1:8000"},
        {"Origin": "http://localhost:8000"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_our_own_pages_requests_pass(
    alice: Browser, deed: dict[str, Any], headers: dict[str, str]
) -> None:
    assert alice.post(f"{deed['url']}/delete", headers=headers).status_code == 303


def test_another_site_may_lead_here(alice: Browser) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": ELSEWHERE}
    assert alice.get("/documents", headers=headers).status_code == 200


# The token of a form


def test_without_the_right_token_nothing_changes(app: Flask, ada: Browser, bob: Browser) -> None:
    own = ada.upload()
    user_id = _id_of(ada)
    before = database_dump(app)
    files = stored_files(app)
    tried = 0
    for endpoint, address, methods in addresses(app, own["id"]):
        if "POST" not in methods or endpoint in WITHOUT_CSRF_TOKEN:
            continue
        path = address.replace(f"/users/{own['id']}", f"/users/{user_id}")
        for headers in ({}, {"X-CSRFToken": "made-up"}, {"X-CSRFToken": bob.token()}):
            tried += 1
            body = form([field_part("email", "new@example.org"), file_part(b"some bytes")])
            response = ada.client.post(path, data=body, content_type=FORM_TYPE, headers=headers)
            assert response.status_code == 400, (path, response.status_code)
            response = ada.client.post(path, data={"csrf_token": "made-up"}, headers=headers)
            assert response.status_code == 400, path
    assert tried > 40
    assert database_dump(app) == before
    assert stored_files(app) == files


def test_a_wrong_token_in_the_header_is_refused_before_the_body_is_read(alice: Browser) -> None:
    response = alice.client.post(
        "/documents",
        environ_overrides={"wsgi.input": Unreadable(), "CONTENT_LENGTH": "1000"},
        content_type=FORM_TYPE,
        headers={"X-CSRFToken": "made-up"},
    )
    assert response.status_code == 400


def test_the_token_may_come_in_the_form_or_in_a_header(alice: Browser) -> None:
    token = alice.token()
    for data, headers in (({"csrf_token": token}, {}), ({}, {"X-CSRFToken": token})):
        data |= {"name": "Alice", "timezone": ""}
        assert alice.client.post("/account", data=data, headers=headers).status_code == 303


def test_large_form_is_refused_where_no_files_are_taken(alice: Browser) -> None:
    response = alice.post("/account", {"name": "x" * (2 * 1024 * 1024)})
    assert response.status_code == 413
    body = form([field_part("name", "Alice"), file_part(b"bytes")])
    assert alice.post("/account", body, content_type=FORM_TYPE).status_code == 400


# Where one goes after signing in

ATTACKS = [
    "//elsewhere.example",
    "///elsewhere.example",
    "////elsewhere.example",
    "/\\elsewhere.example",
    "\\\\elsewhere.example",
    "\\/elsewhere.example",
    "/\\/elsewhere.example",
    "http:///elsewhere.example",
    "http://elsewhere.example",
    "https:elsewhere.example",
    "HTTPS://elsewhere.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "elsewhere.example",
    "/\t/elsewhere.example",
    "\t//elsewhere.example",
    " //elsewhere.example",
    "/\n/elsewhere.example",
    "/\r\nSet-Cookie: a=b",
    "/%09/elsewhere.example",
    "/%2felsewhere.example",
    "/%2F%2Felsewhere.example",
    "/%5celsewhere.example",
    "/%5C%5Celsewhere.example",
    "/documents%0d%0aSet-Cookie:%20a=b",
    "//elsewhere.example@127.0.0.1:8000/",
    "//127.0.0.1:8000@elsewhere.example/",
    "/\u2028/elsewhere.example",
    "/\u200b\\elsewhere.example",
    "/documents\0",
    "",
    "documents",
    "?q=1",
    "#top",
]


@pytest.mark.parametrize("target", ATTACKS)
def test_attack_on_next_leads_to_the_front_page(app: Flask, target: str) -> None:
    with app.test_request_context():
        assert safe_next(target) == "/documents"


@pytest.mark.parametrize(
    "target",
    ["/", "/documents?q=a%20b&sort=name", f"/documents/{NOTHING}#share", "/trash?cursor=%C3%A9"],
)
def test_own_path_is_where_one_goes_after_signing_in(
    app: Flask, alice: Browser, visitor: Browser, target: str
) -> None:
    response = visitor.sign_in("alice@example.org", next=target)
    assert (response.status_code, response.location) == (303, target)
    assert alice.get("/login", query_string={"next": target}).location == target


def test_sign_in_never_leads_to_another_site(app: Flask, alice: Browser) -> None:
    for target in ATTACKS:
        browser = Browser(app)
        response = browser.sign_in("alice@example.org", next=target)
        assert response.location == "/documents"
        signed_in = browser.get("/login", query_string={"next": target})
        assert signed_in.status_code == 302
        there = urljoin("http://127.0.0.1:8000/login", signed_in.location)
        assert urlsplit(there).netloc == "127.0.0.1:8000"
        assert "a=b" not in str(signed_in.headers.getlist("Set-Cookie"))


# What every page says to browsers

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'"
)


def _pages(app: Flask, ada: Browser, alice: Browser, visitor: Browser) -> Iterator[Any]:
    """The answers to GET on every route, by everybody, with things that are there."""
    own = ada.upload()
    link = ada.share(own)
    for _, address, methods in addresses(app, own["id"]):
        if "GET" in methods:
            path = address.replace("/s/made-up", link["path"])
            for browser in (ada, alice, visitor):
                response = browser.get(path)
                is_download = "attachment" in response.headers.get("Content-Disposition", "")
                # Pictures of documents go out like downloads (`tests/previews/test_door.py`).
                if not is_download and not response.mimetype.startswith("image/"):
                    yield response
                response.close()
    yield visitor.post("/login", {"email": "a@example.org", "password": "wrong"})
    yield alice.client.post("/logout")
    yield alice.get("/documents?sort=x")
    yield alice.get("/documents?sort=x", headers={"Accept": "application/json"})


def test_every_page_says_what_a_browser_may_do_with_it(
    app: Flask, ada: Browser, alice: Browser, visitor: Browser
) -> None:
    statuses = set()
    for response in _pages(app, ada, alice, visitor):
        statuses.add(response.status_code)
        headers = response.headers
        assert headers.getlist("Content-Security-Policy") == [CONTENT_SECURITY_POLICY]
        assert headers.getlist("X-Content-Type-Options") == ["nosniff"]
        assert headers["Referrer-Policy"] in {"same-origin", "no-referrer"}
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "camera=()" in headers["Permissions-Policy"]
        assert headers.getlist("Cache-Control") == ["no-store"]
        assert "Strict-Transport-Security" not in headers
        assert "Server" not in headers
        if response.status_code not in {302, 303}:
            assert "charset=utf-8" in response.content_type or "json" in response.content_type
    assert {200, 302, 400, 401, 404} <= statuses


def test_encrypted_portal_says_so(make_app: Any) -> None:
    app = make_app(base_url="https://documents.example.org")
    browser = Browser(app)
    response = browser.get("/login")
    assert response.headers["Strict-Transport-Security"].startswith("max-age=63072000")
    (cookie,) = response.headers.getlist("Set-Cookie")
    assert cookie.startswith("__Host-portal_session=")
    for attribute in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax"):
        assert attribute in cookie.split("; ")
    assert "Domain" not in cookie


def test_cookie_of_an_unencrypted_portal_is_closed_to_scripts(visitor: Browser) -> None:
    (cookie,) = visitor.get("/login").headers.getlist("Set-Cookie")
    assert {"HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Secure" not in cookie


# Methods


def test_head_is_answered_like_get(
    app: Flask, ada: Browser, alice: Browser, visitor: Browser
) -> None:
    own = ada.upload()
    link = ada.share(own)
    user_id = _id_of(ada)
    for _, address, methods in addresses(app, own["id"]):
        if "GET" not in methods:
            continue
        path = address.replace("/s/made-up", link["path"])
        path = path.replace(f"/users/{own['id']}", f"/users/{user_id}")
        for browser in (ada, alice, visitor):
            get, head = browser.get(path), browser.head(path)
            assert head.status_code == get.status_code, path
            assert head.get_data() == b""
            assert head.content_type == get.content_type
            get.close()


def _id_of(ada: Browser) -> str:
    users = ada.get("/admin/users").get_data(as_text=True)
    found = re.search(r'href="/admin/users/([0-9a-f-]{36})">Ada Admin', users)
    assert found
    return found[1]


def test_wrong_method_is_told_the_right_ones(app: Flask, ada: Browser) -> None:
    for endpoint, path, _ in addresses(app):
        shared = {m for e, p, ms in addresses(app) if p == path for m in ms}
        for method in set(METHODS) - shared:
            response = ada.client.open(path, method=method)
            assert response.status_code == 405, (method, path)
            assert set(response.headers["Allow"].split(", ")) == shared, endpoint


def test_problem_of_a_program_follows_rfc_9457(alice: Browser) -> None:
    response = alice.get(f"/documents/{NOTHING}", headers={"Accept": "application/json"})
    assert response.content_type == "application/problem+json"
    problem = json.loads(response.get_data())
    assert {"type", "title", "status", "detail"} <= set(problem)
    assert problem["status"] == response.status_code == 404


def test_unforeseen_error_tells_a_reference_and_nothing_else(
    app: Flask, settings: Settings, ada: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    document = ada.upload()
    (file,) = stored_files(app)
    file.unlink()
    response = ada.get(document["download_url"])
    page = response.get_data(as_text=True)
    assert response.status_code == 500
    found = re.search(r'<span class="mono">([0-9a-f]{12})</span>', page)
    assert found
    assert found[1] in caplog.text
    for secret in ("Traceback", str(settings.files_dir), "SELECT", file.name):
        assert secret not in page
