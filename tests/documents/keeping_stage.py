"""Folders, rules and holds as the tests of keeping set them up."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import select, update

from conftest import Browser, user_named
from portal.access import Person
from portal.database import transaction
from portal.documents import holds, names, retention
from portal.documents.retention import Terms
from portal.extensions import db
from portal.models import Document, Folder, Role, User

ALICE = "alice@example.org"


class Admin:
    """An admin as services know one."""

    is_admin = True

    def __init__(self, user: User) -> None:
        self.user_id, self.email = user.id, user.email


class Owner(Admin):
    is_admin = False


def admin_of(app: Flask) -> Person:
    """Some admin; one is made where there is none."""
    with app.app_context():
        user = db.session.scalars(select(User).where(User.role == Role.ADMIN)).first()
        if user is None:
            with transaction() as session:
                user = User(email="anna@example.org", name="Anna Admin", role=Role.ADMIN.value)
                session.add(user)
        return Admin(user)


def make_folder(
    app: Flask, name: str, parent: UUID | None = None, owner: str = ALICE, **facts: Any
) -> UUID:
    """Make a folder's row; answers its public id."""
    with app.app_context(), transaction() as session:
        folder = Folder(
            owner_id=user_named(app, owner).id,
            parent_id=_id_of(parent) if parent else None,
            name=name,
            name_key=names.fold(name),
            name_sort=names.sort_key(name),
            **facts,
        )
        session.add(folder)
        session.flush()
        return folder.public_id


def _id_of(folder: UUID) -> int:
    return db.session.execute(select(Folder.id).where(Folder.public_id == folder)).scalar_one()


def folder_row(app: Flask, folder: UUID) -> int:
    with app.app_context():
        return _id_of(folder)


def put_into(app: Flask, folder: UUID | None, *documents: dict[str, Any]) -> None:
    change(app, *documents, folder_id=folder_row(app, folder) if folder else None)


def change(app: Flask, *documents: dict[str, Any], **facts: Any) -> None:
    """Change rows of documents behind the portal's back."""
    with app.app_context(), transaction() as session:
        session.execute(
            update(Document)
            .where(Document.public_id.in_([UUID(each["id"]) for each in documents]))
            .values(**facts)
        )


def row(app: Flask, document: dict[str, Any]) -> Document | None:
    with app.app_context():
        return db.session.execute(
            select(Document).where(Document.public_id == UUID(document["id"]))
        ).scalar_one_or_none()


def hold(app: Flask, owner: str = ALICE, reason: str = "The court asks", **what: Any) -> UUID:
    """Hold as some admin: `document_id`, `folder_id` or everything."""
    admin = admin_of(app)
    with app.app_context():
        return holds.place(admin, user_named(app, owner), reason, **what)


def let_go(app: Flask, hold_id: UUID) -> None:
    admin = admin_of(app)
    with app.app_context():
        holds.release(admin, hold_id, "The case is closed")


def rule(app: Flask, folder: UUID | None = None, owner: str = ALICE, **terms: Any) -> None:
    """Set a rule as some admin."""
    admin = admin_of(app)
    with app.app_context():
        retention.decide(admin, user_named(app, owner), folder, Terms(**terms))


def until(year: int) -> datetime:
    return datetime.fromisoformat(f"{year}-01-01T00:00:00+00:00")


def trashed(browser: Browser, document: dict[str, Any]) -> dict[str, Any]:
    assert browser.post(f"{document['url']}/delete").status_code == 303
    return document
