"""searching costs the same however much others have"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_LIVE = sa.text("trashed_at IS NULL")
_WORDS = "ix_search_passages_words"


def upgrade() -> None:
    op.create_index(
        "ix_folders_live_sort",
        "folders",
        ["owner_id", "name_sort", "id"],
        sqlite_where=_LIVE,
        postgresql_where=_LIVE,
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"ALTER INDEX {_WORDS} SET (fastupdate = off)")
        # What waits there already would still be gone through by every search.
        op.execute(f"SELECT gin_clean_pending_list('{_WORDS}')")


def downgrade() -> None:
    op.drop_index("ix_folders_live_sort", "folders")
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"ALTER INDEX {_WORDS} RESET (fastupdate)")
