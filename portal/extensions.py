"""Flask extensions, made once and bound to an app in `create_app`."""

from typing import Any

from flask import request
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf.csrf import CSRFProtect

from portal.cookie import CookieLogin
from portal.models.base import Base


class HeaderFirst(CSRFProtect):  # type: ignore[misc]
    """Takes the token from the header where one is: a wrong one is refused with the body unread."""

    def _get_csrf_token(self) -> Any:
        return request.headers.get("X-CSRFToken") or super()._get_csrf_token()


db = SQLAlchemy(metadata=Base.metadata)
migrate = Migrate(directory="migrations", render_as_batch=True)
login_manager = CookieLogin()
csrf = HeaderFirst()
