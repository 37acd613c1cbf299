"""E-mail addresses: checked, and written one way."""

from __future__ import annotations

from email_validator import EmailNotValidError, validate_email

from portal.errors import Invalid


def normalised(email: str) -> str:
    """The form in which addresses are compared: NFC, lower case, no spaces around."""
    address = email.strip()
    try:
        found = validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        # NUL is in no address, and not every database can be asked for it.
        return address.lower().replace("\0", "\ufffd")[:254]
    return found.normalized.lower()


def checked(email: str) -> str:
    """`normalised`, or `Invalid` where it cannot be an address (RFC 5321, RFC 6531)."""
    try:
        validate_email(email.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        problem = "Enter an e-mail address, like alice@example.org."
        raise Invalid(problem, errors={"email": problem}) from error
    address = normalised(email)
    if len(address) > 254:
        problem = "Use an address of at most 254 characters."
        raise Invalid(problem, errors={"email": problem})
    return address
