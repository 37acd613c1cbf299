"""ZIP files full of XML, as office programs write them, under limits.

No document type, no entity, nothing from elsewhere is taken; what unpacks to more than a document
could hold is given up before it is unpacked.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Protocol
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from .collected import NoText

#: What all parts together may unpack to.
_MOST_BYTES = 300 * 1024 * 1024
_PIECE = 64 * 1024
_NUMBER = re.compile(r"\d+")
_ENCRYPTED = b"\xd0\xcf\x11\xe0"
_DAMAGED = "It is damaged."


class Target(Protocol):
    """Who is told of what stands in a part."""

    def start(self, tag: str, attributes: dict[str, str]) -> None: ...
    def end(self, tag: str) -> None: ...
    def data(self, text: str) -> None: ...


class Package:
    """An open package of parts. Raises `NoText` for one that is none, or is locked."""

    def __init__(self, data: bytes) -> None:
        self._left = _MOST_BYTES
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise NoText(
                "It is locked with a password." if data.startswith(_ENCRYPTED) else _DAMAGED
            ) from error

    def parts(self, pattern: str) -> list[str]:
        """The names of the parts like this, "slide2" before "slide10"."""
        found = {name for name in self._zip.namelist() if re.fullmatch(pattern, name)}
        return sorted(found, key=lambda name: ([int(each) for each in _NUMBER.findall(name)], name))

    def walk(self, part: str, target: Target) -> None:
        """Tell `target` what stands in a part. Raises `NoText`."""
        parser = DefusedXMLParser(target=target, forbid_dtd=True)
        try:
            for piece in self._pieces(part):
                parser.feed(piece)
            parser.close()
        except DefusedXmlException as error:
            raise NoText("It holds what no document of its kind holds.") from error
        except (ParseError, zipfile.BadZipFile, ValueError, EOFError, KeyError) as error:
            raise NoText(_DAMAGED) from error
        except (RuntimeError, NotImplementedError) as error:  # how `zipfile` says it is encrypted
            raise NoText("It is locked with a password.") from error

    def _pieces(self, part: str) -> Iterator[bytes]:
        with self._zip.open(part) as source:
            while piece := source.read(_PIECE):
                self._left -= len(piece)
                if self._left < 0:
                    raise NoText("It unpacks to more than is read.")
                yield piece


def local(tag: str) -> str:
    """A tag without its namespace."""
    return tag.rpartition("}")[2]
