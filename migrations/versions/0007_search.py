"""search in what documents hold"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

#: SQLite's own full-text index over a column of another table, as its documentation has it (FTS5,
#: "External Content Tables"). Words come ready, with a space between them. A migration that copies
#: `search_passages` has to make the triggers again.
_FTS = """
CREATE VIRTUAL TABLE search_words USING fts5
    (words, content='search_passages', content_rowid='id', tokenize='ascii', columnsize=0)
--
CREATE TRIGGER search_passages_come AFTER INSERT ON search_passages BEGIN
    INSERT INTO search_words(rowid, words) VALUES (new.id, new.words);
END
--
CREATE TRIGGER search_passages_go AFTER DELETE ON search_passages BEGIN
    INSERT INTO search_words(search_words, rowid, words) VALUES ('delete', old.id, old.words);
END
"""


def upgrade() -> None:
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    op.add_column("versions", sa.Column("next_index_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "versions", sa.Column("index_tries", sa.Integer(), nullable=False, server_default="0")
    )
    # What is there waits behind everything new.
    op.execute(
        "UPDATE versions SET next_index_at = uploaded_at WHERE number ="
        " (SELECT version FROM documents WHERE documents.id = versions.document_id)"
    )
    condition = sa.text("next_index_at IS NOT NULL")
    op.create_index(
        "ix_versions_next_index_at",
        "versions",
        ["scan", "next_index_at"],
        sqlite_where=condition,
        postgresql_where=condition,
    )
    op.create_table(
        "search_texts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=False),
        sa.Column("document_id", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=200), nullable=False),
        sa.Column("written_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_search_texts_owner_id")),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["documents.id"],
            name=op.f("fk_search_texts_document_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_texts")),
        sa.UniqueConstraint("document_id", name=op.f("uq_search_texts_document_id")),
    )
    for name, column, where in (
        ("problem", "owner_id", "problem != ''"),
        ("useless", "id", "document_id IS NULL"),
    ):
        op.create_index(
            f"ix_search_texts_{name}",
            "search_texts",
            [column],
            sqlite_where=sa.text(where),
            postgresql_where=sa.text(where),
        )
    op.create_table(
        "search_passages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("text_id", sa.Integer(), nullable=False),
        sa.Column("words", sa.Text() if is_sqlite else TSVECTOR(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["text_id"], ["search_texts.id"], name=op.f("fk_search_passages_text_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_passages")),
    )
    op.create_index(op.f("ix_search_passages_text_id"), "search_passages", ["text_id"])
    if is_sqlite:
        for statement in _FTS.split("--"):
            op.execute(statement)
    else:
        op.create_index(
            "ix_search_passages_words", "search_passages", ["words"], postgresql_using="gin"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE search_words")
    op.drop_table("search_passages")
    op.drop_table("search_texts")
    op.drop_index("ix_versions_next_index_at", "versions")
    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.drop_column("index_tries")
        batch_op.drop_column("next_index_at")
