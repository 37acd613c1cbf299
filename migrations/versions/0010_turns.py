"""those who wait for the worker take turns"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

#: What waits in each queue, in the order in which it is taken.
_TURNS = (
    ("ix_versions_scan_turns", "versions", ["scan_tries", "uploaded_by_id"], "next_scan_at"),
    ("ix_versions_index_turns", "versions", ["scan", "uploaded_by_id"], "next_index_at"),
    ("ix_preview_states_turns", "preview_states", ["tries", "uploaded_by_id"], "next_try_at"),
)
_BEFORE = (
    ("ix_versions_next_scan_at", "versions", [], "next_scan_at"),
    ("ix_preview_states_next_try_at", "preview_states", [], "next_try_at"),
)


def upgrade() -> None:
    op.add_column(
        "preview_states",
        sa.Column("uploaded_by_id", sa.Integer(), nullable=False, server_default="0"),
    )
    op.execute(
        "UPDATE preview_states SET uploaded_by_id ="
        " (SELECT uploaded_by_id FROM versions WHERE versions.id = preview_states.version_id)"
    )
    _put(_TURNS)
    _drop(_BEFORE)


def downgrade() -> None:
    _put(_BEFORE)
    _drop(_TURNS)
    op.drop_column("preview_states", "uploaded_by_id")


def _put(indexes: tuple[tuple[str, str, list[str], str], ...]) -> None:
    for name, table, columns, moment in indexes:
        waits = sa.text(f"{moment} IS NOT NULL")
        op.create_index(name, table, [*columns, moment], sqlite_where=waits, postgresql_where=waits)


def _drop(indexes: tuple[tuple[str, str, list[str], str], ...]) -> None:
    for name, table, *_ in indexes:
        op.drop_index(name, table)
