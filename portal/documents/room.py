"""Which files may come in, and how many bytes of them: told before they come, and while."""

from __future__ import annotations

from portal import storage
from portal.access import Owner
from portal.accounts.people import quota_of
from portal.config import Settings
from portal.documents import form_body, names
from portal.errors import FileTooLarge, NotFound, OverQuota, PortalError, UploadRejected
from portal.extensions import db
from portal.models import User
from portal.presentation import filesize
from portal.storage import Incoming

#: What the form around the files may take of a declared length: its text, and a thousand names.
_FORM_OVERHEAD = 2 * 1024 * 1024


class Reception:
    """Takes the files of one request into the directory of `owner`, within the rules.

    Stands behind the form reader as its sink: what is too large is refused while it comes.
    """

    def __init__(self, owner: Owner, settings: Settings) -> None:
        self.owner = owner
        self._settings = settings
        quota = quota_of(owner, settings)
        #: None where there is no limit.
        taken = owner.used_bytes + owner.reserved_bytes
        self._left = max(quota - taken, 0) if quota else None
        #: The file coming in, and what those before it in the same form take on the disk.
        self._present: Incoming | None = None
        self._before = 0

    def expect(self, content_length: int | None) -> None:
        """Refuse before a byte is read what certainly cannot fit.

        A form may hold many files, each within the limit: only what is more than all of them
        is too large for certain. Raises `FileTooLarge` or `OverQuota`.
        """
        if content_length is None:
            return
        of_files = content_length - _FORM_OVERHEAD
        if of_files > form_body.MOST_FILES * self._settings.max_upload_bytes:
            raise too_large(self._settings)
        if self._left is not None and of_files > self._left:
            raise over_quota(self._left)

    def open(self, filename: str) -> Incoming:
        names.check(filename, self._settings)
        if self._present is not None:
            self._before += self._present.size_bytes
        self._present = None
        self._present = storage.current().receive(self.owner.public_id)
        return self._present

    def check(self, size_bytes: int) -> None:
        try:
            self._check(size_bytes)
        except UploadRejected:
            self._present = None  # what came of it is thrown away
            raise

    def _check(self, size_bytes: int) -> None:
        if size_bytes > self._settings.max_upload_bytes:
            raise too_large(self._settings)
        # A body of no declared length could otherwise fill the disk with files that fit singly.
        if self._left is not None and self._before + size_bytes > self._left:
            raise over_quota(self._left - self._before)


def check(owner: Owner, size_bytes: int, settings: Settings) -> None:
    """Raise `OverQuota` where there is no room for so much."""
    quota = quota_of(owner, settings)
    left = quota - owner.used_bytes - owner.reserved_bytes
    if quota and size_bytes > left:
        raise over_quota(max(left, 0))


def rules(settings: Settings) -> str:
    """What may be uploaded, as a sentence or two: "Only docx, pdf. At most 20 MB each."."""
    size = f"At most {filesize(settings.max_upload_bytes)} each."
    return f"{names.rule(settings)} {size}".strip()


def too_large(settings: Settings) -> FileTooLarge:
    """The refusal of a file that is larger than any may be."""
    return FileTooLarge(
        f"The file is larger than {filesize(settings.max_upload_bytes)}, the most for one.",
        cure="Make it smaller, or send it in several files.",
    )


def over_quota(left: int) -> OverQuota:
    """The refusal of a file for which the owner's directory has no room."""
    return OverQuota(
        f"There is room for {filesize(left)} more." if left else "There is no room left.",
        cure="Delete something for ever, or ask the person who runs this portal for more room.",
    )


def why_none(owner: Owner, settings: Settings) -> PortalError:
    """The refusal where there is no room, or no account any more."""
    now = db.session.get(User, owner.id, populate_existing=True)
    if now is None or now.disabled_at is not None:
        return NotFound()
    taken = now.used_bytes + now.reserved_bytes
    return over_quota(max(quota_of(now, settings) - taken, 0))
