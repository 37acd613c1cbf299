"""What was read out of documents, for searching."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, UtcDateTime


class SearchText(Base):
    """What was read out of one version of a document, or why nothing could be."""

    __tablename__ = "search_texts"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    #: None while it is being written, and once it is of no use: then the worker removes it, a
    #: little at a time, and nobody finds it.
    document_id: Mapped[int | None] = mapped_column(
        ForeignKey("documents.id", ondelete="SET NULL"), unique=True
    )
    #: Number of the version it was read from.
    version: Mapped[int]
    #: Why nothing could be read, in words for the owner.
    problem: Mapped[str] = mapped_column(String(200), default="")
    #: Whoever writes it has until then; None when it is whole.
    written_until: Mapped[datetime | None] = mapped_column(UtcDateTime)


Index(
    "ix_search_texts_problem",
    SearchText.owner_id,
    sqlite_where=SearchText.problem != "",
    postgresql_where=SearchText.problem != "",
)
Index(
    "ix_search_texts_useless",
    SearchText.id,
    sqlite_where=SearchText.document_id.is_(None),
    postgresql_where=SearchText.document_id.is_(None),
)


class SearchPassage(Base):
    """A part of a text that is indexed by itself, so that none is long."""

    __tablename__ = "search_passages"

    id: Mapped[int] = mapped_column(primary_key=True)
    text_id: Mapped[int] = mapped_column(ForeignKey("search_texts.id"), index=True)
    #: The words as the database's index takes them (see `portal.search.index`).
    words: Mapped[str] = mapped_column(Text().with_variant(TSVECTOR, "postgresql"))
    #: The same words as a reader sees them.
    text: Mapped[str] = mapped_column(Text)


#: The full-text index that SQLite has in the place of this one; triggers keep it in step.
SQLITE_INDEX = "search_words"
_POSTGRESQL_INDEX = "ix_search_passages_words"
Index(_POSTGRESQL_INDEX, SearchPassage.words, postgresql_using="gin").ddl_if(dialect="postgresql")


def is_on_both(_thing: object, name: str | None, kind: str, *_more: object) -> bool:
    """Whether every database has it: what the models are compared with leaves out the rest.

    FTS5 keeps tables of its own, whose names begin with that of the index.
    """
    if kind == "table":
        return name is None or not name.startswith(SQLITE_INDEX)
    return name != _POSTGRESQL_INDEX
