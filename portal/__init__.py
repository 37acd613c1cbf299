"""A private document portal that people can run themselves.

`create_app` is the whole app, in the order in which its parts stand in each other's way.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from portal import (
    answers,
    assets,
    audit,
    config,
    database,
    gate,
    headers,
    logs,
    presentation,
    questions,
    storage,
)
from portal.accounts.views import accounts
from portal.admin.retention_views import admin_retention
from portal.admin.views import admin
from portal.api.uploads import api
from portal.audit import journal, refusals
from portal.config import Settings
from portal.cookie import CookieSessions
from portal.documents import intake, resumable
from portal.documents.bulk_views import bulk
from portal.documents.folder_views import folder_pages
from portal.documents.moving_views import moving
from portal.documents.retention_views import retention
from portal.documents.versions_views import versions
from portal.documents.views import documents
from portal.extensions import csrf, login_manager, migrate
from portal.extensions import db as _db
from portal.health import health
from portal.previews.views import previews
from portal.request import PortalRequest
from portal.sharing.several_views import sharing_several
from portal.sharing.views import sharing

__all__ = ["audit", "create_app"]


def create_app(settings: Settings | None = None) -> Flask:
    """The WSGI app for `settings`, or for what the environment and the configuration say."""
    settings = settings or config.load()
    app = _App(__name__, template_folder=str(config.ROOT / "templates"), static_folder=None)
    app.request_class = PortalRequest
    app.extensions["settings"] = settings
    _configure(app, settings)
    app.session_interface = CookieSessions(app)

    logs.configure(settings)
    database.init_app(app, settings)
    questions.init_app(app)
    migrate.init_app(app, _db)
    journal.init_app(app, settings.instance_dir)
    intake.init_app(app)
    resumable.init_app(app)
    storage.init_app(app, settings)
    login_manager.init_app(app)
    csrf.init_app(app)
    headers.init_app(app, settings)
    answers.init_app(app)
    gate.init_app(app, settings)
    refusals.init_app(app)
    presentation.init_app(app, settings)

    app.register_blueprint(health)
    app.register_blueprint(accounts)
    app.register_blueprint(documents)
    app.register_blueprint(previews)
    app.register_blueprint(folder_pages)
    app.register_blueprint(moving)
    app.register_blueprint(bulk)
    app.register_blueprint(versions)
    app.register_blueprint(sharing)
    app.register_blueprint(sharing_several)
    app.register_blueprint(admin)
    app.register_blueprint(admin_retention)
    app.register_blueprint(retention)
    app.register_blueprint(api)

    hops = settings.trusted_proxies
    if hops:
        proxy = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)
        app.wsgi_app = proxy  # type: ignore[method-assign]
    assets.init_app(app, settings.instance_dir / "cache" / "static")
    return app


class _App(Flask):
    """Flask, without asking at every call of every view and hook whether it is a coroutine."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func  # none of ours is one


def _configure(app: Flask, settings: Settings) -> None:
    prefix = "__Host-" if settings.is_https else ""
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SESSION_COOKIE_NAME=f"{prefix}portal_session",
        DEVICE_COOKIE_NAME=f"{prefix}portal_device",
        SESSION_COOKIE_SECURE=settings.is_https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        # Only sign-in writes the cookie: a download must not.
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=timedelta(days=settings.session_days),
        # The gate asks for the token, after signing in and before the body.
        WTF_CSRF_CHECK_DEFAULT=False,
        # As long as the session: a page left open overnight still works.
        WTF_CSRF_TIME_LIMIT=None,
        # The gate compares Origin and Sec-Fetch-Site; some of our pages send no Referer.
        WTF_CSRF_SSL_STRICT=False,
        TRAP_HTTP_EXCEPTIONS=False,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    # Sessions end in the database, not because a phone changed its network.
    login_manager.session_protection = None
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
