"""The forms of share links."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import IntegerField, PasswordField, StringField
from wtforms.validators import InputRequired, Length, Optional


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
