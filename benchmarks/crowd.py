"""Fills a portal's database with owners, folders and documents, as rows alone.

The documents have no bytes: lists, folders and searches never look at any. Used by
`library.py`; to look around in such a portal oneself, with the portal's own settings:

    python benchmarks/crowd.py --owners 1000 --documents 1000

makes a thousand owners with a thousand documents each. The first one, owner-0000@example.org,
can sign in; the password is printed.
"""

from __future__ import annotations

import argparse
import itertools
import random
import secrets
import sys
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from flask import Flask
from portal import config, create_app, database
from portal.accounts import people
from portal.documents import names
from portal.extensions import db
from portal.models import (
    Document,
    Drawing,
    Folder,
    PreviewState,
    SearchPassage,
    SearchText,
    User,
    Version,
    utcnow,
)
from portal.search import index
from portal.search.words import prepare, words_of
from sqlalchemy import Connection, Engine, Table, insert, select

FOLDERS = 20
_ROWS_AT_ONCE = 5000
#: Of SQLite while it is filled.
_CACHE_KIB = 1024 * 1024
_WORDS = (
    *("annual", "accounts", "Letter", "invoice", "Receipt", "contract", "payslip", "passport"),
    *("Steuer", "Bescheid", "Rechnung", "Vertrag", "Gehalt", "договор", "счёт", "契約書", "請求書"),
)
_ENDINGS = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "jpg": "image/jpeg",
    "txt": "text/plain",
}
#: The index takes words apart; each of ours once, not a million times.
_INDEXED = {word: [each.text for each in words_of(prepare(word))] for word in _WORDS}
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def fill(app: Flask, owners: int, documents: int, password: str, seed: int = 1) -> None:
    """Add `owners` people with `documents` each, the first of whom has that password."""
    chance = random.Random(seed)
    with app.app_context():
        people.create(email(0), app.extensions["settings"], password=password)
        with _quick(db.engine) as connection:
            with connection.begin():
                _insert(connection, User, (_owner(number) for number in range(1, owners)))
                ids = _ids(connection, User)[-owners:]
                first = len(_ids(connection, Folder))
                _insert(connection, Folder, (_folder(ids, n) for n in range(owners * FOLDERS)))
                folders = _ids(connection, Folder)[first:]
                _nest(connection, folders)
            rows = (
                _document(owner, folders[place * FOLDERS : (place + 1) * FOLDERS], n, chance)
                for place, owner in enumerate(ids)
                for n in range(documents)
            )
            for some in _batches(rows):
                with connection.begin():
                    _add_documents(connection, some, chance)
        with db.engine.connect() as connection:
            connection.exec_driver_sql("ANALYZE")
            connection.commit()
    database.close(app)


@contextmanager
def _quick(engine: Engine) -> Iterator[Connection]:
    """A connection that writes much and need not survive the loss of power."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA synchronous=OFF")
            connection.exec_driver_sql(f"PRAGMA cache_size=-{_CACHE_KIB}")
            connection.commit()
            connection.execution_options(sqlite_begin="BEGIN IMMEDIATE")
        yield connection
        connection.invalidate()  # nobody else gets it like this


def _add_documents(
    connection: Connection, rows: Sequence[dict[str, Any]], chance: random.Random
) -> None:
    added = _add(connection, Document, rows)
    numbered = list(zip(rows, added, strict=True))
    versions = _add(connection, Version, [_version(*each) for each in numbered])
    # As if the worker had been through with all of them.
    done = ({"version_id": each, "state": Drawing.IMPOSSIBLE} for each in versions)
    _insert(connection, PreviewState, done)
    texts = _add(connection, SearchText, [_text(*each) for each in numbered])
    held = ((row["owner_id"], text) for row, text in zip(rows, texts, strict=True))
    _insert(connection, SearchPassage, (_passage(*each, chance) for each in held))
    _show(added[-1])


def email(number: int) -> str:
    """The address of an owner."""
    return f"owner-{number:04}@example.org"


def _owner(number: int) -> dict[str, Any]:
    return {"email": email(number), "name": f"Owner {number}", "public_id": uuid.uuid4()}


def _folder(owners: Sequence[int], number: int) -> dict[str, Any]:
    name = f"{_WORDS[number % len(_WORDS)]} {number % FOLDERS}"
    return {
        "owner_id": owners[number // FOLDERS],
        "public_id": uuid.uuid4(),
        "name": name,
        "name_key": names.fold(name),
        "name_sort": names.sort_key(name),
    }


def _nest(connection: Connection, folders: Sequence[int]) -> None:
    """Put every folder but the first five of an owner into one of those."""
    table = _table(Folder)
    for start in range(0, len(folders), FOLDERS):
        tops, rest = folders[start : start + 5], folders[start + 5 : start + FOLDERS]
        for place, parent in enumerate(tops):
            inside = table.c.id.in_(rest[place::5])
            connection.execute(table.update().where(inside).values(parent_id=parent))


def _document(owner: int, folders: Sequence[int], number: int, chance: random.Random) -> Any:
    ending = chance.choice(list(_ENDINGS))
    name = f"{chance.choice(_WORDS)} {chance.choice(_WORDS)} {number}.{ending}"
    moment = _BEGAN + timedelta(seconds=chance.randrange(20_000_000))
    return {
        "owner_id": owner,
        "public_id": uuid.uuid4(),
        "name": name,
        "name_key": names.fold(name),
        "name_sort": names.sort_key(name),
        "folder_id": chance.choice(folders) if number % 5 else None,
        "size_bytes": chance.randrange(1_000, 5_000_000),
        "media_type": _ENDINGS[ending],
        "uploaded_at": moment,
        "uploaded_by_id": owner,
    }


def _version(document: dict[str, Any], document_id: int) -> dict[str, Any]:
    same = ("size_bytes", "media_type", "uploaded_at", "uploaded_by_id")
    return {
        **{key: document[key] for key in same},
        "document_id": document_id,
        "blob": f"{uuid.uuid4().hex}/{uuid.uuid4().hex}",
        "sha256": secrets.token_bytes(32),
        # There are no files: whoever looked for them would say that all were lost.
        "verified_at": utcnow(),
        "next_index_at": None,
    }


def _text(document: dict[str, Any], document_id: int) -> dict[str, Any]:
    return {"owner_id": document["owner_id"], "document_id": document_id, "version": 1}


def _passage(owner: int, text_id: int, chance: random.Random) -> dict[str, Any]:
    chosen = chance.choices(_WORDS, k=40)
    words = [each for word in chosen for each in _INDEXED[word]]
    return {"text_id": text_id, "words": index.stored(owner, words), "text": " ".join(chosen)}


def _table(model: type[Any]) -> Table:
    table: Table = model.__table__
    return table


def _ids(connection: Connection, model: type[Any]) -> list[int]:
    return list(connection.scalars(select(_table(model).c.id).order_by(_table(model).c.id)))


def _add(connection: Connection, model: type[Any], rows: Sequence[dict[str, Any]]) -> Sequence[int]:
    """Insert rows; answers their ids in the same order."""
    statement = insert(_table(model)).returning(_table(model).c.id, sort_by_parameter_order=True)
    return connection.scalars(statement, rows).all()


def _insert(connection: Connection, model: type[Any], rows: Iterable[dict[str, Any]]) -> None:
    for some in _batches(rows):
        connection.execute(insert(_table(model)), some)


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    every = iter(rows)
    while some := list(itertools.islice(every, _ROWS_AT_ONCE)):
        yield some


def _show(count: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{count:,} documents", end="", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--owners", type=int, default=1000)
    parser.add_argument("--documents", type=int, default=1000, help="of each owner (1000)")
    options = parser.parse_args()
    if not (1 <= options.owners <= 10_000 and 1 <= options.documents <= 100_000):
        parser.error("up to 10,000 owners with up to 100,000 documents each")
    password = secrets.token_urlsafe(12)
    app = create_app(config.load())
    database.upgrade(app)
    fill(app, options.owners, options.documents, password)
    print(f"{email(0)} can sign in with {password}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
