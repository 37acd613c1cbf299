"""the library: folders, retention and legal holds"""

import sqlalchemy as sa
from alembic import op

from portal.documents import names
from portal.models.base import BinaryText

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_LIVE = sa.text("trashed_at IS NULL")
_TRASHED = sa.text("trashed_at IS NOT NULL")
_INDEXES = (
    ("live_name", "name_sort", "id"),
    ("live_same_name", "name_key"),
    ("folder_name", "folder_id", "name_sort", "id"),
    ("folder_size", "folder_id", "size_bytes", "id"),
    ("folder_uploaded", "folder_id", "uploaded_at", "id"),
)


def upgrade() -> None:
    op.create_table(
        "folders",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("name_key", BinaryText, nullable=False),
        sa.Column("name_sort", BinaryText, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trashed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trashed_with_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_folders_owner_id")),
        sa.ForeignKeyConstraint(["parent_id"], ["folders.id"], name=op.f("fk_folders_parent_id")),
        sa.ForeignKeyConstraint(
            ["trashed_with_id"], ["folders.id"], name=op.f("fk_folders_trashed_with_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_folders")),
        sa.UniqueConstraint("public_id", name=op.f("uq_folders_public_id")),
    )
    for name, columns, where in (
        ("live_name", ["parent_id", "name_key"], "IS NOT NULL"),
        ("live_name_at_top", ["name_key"], "IS NULL"),
    ):
        condition = sa.text(f"trashed_at IS NULL AND parent_id {where}")
        op.create_index(
            f"uq_folders_{name}",
            "folders",
            ["owner_id", *columns],
            unique=True,
            sqlite_where=condition,
            postgresql_where=condition,
        )
    op.create_index(
        "ix_folders_trash",
        "folders",
        ["owner_id", "trashed_at", "id"],
        sqlite_where=_TRASHED,
        postgresql_where=_TRASHED,
    )
    op.create_index(op.f("ix_folders_parent_id"), "folders", ["parent_id"])
    op.create_index(op.f("ix_folders_trashed_with_id"), "folders", ["trashed_with_id"])

    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.add_column(sa.Column("name_sort", BinaryText, nullable=False, server_default=""))
        batch_op.add_column(sa.Column("folder_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("trashed_with_id", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("restored_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_documents_folder_id"), "folders", ["folder_id"], ["id"]
        )
        batch_op.create_foreign_key(
            batch_op.f("fk_documents_trashed_with_id"), "folders", ["trashed_with_id"], ["id"]
        )
        batch_op.create_index(batch_op.f("ix_documents_folder_id"), ["folder_id"])
        batch_op.create_index(batch_op.f("ix_documents_trashed_with_id"), ["trashed_with_id"])

        batch_op.drop_index("ix_documents_live_name")
    _sort_names()
    for name, *columns in _INDEXES:
        op.create_index(
            f"ix_documents_{name}",
            "documents",
            ["owner_id", *columns],
            sqlite_where=_LIVE,
            postgresql_where=_LIVE,
        )

    op.create_table(
        "retention_rules",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("folder_id", sa.Integer(), nullable=True),
        sa.Column("keep_days", sa.Integer(), nullable=True),
        sa.Column("keep_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("delete_after_days", sa.Integer(), nullable=True),
        sa.Column("set_by_id", sa.Integer(), nullable=False),
        sa.Column("delete_set_by_id", sa.Integer(), nullable=True),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "keep_days >= 0", name=op.f("ck_retention_rules_keep_days_not_negative")
        ),
        sa.CheckConstraint(
            "delete_after_days > 0", name=op.f("ck_retention_rules_delete_after_days_positive")
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_retention_rules_owner_id")
        ),
        sa.ForeignKeyConstraint(
            ["folder_id"], ["folders.id"], name=op.f("fk_retention_rules_folder_id")
        ),
        sa.ForeignKeyConstraint(
            ["set_by_id"], ["users.id"], name=op.f("fk_retention_rules_set_by_id")
        ),
        sa.ForeignKeyConstraint(
            ["delete_set_by_id"], ["users.id"], name=op.f("fk_retention_rules_delete_set_by_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retention_rules")),
        sa.UniqueConstraint("public_id", name=op.f("uq_retention_rules_public_id")),
    )
    for name, column, where in (
        ("folder", "folder_id", "folder_id IS NOT NULL"),
        ("owner", "owner_id", "folder_id IS NULL"),
    ):
        op.create_index(
            f"uq_retention_rules_{name}",
            "retention_rules",
            [column],
            unique=True,
            sqlite_where=sa.text(where),
            postgresql_where=sa.text(where),
        )

    op.create_table(
        "legal_holds",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("folder_id", sa.Integer(), nullable=True),
        sa.Column("document_id", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_by_id", sa.Integer(), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_by_id", sa.Integer(), nullable=True),
        sa.Column("release_reason", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "folder_id IS NULL OR document_id IS NULL",
            name=op.f("ck_legal_holds_one_kind_of_place"),
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_legal_holds_owner_id")),
        sa.ForeignKeyConstraint(
            ["folder_id"], ["folders.id"], name=op.f("fk_legal_holds_folder_id")
        ),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_legal_holds_document_id")
        ),
        sa.ForeignKeyConstraint(
            ["placed_by_id"], ["users.id"], name=op.f("fk_legal_holds_placed_by_id")
        ),
        sa.ForeignKeyConstraint(
            ["released_by_id"], ["users.id"], name=op.f("fk_legal_holds_released_by_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legal_holds")),
        sa.UniqueConstraint("public_id", name=op.f("uq_legal_holds_public_id")),
    )
    for column in ("owner_id", "folder_id", "document_id"):
        op.create_index(op.f(f"ix_legal_holds_{column}"), "legal_holds", [column])


def _sort_names() -> None:
    """Give the documents that are there the key they are sorted by."""
    documents = sa.table(
        "documents", sa.column("id"), sa.column("name"), sa.column("name_sort", BinaryText)
    )
    connection, last_id = op.get_bind(), 0
    while rows := connection.execute(
        sa.select(documents.c.id, documents.c.name)
        .where(documents.c.id > last_id)
        .order_by(documents.c.id)
        .limit(1000)
    ).all():
        connection.execute(
            sa.update(documents)
            .where(documents.c.id == sa.bindparam("of_id"))
            .values(name_sort=sa.bindparam("key", type_=BinaryText)),
            [{"of_id": row.id, "key": names.sort_key(row.name)} for row in rows],
        )
        last_id = rows[-1].id


def downgrade() -> None:
    op.drop_table("legal_holds")
    op.drop_table("retention_rules")
    for name, *_ in _INDEXES:
        op.drop_index(f"ix_documents_{name}", "documents")
    op.create_index(
        "ix_documents_live_name",
        "documents",
        ["owner_id", "name_key", "id"],
        sqlite_where=_LIVE,
        postgresql_where=_LIVE,
    )
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_documents_trashed_with_id"))
        batch_op.drop_index(batch_op.f("ix_documents_folder_id"))
        batch_op.drop_constraint(batch_op.f("fk_documents_trashed_with_id"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_documents_folder_id"), type_="foreignkey")
        for name in ("restored_at", "trashed_with_id", "folder_id", "name_sort"):
            batch_op.drop_column(name)
    op.drop_table("folders")
