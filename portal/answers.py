"""How every refusal and failure is answered: one page for people, problem+json for programs.

The page of a 404 holds nothing that varies, so that its bytes do not tell whether a thing
exists (no form, no token, no address echoed).
"""

from __future__ import annotations

import json
import logging
import secrets

from flask import Flask, Response, make_response, render_template
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from portal.errors import BadRequest, Busy, NotFound, PortalError, ProofRequired, SameNameThere
from portal.extensions import db
from portal.gate import to_proof, wants_json

log = logging.getLogger(__name__)


class WrongMethod(PortalError):
    status = 405
    title = "That is not possible here"
    what = "This address does not do what was asked."
    cure = "Go back and use the buttons of the page."


class ExpiredForm(BadRequest):
    title = "This page was open for too long"
    what = "The form could not be checked, so nothing was changed."
    cure = "Go back, reload the page and send it again."


class FormTooLarge(PortalError):
    status = 413
    title = "That is too much"
    what = "What was sent is larger than this form takes. Nothing was changed."
    cure = "Go back and send less."


#: What Flask and Werkzeug raise by themselves, in our own words.
_IN_OUR_WORDS: dict[int, type[PortalError]] = {
    400: BadRequest,
    404: NotFound,
    405: WrongMethod,
    413: FormTooLarge,
}


def init_app(app: Flask) -> None:
    """Register the handlers: nothing leaves the app as a traceback."""
    app.register_error_handler(PortalError, answer)
    app.register_error_handler(
        ProofRequired, lambda error: answer(error) if wants_json() else to_proof()
    )
    app.register_error_handler(CSRFError, lambda _error: answer(ExpiredForm()))
    app.register_error_handler(HTTPException, _from_http)
    app.register_error_handler(OperationalError, _unavailable)
    app.register_error_handler(DataError, _impossible)
    app.register_error_handler(PoolTimeout, _unavailable)
    app.register_error_handler(Exception, _unforeseen)


def answer(error: PortalError, reference: str | None = None) -> Response:
    """The response for `error`; `reference` is what the log has for it."""
    if error.status >= 500 and reference is None and not isinstance(error, Busy):
        reference = _log(error)
    if wants_json():
        response = Response(
            json.dumps(_problem(error, reference)), content_type="application/problem+json"
        )
    else:
        response = make_response(
            render_template(
                "errors/error.html",
                status=error.status,
                title=error.title,
                what=error.what,
                cure=error.cure,
                reference=reference,
                signed_in=_is_signed_in(),
            )
        )
    response.status_code = error.status
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if error.challenge:
        response.headers["WWW-Authenticate"] = error.challenge
    return response


def _is_signed_in() -> bool:
    try:
        return bool(current_user.is_authenticated)
    except (PortalError, SQLAlchemyError):  # the very reason for this page may be the database
        return False


def _problem(error: PortalError, reference: str | None) -> dict[str, object]:
    """RFC 9457."""
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": f"{error.what} {error.cure}".strip(),
    }
    if error.errors:
        problem["errors"] = error.errors
    for member in ("reason", "scope"):
        if value := getattr(error, member, None):
            problem[member] = value
    if isinstance(error, SameNameThere) and error.document_id is not None:
        problem["document"] = f"/documents/{error.document_id}"
    if reference:
        problem["reference"] = reference
    return problem


def _from_http(error: HTTPException) -> Response:
    if error.code is not None and error.code < 400:
        return Response(error.get_response().get_data(), error.code, error.get_headers())
    known = _IN_OUR_WORDS.get(error.code or 500)
    if known is None:
        known = BadRequest if (error.code or 500) < 500 else PortalError
    response = answer(known())
    response.status_code = error.code or 500
    if allowed := getattr(error, "valid_methods", None):
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _unavailable(error: Exception) -> Response:
    db.session.rollback()
    log.warning("database unavailable: %s", type(error).__name__, exc_info=error)
    return answer(Busy())


def _impossible(error: Exception) -> Response:
    """A value no database row can hold, like text with NUL in it: nothing of ours sends it."""
    db.session.rollback()
    log.warning("refused by the database: %s", type(error).__name__, exc_info=error)
    return answer(BadRequest())


def _unforeseen(error: Exception) -> Response:
    db.session.rollback()
    return answer(PortalError(), _log(error))


def _log(error: Exception) -> str:
    reference = secrets.token_hex(6)
    log.error("reference %s: %s", reference, type(error).__name__, exc_info=error)
    return reference
