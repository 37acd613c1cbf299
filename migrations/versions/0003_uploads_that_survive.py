"""uploads that survive anything"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "open_uploads",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("upload_metadata", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("same_name", sa.String(length=16), nullable=False),
        sa.Column("length_bytes", sa.BigInteger(), nullable=False),
        sa.Column("blob", sa.String(length=80), nullable=False),
        sa.Column("synced_bytes", sa.BigInteger(), nullable=False),
        sa.Column("boot_id", sa.String(length=36), nullable=False),
        sa.Column("checked_bytes", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("length_bytes >= 0", name=op.f("ck_open_uploads_length_not_negative")),
        sa.ForeignKeyConstraint(
            ["created_by_id"], ["users.id"], name=op.f("fk_open_uploads_created_by_id")
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_open_uploads_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_open_uploads")),
        sa.UniqueConstraint("blob", name=op.f("uq_open_uploads_blob")),
        sa.UniqueConstraint("public_id", name=op.f("uq_open_uploads_public_id")),
    )
    with op.batch_alter_table("open_uploads", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_open_uploads_owner_id"), ["owner_id"])
        batch_op.create_index(batch_op.f("ix_open_uploads_created_by_id"), ["created_by_id"])
        batch_op.create_index(batch_op.f("ix_open_uploads_expires_at"), ["expires_at"])

    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("reserved_bytes", sa.BigInteger(), nullable=False, server_default="0")
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_users_reserved_bytes_not_negative"), "reserved_bytes >= 0"
        )
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.add_column(sa.Column("path", sa.Text(), nullable=False, server_default=""))
    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("scan", sa.String(length=10), nullable=False, server_default="")
        )
        batch_op.add_column(sa.Column("scanned_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(
            sa.Column("threat", sa.String(length=200), nullable=False, server_default="")
        )
        batch_op.add_column(sa.Column("next_scan_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(
            sa.Column("scan_tries", sa.Integer(), nullable=False, server_default="0")
        )
        batch_op.create_index(
            "ix_versions_next_scan_at",
            ["next_scan_at"],
            sqlite_where=sa.text("next_scan_at IS NOT NULL"),
            postgresql_where=sa.text("next_scan_at IS NOT NULL"),
        )


def downgrade() -> None:
    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.drop_index("ix_versions_next_scan_at")
        for name in ("scan_tries", "next_scan_at", "threat", "scanned_at", "scan"):
            batch_op.drop_column(name)
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.drop_column("path")
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_users_reserved_bytes_not_negative"), type_="check")
        batch_op.drop_column("reserved_bytes")
    op.drop_table("open_uploads")
