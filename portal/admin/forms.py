"""The forms of the admin pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flask_wtf import FlaskForm
from wtforms import (
    EmailField,
    Form,
    HiddenField,
    IntegerField,
    RadioField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired, NumberRange, Optional, StopValidation

from portal.accounts.policies import NewAccounts, TwoFactor
from portal.audit import Action
from portal.models import Role

_ROLES = [
    SelectChoice(Role.USER.value, "Person with documents"),
    SelectChoice(Role.ADMIN.value, "Admin"),
]
_QUOTA_RULES = [Optional(), NumberRange(min=0, max=2**60, message="Enter a number from 0 up.")]


class InviteForm(FlaskForm):
    email = EmailField("E-mail address", [InputRequired("Enter an e-mail address.")])
    name = StringField("Name")
    role = SelectField("Role", choices=_ROLES, default=Role.USER.value)
    quota_bytes = IntegerField(
        "Room in bytes",
        _QUOTA_RULES,
        description="Empty for the portal's usual figure, 0 for no limit.",
    )


class PersonForm(FlaskForm):
    action = HiddenField(default="save")
    name = StringField("Name", [InputRequired("Enter a name.")])
    role = SelectField("Role", choices=_ROLES)
    quota_bytes = IntegerField(
        "Room in bytes",
        _QUOTA_RULES,
        description="Empty for the portal's usual figure, 0 for no limit.",
    )


class MomentField(StringField):
    """A day, or a moment in ISO 8601; without a zone it is in UTC."""

    def __init__(self, label: str = "", *, is_end: bool = False, **kwargs: Any) -> None:
        super().__init__(label, render_kw={"type": "date"}, **kwargs)
        self._is_end = is_end

    @property
    def moment(self) -> datetime | None:
        """The moment meant, or None where nothing was entered; a day as an end is included."""
        text = (self.data or "").strip()
        if not text:
            return None
        moment = datetime.fromisoformat(text)
        if self._is_end and len(text) <= len("2026-03-03"):
            moment += timedelta(days=1)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)

    def pre_validate(self, _form: Form) -> None:
        try:
            _ = self.moment
        except (ValueError, OverflowError) as error:
            raise StopValidation("Enter a date, like 2026-03-31.") from error


class RuleForm(FlaskForm):
    """How long the documents of somebody are kept, in one place."""

    folder = SelectField("For")
    keep_days = IntegerField("Keep for, in days", [Optional()])
    keep_until = MomentField("Keep until", description="From that day on (UTC) it can be deleted.")
    delete_after_days = IntegerField("Delete after, in days", [Optional()])


class HoldForm(FlaskForm):
    """What is held of somebody's documents, and why."""

    folder = SelectField("What is held", id="hold-folder")  # the page has another
    document = HiddenField()
    reason = TextAreaField("Why", [InputRequired("Say why: the audit log keeps it.")])


class ReleaseForm(FlaskForm):
    reason = StringField("Why it is released", [InputRequired("Say why: the audit log keeps it.")])


class AuditFilterForm(Form):
    """Read from the address; carries no token because it changes nothing."""

    actor = StringField("Who")
    action = SelectField(
        "What",
        choices=[
            SelectChoice("", "Everything"),
            *(SelectChoice(each.value, each.value) for each in Action),
        ],
        default="",
    )
    document = StringField("Document (its id)")
    since = MomentField("From")
    until = MomentField("To", is_end=True)


class SettingsForm(FlaskForm):
    two_factor = RadioField(
        "Two-factor sign-in",
        choices=[
            SelectChoice(TwoFactor.OPTIONAL.value, "Everybody decides for themselves"),
            SelectChoice(TwoFactor.ADMINS.value, "Admins must use it"),
            SelectChoice(TwoFactor.EVERYONE.value, "Everybody must use it"),
        ],
    )
    new_accounts = RadioField(
        "Accounts for people who sign in with the provider",
        choices=[
            SelectChoice(NewAccounts.INVITED.value, "Only people who were invited"),
            SelectChoice(NewAccounts.ANYONE.value, "Anybody the provider lets in"),
        ],
    )
