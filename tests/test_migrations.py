"""The tables of an older portal become those of this one, with all that is in them."""

from __future__ import annotations

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import text

from conftest import Browser
from documents.test_folders import tree
from portal.database import ROOT
from portal.extensions import db
from portal.models import Base, Document

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


def test_what_documents_were_dropped_with_becomes_folders(
    app: Flask, alice: Browser, bob: Browser
) -> None:
    paths = {
        "a.txt": "Taxes/2026",
        "b.txt": "TAXES/2026",
        "c.txt": "Taxes",
        "d.txt": "",
        "e.txt": " odd /" + "x" * 300,
        "f.txt": "/".join("deep" * 10),
        "g.txt": "Trash",
    }
    for name in paths:
        alice.upload(name, b"some words")
    trashed = alice.upload("h.txt", b"some words")
    alice.post(f"{trashed['url']}/delete")
    bob.upload("a.txt", b"some words")
    with app.app_context():
        downgrade(directory=MIGRATIONS, revision="0004")
        for name, path in (*paths.items(), ("h.txt", "Trash")):
            db.session.execute(
                text("UPDATE documents SET path = :path WHERE name = :name"),
                {"path": path, "name": name},
            )
        db.session.commit()
        db.session.remove()
        upgrade(directory=MIGRATIONS)
    assert alice.post(f"{trashed['url']}/restore").status_code == 303
    found = tree(alice)
    assert [each for each in nested(found) if "f.txt" in each] == [{"f.txt": None}]
    assert found["Taxes"] == {"2026": {"a.txt": None, "b.txt": None}, "c.txt": None}
    assert found["d.txt"] is None
    assert found["odd"] == {"x" * 255: {"e.txt": None}}
    assert found["Trash"] == {"g.txt": None, "h.txt": None}
    assert tree(bob) == {"Taxes": {"2026": {"a.txt": None}}}
    with app.app_context():
        downgrade(directory=MIGRATIONS, revision="0004")
        kept = text("SELECT path FROM documents WHERE name = 'c.txt'")
        assert db.session.execute(kept).scalar_one() == "Taxes"
        db.session.remove()
        upgrade(directory=MIGRATIONS)
    assert tree(alice) == found


def nested(found: dict[str, Any]) -> list[dict[str, Any]]:
    inside = [each for each in found.values() if each]
    return inside + [deeper for each in inside for deeper in nested(each)]


def test_migrations_make_what_the_models_say(app: Flask) -> None:
    with app.app_context(), db.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []
