"""Images: upright, in the colours of a screen, and without what else the file says."""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from typing import BinaryIO, cast

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from .emitting import PAGE, Impossible, end, picture, thumbnails

#: So many pixels are decoded at most; photographs (JPEG) are shrunk while they are decoded, so
#: they may have more.
LARGEST_PIXELS = 50_000_000
LARGEST_PHOTO_PIXELS = 400_000_000
#: The longer edge of an image that is looked at large.
EDGE = 2400
_FORMATS = {
    "image/jpeg": ["JPEG"],
    "image/png": ["PNG"],
    "image/gif": ["GIF"],
    "image/webp": ["WEBP"],
    "image/avif": ["AVIF"],
    "image/tiff": ["TIFF"],
    "image/bmp": ["BMP"],
    "image/x-ms-bmp": ["BMP"],
}


def draw(file: BinaryIO, media_type: str) -> None:
    """Draw an image (of several, the first) as a page and as thumbnails."""
    warnings.simplefilter("ignore")  # about odd metadata; nobody reads them here
    Image.MAX_IMAGE_PIXELS = None  # looked at below, where a file can be told from a bomb
    try:
        image = _decoded(file, _FORMATS[media_type])
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise Impossible("damaged") from error
    picture(image, PAGE, 1)
    thumbnails(image)
    end(pages=1)


def _decoded(file: BinaryIO, formats: list[str]) -> Image.Image:
    image: Image.Image = Image.open(file, formats=formats)
    if image.width * image.height > LARGEST_PHOTO_PIXELS:
        raise Impossible("too_large")
    image.draft(None, (EDGE, EDGE))
    if image.width * image.height > LARGEST_PIXELS:
        raise Impossible("too_large")
    image.load()
    orientation = image.getexif()
    profile = image.info.get("icc_profile")
    image = _eight_bits(image)
    image.thumbnail((EDGE, EDGE), Image.Resampling.LANCZOS, reducing_gap=2.0)
    if 0x0112 in orientation:
        image.getexif()[0x0112] = orientation[0x0112]
        image = ImageOps.exif_transpose(image)
    return _for_screens(image, profile)


def _eight_bits(image: Image.Image) -> Image.Image:
    """The image in a mode that can be shrunk: L, RGB, RGBA or CMYK."""
    if image.mode in {"L", "RGB", "RGBA", "CMYK"}:
        return image
    if image.mode in {"LA", "La", "PA", "RGBa"} or "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode.startswith(("I", "F")):
        whole = image.convert("F")
        lowest, highest = cast(tuple[float, float], whole.getextrema())
        # Sixteen bits as a rule; what has a range of its own is shown in that.
        if image.mode != "F" and lowest >= 0 and highest <= 65535:
            lowest, highest = 0, 65535 if highest > 255 else 255
        scale = 255 / ((highest - lowest) or 1)
        return whole.point(lambda value: value * scale - lowest * scale).convert("L")
    return image.convert("L" if image.mode == "1" else "RGB")


def _for_screens(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The image in sRGB, where it says in which colours it is and that can be believed."""
    if profile:
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode=mode,
            )
            if converted is not None:
                return converted
    return image if image.mode == "RGBA" else image.convert("RGB")
