"""Choosing a new password through a mailed address: single use, one hour, told to nobody else."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from portal import audit, site
from portal.accounts import api_tokens, passwords, people, sessions, throttle
from portal.accounts.emails import checked
from portal.config import Settings
from portal.database import transaction
from portal.errors import Conflict, NotFound
from portal.extensions import db
from portal.mail import letters, post
from portal.models import PasswordReset, User, utcnow
from portal.tokens import hash_token, new_token

RESET_HOURS = 1


def ask(email: str, settings: Settings) -> None:
    """Mail somebody an address to choose a new password, if they have an account here.

    An unknown address, a disabled account and one that nobody has opened yet get no mail, after
    the same work. Older addresses stay good: whoever asks in somebody's name spoils nothing.
    Raises `Invalid` for what is no address, `TooManyTries` after too many.
    """
    email = checked(email)
    throttle.count(throttle.for_reset(email), throttle.for_resets_from(audit.origin.get().address))
    with transaction() as session:
        # Locked: a reset must not be mailed to an address that is being given up at this moment.
        user = session.execute(
            select(User)
            .where(User.email == email, User.disabled_at.is_(None), User.password_hash.is_not(None))
            .with_for_update()
        ).scalar_one_or_none()
        audit.record(audit.Action.PASSWORD_RESET_ASKED, owner=email)
        token, ends_at = new_token(), utcnow() + timedelta(hours=RESET_HOURS)
        zone = user.timezone if user else ""
        letter = letters.password_reset(token, ends_at, zone, settings, by_admin=False)
        # Written and sealed for everybody; `later`, so that no file tells by its time either.
        mail = post.put(letter, email, name=user.name if user else email, later=True)
        if user is None:
            session.delete(mail)
        else:
            session.add(
                PasswordReset(user_id=user.id, token_hash=hash_token(token), expires_at=ends_at)
            )


def ask_for(user: User, settings: Settings) -> None:
    """Mail somebody an address to choose a new password, because an admin says so.

    The admin never sees it: with it they could sign in as somebody else and read quietly.
    Raises `Conflict` for an account that is disabled or that nobody has opened yet.
    """
    with transaction() as session:
        session.refresh(user, with_for_update=True)
        if user.disabled_at is not None:
            raise Conflict(f"{user.name} is shut out.", cure="Enable the account first.")
        if user.password_hash is None:
            raise Conflict(f"{user.name} has no password yet.", cure="Send an invitation instead.")
        token, ends_at = new_token(), utcnow() + timedelta(hours=RESET_HOURS)
        session.add(
            PasswordReset(user_id=user.id, token_hash=hash_token(token), expires_at=ends_at)
        )
        letter = letters.password_reset(token, ends_at, user.timezone, settings, by_admin=True)
        post.put(letter, user.email, name=user.name)
        audit.record(audit.Action.PASSWORD_RESET_ASKED, owner=user.email)


def whose(token: str, *, lock: bool = False) -> User:
    """Who may choose a new password by `token`. Raises `NotFound` once it is used or over."""
    query = (
        select(User)
        .join(PasswordReset, PasswordReset.user_id == User.id)
        .where(
            PasswordReset.token_hash == hash_token(token),
            PasswordReset.used_at.is_(None),
            PasswordReset.expires_at > utcnow(),
            User.disabled_at.is_(None),
        )
    )
    # Locked, those who use one address at the same moment stand in a line: one succeeds.
    query = query.with_for_update() if lock else query
    user = db.session.execute(query).scalar_one_or_none()
    if user is None:
        raise NotFound(
            "This address is not valid any more, or it was used already.",
            cure="Ask for another one where you sign in: “Forgot your password?”.",
        )
    return user


def reset(token: str, password: str, settings: Settings) -> None:
    """Set the password; every session, token and other mailed address ends.

    Forgets the wrong guesses at the account, so that whoever is locked out by somebody else's
    gets in again. Opens no session: a second factor, where there is one, is still asked for.
    Raises `NotFound` for a token that is not good, `Invalid` for a password that breaks the rule.
    """
    user = whose(token)
    passwords.check_rules(password, (user.email, user.name, site.name(settings)))
    db.session.commit()
    password_hash = passwords.hash_password(password, settings.bcrypt_rounds)
    with transaction() as session:
        user = whose(token, lock=True)  # still
        user.password_hash = password_hash
        people.end_mailed_addresses(session, user.id)
        sessions.end_all(user.id)
        api_tokens.revoke_all(user)
        throttle.clear(throttle.for_account(user.email))
        audit.record(audit.Action.PASSWORD_RESET, actor=user.email, owner=user.email)
        people.tell_of_password(user)
