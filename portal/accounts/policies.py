"""What the admins decide for everybody: kept in the database, in force at once."""

from __future__ import annotations

from enum import StrEnum

from portal import audit
from portal.database import transaction
from portal.extensions import db
from portal.models import Policy


class TwoFactor(StrEnum):
    """Who must prove themselves twice."""

    OPTIONAL = "optional"
    ADMINS = "admins"
    EVERYONE = "everyone"


class NewAccounts(StrEnum):
    """Whether somebody without an account gets one by signing in with the provider."""

    INVITED = "invited"
    ANYONE = "anyone"


def two_factor() -> TwoFactor:
    return TwoFactor(_value("two_factor", TwoFactor.OPTIONAL))


def new_accounts() -> NewAccounts:
    return NewAccounts(_value("new_accounts", NewAccounts.INVITED))


def decide(two_factor: TwoFactor, new_accounts: NewAccounts) -> None:
    """Put both in force; what did not change is not noted."""
    with transaction() as session:
        for name, value in (("two_factor", two_factor), ("new_accounts", new_accounts)):
            policy = session.get(Policy, name)
            if policy is None:
                policy = Policy(name=name, value="")
                session.add(policy)
            if policy.value != value:
                audit.record(audit.Action.POLICY_CHANGED, policy=name, old=policy.value, new=value)
                policy.value = value


def _value(name: str, default: str) -> str:
    policy = db.session.get(Policy, name)
    return policy.value if policy else default
