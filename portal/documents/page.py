"""The page of one document: facts, sharing, versions and activity, also when one of its forms is
refused."""

from __future__ import annotations

from uuid import UUID

from flask import current_app, render_template, request
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal import access
from portal.audit import reading
from portal.config import Settings
from portal.documents import claims, keeping, room, versions
from portal.documents.forms import RenameForm, VersionForm
from portal.forms import Refused
from portal.sharing import links
from portal.sharing.forms import LinkForm

#: After so many tries in vain, somebody should look at why.
SLOW_TRIES = 4
#: How many versions the page shows at a time.
VERSIONS = 20


def document_page(
    document_id: UUID,
    *,
    rename_form: RenameForm | None = None,
    link_form: LinkForm | None = None,
    version_form: VersionForm | None = None,
    refused: Refused | None = None,
) -> ResponseReturnValue:
    """Answer with the page, or with it once more around a refused form."""
    document, way = access.document_and_way(current_user, document_id)
    below = version_number(request.args.get("below", ""))
    newest, *older = versions.history(document, below, VERSIONS + 2)
    found = [newest, *older] if below is None else older
    shown = {
        "public_id": document.public_id,
        "name": document.name,
        "size_bytes": document.size_bytes,
        "media_type": document.media_type,
        "mismatch": claims.mismatch(document.name, document.media_type, document.size_bytes),
        "sha256": newest.sha256.hex(),
        "uploaded_at": document.uploaded_at,
        "uploaded_by_name": newest.uploaded_by_name,
        "owner_name": current_user.name,
        "note": document.note,
        "scan": newest.scan.value,
        "threat": newest.threat,
        "scan_is_slow": newest.scan_tries >= SLOW_TRIES,
        "verified_at": newest.verified_at,
        "damaged_at": newest.damaged_at,
        "version": newest.number,
    }
    settings: Settings = current_app.extensions["settings"]
    link_form = link_form or LinkForm(formdata=None)
    link_form.password.flags.required = settings.share_password_required
    context = {
        "document": shown,
        "preview": newest.preview,
        "way": way,
        "keeping": keeping.of_document(document),
        "activity": reading.activity_of_document(document_id),
        "links": links.live_of_document(current_user, document_id),
        "rename_form": rename_form or RenameForm(formdata=None, name=document.name),
        "link_form": link_form,
        "max_days": settings.share_max_days,
        "versions": found[:VERSIONS],
        "older_below": found[VERSIONS - 1].number if len(found) > VERSIONS else None,
        "are_first": below is None,
        "keep_versions": settings.keep_versions,
        "version_form": version_form or VersionForm(formdata=None),
        "upload_rules": room.rules(settings),
        "max_upload_bytes": settings.max_upload_bytes,
    }
    if refused is not None:
        return refused.page("documents/show.html", **context)
    return render_template("documents/show.html", **context)


def version_number(text: str) -> int | None:
    """The number that stands in an address, or None where none does."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
