"""when the bytes of each version were verified, and what was damaged"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COLUMNS = ("verified_at", "damaged_at", "next_verify_at")
_DAMAGED = sa.text("damaged_at IS NOT NULL")
_SEVERAL = sa.text("version > 1")


def upgrade() -> None:
    for name in _COLUMNS:
        op.add_column("versions", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_versions_verified_at", "versions", ["verified_at", "id"])
    op.create_index(
        "ix_versions_damaged_at",
        "versions",
        ["damaged_at"],
        sqlite_where=_DAMAGED,
        postgresql_where=_DAMAGED,
    )
    op.create_index(
        "ix_documents_versions",
        "documents",
        ["version"],
        sqlite_where=_SEVERAL,
        postgresql_where=_SEVERAL,
    )


def downgrade() -> None:
    op.drop_index("ix_documents_versions", "documents")
    op.drop_index("ix_versions_damaged_at", "versions")
    op.drop_index("ix_versions_verified_at", "versions")
    for name in reversed(_COLUMNS):
        op.drop_column("versions", name)
