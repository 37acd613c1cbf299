"""What is said after several things were done in one go, and the button that takes it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from flask import flash, request, url_for

#: How many the cookie can hold that carries a notice to the next page.
_MOST = 60
#: What leads back to the list as it was.
_PLACE = ("q", "sort", "order")


class Named(Protocol):
    @property
    def public_id(self) -> UUID: ...
    @property
    def name(self) -> str: ...


def offer(text: str, url: str, fields: Mapping[str, Sequence[str]]) -> None:
    """Say on the next page what was done, with a button that posts `fields` to `url`.

    Without the button where they are too many for a cookie.
    """
    if sum(map(len, fields.values())) > _MOST:
        flash(text, "success")
        return
    undo = {"text": text, "undo_url": url, "undo_fields": dict(fields)}
    flash(undo, "undo")  # type: ignore[arg-type]


def ids(things: Sequence[Named]) -> list[str]:
    """The ids as fields of such a button, as short as they can be."""
    return [each.public_id.hex for each in things]


def counted(documents: Sequence[Named], folders: Sequence[Named]) -> str:
    """How many of what: "3 documents"."""
    what = "things" if documents and folders else "folders" if folders else "documents"
    return f"{len(documents) + len(folders)} {what}"


def said_of(documents: Sequence[Named], folders: Sequence[Named]) -> str:
    """The beginning of a sentence: "“Deed.pdf” is" or "3 documents are"."""
    every = [*documents, *folders]
    return f"“{every[0].name}” is" if len(every) == 1 else f"{counted(documents, folders)} are"


def list_before() -> str:
    """The address of the list from which the form came, with its filters."""
    place: dict[str, Any] = {key: request.form[key] for key in _PLACE if request.form.get(key)}
    # `folder` says what is chosen, or where it goes.
    if came_from := request.form.get("from"):
        place["folder"] = came_from
    return url_for("documents.index", **place)
