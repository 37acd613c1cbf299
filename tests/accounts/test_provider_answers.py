"""Answers a provider must never give, and what comes of them: nobody comes in.

The real provider cannot be made to lie; this one says what a test tells it to.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from flask import Flask
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from sqlalchemy import select

from conftest import Browser
from portal.accounts import openid, people
from portal.extensions import db
from portal.models import Identity, utcnow
from stage import at_once, events, settings_of

KEY, OTHER_KEY = (RSAKey.generate_key(2048, {"kid": "one"}) for _ in range(2))
SECRET = "the client's secret, long enough for a signature"


@dataclass
class Liar:
    """A provider that says what it is told to say."""

    issuer: str = ""
    #: What the description, the claims, the header and userinfo say otherwise; None leaves out.
    described: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    key: Any = field(default_factory=lambda: KEY)
    published: list[Any] = field(default_factory=lambda: [KEY.as_dict(private=False)])
    #: Answers by path, instead of the usual ones: status, headers, body.
    instead: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    #: Called before an answer is given, with the path.
    meanwhile: Callable[[str], None] = lambda _path: None
    nonce: str = ""
    asked: list[str] = field(default_factory=list)
    forms: list[dict[str, list[str]]] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(path)
        self.meanwhile(path)
        if path in self.instead:
            return self.instead[path]
        told: dict[str, Any] = {
            "/.well-known/openid-configuration": self.description,
            "/jwks": lambda: {"keys": self.published},
            "/token": lambda: {"access_token": "at", "token_type": "Bearer", **self.id_token()},
            "/userinfo": lambda: self.userinfo,
        }[path]()
        return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()

    def description(self) -> dict[str, Any]:
        paths = {
            "authorization_endpoint": "/auth?tenant=1",
            "token_endpoint": "/token",
            "userinfo_endpoint": "/userinfo",
            "jwks_uri": "/jwks",
        }
        told = {name: self.issuer + path for name, path in paths.items()}
        return without_nothing({"issuer": self.issuer, **told, **self.described})

    def id_token(self) -> dict[str, str]:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "carol",
            "aud": "portal",
            "exp": now + 300,
            "iat": now,
            "nonce": self.nonce,
            "email": "carol@example.org",
            "email_verified": True,
            "name": "Carol Clark",
            **self.claims,
        }
        header = without_nothing({"alg": "RS256", "kid": "one", **self.header})
        algorithms = [header["alg"]]
        if header["alg"] == "none":
            parts = (json.dumps(part).encode() for part in (header, without_nothing(claims)))
            text = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
            return {"id_token": text + "."}
        return {"id_token": jwt.encode(header, without_nothing(claims), self.key, algorithms)}


def without_nothing(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value is not None}


@pytest.fixture
def liar() -> Iterator[Liar]:
    liar = Liar()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = liar.answer(urlsplit(self.path).path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # nobody reads so much
                self.wfile.write(body)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            liar.forms.append(parse_qs(body))
            self.do_GET()

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    liar.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield liar
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def app(make_app: Any, liar: Liar) -> Flask:
    app: Flask = make_app(
        oidc_issuer=liar.issuer, oidc_client_id="portal", oidc_client_secret=SECRET
    )
    with app.app_context():
        people.invite(people.create("carol@example.org", settings_of(app)))
    return app


@dataclass
class Visitor:
    """Goes to the provider and comes back with a code."""

    browser: Browser
    liar: Liar

    def set_out(self) -> str:
        """Answers the path one comes back to."""
        response = self.browser.get("/login/oidc")
        assert response.status_code == 302, response.text
        asked = parse_qs(urlsplit(response.location).query)
        self.liar.nonce = asked["nonce"][0]
        query = urlencode({"code": "a code", "state": asked["state"][0]})
        return f"/login/oidc/callback?{query}"

    def come_back(self) -> int:
        return self.browser.get(self.set_out()).status_code

    def is_in(self) -> bool:
        return self.browser.get("/documents").status_code == 200


@pytest.fixture
def carol(app: Flask, liar: Liar) -> Visitor:
    return Visitor(Browser(app), liar)


def reason(app: Flask) -> str:
    found: str = events(app, "session.refused")[-1].detail["reason"]
    return found


def test_truth_is_believed(app: Flask, liar: Liar, carol: Visitor) -> None:
    """Or none of the tests below would show anything."""
    assert carol.come_back() == 302
    assert carol.is_in()
    assert "/userinfo" not in liar.asked
    assert liar.forms[0]["grant_type"] == ["authorization_code"]
    assert len(liar.forms[0]["code_verifier"][0]) == 43
    assert "client_secret" not in liar.forms[0]


NOW = int(time.time())


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"iss": "https://elsewhere.example"}, "iss"),
        ({"iss": None}, "iss"),
        ({"iss": 7}, "iss"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": 7}, "sub"),
        ({"sub": "x" * 256}, "sub"),
        ({"sub": "a\0b"}, "sub"),
        ({"aud": "somebody else"}, "aud"),
        ({"aud": ["somebody else"]}, "aud"),
        ({"aud": None}, "aud"),
        ({"aud": ["portal", "somebody else"]}, "azp"),
        ({"aud": ["portal", "somebody else"], "azp": "somebody else"}, "azp"),
        ({"azp": "somebody else"}, "azp"),
        ({"exp": NOW - 120}, "exp"),
        ({"exp": None}, "exp"),
        ({"exp": "tomorrow"}, "exp"),
        ({"iat": NOW + 3600}, "iat"),
        ({"iat": NOW - 3600}, "iat"),
        ({"iat": None}, "iat"),
        ({"iat": -(10**400)}, ""),
        ({"nbf": NOW + 3600}, "nbf"),
        ({"nonce": "of another attempt"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": ["of another attempt"]}, "nonce"),
    ],
)
def test_wrong_claim_opens_nothing(
    app: Flask, liar: Liar, carol: Visitor, wrong: dict[str, Any], why: str
) -> None:
    liar.claims = wrong
    assert carol.come_back() == 401
    assert reason(app).startswith("ID token: ")
    assert why in reason(app)
    assert not carol.is_in()


def test_nonce_among_others_opens_nothing(app: Flask, liar: Liar, carol: Visitor) -> None:
    back = carol.set_out()
    liar.claims = {"nonce": [liar.nonce, "another"]}
    assert carol.browser.get(back).status_code == 401
    assert reason(app) == "ID token: nonce"


def test_several_audiences_are_fine_where_the_token_was_made_for_the_portal(
    liar: Liar, carol: Visitor
) -> None:
    liar.claims = {"aud": ["portal", "somebody else"], "azp": "portal"}
    assert carol.come_back() == 302


def test_clocks_may_differ_by_a_minute(liar: Liar, carol: Visitor) -> None:
    now = int(time.time())
    liar.claims = {"exp": now - 30, "iat": now + 30}
    assert carol.come_back() == 302


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"header": {"alg": "none"}}, "unsupported_algorithm"),
        # Signed with what both know, and with the public key as if it were a secret.
        ({"header": {"alg": "HS256"}, "key": OctKey.import_key(SECRET)}, "unsupported_algorithm"),
        (
            {"header": {"alg": "HS256"}, "key": OctKey.import_key(KEY.as_pem(private=False).hex())},
            "unsupported_algorithm",
        ),
        ({"key": OTHER_KEY}, "bad_signature"),
        ({"header": {"kid": "two"}}, "invalid_key_id"),
        ({"key": ECKey.generate_key("P-256"), "header": {"alg": "ES256"}}, ""),
        ({"published": []}, "invalid_key_id"),
        ({"published": [{"kty": "oct", "k": "c2VjcmV0", "kid": "one"}]}, "invalid_key_id"),
        ({"published": ["none", {"kty": "RSA", "n": "!", "e": 7}]}, "invalid_key_id"),
        ({"published": [{**KEY.as_dict(private=False), "use": "enc"}]}, "invalid_key_id"),
    ],
)
def test_forged_signature_opens_nothing(
    app: Flask, liar: Liar, carol: Visitor, changes: dict[str, Any], why: str
) -> None:
    for name, value in changes.items():
        setattr(liar, name, value)
    assert carol.come_back() == 401
    assert reason(app).startswith("ID token: ")
    assert why in reason(app)
    assert not carol.is_in()


def test_key_nobody_can_use_does_not_spoil_the_others(liar: Liar, carol: Visitor) -> None:
    liar.published = [
        {"kty": "new"},
        {"kty": "EC", "crv": "P-0", "x": "", "y": ""},
        *liar.published,
    ]
    assert carol.come_back() == 302


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'{"id_token": 7}',
        b'{"id_token": "a.b.c"}',
        b'{"id_token": "e30.e30.e30"}',
        b'{"id_token": ""}',
        b'{"id_token": "WyJhbGciXQ.e30.e30"}',
    ],
)
def test_answer_without_a_token_opens_nothing(liar: Liar, carol: Visitor, body: bytes) -> None:
    liar.instead["/token"] = (200, {}, body)
    assert carol.come_back() in {401, 503}
    assert not carol.is_in()


# Addresses, from the token or from userinfo


@pytest.mark.parametrize("verified", [False, None, "true", 1, "false"])
def test_address_counts_only_if_it_is_plainly_verified(
    app: Flask, liar: Liar, carol: Visitor, verified: Any
) -> None:
    liar.claims = {"email_verified": verified}
    assert carol.come_back() == 401
    assert reason(app) == "address not verified"
    assert not carol.is_in()


def test_address_may_come_from_userinfo(liar: Liar, carol: Visitor) -> None:
    liar.claims = {"email": None, "email_verified": None}
    liar.userinfo = {"sub": "carol", "email": "carol@example.org", "email_verified": True}
    assert carol.come_back() == 302
    assert carol.is_in()


@pytest.mark.parametrize("subject", ["mallory", None, ""])
def test_userinfo_of_somebody_else_opens_nothing(
    app: Flask, liar: Liar, carol: Visitor, subject: str | None
) -> None:
    liar.claims = {"email": None, "email_verified": None}
    told = {"sub": subject, "email": "carol@example.org", "email_verified": True}
    liar.userinfo = without_nothing(told)
    assert carol.come_back() == 401
    assert reason(app) == "userinfo of somebody else"


def test_verified_in_one_place_does_not_vouch_for_an_address_in_the_other(
    app: Flask, liar: Liar, carol: Visitor
) -> None:
    liar.claims = {"email": None, "email_verified": True}
    liar.userinfo = {"sub": "carol", "email": "carol@example.org"}
    assert carol.come_back() == 401
    assert reason(app) == "address not verified"


@pytest.mark.parametrize("email", ["", "no address", 7, ["carol@example.org"], "a\0@example.org"])
def test_what_is_no_address_opens_nothing(
    app: Flask, liar: Liar, carol: Visitor, email: Any
) -> None:
    liar.claims = {"email": email}
    assert carol.come_back() == 401
    assert not carol.is_in()


def test_provider_that_tells_no_address_still_knows_whom_it_knew(
    app: Flask, liar: Liar, carol: Visitor
) -> None:
    assert carol.come_back() == 302
    liar.claims = {"email": None, "email_verified": None}
    liar.described = {"userinfo_endpoint": None}
    app.extensions["provider"]._description = None  # an hour later
    again = Visitor(Browser(app), liar)
    assert again.come_back() == 302
    liar.claims["sub"] = "dave"
    assert Visitor(Browser(app), liar).come_back() == 401


# What it says of itself, and how


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": None},
        {"issuer": "https://elsewhere.example"},
        {"authorization_endpoint": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "http://elsewhere.example/auth"},
        {"token_endpoint": None},
        {"token_endpoint": "http://elsewhere.example/token"},
        {"token_endpoint": "/token"},
        {"token_endpoint": 7},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https:///keys"},
        {"userinfo_endpoint": "http://elsewhere.example/me"},
        {"token_endpoint": "http://[elsewhere"},
    ],
)
def test_impossible_description_is_not_followed(
    app: Flask, liar: Liar, carol: Visitor, described: dict[str, Any]
) -> None:
    liar.described = described
    assert carol.browser.get("/login/oidc").status_code == 503
    assert liar.asked == ["/.well-known/openid-configuration"]
    # Put right, it is asked again at once.
    liar.described = {}
    assert carol.come_back() == 302


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b""),
        (200, {}, b"<html>"),
        (200, {}, b"[]"),
        (200, {}, b"\xff\xfe"),
        (200, {}, b"[" * 200_000),
        (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b\x08"),
        (404, {}, b"{}"),
        (500, {}, b"{}"),
        (200, {}, b'{"x": "' + b"x" * 300_000 + b'"}'),
        (200, {"Content-Length": "100"}, b"{}"),
    ],
)
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks", "/token"])
def test_unusable_answer_is_a_provider_that_is_away(
    app: Flask, liar: Liar, carol: Visitor, path: str, answer: tuple[int, dict[str, str], bytes]
) -> None:
    liar.instead[path] = answer
    if path == "/.well-known/openid-configuration":
        response = carol.browser.get("/login/oidc")
    else:
        response = carol.browser.get(carol.set_out())
    if path == "/token" and answer[0] == 200 and b"{}" in answer[2]:
        assert response.status_code in {401, 503}
    else:
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) > 0
        assert "xxx" not in response.text
    assert not carol.is_in()


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks", "/token"])
def test_redirect_is_not_followed(app: Flask, liar: Liar, carol: Visitor, path: str) -> None:
    liar.instead[path] = (302, {"Location": f"{liar.issuer}/secrets"}, b"{}")
    if path == "/.well-known/openid-configuration":
        assert carol.browser.get("/login/oidc").status_code == 503
    else:
        assert carol.come_back() == 503
    assert "/secrets" not in liar.asked


def test_silence_is_given_up(
    app: Flask, liar: Liar, carol: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openid, "_READ_SECONDS", 0.2)
    liar.meanwhile = lambda _path: time.sleep(0.6)
    began = time.monotonic()
    assert carol.browser.get("/login/oidc").status_code == 503
    assert time.monotonic() - began < 5


def test_slow_answer_is_given_up_however_steadily_it_comes(
    app: Flask, liar: Liar, carol: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openid, "_ANSWER_SECONDS", 0)
    assert carol.browser.get("/login/oidc").status_code == 503
    assert "too long" in reason(app)


def test_slow_provider_takes_few_threads(
    app: Flask, liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    liar.meanwhile = lambda _path: go_on.wait(20) and None
    waiting = [Browser(app) for _ in range(openid._CONVERSATIONS + 1)]

    def ask(number: int) -> int:
        status = waiting[number].get("/login/oidc").status_code
        if status == 503:  # the one too many did not wait for the others
            go_on.set()
        return status

    assert sorted(at_once(len(waiting), ask)) == [302] * openid._CONVERSATIONS + [503]
    assert reason(app) == "too many conversations with it at once"
    assert Visitor(Browser(app), liar).come_back() == 302


def test_what_it_says_of_itself_is_kept_for_an_hour(
    liar: Liar, carol: Visitor, time_machine: Any
) -> None:
    start = utcnow()
    time_machine.move_to(start, tick=False)
    discovery = "/.well-known/openid-configuration"
    assert carol.come_back() == 302
    assert carol.come_back() == 302
    assert (liar.asked.count(discovery), liar.asked.count("/jwks")) == (1, 1)
    time_machine.move_to(start + timedelta(hours=1, seconds=1), tick=False)
    assert carol.come_back() == 302
    assert (liar.asked.count(discovery), liar.asked.count("/jwks")) == (2, 2)


@pytest.mark.parametrize(
    ("methods", "in_form"),
    [
        (None, False),
        ("nonsense", False),
        (["client_secret_basic", "client_secret_post"], False),
        (["client_secret_post"], True),
    ],
)
def test_secret_goes_where_the_provider_takes_it(
    liar: Liar, carol: Visitor, methods: Any, in_form: bool
) -> None:
    liar.described = {"token_endpoint_auth_methods_supported": methods}
    assert carol.come_back() == 302
    assert ("client_secret" in liar.forms[0]) == in_form


def test_query_of_the_sign_in_address_is_kept(carol: Visitor) -> None:
    address = carol.browser.get("/login/oidc").location
    assert "/auth?tenant=1&response_type=code&" in address


def test_nobody_waits_for_the_provider(
    app: Flask, liar: Liar, carol: Visitor, alice: Browser
) -> None:
    """While it is asked, no connection to the database is taken, and others may write."""
    seen: list[tuple[str, int]] = []

    def look(path: str) -> None:
        with app.app_context():
            taken: int = db.engine.pool.checkedout()  # type: ignore[attr-defined]
        name = f"{path.strip('/').replace('/', ' ')}.pdf"
        alice.upload(name)
        seen.append((path, taken))

    liar.claims = {"email": None, "email_verified": None}
    liar.userinfo = {"sub": "carol", "email": "carol@example.org", "email_verified": True}
    alice.upload("first.pdf")  # from now on a connection is kept for writing
    idle = _taken(app)
    liar.meanwhile = look
    assert carol.come_back() == 302
    assert seen == [
        ("/.well-known/openid-configuration", idle),
        ("/token", idle),
        ("/jwks", idle),
        ("/userinfo", idle),
    ]


def _taken(app: Flask) -> int:
    with app.app_context():
        taken: int = db.engine.pool.checkedout()  # type: ignore[attr-defined]
        return taken


def test_neither_code_nor_token_nor_secret_is_kept_or_logged(
    app: Flask, liar: Liar, carol: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "portal")
    liar.claims = {"nonce": "another"}
    assert carol.come_back() == 401
    liar.instead["/token"] = (500, {}, b"{}")
    assert carol.come_back() == 503
    kept = repr(events(app)) + caplog.text
    assert "a code" not in kept
    assert SECRET not in kept
    assert SECRET not in repr(settings_of(app))
    with app.app_context():
        assert db.session.scalars(select(Identity)).all() == []
