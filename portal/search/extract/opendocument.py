"""OpenDocument texts, spreadsheets and slides: everything a reader sees of them."""

from __future__ import annotations

from .collected import Collected, NoText
from .package import Package, local

_SPACES = {"s": " ", "tab": "\t", "line-break": "\n"}
_ENDS = {"p": "\n", "h": "\n", "table-cell": "\t", "table-row": "\n"}


def read(data: bytes, out: Collected) -> None:
    package = Package(data)
    if not package.parts("content.xml"):
        raise NoText("It is no OpenDocument file, whatever its name says.")
    package.walk("content.xml", _Body(out))


class _Body:
    """What stands in paragraphs and headings; styles and scripts stand elsewhere."""

    def __init__(self, out: Collected) -> None:
        self._out = out
        self._depth = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = local(tag)
        if name in {"p", "h"}:
            self._depth += 1
        elif name == "table":
            title = next((v for k, v in attributes.items() if local(k) == "name"), "")
            self._out.add(f"{title}\n")
        elif self._depth and name in _SPACES:
            self._out.add(_SPACES[name])

    def end(self, tag: str) -> None:
        name = local(tag)
        if name in {"p", "h"}:
            self._depth -= 1
        if name in _ENDS:
            self._out.add(_ENDS[name])

    def data(self, text: str) -> None:
        if self._depth:
            self._out.add(text)
