"""Flask extensions, made once and bound to an app in `create_app`."""

from typing import Any

from flask import session
from flask_login import LoginManager
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf.csrf import CSRFProtect

from portal.models.base import Base


class _LoginManager(LoginManager):  # type: ignore[misc]
    """Flask-Login with one way to be known: the session's token in the cookie.

    Left out are its remember-me cookie, and a hash of address and browser at every request:
    sessions here last and end in the database.
    """

    def _load_user(self) -> Any:
        token = session.get("_user_id")
        return self._update_request_context_with_user(self._user_callback(token) if token else None)

    def _update_remember_cookie(self, response: Any) -> Any:
        return response

    def _session_identifier_generator(self) -> str:
        return ""


db = SQLAlchemy(metadata=Base.metadata)
migrate = Migrate(directory="migrations", render_as_batch=True)
login_manager = _LoginManager()
csrf = CSRFProtect()
