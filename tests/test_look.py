"""The look: colours that can be read, and pages that hold to the content security policy."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from portal import assets

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
SCRIPTS = sorted((ROOT / "portal" / "static" / "js").rglob("*.js"))
STYLE = (ROOT / "portal" / "static" / "css" / "portal.css").read_text("utf-8")

GROUNDS = ("paper", "surface", "hover")
#: Which token is written on which. What is not here must not be used for text.
TEXT_PAIRS = [
    *product(("ink", "muted", "accent", "accent-strong", "danger", "warning"), GROUNDS),
    ("ink", "accent-soft"),
    ("muted", "accent-soft"),
    ("accent", "accent-soft"),
    ("ink", "danger-soft"),
    ("danger", "danger-soft"),
    ("ink", "warning-soft"),
    ("warning", "warning-soft"),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("on-danger", "danger"),
    ("on-danger", "danger-strong"),
]
#: Edges of fields and bars of charts: WCAG 1.4.11 asks for 3:1.
SHAPE_PAIRS = [*product(("edge", "accent", "danger"), GROUNDS), ("accent", "accent-soft")]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _tokens() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {"light": {}, "dark": {}}
    dark = re.search(
        r"@media \(prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}", STYLE, re.DOTALL
    )
    light = re.search(r":root \{(.*?)\}", STYLE, re.DOTALL)
    assert dark
    assert light
    for scheme, block in (("light", light[1]), ("dark", dark[1])):
        found[scheme] = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
    return found


TOKENS = _tokens()


def _luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two colours."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_reckoned_as_wcag_does() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_light_and_dark_have_the_same_tokens() -> None:
    assert TOKENS["light"].keys() == TOKENS["dark"].keys()
    assert TOKENS["light"]["accent"] == "#0f6b5c"
    assert TOKENS["dark"]["accent"] == "#5cc8b2"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), TEXT_PAIRS)
def test_text_can_be_read(scheme: str, text: str, ground: str) -> None:
    assert contrast(TOKENS[scheme][text], TOKENS[scheme][ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("shape", "ground"), SHAPE_PAIRS)
def test_edges_can_be_seen(scheme: str, shape: str, ground: str) -> None:
    assert contrast(TOKENS[scheme][shape], TOKENS[scheme][ground]) >= 3


def test_rules_use_tokens_and_no_colours_of_their_own() -> None:
    rules = re.sub(r":root \{.*?\}", "", STYLE, flags=re.DOTALL)
    rules = re.sub(r'url\("data:.*?"\)', "", rules)
    # A QR code is read by cameras: its ground stays white in the dark.
    assert set(re.findall(r"#[0-9a-f]{3,8}\b", rules)) <= {"#ffffff"}


def test_motion_stops_for_who_asked_for_less() -> None:
    assert "@media (prefers-reduced-motion: reduce)" in STYLE


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_nothing_is_inline(path: Path) -> None:
    source = path.read_text("utf-8")
    # Mails are no pages: mail programs know no style sheet but what stands at the element.
    if path.parent.name != "mail":
        assert not re.search(r"\sstyle\s*=", source), "a style attribute"
    assert not re.search(r"<style\b", source), "a style element"
    assert not re.search(r"\son[a-z]+\s*=", source), "an event handler"
    assert not re.search(r"javascript:", source, re.IGNORECASE), "a javascript: address"
    for script in re.findall(r"<script\b[^>]*>", source):
        assert " src=" in script, "a script without an address"


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_nothing_is_fetched_from_elsewhere_or_marked_safe(path: Path) -> None:
    source = path.read_text("utf-8")
    assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", source)
    assert not re.search(r"\|\s*safe\b", source)
    assert "autoescape false" not in source


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_forms_that_change_something_carry_the_token(path: Path) -> None:
    for form in re.findall(r"<form\b.*?</form>", path.read_text("utf-8"), re.DOTALL):
        opening = form[: form.index(">") + 1]
        if 'method="post"' not in opening:
            assert 'method="get"' in opening, opening
        elif "data-no-csrf" in opening:
            # The address is the authority: a link is used by people without a session.
            assert name_of(path) == "templates/sharing/landing.html"
        else:
            token = re.search(r"(?:\bm\.)?csrf\(\)", form)
            assert token, f"no token in {opening}"
            files = re.search(r"form\.file", form)
            assert not files or token.start() < files.start(), (
                "the token must come before the files"
            )


def test_error_pages_hold_nothing_that_varies() -> None:
    for name in ("skeleton.html", "base_error.html", "errors/error.html"):
        source = re.sub(r"\{#.*?#\}", "", (ROOT / "templates" / name).read_text(), flags=re.DOTALL)
        for varying in ("<form", "csrf", "current_user", "request.", "get_flashed_messages"):
            assert varying not in source, name


def test_every_icon_in_use_is_in_the_sprite_and_none_besides() -> None:
    everywhere = "\n".join(
        path.read_text("utf-8")
        for path in [*TEMPLATES, *SCRIPTS, ROOT / "portal" / "presentation.py"]
    )
    called = re.findall(r"""\bicon(?:_name)?(?:\(|=)['"]([a-z0-9-]+)['"]""", everywhere)
    called += re.findall(r"""\biconButton\("([a-z0-9-]+)",""", everywhere)
    assert set(called) <= assets.ICONS
    quoted = set(re.findall(r"""['"#]([a-z0-9]+(?:-[a-z0-9]+)*)['"]""", everywhere))
    assert quoted >= assets.ICONS, sorted(assets.ICONS - quoted)


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_words_are_calm(path: Path) -> None:
    source = re.sub(r"\{[#%{].*?[#%}]\}|<[^>]*>", " ", path.read_text("utf-8"), flags=re.DOTALL)
    assert "!" not in source


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_scripts_never_build_markup_from_text(path: Path) -> None:
    source = path.read_text("utf-8")
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser"
    )
    assert not re.search(forbidden, source)
    assert not re.search(r"setTimeout\(\s*['\"`]", source)
    assert "http://" not in source.replace("http://www.w3.org/2000/svg", "")
