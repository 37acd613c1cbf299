"""The mails that lead somewhere. Their addresses begin with PORTAL_BASE_URL and nothing else."""

from __future__ import annotations

from datetime import datetime

from portal.config import Settings
from portal.mail.composing import Letter
from portal.models import User
from portal.presentation import spoken


def invitation(token: str, ends_at: datetime, user: User, settings: Settings) -> Letter:
    """An account is ready; choose a password for it."""
    return Letter(
        "invitation",
        "your invitation",
        "mail/invitation.html",
        {
            "url": f"{settings.base_url}/invitations/{token}",
            "until": spoken(ends_at, user.timezone),
        },
    )


def password_reset(
    token: str, ends_at: datetime, timezone: str, settings: Settings, *, by_admin: bool
) -> Letter:
    """Choose a new password."""
    return Letter(
        "reset",
        "choose a new password",
        "mail/reset.html",
        {
            "url": f"{settings.base_url}/reset-password/{token}",
            "until": spoken(ends_at, timezone),
            "by_admin": by_admin,
        },
    )


def email_change(
    token: str, ends_at: datetime, user: User, new_email: str, settings: Settings, *, to_new: bool
) -> Letter:
    """Agree to another address. The mail to the new one names nobody: it may be a stranger's."""
    return Letter(
        "email-change",
        "confirm your e-mail address" if to_new else "a change of your e-mail address",
        "mail/email_change.html",
        {
            "url": f"{settings.base_url}/account/email/{token}",
            "until": spoken(ends_at, user.timezone),
            "old_email": user.email,
            "new_email": new_email,
            "to_new": to_new,
        },
    )


def test() -> Letter:
    """See that mails arrive."""
    return Letter("test", "a test", "mail/test.html")
