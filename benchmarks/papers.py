"""Documents as people have them, to be indexed and drawn: pages of words, and a photograph."""

from __future__ import annotations

import io
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from live.real_files import docx, pdf

_PAGES, _LINES = 8, 45
#: Of the words of one page.
_WORDS = 450
_PHOTOGRAPH = (4000, 3000)


def papers() -> dict[str, bytes]:
    """One of each kind by the ending of its name, the very same each time."""
    chance = random.Random(5)
    return {
        "pdf": pdf(pages=_PAGES, lines=[_words(chance, 10) for _ in range(_LINES)]),
        "docx": docx(_words(chance, _PAGES * _WORDS)),
        "jpg": _photograph(chance),
        "txt": "\n".join(_words(chance, 12) for _ in range(2500)).encode(),
    }


def _words(chance: random.Random, count: int) -> str:
    syllables = ("ba", "der", "kin", "lo", "mun", "na", "pel", "ri", "sto", "tur", "ven", "wi")
    return " ".join(
        "".join(chance.choices(syllables, k=chance.randint(1, 4))) for _ in range(count)
    )


def _photograph(chance: random.Random) -> bytes:
    """Twelve megapixels, soft and grainy as a camera has them, and a sign with words in it."""
    width, height = _PHOTOGRAPH
    small = Image.frombytes("RGB", (40, 30), chance.randbytes(3 * 40 * 30))
    image = small.resize(_PHOTOGRAPH, Image.Resampling.BICUBIC)
    grain = Image.effect_noise((width // 2, height // 2), 40).resize(_PHOTOGRAPH).convert("RGB")
    image = Image.blend(image, grain, 0.2).filter(ImageFilter.GaussianBlur(1))
    canvas = ImageDraw.Draw(image)
    canvas.rectangle((400, 400, 3600, 1400), fill="white")
    for number in range(3):
        place = 500, 500 + 280 * number
        canvas.text(place, _words(chance, 4), fill="black", font_size=160)
    into = io.BytesIO()
    image.save(into, "JPEG", quality=88)
    return into.getvalue()
