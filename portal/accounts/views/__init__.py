"""Pages of accounts: signing in, and everything under `/account`."""

from flask import Blueprint

accounts = Blueprint("accounts", __name__)

# Each module adds its pages to the blueprint above.
from portal.accounts.views import account, email, first_steps, recovery, sign_in  # noqa: E402, F401
