"""The forms of share links."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import IntegerField, PasswordField, StringField
from wtforms.validators import InputRequired, Length, Optional

from portal.errors import Invalid
from portal.forms import check
from portal.sharing.links import Terms


class LinkForm(FlaskForm):
    expires_in_days = IntegerField(
        "How long it works", [InputRequired("Choose for how many days it works.")]
    )
    password = PasswordField("Password", render_kw={"autocomplete": "new-password"})
    max_downloads = IntegerField("Downloads at most", [Optional()])
    label = StringField("Label", [Length(max=200, message="Use at most 200 characters.")])
    recipient_email = StringField()


class UnlockForm(FlaskForm):
    password = PasswordField(
        "Password",
        [InputRequired("Enter the password of this link.")],
        render_kw={"autocomplete": "off"},
    )


def terms_of(form: LinkForm) -> Terms:
    """What the links of a filled form allow. Raises `Invalid`."""
    if form.recipient_email.data:
        # Never a link that is more open than what was asked for.
        problem = "Links for one e-mail address cannot be made here. Use a password instead."
        raise Invalid(problem, errors={"recipient_email": problem})
    check(form)
    return Terms(
        days=form.expires_in_days.data or 0,
        password=form.password.data or "",
        max_downloads=form.max_downloads.data,
        label=form.label.data or "",
    )
