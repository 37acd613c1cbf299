"""The forms of the account pages. Rules that protect data live in the services."""

from __future__ import annotations

from functools import cache
from typing import Any
from zoneinfo import available_timezones

from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    EmailField,
    HiddenField,
    PasswordField,
    RadioField,
    SelectField,
    SelectMultipleField,
    StringField,
)
from wtforms.fields import SelectChoice
from wtforms.validators import InputRequired, Length

from portal.accounts import api_tokens
from portal.accounts.passwords import LONGEST, RULE, SHORTEST
from portal.accounts.people import LANGUAGES

_EMAIL = {"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}


class NewPasswordField(PasswordField):
    """Where a password is chosen: shows the rule, and how strong it is while one types."""

    def __init__(self, label: str, problem: str, **kwargs: Any) -> None:
        kwargs.setdefault("description", RULE)
        # Some password managers make one that fits by this.
        rules = f"minlength: {SHORTEST}; maxlength: {LONGEST}; allowed: unicode"
        given = {"autocomplete": "new-password", "passwordrules": rules}
        super().__init__(label, [InputRequired(problem)], render_kw=given, **kwargs)


class SignInForm(FlaskForm):
    email = EmailField(
        "E-mail address",
        [InputRequired("Enter your e-mail address."), Length(max=1000)],
        render_kw=_EMAIL,
    )
    password = PasswordField(
        "Password",
        # No length: a browser would cut what is pasted, and say nothing.
        [InputRequired("Enter your password.")],
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
    password = NewPasswordField("Choose a password", "Choose a password.")
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
    password = NewPasswordField("Choose a password", "Choose a password.")


class AccountForm(FlaskForm):
    name = StringField(
        "Your name", [InputRequired("Enter your name.")], render_kw={"autocomplete": "name"}
    )
    language = SelectField(
        "Language",
        choices=[
            SelectChoice("", "As this browser says"),
            *(SelectChoice(tag, name) for tag, name in LANGUAGES.items()),
        ],
        default="",
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
    new_password = NewPasswordField("New password", "Choose a new password.")


@cache
def _timezones() -> list[SelectChoice]:
    zones = sorted(name for name in available_timezones() if "/" in name or name == "UTC")
    return [
        SelectChoice("", "As this browser says"),
        *(SelectChoice(name, name.replace("_", " ")) for name in zones),
    ]


class DeletionForm(FlaskForm):
    password = PasswordField(
        "Your password",
        [InputRequired("Enter your password.")],
        render_kw={"autocomplete": "current-password"},
    )


class TokenForm(FlaskForm):
    kind = RadioField(
        "For",
        choices=[
            SelectChoice("token", "A script or program"),
            SelectChoice("app-password", "A program that asks for a name and a password"),
        ],
        default="token",
    )
    name = StringField(
        "Name",
        description="So that you know it again, such as “Backup at home”.",
        render_kw={"autocomplete": "off", "maxlength": api_tokens.LONGEST_NAME, "required": True},
    )
    scope = SelectMultipleField("It may", validate_choice=False)
    days = StringField(
        "It works for this many days",
        default=str(api_tokens.DEFAULT_DAYS),
        description=f"From 1 to {api_tokens.MOST_DAYS}. Then it stops, and you make a new one.",
        render_kw={"type": "number", "min": 1, "max": api_tokens.MOST_DAYS, "required": True},
    )


_CODE = {
    "autocomplete": "one-time-code",
    "autocapitalize": "none",
    "spellcheck": "false",
}


class SecondStepForm(FlaskForm):
    code = StringField(
        "Code",
        [InputRequired("Enter the code."), Length(max=200, message="This is no code.")],
        description="The six digits from your app, or one of your recovery codes.",
        render_kw=_CODE,
    )
    next = HiddenField()


class AuthenticatorForm(FlaskForm):
    action = HiddenField(default="enable")
    code = StringField(
        "Code from the app",
        [InputRequired("Enter the six digits that the app shows."), Length(max=200)],
        render_kw={**_CODE, "inputmode": "numeric"},
    )


class ProofForm(FlaskForm):
    password = PasswordField("Password", render_kw={"autocomplete": "current-password"})
    code = StringField(
        "Code",
        [Length(max=200, message="This is no code.")],
        description="The six digits from your app, or one of your recovery codes.",
        render_kw=_CODE,
    )
    next = HiddenField()


class PasskeyForm(FlaskForm):
    action = HiddenField(default="add")
    name = StringField(
        "Name",
        [Length(max=1000)],
        description="What you will know it by, such as “Laptop” or “Blue security key”.",
        render_kw={"autocomplete": "off"},
    )


class PasskeyNameForm(FlaskForm):
    action = HiddenField(default="rename")
    id = HiddenField()
    name = StringField("Name", [InputRequired("Enter a name.")], render_kw={"autocomplete": "off"})


class ForgotForm(FlaskForm):
    email = EmailField(
        "E-mail address",
        [InputRequired("Enter your e-mail address."), Length(max=1000)],
        render_kw=_EMAIL,
    )


class ResetForm(FlaskForm):
    password = NewPasswordField("New password", "Choose a new password.")


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
