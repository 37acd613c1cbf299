"""The tables of an older portal become those of this one, with all that is in them."""

from __future__ import annotations

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import text

from conftest import Browser
from portal.database import ROOT
from portal.extensions import db
from portal.models import Base, Document
from portal.models.search import is_on_both

MIGRATIONS = str(ROOT / "migrations")


def test_documents_of_an_older_portal_are_there_and_sorted(app: Flask, alice: Browser) -> None:
    for name in ("Page 10.txt", "Page 9.txt"):
        alice.upload(name, b"some words")
    with app.app_context():
        downgrade(directory=MIGRATIONS, revision="0003")
        assert db.session.execute(text("SELECT count(*) FROM versions")).scalar_one() == 2
        db.session.remove()
        upgrade(directory=MIGRATIONS)
        found = db.session.query(Document.name).order_by(Document.name_sort)
        assert [row.name for row in found] == ["Page 9.txt", "Page 10.txt"]
        assert db.session.execute(text("SELECT count(*) FROM versions")).scalar_one() == 2
    page: Any = alice.get("/documents").get_data(as_text=True)
    assert "Page 10.txt" in page


def test_migrations_make_what_the_models_say(app: Flask) -> None:
    with app.app_context(), db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": is_on_both})
        assert compare_metadata(context, Base.metadata) == []
