"""folders people see: what documents were dropped with becomes folders, and uploads know theirs"""

import uuid
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from portal.documents import names
from portal.models.base import BinaryText

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_DOCUMENTS = sa.table(
    "documents",
    sa.column("id", sa.Integer),
    sa.column("owner_id", sa.Integer),
    sa.column("folder_id", sa.Integer),
    sa.column("path", sa.Text),
)
_FOLDERS = sa.table(
    "folders",
    sa.column("id", sa.Integer),
    sa.column("public_id", sa.Uuid),
    sa.column("owner_id", sa.Integer),
    sa.column("parent_id", sa.Integer),
    sa.column("name", sa.String),
    sa.column("name_key", BinaryText),
    sa.column("name_sort", BinaryText),
    sa.column("created_at", sa.DateTime(timezone=True)),
    sa.column("trashed_at", sa.DateTime(timezone=True)),
)
_BATCH = 1000


def upgrade() -> None:
    with op.batch_alter_table("open_uploads", schema=None) as batch_op:
        batch_op.add_column(sa.Column("folder_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_open_uploads_folder_id"), "folders", ["folder_id"], ["id"]
        )
        batch_op.create_index(batch_op.f("ix_open_uploads_folder_id"), ["folder_id"])
    _make_folders()
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.drop_column("path")


def _make_folders() -> None:
    """Put what came with folders into folders of these names, also what is in the trash."""
    connection, last_id = op.get_bind(), 0
    made: dict[tuple[int, int | None, str], int] = {}
    while rows := connection.execute(
        sa.select(_DOCUMENTS.c.id, _DOCUMENTS.c.owner_id, _DOCUMENTS.c.path)
        .where(_DOCUMENTS.c.path != "", _DOCUMENTS.c.folder_id.is_(None))
        .where(_DOCUMENTS.c.id > last_id)
        .order_by(_DOCUMENTS.c.id)
        .limit(_BATCH)
    ).all():
        changes = []
        for row in rows:
            folder = None
            for name in _cleaned(row.path):
                folder = _folder(connection, made, row.owner_id, folder, name)
            if folder is not None:
                changes.append({"of_id": row.id, "folder": folder})
        if changes:
            connection.execute(
                sa.update(_DOCUMENTS)
                .where(_DOCUMENTS.c.id == sa.bindparam("of_id"))
                .values(folder_id=sa.bindparam("folder")),
                changes,
            )
        last_id = rows[-1].id


def _cleaned(path: str) -> list[str]:
    """The names in a path, which may be longer than a folder's and have spaces around them."""
    parts = (part.strip()[: names.LONGEST].strip() for part in path.split("/"))
    return [part for part in parts if part.strip(" .")][: names.DEEPEST_PATH]


def _folder(
    connection: sa.Connection,
    made: dict[tuple[int, int | None, str], int],
    owner: int,
    parent: int | None,
    name: str,
) -> int:
    place = (owner, parent, names.fold(name))
    if place not in made:
        there = connection.execute(
            sa.select(_FOLDERS.c.id).where(
                _FOLDERS.c.owner_id == owner,
                _FOLDERS.c.parent_id.is_(None)
                if parent is None
                else _FOLDERS.c.parent_id == parent,
                _FOLDERS.c.name_key == place[2],
                _FOLDERS.c.trashed_at.is_(None),
            )
        ).scalar()
        made[place] = (
            there
            or connection.execute(
                sa.insert(_FOLDERS)
                .values(
                    public_id=uuid.uuid4(),
                    owner_id=owner,
                    parent_id=parent,
                    name=name,
                    name_key=place[2],
                    name_sort=names.sort_key(name),
                    created_at=datetime.now(UTC),
                )
                .returning(_FOLDERS.c.id)
            ).scalar_one()
        )
    return made[place]


def downgrade() -> None:
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.add_column(sa.Column("path", sa.Text(), nullable=False, server_default=""))
    connection = op.get_bind()
    for folder, path in _paths(connection).items():
        connection.execute(
            sa.update(_DOCUMENTS)
            .where(_DOCUMENTS.c.folder_id == folder)
            .values(path=path, folder_id=None)
        )
    with op.batch_alter_table("open_uploads", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_open_uploads_folder_id"))
        batch_op.drop_constraint(batch_op.f("fk_open_uploads_folder_id"), type_="foreignkey")
        batch_op.drop_column("folder_id")


def _paths(connection: sa.Connection) -> dict[int, str]:
    """The names of each folder and of those around it, joined."""
    folders = {
        row.id: row
        for row in connection.execute(
            sa.select(_FOLDERS.c.id, _FOLDERS.c.parent_id, _FOLDERS.c.name)
        )
    }
    paths = {}
    for folder in folders:
        parts, at = [], folder
        while at is not None and len(parts) <= names.DEEPEST_PATH:
            parts.append(folders[at].name)
            at = folders[at].parent_id
        paths[folder] = "/".join(reversed(parts))
    return paths
