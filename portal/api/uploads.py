"""Uploads that can be gone on with: tus 1.0.0 (https://tus.io/protocols/resumable-upload).

Extensions: creation, creation-with-upload, termination, expiration, checksum. The pages of the
portal use these addresses too. `Upload-Metadata` may hold `filename` (needed), `folder` (the
id of the folder it goes into), `path` (the folders the file lay in, which are made there), `note`,
`same_name` (`keep-both`, `new-version`, `refuse`), and `owner`, the id of the person for whom an
admin uploads. With `document`, the id of a document, it becomes a new version of that.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import IO, TypeVar, cast
from uuid import UUID

from flask import Blueprint, Response, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from flask_login import current_user
from werkzeug.http import http_date

from portal import access
from portal.access import Person
from portal.accounts.api_tokens import Scope
from portal.config import Settings
from portal.documents import resumable
from portal.documents.pieces import CHECKSUMS, Checksum, Piece
from portal.documents.receiving import as_text, id_in, same_name_in
from portal.documents.resumable import Announcement, Progress
from portal.errors import BadRequest, Invalid, PortalError
from portal.gate import SAFE_METHODS, open_to_tokens
from portal.request import PortalRequest
from portal.storage import delivery

View = TypeVar("View", bound=Callable[..., ResponseReturnValue])

api = Blueprint("api", __name__, url_prefix="/api/v1")

VERSION = "1.0.0"
EXTENSIONS = ("creation", "creation-with-upload", "termination", "expiration", "checksum")
PIECE_TYPE = "application/offset+octet-stream"
_LONGEST_METADATA = 8 * 1024


class OtherVersion(PortalError):
    status = 412
    title = "Another version of the protocol is needed"
    what = f"This portal speaks version {VERSION} of the tus protocol."
    cure = f"Send “Tus-Resumable: {VERSION}” with each request."


class NoPiece(PortalError):
    status = 415
    title = "Not a piece of an upload"
    what = "The body is not marked as a piece of an upload."
    cure = f"Send it with “Content-Type: {PIECE_TYPE}”."


def takes_pieces(view: View) -> View:
    """Let a view read a body of any length by itself, as one of the transfers."""

    def prepare(**_arguments: UUID) -> None:
        here = cast(PortalRequest, request)
        here.is_read_by_view = True
        here.on_close = delivery.take_slot()

    view.prepare_files = prepare  # type: ignore[attr-defined]
    return view


@api.before_request
def check_version() -> None:
    if request.method == "OPTIONS":  # which is how a client finds out
        return
    spoken = request.headers.get("Tus-Resumable", VERSION if request.method in SAFE_METHODS else "")
    if spoken != VERSION:
        raise OtherVersion


@api.after_request
def say_version(response: Response) -> Response:
    response.headers["Tus-Resumable"] = VERSION
    if response.status_code == OtherVersion.status:
        response.headers["Tus-Version"] = VERSION
    return response


@api.route("/uploads", methods=["OPTIONS"])
@api.route("/uploads/<uuid:upload_id>", methods=["OPTIONS"])
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def abilities(**_address: UUID) -> ResponseReturnValue:
    """The same for every address, whether there is such an upload or not."""
    return Response(
        status=204,
        headers={
            "Tus-Version": VERSION,
            "Tus-Extension": ",".join(EXTENSIONS),
            "Tus-Max-Size": str(_settings().max_upload_bytes),
            "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
        },
    )


@api.route("/uploads", methods=["POST"], provide_automatic_options=False)
@open_to_tokens(Scope.DOCUMENTS_WRITE)
@takes_pieces
def announce() -> ResponseReturnValue:
    person: Person = current_user._get_current_object()
    text = request.headers.get("Upload-Metadata", "")
    said = _metadata(text)
    announcement = Announcement(
        raw_name=said.get("filename", ""),
        length_bytes=_length(),
        upload_metadata=text,
        folder_id=id_in(said.get("folder", "")),
        path=said.get("path", ""),
        note=said.get("note", ""),
        same_name=same_name_in(said.get("same_name", "")),
        version_of=id_in(said.get("document", "")),
    )
    owner = access.may_upload_to(person, _owner_id(person, said, announcement))
    piece = _piece() if request.mimetype == PIECE_TYPE else None
    progress = resumable.announce(person, owner, announcement, _settings(), piece)
    response = _told(progress, 201)
    response.headers["Location"] = f"/api/v1/uploads/{progress.public_id}"
    return response


@api.get("/uploads/<uuid:upload_id>")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def status(upload_id: UUID) -> ResponseReturnValue:
    progress = resumable.look(current_user, upload_id, _settings())
    response = _told(progress, 200)
    response.headers["Upload-Length"] = str(progress.length_bytes)
    if progress.upload_metadata:
        response.headers["Upload-Metadata"] = progress.upload_metadata
    return response


@api.patch("/uploads/<uuid:upload_id>")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
@takes_pieces
def append(upload_id: UUID) -> ResponseReturnValue:
    if request.mimetype != PIECE_TYPE:
        raise NoPiece
    offset = _number("Upload-Offset")
    person = current_user._get_current_object()
    return _told(resumable.append(person, upload_id, offset, _piece(), _settings()), 204)


@api.delete("/uploads/<uuid:upload_id>")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
def terminate(upload_id: UUID) -> ResponseReturnValue:
    resumable.terminate(current_user, upload_id)
    return Response(status=204)


@api.post("/uploads/<uuid:upload_id>")
@open_to_tokens(Scope.DOCUMENTS_WRITE)
@takes_pieces
def override(upload_id: UUID) -> ResponseReturnValue:
    """For clients behind something that lets only GET and POST through."""
    match request.headers.get("X-HTTP-Method-Override", "").upper():
        case "PATCH":
            return append(upload_id)
        case "DELETE":
            return terminate(upload_id)
    raise BadRequest(
        "An upload is gone on with by PATCH and given up by DELETE.",
        cure="Use these, or name them in “X-HTTP-Method-Override”.",
    )


def _told(progress: Progress, status: int) -> Response:
    response = _as_json(progress) if request.method == "GET" else Response()
    response.status_code = status
    response.headers["Upload-Offset"] = str(progress.offset)
    response.headers["Upload-Expires"] = http_date(progress.expires_at)
    if progress.document_id is not None:
        response.headers["Content-Location"] = f"/documents/{progress.document_id}"
    return response


def _as_json(progress: Progress) -> Response:
    document = progress.document_id
    return jsonify(
        id=str(progress.public_id),
        offset=progress.offset,
        length=progress.length_bytes,
        expires_at=as_text(progress.expires_at),
        document=f"/documents/{document}" if document else None,
    )


def _piece() -> Piece:
    body: IO[bytes] = request.environ["wsgi.input"]
    return Piece(body, request.content_length, _checksum())


def _checksum() -> Checksum | None:
    text = request.headers.get("Upload-Checksum")
    if text is None:
        return None
    algorithm, _, encoded = text.strip().partition(" ")
    if algorithm not in CHECKSUMS:
        raise BadRequest(
            "The checksum is of an unknown kind.", cure=f"Use one of {', '.join(CHECKSUMS)}."
        )
    digest = _decoded(encoded)
    if len(digest) != CHECKSUMS[algorithm]().digest_size:
        raise BadRequest(f"The checksum is too short or too long for {algorithm}.")
    return Checksum(algorithm, digest)


def _length() -> int:
    if "Upload-Defer-Length" in request.headers or "Upload-Concat" in request.headers:
        raise BadRequest(
            "An upload is announced with its length, and comes in one row of pieces.",
            cure="Send “Upload-Length”.",
        )
    return _number("Upload-Length")


def _owner_id(person: Person, said: dict[str, str], announcement: Announcement) -> UUID:
    """Into whose directory an announced upload goes: that of the document it renews, if any."""
    owner_id = id_in(said.get("owner", ""))
    if announcement.version_of is None:
        return owner_id or current_user.public_id
    for key in ("folder", "path", "note"):
        if said.get(key):
            problem = (
                f"A new version stays where its document is, and has no “{key}” of its own."
                f" Leave out “{key}”, or “document” for a new document."
            )
            raise Invalid(problem, errors={key: problem})
    its_owner_id = access.owner_of(person, announcement.version_of)
    if owner_id not in {None, its_owner_id}:
        problem = "The document belongs to somebody else than “owner”. Leave one of them out."
        raise Invalid(problem, errors={"owner": problem})
    return its_owner_id


def _number(header: str) -> int:
    text = request.headers.get(header, "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadRequest(f"“{header}” is missing or no whole number.", cure="Send it in bytes.")
    return int(text)


def _metadata(text: str) -> dict[str, str]:
    if len(text) > _LONGEST_METADATA:
        raise BadRequest("“Upload-Metadata” is too long.", cure="Shorten the note.")
    if not (text.isascii() and text.isprintable()):  # it is told again, as a header
        raise BadRequest("“Upload-Metadata” holds characters that no header should.")
    said: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key, _, encoded = pair.partition(" ")
        try:
            said[key] = _decoded(encoded).decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadRequest(f"“{key}” in “Upload-Metadata” is not in UTF-8.") from error
    return said


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest("What should be in Base64 is not.") from error


def _settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings
