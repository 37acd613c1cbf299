"""The first start: a one-time address by which exactly one first admin comes in."""

from __future__ import annotations

import hmac

from sqlalchemy import select, update

from portal import audit
from portal.accounts import passwords, people, sessions
from portal.accounts.emails import checked
from portal.config import Settings
from portal.database import transaction
from portal.errors import Invalid, NotFound
from portal.extensions import db
from portal.models import Role, Setup, User, utcnow
from portal.tokens import hash_token, new_token


def open_token() -> str | None:
    """A new token for the set-up page, replacing an older one; None once anybody has an account."""
    token = new_token()
    with transaction() as session:
        if session.scalar(select(User.id).limit(1)) is not None:
            return None
        row = session.get(Setup, 1)
        if row is None:
            session.add(Setup(id=1, token_hash=hash_token(token)))
        else:
            row.token_hash = hash_token(token)
    return token


def check(token: str) -> None:
    """Raise `NotFound` unless `token` opens the set-up page at this moment."""
    row = db.session.execute(select(Setup)).scalar_one_or_none()
    fits = row is not None and hmac.compare_digest(row.token_hash, hash_token(token))
    if row is None or not fits or row.completed_at is not None or _anybody():
        raise NotFound


def complete(
    token: str, *, name: str, email: str, password: str, site_name: str, settings: Settings
) -> str:
    """Make the first admin and sign them in; answers the session's token.

    However many try at the same moment, one succeeds and the others get `NotFound`.
    """
    check(token)
    name, email = people.checked_name(name), checked(email)
    passwords.check_rules(password, (email, name))
    site_name = checked_site_name(site_name)
    db.session.commit()
    password_hash = passwords.hash_password(password, settings.bcrypt_rounds)
    with transaction() as session:
        taken = session.execute(
            update(Setup)
            .where(
                Setup.id == 1,
                Setup.completed_at.is_(None),
                Setup.token_hash == hash_token(token),
            )
            .values(completed_at=utcnow(), site_name=site_name)
            .returning(Setup.id)
        ).one_or_none()
        if taken is None or _anybody():
            raise NotFound
        admin = User(email=email, name=name, role=Role.ADMIN.value, password_hash=password_hash)
        session.add(admin)
        session.flush()
        audit.record(audit.Action.SETUP_COMPLETED, actor=email, owner=email, name=name)
        return sessions.start(admin, settings, remember=False)


def checked_site_name(name: str) -> str:
    """The name of the portal as one line; empty means the default."""
    text = " ".join(name.split())
    if len(text) > 60 or not text.isprintable():
        problem = "Use a name of at most 60 characters."
        raise Invalid(problem, errors={"site_name": problem})
    return text


def _anybody() -> bool:
    return db.session.scalar(select(User.id).limit(1)) is not None
