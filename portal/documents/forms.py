"""The forms of the document pages. Files themselves never pass through a form object."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import (
    FileField,
    IntegerField,
    MultipleFileField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length, Optional


class UploadForm(FlaskForm):
    file = MultipleFileField("Files")


class UploadForSomebodyForm(UploadForm):
    #: Any of the owner's: the list may be too long to hold every one.
    folder = SelectField("Folder", default="", validate_choice=False)
    note = TextAreaField(
        "Note",
        [Length(max=2000, message="Use at most 2,000 characters.")],
        description="The owner reads it beside the document.",
    )


class VersionForm(FlaskForm):
    file = FileField("File")


class RenameForm(FlaskForm):
    name = StringField("Name", [InputRequired("Enter a name.")])


class FolderForm(FlaskForm):
    name = StringField("Name of the folder", [InputRequired("Enter a name.")])


class DeleteAfterForm(FlaskForm):
    delete_after_days = IntegerField(
        "Delete after, in days",
        [Optional()],
        description="Counted from the day a document was added. Empty for never.",
    )
