"""The one family of errors, and the one place that turns them into answers.

A service raises a `PortalError`; views do not catch them. Each carries its HTTP
status, what happened and the way out, in words for the person who reads them.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping


class PortalError(Exception):
    """Something the portal refuses or cannot do, said so that a person can act on it."""

    status = 500
    title = "Something went wrong"
    what = "The portal could not do this."
    cure = "Try again in a moment."
    #: The WWW-Authenticate header, where a 401 or 403 needs one (RFC 9110, 11.6.1).
    challenge = ""

    def __init__(
        self,
        what: str | None = None,
        *,
        cure: str | None = None,
        retry_after: int | None = None,
        errors: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(what or self.what)
        if what is not None:
            self.what = what
        if cure is not None:
            self.cure = cure
        #: Seconds, for the Retry-After header.
        self.retry_after = retry_after
        #: Field name -> what is wrong with it.
        self.errors = dict(errors or {})


class NotFound(PortalError):
    """No such thing, or not yours: deliberately one and the same answer."""

    status = 404
    title = "This page is not here"
    what = "The address may be mistyped, or the document may have been removed."
    cure = "Go back to your documents and look from there."


class SignInRequired(PortalError):
    """A visitor asked for something that needs an account."""

    status = 401
    title = "Please sign in"
    what = "This needs a signed-in account."
    cure = "Sign in and try again."
    challenge = "Bearer"


class BadRequest(PortalError):
    """The request cannot be understood or trusted; nothing was changed."""

    status = 400
    title = "That did not go through"
    what = "The request was not understood, so nothing was changed."
    cure = "Go back, reload the page and try again."


class Invalid(PortalError):
    """One or more fields break a rule; `errors` says which and why."""

    status = 422
    title = "Please check what you entered"
    what = "Something in the form is missing or not right."
    cure = "Go back and correct it."


class ProofRequired(PortalError):
    """A sensitive act: whoever is signed in must have proved themselves a short while ago."""

    status = 403
    title = "Please show that it is you"
    what = "This needs a fresh proof that it is you."
    cure = "Enter your password or a code, or use a passkey, at /account/prove."
    reason = "fresh_proof"


class SecondFactorRequired(PortalError):
    """The admins ask this person for a second factor, and there is none yet."""

    status = 403
    title = "Two-factor sign-in is needed"
    what = "This portal asks you to set up two-factor sign-in first."
    cure = "Set it up at /account/two-factor."
    reason = "second_factor"


class Conflict(PortalError):
    """What was asked does not fit the present state; nothing was changed."""

    status = 409
    title = "This cannot be done now"
    what = "Something else changed in the meantime."
    cure = "Reload the page and look again."


class Held(Conflict):
    """A legal hold keeps it: nobody can delete it, or take it out of the folder that is held."""

    title = "This is held"
    what = "The administration holds this document: nobody can delete it."
    cure = "Ask an admin of this portal. It can be deleted once the hold is released."
    reason = "held"


class Kept(Conflict):
    """A rule of retention keeps it until a day."""

    title = "This is kept"
    what = "A rule keeps this document: nobody can delete it yet."
    cure = "It can be deleted after that. Ask an admin of this portal if the rule is wrong."
    reason = "kept"


class BeingScanned(PortalError):
    """The bytes may leave as soon as the scanner has called them clean."""

    status = 409
    title = "Still being checked"
    what = "This document is still being checked for malware."
    cure = "That takes seconds as a rule. Try again in a moment."
    reason = "being_scanned"

    def __init__(self, what: str | None = None, *, cure: str | None = None) -> None:
        super().__init__(what, cure=cure, retry_after=5)


class Infected(PortalError):
    """Malware was found in the bytes: nobody gets them. Said to their owner alone."""

    status = 403
    title = "Blocked: malware was found"
    what = "Malware was found in this document, so nobody can download or share it."
    cure = "Delete it, and get a clean copy from where it came from."
    reason = "infected"


class Damaged(PortalError):
    """The bytes are not there as the database knows them: nobody gets wrong ones for right."""

    title = "This document cannot be opened"
    what = "The stored file is missing or damaged. It was not sent."
    cure = "Tell the person who runs this portal; a backup may hold it."
    reason = "damaged"


class Gone(PortalError):
    """It existed and has ended: an expired, revoked or used-up link."""

    status = 410
    title = "This link has ended"
    what = "This link no longer works."
    cure = "Ask the person who sent it for a new one."


class TooManyTries(PortalError):
    """Throttled; `retry_after` says for how long."""

    status = 429
    title = "Too many tries"
    what = "There were too many tries in a short time."
    cure = "Wait a little and try again."


class Busy(PortalError):
    """Temporarily unable: database locked, storage away, all transfer slots taken."""

    status = 503
    title = "The portal is busy"
    what = "The portal could not do this right now. Nothing was half-done."
    cure = "Try again in a minute."

    def __init__(self, what: str | None = None, *, retry_after: int = 10) -> None:
        super().__init__(what, retry_after=retry_after)


class UploadRejected(PortalError):
    """One file cannot be taken; speaks to the person uploading.

    `reason` is a stable word for programs, the text names the rule.
    """

    status = 422
    title = "This file was not taken"
    reason = "invalid"
    what = "This file could not be taken. Nothing of it was stored."
    cure = "Upload it again."


class FileNameRejected(UploadRejected):
    reason = "name"


class FileTooLarge(UploadRejected):
    status = 413
    title = "This file is too large"
    reason = "too_large"


class OverQuota(UploadRejected):
    status = 413
    title = "There is not enough room"
    reason = "over_quota"


class TypeRefused(UploadRejected):
    status = 415
    title = "This kind of file is not taken here"
    reason = "type_refused"


class SameNameThere(UploadRejected):
    """A document of that name is there, and the upload says that it wants no second one."""

    status = 409
    title = "There is a document of this name"
    reason = "same_name"
    what = "A document of this name is there already."
    cure = "Keep both, make it a new version, or leave it out."

    def __init__(self, document_id: uuid.UUID | None = None) -> None:
        super().__init__()
        self.document_id = document_id


class BodyCut(UploadRejected):
    """Fewer bytes came than were announced; what came was thrown away."""

    status = 400
    title = "The upload was cut off"
    reason = "incomplete"
    what = "The connection ended before the whole file had arrived. Nothing was stored."
    cure = "Upload it again."


class NoSpace(UploadRejected):
    status = 507
    title = "The disk is full"
    reason = "no_space"
    what = "There is no space left to store this file. Nothing was stored."
    cure = "Tell the person who runs this portal, and try again later."


class StorageUnavailable(Busy):
    """The place where bytes live could not be reached or failed while writing."""

    what = "The document store could not be reached. Nothing was stored."
