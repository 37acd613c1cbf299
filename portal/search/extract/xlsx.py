"""Spreadsheets (Office Open XML): the names of sheets, and cell by cell what they hold."""

from __future__ import annotations

from .collected import Collected, NoText
from .package import Package, local

#: Texts that cells share; no table anybody reads has more.
_MOST_SHARED = 2_000_000


def read(data: bytes, out: Collected) -> None:
    package = Package(data)
    books = package.parts(r"xl/workbook\.xml")
    if not books:
        raise NoText("It is no spreadsheet, whatever its name says.")
    package.walk(books[0], _Sheets(out))
    shared = _Shared()
    for part in package.parts(r"xl/sharedStrings\.xml"):
        package.walk(part, shared)
    for part in package.parts(r"xl/worksheets/sheet\d+\.xml"):
        package.walk(part, _Cells(out, shared.texts))


class _Sheets:
    def __init__(self, out: Collected) -> None:
        self._out = out

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if local(tag) == "sheet":
            self._out.add(f"{attributes.get('name', '')}\n")

    def end(self, tag: str) -> None:
        pass

    def data(self, text: str) -> None:
        pass


class _Shared:
    """The texts, without the readings that stand over Japanese ones."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._pieces: list[str] = []
        self._is_text = self._is_reading = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:  # noqa: ARG002
        name = local(tag)
        self._is_text = name == "t"
        self._is_reading = self._is_reading or name == "rPh"

    def end(self, tag: str) -> None:
        name = local(tag)
        self._is_text = False
        if name == "rPh":
            self._is_reading = False
        elif name == "si":
            self.texts.append("".join(self._pieces))
            self._pieces.clear()
            if len(self.texts) > _MOST_SHARED:
                raise NoText("It has more cells than are read.")

    def data(self, text: str) -> None:
        if self._is_text and not self._is_reading:
            self._pieces.append(text)


class _Cells:
    def __init__(self, out: Collected, shared: list[str]) -> None:
        self._out = out
        self._shared = shared
        self._kind = ""
        self._is_value = False
        self._pieces: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = local(tag)
        if name == "c":
            self._kind = attributes.get("t", "")
        self._is_value = name in {"v", "t"}

    def end(self, tag: str) -> None:
        name = local(tag)
        self._is_value = False
        if name == "c":
            value = "".join(self._pieces)
            self._pieces.clear()
            if value:
                self._out.add(f"{self._shown(value)}\t")
        elif name == "row":
            self._out.add("\n")

    def data(self, text: str) -> None:
        if self._is_value:
            self._pieces.append(text)

    def _shown(self, value: str) -> str:
        if self._kind != "s":
            return value
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 10 else -1
        return self._shared[number] if 0 <= number < len(self._shared) else ""
