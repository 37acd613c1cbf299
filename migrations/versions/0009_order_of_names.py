"""the order in which names are sorted"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "name_order",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("written_in", sa.String(length=20), nullable=False),
        sa.Column("last_folder_id", sa.Integer(), nullable=True),
        sa.Column("last_document_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_name_order_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_name_order")),
    )


def downgrade() -> None:
    op.drop_table("name_order")
