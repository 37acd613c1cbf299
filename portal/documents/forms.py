"""The forms of the document pages. Files themselves never pass through a form object."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import MultipleFileField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length


class UploadForm(FlaskForm):
    file = MultipleFileField("Files")


class UploadForSomebodyForm(UploadForm):
    note = TextAreaField(
        "Note",
        [Length(max=2000, message="Use at most 2,000 characters.")],
        description="The owner reads it beside the document.",
    )


class RenameForm(FlaskForm):
    name = StringField("Name", [InputRequired("Enter a name.")])


class FolderForm(FlaskForm):
    name = StringField("Name of the folder", [InputRequired("Enter a name.")])
