"""Slides (Office Open XML), each with its notes after all of them."""

from __future__ import annotations

from .collected import Collected, NoText
from .docx import Paragraphs
from .package import Package


def read(data: bytes, out: Collected) -> None:
    package = Package(data)
    slides = package.parts(r"ppt/slides/slide\d+\.xml")
    if not slides and not package.parts(r"ppt/presentation\.xml"):
        raise NoText("These are no slides, whatever the name says.")
    for part in (*slides, *package.parts(r"ppt/notesSlides/notesSlide\d+\.xml")):
        package.walk(part, Paragraphs(out))
