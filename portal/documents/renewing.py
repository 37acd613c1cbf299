"""The document that an upload on its way is to be a new version of: what became of it meanwhile.

One in the trash may be restored, so the upload waits for that, as long as uploads wait. One that
was deleted for ever does not come back: then the upload is refused.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import cast

from sqlalchemy import Integer, Table, Uuid, bindparam, select

from portal.access import Owner
from portal.errors import Conflict, UploadRejected
from portal.models import Document
from portal.questions import Question


class DocumentTrashed(Conflict):
    title = "The document is in the trash"
    what = "This file was to be a new version of a document that is in the trash now."
    cure = "Restore the document, and the upload goes on. Or upload the file as a new document."
    reason = "document_trashed"


class DocumentGone(UploadRejected):
    status = 410
    title = "The document was deleted"
    what = "This file was to be a new version of a document that was deleted. It was not stored."
    cure = "Upload it as a new document."
    reason = "document_gone"


@dataclass(frozen=True, slots=True)
class Renewed:
    """A document that is to get a version."""

    name: str
    is_trashed: bool


def look_for(owner: Owner, document_id: uuid.UUID) -> Renewed:
    """That document of `owner`, in the trash or not. Raises `DocumentGone`."""
    found = _WHEREVER.ask(owner=owner.id, document=document_id)
    if found is None:
        raise DocumentGone
    return Renewed(*found)


_DOCUMENTS = cast(Table, Document.__table__)
_WHEREVER = Question(
    select(_DOCUMENTS.c.name, _DOCUMENTS.c.trashed_at.is_not(None)).where(
        _DOCUMENTS.c.owner_id == bindparam("owner", type_=Integer),
        _DOCUMENTS.c.public_id == bindparam("document", type_=Uuid),
    )
)
