"""Signing in with a provider: whose account somebody is whom the provider knows.

A person is found by the name the provider gave them for good; the first time, by an e-mail
address of which the provider says that it is theirs.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as DatabaseSession

from portal import audit
from portal.accounts import people, policies, sessions, sign_in, throttle
from portal.accounts.emails import checked
from portal.accounts.openid import (
    ATTEMPT_LASTS,
    Attempt,
    AttemptRefused,
    Person,
    Provider,
    ProviderAway,
    TokenRefused,
)
from portal.accounts.policies import NewAccounts
from portal.accounts.sign_in import Entry
from portal.config import Settings
from portal.database import transaction
from portal.errors import Conflict, Invalid, PortalError
from portal.models import Identity, User


class NoAccount(PortalError):
    """Known to the provider, but not here; one text, so that it does not tell who is disabled."""

    status = 401
    title = "There is no account for you here yet"
    cure = (
        "Ask the person who runs this portal to invite you with exactly this address,"
        " then try again."
    )

    def __init__(self, why: str, email: str) -> None:
        super().__init__(f"You signed in as {email}, but no account here can be opened with it.")
        self.why = why


class NotVerified(PortalError):
    """The provider does not vouch for the address: whoever typed it in there is not known."""

    status = 401
    title = "Your e-mail address is not confirmed"
    what = "The service that signed you in does not say that your e-mail address is yours."
    cure = "Confirm the address there, then try again. Or sign in with your password."
    why = "address not verified"


def begin(provider: Provider, next_: str) -> tuple[str, Attempt]:
    """Where to send somebody who wants to go to `next_`, and what their browser keeps.

    Raises `ProviderAway`.
    """
    attempt = Attempt.begin(next_)
    try:
        return provider.sign_in_address(attempt), attempt
    except ProviderAway as error:
        _refused(error.why)
        raise


def finish(
    provider: Provider, attempt: Attempt, answer: dict[str, str], settings: Settings
) -> Entry:
    """Go on with whoever came back with `answer`: in, or to their second factor.

    No transaction is open while the provider is asked. Raises `AttemptRefused` the second time,
    `TokenRefused`, `NotVerified`, `NoAccount` or `ProviderAway`.
    """
    try:
        _use_up(attempt)
        person = provider.person(attempt, answer)
    except (AttemptRefused, TokenRefused, ProviderAway) as error:
        _refused(error.why)
        raise
    try:
        try:
            return _enter(person, settings)
        except (IntegrityError, Conflict):
            # Somebody made the account or the link at the same moment: now it is there.
            return _enter(person, settings)
    except (NoAccount, NotVerified) as error:
        _refused(error.why, person.email)
        raise


def refuse(error: AttemptRefused) -> AttemptRefused:
    """Note that somebody came back who did not set out; answers `error`, to be raised."""
    _refused(error.why)
    return error


def unlink(user: User) -> int:
    """Forget whom a provider knows as `user`, and end all sessions; answers how many links went.

    The next sign-in there links the account anew, to whoever has its address then.
    """
    with transaction() as session:
        links = session.scalars(select(Identity).where(Identity.user_id == user.id)).all()
        for link in links:
            session.delete(link)
            audit.record(audit.Action.IDENTITY_UNLINKED, owner=user.email, issuer=link.issuer)
        if links:
            sessions.end_all(user.id)
    return len(links)


def _use_up(attempt: Attempt) -> None:
    """An attempt is made once, also by two at the same moment, and from a copied cookie."""
    if not throttle.is_first_use(attempt.state, ATTEMPT_LASTS):
        raise AttemptRefused


def _enter(person: Person, settings: Settings) -> Entry:
    with transaction() as session:
        user = _linked(session, person)
        if user is None:
            user = _by_email(session, person) or _new(person, settings)
            _link(session, user, person)
        if user.disabled_at is not None:
            raise NoAccount("disabled", person.email or "somebody")
        return sign_in.enter(user, settings, how="provider")


def _linked(session: DatabaseSession, person: Person) -> User | None:
    """The account this person was linked to, locked: disabling it waits, or is seen."""
    return session.scalar(
        select(User)
        .join(Identity, Identity.user_id == User.id)
        .where(Identity.issuer == person.issuer, Identity.subject == person.subject)
        .with_for_update(of=User)
    )


def _by_email(session: DatabaseSession, person: Person) -> User | None:
    """The account of the person's address, if the provider vouches for it."""
    if not person.is_verified:
        raise NotVerified
    try:
        email = checked(person.email)
    except Invalid as error:
        raise NotVerified from error
    user = session.scalar(select(User).where(User.email == email).with_for_update())
    if user is None:
        return None
    if user.disabled_at is not None:
        raise NoAccount("disabled", email)
    others = select(Identity.subject).where(
        Identity.user_id == user.id, Identity.issuer == person.issuer
    )
    subject = session.scalar(others)
    if subject is not None and subject != person.subject:
        # An address is given to somebody else when its owner leaves; what they kept here is not.
        raise NoAccount("linked to somebody else", email)
    return user


def _new(person: Person, settings: Settings) -> User:
    """An ordinary account for somebody nobody invited, where the admins want that."""
    if policies.new_accounts() is not NewAccounts.ANYONE:
        raise NoAccount("no account", person.email)
    try:
        name = people.checked_name(person.name)
    except Invalid:
        name = ""  # the address says who it is
    return people.create(person.email, settings, name=name)


def _link(session: DatabaseSession, user: User, person: Person) -> None:
    known = select(Identity.id).where(
        Identity.issuer == person.issuer, Identity.subject == person.subject
    )
    if session.scalar(known) is not None:
        return  # at the same moment, in another window
    people.end_invitations(user)
    if not user.has_begun:
        audit.record(audit.Action.INVITATION_ACCEPTED, actor=user.email, owner=user.email)
    session.add(Identity(user_id=user.id, issuer=person.issuer, subject=person.subject))
    session.flush()
    audit.record(
        audit.Action.IDENTITY_LINKED, actor=user.email, owner=user.email, issuer=person.issuer
    )


def _refused(why: str, email: str = "") -> None:
    who: dict[str, Any] = {"email": email[:254]} if email else {}
    audit.record_alone(audit.Action.SIGN_IN_REFUSED, reason=why, how="provider", **who)
