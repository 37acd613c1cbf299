"""Images become pictures that are upright, in a screen's colours, and say nothing else."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from flask import Flask
from PIL import Image, ImageCms, ImageOps

from conftest import Browser
from portal.previews.child import Impossible
from previews.stage import (
    CORNERS,
    corners,
    draw,
    drawn,
    is_like,
    page,
    saved,
    seen_corners,
    state_of,
    thumbnail,
    upload,
)

_GPS, _MODEL, _ORIENTATION = 0x8825, 0x0110, 0x0112
#: How an upright image is stored when the camera was held otherwise (EXIF 2.32, orientation).
_AS_STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def photo(orientation: int) -> bytes:
    """An upright scene as a camera held like that stores it, with where it was taken."""
    how = _AS_STORED[orientation]
    image = corners(640, 480)
    image = image if how is None else image.transpose(how)
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    exif[_MODEL] = "A camera with a name"
    exif.get_ifd(_GPS).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    return saved(image, "JPEG", exif=exif, quality=92, comment=b"taken at home")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photo_is_upright_and_says_not_where_it_was_taken(
    app: Flask, alice: Browser, orientation: int
) -> None:
    data = photo(orientation)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert is_like(seen_corners(upright), CORNERS), "the test's own photo"
    document = upload(alice, "photo.jpg", data)
    assert draw(app) == 1
    large, small = thumbnail(alice, document), thumbnail(alice, document, "small")
    for image in (large, small, page(alice, document)):
        assert image.width > image.height
        assert is_like(seen_corners(image), CORNERS)
        assert not image.getexif()
        assert set(image.info) <= {"loop", "background", "timestamp", "duration"}
    raw = alice.get(f"{document['url']}/preview/pages/1").data
    assert b"camera" not in raw
    assert b"EXIF" not in raw
    assert b"taken at home" not in raw


def animated() -> bytes:
    first, second = corners(), Image.new("RGB", (120, 80), "black")
    return saved(first, "GIF", save_all=True, append_images=[second], duration=100)


def transparent(mode: str = "RGBA") -> bytes:
    image = corners().convert("RGBA")
    image.putalpha(255)
    return saved(image.convert(mode), "PNG")


def sixteen_bits() -> bytes:
    """A grey PNG of sixteen bits: from black on the left to white on the right."""
    image = Image.new("I;16", (256, 64))
    for x in range(256):
        for y in range(64):
            image.putpixel((x, y), x * 257)
    return saved(image, "PNG")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jpg", saved(corners(), "JPEG", quality=95)),
        ("progressive.jpg", saved(corners(), "JPEG", quality=95, progressive=True)),
        ("print.jpg", saved(corners(mode="CMYK"), "JPEG", quality=95)),
        ("a.png", saved(corners(), "PNG")),
        ("palette.png", saved(corners().quantize(8), "PNG")),
        ("transparent.png", transparent()),
        ("a.gif", saved(corners().quantize(8), "GIF")),
        ("animated.gif", animated()),
        ("a.webp", saved(corners(), "WEBP", quality=95)),
        ("a.tiff", saved(corners(), "TIFF", compression="tiff_lzw")),
        ("print.tiff", saved(corners(mode="CMYK"), "TIFF")),
        ("a.bmp", saved(corners(), "BMP")),
        ("a.avif", saved(corners(), "AVIF", quality=95)),
    ],
)
def test_images_of_every_kind_are_drawn(app: Flask, alice: Browser, name: str, data: bytes) -> None:
    document = upload(alice, name, data)
    assert draw(app) == 1
    assert is_like(seen_corners(thumbnail(alice, document)), CORNERS, within=40)
    look = alice.get(f"{document['url']}/preview", headers={"Accept": "application/json"}).json
    assert (look["state"], look["kind"], look["page_count"]) == ("made", "image", 1)
    assert [(each["width"], each["height"]) for each in look["pages"]] == [(120, 80)]


def test_sixteen_bits_become_eight_and_not_white(app: Flask, alice: Browser) -> None:
    document = upload(alice, "x-ray.png", sixteen_bits())
    draw(app)
    image = thumbnail(alice, document).convert("L")
    shades = [image.getpixel((x, 32)) for x in (4, 128, 251)]
    assert shades[0] < 30
    assert 100 < shades[1] < 156
    assert shades[2] > 225


def test_what_is_transparent_is_shown_on_white(app: Flask, alice: Browser) -> None:
    document = upload(alice, "logo.png", saved(Image.new("RGBA", (40, 40), (0, 0, 0, 0)), "PNG"))
    draw(app)
    assert is_like((thumbnail(alice, document).convert("RGB").getpixel((20, 20)),), [(255,) * 3])


def test_colours_are_those_of_a_screen(app: Flask, alice: Browser) -> None:
    grey = Image.new("L", (40, 40), 128)
    # A profile of this size and kind that every reader knows: linear would be far off.
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    document = upload(alice, "grey.jpg", saved(grey.convert("RGB"), "JPEG", icc_profile=lab))
    draw(app)
    image = thumbnail(alice, document)
    assert "icc_profile" not in image.info
    assert is_like((image.convert("RGB").getpixel((20, 20)),), [(128,) * 3], within=4)


def test_a_profile_that_is_none_is_not_believed(app: Flask, alice: Browser) -> None:
    data = saved(corners(), "JPEG", quality=95, icc_profile=b"no profile at all")
    document = upload(alice, "a.jpg", data)
    draw(app)
    assert is_like(seen_corners(thumbnail(alice, document)), CORNERS)


def test_large_ones_are_made_smaller_and_small_ones_stay(app: Flask, alice: Browser) -> None:
    document = upload(alice, "large.jpg", saved(corners(6000, 3000), "JPEG"))
    tiny = upload(alice, "tiny.png", saved(corners(4, 2), "PNG"))
    draw(app)
    assert thumbnail(alice, document, "small").size == (320, 160)
    assert thumbnail(alice, document).size == (1200, 600)
    assert page(alice, document).size == (2400, 1200)
    assert thumbnail(alice, tiny).size == (4, 2)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred kilobytes that says it has that many pixels, and has them."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    squeeze = zlib.compressobj(9)
    row = bytes(1 + width // 8)
    rows = b"".join(squeeze.compress(row) for _ in range(height)) + squeeze.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("bomb.png", bomb(30_000, 30_000), "too_large"),
        ("small-bomb.png", bomb(10_000, 10_000), "too_large"),
        ("cut.jpg", saved(corners(600, 400), "JPEG")[:1500], "damaged"),
        ("cut.png", saved(Image.effect_noise((300, 300), 90), "PNG")[:9000], "damaged"),
        ("head.gif", b"GIF89a" + bytes(20), "damaged"),
        ("a.webp", b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(24), "damaged"),
    ],
)
def test_a_bomb_or_a_damaged_image_gives_an_icon_at_once(
    app: Flask, alice: Browser, name: str, data: bytes, reason: str
) -> None:
    document = upload(alice, name, data)
    assert document["media_type"].startswith("image/"), document
    assert draw(app) == 1
    state = state_of(app, document)
    assert state is not None
    assert (state.state, state.reason, state.tries) == ("impossible", reason, 1)
    response = alice.get(f"{document['url']}/thumbnail?size=small")
    assert response.headers["Preview-State"] == "impossible"
    assert response.headers["Content-Type"] == "image/svg+xml"
    assert draw(app) == 0


def test_nothing_but_the_named_format_is_opened() -> None:
    """A file that is called a JPEG in the database and is something else is not guessed at."""
    with pytest.raises(Impossible, match="damaged"):
        drawn("image", "image/jpeg", saved(corners(), "PNG"))


def test_a_photo_of_many_pixels_is_shrunk_while_it_is_read(app: Flask, alice: Browser) -> None:
    data = saved(Image.new("RGB", (12_000, 9_000), "navy"), "JPEG")
    document = upload(alice, "huge.jpg", data)
    draw(app)
    assert page(alice, document).size == (2400, 1800)
