"""The one cookie: signed, and its signature checked once instead of at every request."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Any

from flask import Flask, Request, Response, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask_login import LoginManager
from itsdangerous import BadSignature, URLSafeTimedSerializer

from portal.tokens import bearer_token

#: Cookies whose checked content a process keeps: those of the people who are here just now.
_REMEMBERED = 4096


class NoSession(SecureCookieSession):
    """The session of a request with a token: empty whatever cookie came, and never kept."""


def is_with_token(request: Request) -> bool:
    """Whether a request says who it is by a token, which then is all that counts."""
    return bearer_token(request.environ.get("HTTP_AUTHORIZATION")) is not None


class CookieSessions(SecureCookieSessionInterface):
    """Flask's signed cookie. Whether a session has ended, the database is asked each time."""

    def __init__(self, app: Flask) -> None:
        self._signer = super().get_signing_serializer(app)
        assert self._signer is not None  # noqa: S101 - `app` has its key
        # What fails is an exception, which is not remembered.
        self._checked = lru_cache(_REMEMBERED)(partial(self._signer.loads, return_timestamp=True))

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:  # noqa: ARG002
        return self._signer

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession:
        if is_with_token(request):
            return NoSession()
        text = request.cookies.get(self.get_cookie_name(app))
        if not text:
            return self.session_class()
        try:
            content, signed_at = self._checked(text)
        except BadSignature:
            return self.session_class()
        age = datetime.now(UTC) - signed_at
        if not timedelta(0) <= age <= app.permanent_session_lifetime:
            return self.session_class()
        if any(isinstance(value, dict | list) for value in content.values()):
            content = copy.deepcopy(content)  # a view may change what is inside, like the messages
        return self.session_class(content)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if isinstance(session, NoSession):
            return
        if session.modified:
            super().save_session(app, session, response)
        elif session.accessed:
            response.headers.add("Vary", "Cookie")


class CookieLogin(LoginManager):
    """Flask-Login with two ways to be known: the session's token in the cookie, or a header's.

    Left out are its remember-me cookie, and a hash of address and browser at every request:
    sessions here last and end in the database.
    """

    def _load_user(self) -> Any:
        if is_with_token(request):
            return self._update_request_context_with_user(self._request_callback(request))
        token = session.get("_user_id")
        return self._update_request_context_with_user(self._user_callback(token) if token else None)

    def _update_remember_cookie(self, response: Any) -> Any:
        return response

    def _session_identifier_generator(self) -> str:
        return ""
