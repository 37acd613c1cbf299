"""The forms of the account pages. Rules that protect data live in the services."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    EmailField,
    HiddenField,
    PasswordField,
    SelectField,
    StringField,
)
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired, Length

from portal.accounts.passwords import LONGEST, RULE

_EMAIL = {"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}


class SignInForm(FlaskForm):
    email = EmailField(
        "E-mail address",
        [InputRequired("Enter your e-mail address."), Length(max=1000)],
        render_kw=_EMAIL,
    )
    password = PasswordField(
        "Password",
        [InputRequired("Enter your password."), Length(max=LONGEST * 4)],
        render_kw={"autocomplete": "current-password"},
    )
    remember = BooleanField("Keep me signed in on this device")
    next = HiddenField()


class SetupForm(FlaskForm):
    token = HiddenField()
    name = StringField(
        "Your name", [InputRequired("Enter your name.")], render_kw={"autocomplete": "name"}
    )
    email = EmailField(
        "Your e-mail address", [InputRequired("Enter your e-mail address.")], render_kw=_EMAIL
    )
    password = PasswordField(
        "Choose a password",
        [InputRequired("Choose a password.")],
        description=RULE,
        render_kw={"autocomplete": "new-password"},
    )
    site_name = StringField(
        "Name of the portal",
        [Length(max=60, message="Use a name of at most 60 characters.")],
        description="People see it at the top of every page, such as the name of your firm.",
        render_kw={"autocomplete": "organization"},
    )


class InvitationForm(FlaskForm):
    name = StringField(
        "Your name", [InputRequired("Enter your name.")], render_kw={"autocomplete": "name"}
    )
    password = PasswordField(
        "Choose a password",
        [InputRequired("Choose a password.")],
        description=RULE,
        render_kw={"autocomplete": "new-password"},
    )


class AccountForm(FlaskForm):
    name = StringField(
        "Your name", [InputRequired("Enter your name.")], render_kw={"autocomplete": "name"}
    )
    timezone = SelectField("Time zone", description="Dates and times are shown in this zone.")

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.timezone.choices = _timezones()


class PasswordForm(FlaskForm):
    current_password = PasswordField(
        "Current password",
        [InputRequired("Enter your current password.")],
        render_kw={"autocomplete": "current-password"},
    )
    new_password = PasswordField(
        "New password",
        [InputRequired("Choose a new password.")],
        description=RULE,
        render_kw={"autocomplete": "new-password"},
    )


@cache
def _timezones() -> list[SelectChoice]:
    zones = sorted(name for name in available_timezones() if "/" in name or name == "UTC")
    return [
        SelectChoice("", "As this browser says"),
        *(SelectChoice(name, name.replace("_", " ")) for name in zones),
    ]


class ForgotForm(FlaskForm):
    email = EmailField(
        "E-mail address",
        [InputRequired("Enter your e-mail address."), Length(max=1000)],
        render_kw=_EMAIL,
    )


class ResetForm(FlaskForm):
    password = PasswordField(
        "New password",
        [InputRequired("Choose a new password.")],
        description=RULE,
        render_kw={"autocomplete": "new-password"},
    )


class EmailForm(FlaskForm):
    new_email = EmailField(
        "New e-mail address",
        [InputRequired("Enter the new address."), Length(max=1000)],
        render_kw={"autocomplete": "email", "autocapitalize": "none", "spellcheck": "false"},
    )
    current_password = PasswordField(
        "Your password",
        [InputRequired("Enter your password.")],
        # Two forms on the page ask for it.
        id="email_current_password",
        render_kw={"autocomplete": "current-password"},
    )
