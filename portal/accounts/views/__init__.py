"""Pages of accounts: signing in, and everything under `/account`."""

from flask import Blueprint

accounts = Blueprint("accounts", __name__)

# Each module adds its pages to the blueprint above.
from portal.accounts.views import (  # noqa: E402
    account,  # noqa: F401
    devices,  # noqa: F401
    email,  # noqa: F401
    first_steps,  # noqa: F401
    own_data,  # noqa: F401
    passkeys,  # noqa: F401
    proof,  # noqa: F401
    provider,  # noqa: F401
    recovery,  # noqa: F401
    sign_in,  # noqa: F401
    strength,  # noqa: F401
    tokens,  # noqa: F401
    two_factor,  # noqa: F401
)
