"""Text as readers hand it over, up to a limit."""

from __future__ import annotations


class Full(Exception):
    """There is as much text as is kept. What follows need not be read."""


class NoText(Exception):
    """The file cannot be read. Its words are for the person whose document it is."""


class Collected:
    """Pieces of text that are put together; the one that goes over the limit is cut."""

    def __init__(self, limit: int) -> None:
        self._pieces: list[str] = []
        self._left = limit

    def add(self, text: str) -> None:
        """Append. Raises `Full` once there is enough."""
        self._pieces.append(text[: self._left])
        self._left -= len(text)
        if self._left <= 0:
            raise Full

    def text(self) -> str:
        return "".join(self._pieces)

    def __bool__(self) -> bool:
        return any(piece.strip() for piece in self._pieces)
