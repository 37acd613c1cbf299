"""Word documents (Office Open XML): the text, notes, comments, headers and footers."""

from __future__ import annotations

from .collected import Collected, NoText
from .package import Package, local

_MAIN = r"word/document\d*\.xml"
_OTHERS = r"word/(?:footnotes|endnotes|comments|header\d*|footer\d*)\.xml"
_SPACES = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}


def read(data: bytes, out: Collected) -> None:
    package = Package(data)
    main = package.parts(_MAIN)
    if not main:
        raise NoText("It is no Word document, whatever its name says.")
    for part in (*main, *package.parts(_OTHERS)):
        package.walk(part, Paragraphs(out))


class Paragraphs:
    """Runs of text, as Word documents and slides hold them."""

    def __init__(self, out: Collected) -> None:
        self._out = out
        self._is_text = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:  # noqa: ARG002
        name = local(tag)
        self._is_text = name == "t"
        if name in _SPACES:
            self._out.add(_SPACES[name])

    def end(self, tag: str) -> None:
        self._is_text = False
        if local(tag) == "p":
            self._out.add("\n")
        elif local(tag) == "tc":
            self._out.add("\t")

    def data(self, text: str) -> None:
        if self._is_text:
            self._out.add(text)
