"""What the views of every capability do with forms: answer a refusal beside its field."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import render_template
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm

from portal.errors import Invalid, PortalError
from portal.gate import wants_json


def check(form: FlaskForm) -> None:
    """Validate `form`. Raises `Invalid` with one sentence a field."""
    if not form.validate():
        problems = {name: str(found[0]) for name, found in form.errors.items() if name and found}
        raise Invalid(errors=problems)


@contextmanager
def filling(form: FlaskForm, *refusals: type[PortalError]) -> Iterator[Refused]:
    """Run a service on what `form` holds; a refusal is caught and put beside its field.

    Afterwards the yielded `Refused` tells whether to show the form again. A request for JSON
    gets the error itself.
    """
    refused = Refused()
    expected: tuple[type[PortalError], ...] = (Invalid, *refusals)
    try:
        yield refused
    except expected as error:
        if wants_json():
            raise
        refused.error = error
        _mark(form, error)


class Refused:
    """Whether a form was refused, and the answer that shows it again."""

    error: PortalError | None = None

    def __bool__(self) -> bool:
        return self.error is not None

    def page(self, template: str, **context: Any) -> ResponseReturnValue:
        """The page once more, with the status of the refusal."""
        status = self.error.status if self.error else 200
        headers = {}
        if self.error and self.error.retry_after is not None:
            headers["Retry-After"] = str(self.error.retry_after)
        return render_template(template, **context), status, headers


def _mark(form: FlaskForm, error: PortalError) -> None:
    placed = False
    for name, problem in error.errors.items():
        if name in form:
            form[name].errors = [problem]
            placed = True
    if not placed:
        form.form_errors = [f"{error.what} {error.cure}".strip()]
