"""uploads in pieces that become a new version of a document"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("open_uploads", sa.Column("version_of", sa.Uuid(), nullable=True))


def downgrade() -> None:
    op.drop_column("open_uploads", "version_of")
