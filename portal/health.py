"""Whether the portal lives and can serve; for proxies and monitors, with no details."""

from __future__ import annotations

from flask import Blueprint, Response, current_app
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from portal import storage
from portal.errors import Busy
from portal.extensions import db
from portal.gate import public
from portal.models import AuditHead

health = Blueprint("health", __name__)


@health.get("/healthz")
@public
def healthz() -> ResponseReturnValue:
    return Response("ok\n", mimetype="text/plain")


@health.get("/readyz")
@public
def readyz() -> ResponseReturnValue:
    waiting_for = [
        name for name, ready in (("database", _database), ("storage", _storage)) if not ready()
    ]
    if waiting_for:
        text = f"not ready: {', '.join(waiting_for)}\n"
        return Response(text, 503, {"Retry-After": "10"}, mimetype="text/plain")
    return Response("ok\n", mimetype="text/plain")


def _database() -> bool:
    try:
        return db.session.scalar(select(AuditHead.id)) == 1
    except SQLAlchemyError:
        current_app.logger.warning("not ready: the database does not answer")
        return False


def _storage() -> bool:
    try:
        return storage.current().free_bytes() != 0
    except (OSError, Busy):
        return False
