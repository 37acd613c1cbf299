"""What is done with several documents at once."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.accounts.api_tokens import Scope
from portal.documents import archives
from portal.gate import leaves_session_alone, open_to_tokens
from portal.request import PortalRequest
from portal.storage import delivery

bulk = Blueprint("bulk", __name__)


@bulk.post("/documents/zip")
@open_to_tokens(Scope.DOCUMENTS_READ)
@leaves_session_alone
def zip_several() -> ResponseReturnValue:
    form = cast(PortalRequest, request)
    person = current_user._get_current_object()
    archive = archives.of(person, form.uuid_field("id"), form.uuid_field("folder"))
    return delivery.send_archive(archive.name, archive.pieces(), archive.size_bytes, archive.note)
