"""In which order the keys are by which names are sorted."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base


class NameOrder(Base):
    """The one row that says so; where it is not there yet, they are in the first root order."""

    __tablename__ = "name_order"
    __table_args__ = (CheckConstraint("id = 1", "one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    #: What the keys are, or are being written in (`Collation.order`).
    written_in: Mapped[str] = mapped_column(String(20))
    #: The last folder whose key was looked at; None when that is done with all.
    last_folder_id: Mapped[int | None] = mapped_column()
    #: The last document whose key was looked at; None when that is done with all.
    last_document_id: Mapped[int | None] = mapped_column()
