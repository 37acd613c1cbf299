"""HTML: what a reader would see, and the title; no scripts, no styles."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from .collected import Collected
from .plain import decode

_SILENT = frozenset({"script", "style", "template"})
_INLINE = frozenset(
    {"a", "abbr", "b", "bdi", "bdo", "cite", "code", "dfn", "em", "font", "i", "kbd", "mark", "q"}
    | {"rp", "rt", "ruby", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tspan"}
    | {"u", "var", "wbr"}
)
#: A page says its encoding within so many bytes (HTML standard, 13.2.3.2).
_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
_HEAD = 1024


def read(data: bytes, out: Collected) -> None:
    found = _CHARSET.search(data[:_HEAD])
    take(decode(data, found[1].decode("ascii", "replace") if found else ""), out)


def take(markup: str, out: Collected) -> None:
    """Add what can be read of a page that was decoded already."""
    page = _Page(out)
    page.feed(markup)
    page.close()


class _Page(HTMLParser):
    def __init__(self, out: Collected) -> None:
        super().__init__(convert_charrefs=True)
        self._out = out
        self._silent = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent = tag
        elif tag == "img":
            self._out.add(f" {dict(attrs).get('alt') or ''} ")
        if tag not in _INLINE:
            self._out.add("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._silent:
            self._silent = ""
        if tag not in _INLINE:
            self._out.add("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._out.add(data)
