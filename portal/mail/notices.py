"""Security mails: what changed about an account, told to its address whatever anybody chose."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from portal.models import User


class Notice(StrEnum):
    """What a security mail tells."""

    NEW_DEVICE = "new_device"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the name of a notice
    EMAIL_CHANGED = "email_changed"
    SECOND_FACTOR_ON = "second_factor_on"
    SECOND_FACTOR_OFF = "second_factor_off"
    NEW_RECOVERY_CODES = "new_recovery_codes"
    RECOVERY_CODE_USED = "recovery_code_used"
    PASSKEY_ADDED = "passkey_added"
    PASSKEY_REMOVED = "passkey_removed"
    TOKEN_CREATED = "token_created"  # noqa: S105 - the name of a notice
    DELETION_ASKED = "deletion_asked"


def tell(user: User, notice: Notice, **facts: Any) -> None:
    """Mail `notice` to `user`, as part of the present `transaction()`."""
