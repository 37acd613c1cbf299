"""Share links: an address that hands one document to whoever holds it, until then, so often."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import ColumnElement, select, update

from portal import access, audit
from portal.access import Grant, OpenLink, Person
from portal.accounts import passwords, throttle
from portal.config import Settings
from portal.database import transaction
from portal.errors import Invalid, NotFound, PortalError, TooManyTries
from portal.extensions import db
from portal.models import Document, ShareLink, User, utcnow
from portal.tokens import hash_token, new_token

#: How long a counted download may be fetched and resumed, in seconds.
TICKET_SECONDS = 15 * 60

LONGEST_LABEL = 200
MOST_DOWNLOADS = 1_000_000
#: Documents shared in one go: as many as a page of the list shows.
MOST_AT_ONCE = 50


class WrongPassword(PortalError):
    """The password of a link was wrong."""

    status = 401
    title = "That is not the password"
    what = "This password does not open the link."
    cure = "Check it, or ask the person who sent you the link."


@dataclass(frozen=True, slots=True)
class Terms:
    """What a new link allows."""

    days: int
    password: str = ""
    max_downloads: int | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class LinkRow:
    """A link as lists show it; its address is known to nobody any more."""

    public_id: uuid.UUID
    label: str
    document_name: str
    document_id: uuid.UUID
    owner_name: str
    created_at: datetime
    expires_at: datetime
    download_count: int
    max_downloads: int | None
    has_password: bool


def create(
    person: Person, document_id: uuid.UUID, terms: Terms, settings: Settings
) -> tuple[ShareLink, str]:
    """Make a link for a document of `person`; answers it and its token, which is shown once.

    Raises `NotFound` for a document that is not theirs, `Infected` for one that is blocked,
    `Invalid` for terms against policy.
    """
    return create_many(person, [document_id], terms, settings)[0]


def create_many(
    person: Person, document_ids: Sequence[uuid.UUID], terms: Terms, settings: Settings
) -> Sequence[tuple[ShareLink, str]]:
    """Make a link for each document on the same terms, in that order; all of them or none.

    Raises what `create` does, and `Invalid` for none or for more than `MOST_AT_ONCE`.
    """
    document_ids = list(dict.fromkeys(document_ids))
    check_count(document_ids)
    for document_id in document_ids:
        access.document_to_use(person, document_id)
    _check(terms, settings)
    db.session.commit()
    password_hash = None
    if terms.password:
        password_hash = passwords.hash_password(terms.password, settings.bcrypt_rounds)
    # Locked in one order, so that two who share the same ones wait for each other.
    with transaction():
        made = {each: _create(person, each, terms, password_hash) for each in sorted(document_ids)}
    return [made[each] for each in document_ids]


def _create(
    person: Person, document_id: uuid.UUID, terms: Terms, password_hash: str | None
) -> tuple[ShareLink, str]:
    token = new_token()
    now = utcnow()
    with transaction() as session:
        document = access.document_to_use(person, document_id)
        link = ShareLink(
            token_hash=hash_token(token),
            document_id=document.id,
            created_by_id=person.user_id,
            label=" ".join(terms.label.replace("\0", " ").split()),
            created_at=now,
            expires_at=now + timedelta(days=terms.days),
            password_hash=password_hash,
            max_downloads=terms.max_downloads,
        )
        session.add(link)
        session.flush()
        audit.record(
            audit.Action.LINK_CREATED,
            document=document_id,
            owner=person.email,
            link=str(link.public_id),
            label=link.label,
            name=document.name,
            days=terms.days,
            max_downloads=terms.max_downloads,
            has_password=bool(terms.password),
        )
    return link, token


def just_made(person: Person, tokens: Sequence[str]) -> Sequence[tuple[ShareLink, str, str]]:
    """The links of `person` behind those tokens, in that order: each with its document's name
    and its token."""
    rows = db.session.execute(
        select(ShareLink, Document.name)
        .join(Document, Document.id == ShareLink.document_id)
        .where(
            ShareLink.token_hash.in_([hash_token(token) for token in tokens]),
            access.links_of(person),
        )
    )
    found = {link.token_hash: (link, name) for link, name in rows}
    known = ((token, found.get(hash_token(token))) for token in tokens)
    return [(*each, token) for token, each in known if each]


def unlock(link: OpenLink, password: str, settings: Settings) -> None:
    """Check the password of a link. Raises `WrongPassword`, or `TooManyTries` after too many."""
    by_link = throttle.for_link(str(link.public_id))
    by_address = throttle.for_address(audit.origin.get().address)
    facts: dict[str, Any] = {
        "document": link.document_id,
        "owner": link.owner_email,
        "link": str(link.public_id),
        "label": link.label,
    }
    passwords.refuse_when_busy()
    try:
        throttle.count(by_link, by_address)
    except TooManyTries:
        audit.record_refusal(audit.Action.LINK_REFUSED, reason="throttled", **facts)
        raise
    with throttle.judging(by_link, by_address):
        is_right = passwords.check_password(password, link.password_hash, settings.bcrypt_rounds)
    if not is_right:
        audit.record_alone(audit.Action.LINK_REFUSED, reason="wrong password", **facts)
        raise WrongPassword
    throttle.forgive(by_link, by_address)
    audit.record_alone(audit.Action.LINK_UNLOCKED, **facts)


def use(link: OpenLink, signer: URLSafeTimedSerializer) -> str:
    """Count one download, and answer the ticket that fetches it.

    One conditional UPDATE counts: a limit of N is N, however many come at once. Raises
    `Gone` when the link has ended or is used up, `BeingScanned` while there is nothing to hand
    out; then nothing is counted.
    """
    counted = False
    with transaction() as session:
        counted = (
            session.execute(
                update(ShareLink)
                .where(
                    ShareLink.id == link.id,
                    ShareLink.revoked_at.is_(None),
                    ShareLink.expires_at > utcnow(),
                    access.has_downloads_left(),
                )
                .values(download_count=ShareLink.download_count + 1)
                .returning(ShareLink.id)
            ).one_or_none()
            is not None
        )
        if counted:
            access.check_may_start(link)  # what it raises takes the count back
            audit.record(
                audit.Action.LINK_USED,
                document=link.document_id,
                owner=link.owner_email,
                link=str(link.public_id),
                label=link.label,
                name=link.document_name,
            )
    if not counted:
        raise access.gone(link)
    return signer.dumps(str(link.public_id))


def redeem(link: OpenLink, ticket: str, signer: URLSafeTimedSerializer) -> Grant:
    """The grant for a ticket that `use` made for this very link in the last 15 minutes.

    Raises `NotFound` for a ticket of another link, a forged or an old one; `Gone` when the
    link has ended since; `BeingScanned` when there is a new version that is not scanned yet.
    """
    try:
        fits = signer.loads(ticket, max_age=TICKET_SECONDS) == str(link.public_id)
    except BadData:
        fits = False
    if not fits:
        raise NotFound
    return access.grant_to_link_holder(link)


def signer(settings: Settings) -> URLSafeTimedSerializer:
    """Signs tickets; nothing else is ever signed with this salt."""
    return URLSafeTimedSerializer(settings.secret_key, salt="share link ticket")


def live(person: Person) -> Sequence[LinkRow]:
    """The links `person` made that still work, newest first."""
    return _rows(access.links_of(person))


def live_of_document(person: Person, document_id: uuid.UUID) -> Sequence[LinkRow]:
    """The live links of one document of `person`."""
    return _rows(access.links_of(person) & (Document.public_id == document_id))


def live_of_everybody(admin: Person) -> Sequence[LinkRow]:
    """Every live link, for an admin."""
    return _rows(access.manageable_links(admin))


def revoke(person: Person, link_ids: Sequence[uuid.UUID]) -> int:
    """End links at once, tickets included; answers how many were live.

    Raises `NotFound`, ending none, if one of them is not theirs to end.
    """
    with transaction() as session:
        found = session.execute(
            select(ShareLink, Document.public_id, Document.name, User.email)
            .outerjoin(Document, Document.id == ShareLink.document_id)
            .join(User, User.id == ShareLink.created_by_id)
            .where(ShareLink.public_id.in_(link_ids), access.manageable_links(person))
            .order_by(ShareLink.id)  # two who end several wait for each other in one order
            .with_for_update(of=ShareLink)
        ).all()
        if len(found) != len(set(link_ids)):
            raise NotFound
        ended = 0
        for link, document_id, name, owner in found:
            if link.revoked_at is None:
                link.revoked_at = utcnow()
                ended += 1
                audit.record(
                    audit.Action.LINK_REVOKED,
                    document=document_id,
                    owner=owner,
                    link=str(link.public_id),
                    label=link.label,
                    name=name or "",
                )
    return ended


def sentence(link: ShareLink | OpenLink, has_password: bool) -> str:
    """What the link allows and until when, in one sentence."""
    until = f"{link.expires_at.day} {link.expires_at:%B %Y, %H:%M} UTC"
    with_it = "with this address and its password" if has_password else "with this address"
    often = ""
    if link.max_downloads is not None:
        often = f", {link.max_downloads} time{'s' if link.max_downloads > 1 else ''} at most"
    return f"Anyone {with_it} can download the document until {until}{often}."


def check_count(document_ids: Sequence[uuid.UUID]) -> None:
    """Raise `Invalid` for no document, or more than links are made for in one go."""
    if not document_ids:
        problem = "Choose at least one document."
        raise Invalid(problem, cure="", errors={"id": problem})
    if len(document_ids) > MOST_AT_ONCE:
        problem = f"Links can be made for at most {MOST_AT_ONCE} documents in one go. Choose fewer."
        raise Invalid(problem, cure="", errors={"id": problem})


def _check(terms: Terms, settings: Settings) -> None:
    errors: dict[str, str] = {}
    if not 1 <= terms.days <= settings.share_max_days:
        errors["expires_in_days"] = f"Choose from 1 to {settings.share_max_days} days."
    if terms.max_downloads is not None and not 1 <= terms.max_downloads <= MOST_DOWNLOADS:
        errors["max_downloads"] = "Enter 1 or more, or leave it empty for no limit."
    if len(terms.label) > LONGEST_LABEL:
        errors["label"] = f"Use at most {LONGEST_LABEL} characters."
    if settings.share_password_required and not terms.password:
        errors["password"] = "Links need a password here."  # noqa: S105 - a sentence
    if len(terms.password) > passwords.LONGEST:
        errors["password"] = f"Use at most {passwords.LONGEST} characters."
    if errors:
        raise Invalid(next(iter(errors.values())), errors=errors)


def _rows(condition: ColumnElement[bool]) -> Sequence[LinkRow]:
    found: Iterable[Sequence[Any]] = db.session.execute(
        select(
            ShareLink.public_id,
            ShareLink.label,
            Document.name,
            Document.public_id,
            User.name,
            ShareLink.created_at,
            ShareLink.expires_at,
            ShareLink.download_count,
            ShareLink.max_downloads,
            ShareLink.password_hash.is_not(None),
        )
        .join(Document, Document.id == ShareLink.document_id)
        .join(User, User.id == ShareLink.created_by_id)
        .where(condition, access.link_is_live(utcnow()), access.has_downloads_left())
        .order_by(ShareLink.created_at.desc(), ShareLink.id.desc())
        .limit(1000)
    )
    return [LinkRow(*row) for row in found]
