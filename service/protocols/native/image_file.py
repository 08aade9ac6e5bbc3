"""PNG and JPEG files -> pictures uint8 [1, 28, 28], prepared as MNIST was. Imports Pillow and SciPy on first use."""

from __future__ import annotations

import io
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from service.errors import MalformedBody, TooLarge, WrongMediaType, WrongValue, shortened
from service.http.media_types import JPEG, PNG
from service.protocols.pictures import Decoded

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from PIL import Image

    from training.picture import Ink

LIMIT_SIDE: Final = 2**14
"""Maximum side in pixels, above that of any camera: resizing one line of 25 million pixels takes 1 GB."""
LARGE_PIXELS: Final = 2**21
"""Pixels. Larger pictures are prepared one at a time: each takes up to 120 MB of memory."""
BLOCK_BYTES: Final = 2**27
"""Maximum size of Pillow's memory blocks. A picture in one block is returned to the system when closed; of Pillow's
default blocks of 16 MB, the C library keeps some for each thread."""
LIMIT_SCANS: Final = 64
"""Maximum number of scans of a progressive JPEG, about ten from cameras: a scan of few bytes decodes all pixels."""
SCAN: Final = b"\xff\xda"
BEGINNINGS: Final = {
    b"\x89PNG\r\n\x1a\n": PNG,
    b"\xff\xd8\xff": JPEG,
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"%PDF": "application/pdf",
}
"""Magic bytes -> media type."""
NAMES: Final = {PNG: "PNG", JPEG: "JPEG"}


def decode_image(
    body: bytes,
    media_type: str,
    ink: Ink | None,
    *,
    limit_pixels: int,
    large: AbstractContextManager[object] = nullcontext(),  # noqa: B008 - it has no state
) -> Decoded:
    """The picture uint8 [1, 28, 28] of a PNG or JPEG body, prepared as MNIST was.

    The size is read from the header: a picture over the limit is not decoded. The lock `large` is held while a picture
    of more than LARGE_PIXELS is prepared. Raises MalformedBody, WrongMediaType, TooLarge, and WrongValue for a picture
    that is animated or blank.
    """
    from training.picture import NoInk, levels, prepare_levels

    picture = _opened(body, media_type)
    width, height = picture.size
    if max(picture.size) > LIMIT_SIDE:
        found, wanted = f"{width} x {height} pixels", f"sides of at most {LIMIT_SIDE} pixels"
        raise TooLarge("picture_too_large", f"the picture has {found}, want {wanted}", found=found, wanted=wanted)
    if width * height > limit_pixels:
        found, wanted = f"{width} x {height} pixels", f"at most {limit_pixels} pixels"
        raise TooLarge("picture_too_large", f"the picture has {found}, want {wanted}", found=found, wanted=wanted)
    frames = getattr(picture, "n_frames", 1)
    if frames != 1:
        message = f"the picture has {frames} frames, want 1: a still picture"
        raise WrongValue("animated_picture", message, found=f"{frames} frames", wanted="1 frame")
    with large if width * height > LARGE_PIXELS else nullcontext():
        try:
            _load(picture)
        except Exception as error:  # Pillow may raise any exception for a damaged file
            raise _invalid(media_type, error) from None
        grey = levels(picture, ink)
        picture.close()  # frees its memory: the rest works on `grey`
        try:
            return Decoded(prepare_levels(grey, ink)[None], many=False)  # [1, 28, 28]
        except NoInk as error:
            raise WrongValue("no_ink", str(error), found="no ink", wanted="a digit") from None


def _opened(body: bytes, media_type: str) -> Image.Image:
    """Opens a picture: only the header is read. Raises MalformedBody, WrongMediaType."""
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile

    name = NAMES[media_type]
    if not body:
        raise MalformedBody("empty_body", f"the body is empty, want a {name} picture", found="nothing", wanted=name)
    begins = next((kind for beginning, kind in BEGINNINGS.items() if body.startswith(beginning)), None)
    if begins not in (media_type, None):
        raise WrongMediaType(
            "mismatched_media_type",
            f"Content-Type is {media_type} and the body is {begins}, want a {name} picture",
            field="Content-Type",
            found=begins,
            wanted=media_type,
        )
    if media_type == JPEG and (scans := body.count(SCAN)) > LIMIT_SCANS:
        raise _invalid(media_type, f"it has {scans} scans, want at most {LIMIT_SCANS}")
    try:
        return PngImageFile(io.BytesIO(body)) if media_type == PNG else JpegImageFile(io.BytesIO(body))
    except Exception as error:  # Pillow may raise any exception for a damaged header
        raise _invalid(media_type, error) from None


def _load(picture: Image.Image) -> None:
    """Decodes the pixels; of a JPEG only the luminance, at a reduced resolution (libjpeg's draft mode)."""
    from PIL import Image

    from training.picture import LONGEST

    Image.core.set_block_size(BLOCK_BYTES)  # type: ignore[attr-defined] # documented, not typed
    if picture.format == "JPEG":
        part = min(LONGEST / max(picture.size), 1)
        picture.draft("L", (round(picture.width * part), round(picture.height * part)))
    picture.load()


def _invalid(media_type: str, reason: object) -> MalformedBody:
    found = shortened(str(reason).partition("\n")[0], 100) or type(reason).__name__
    name = NAMES[media_type]
    return MalformedBody(
        "invalid_picture",
        f"the body is not a readable {name} picture: {found}",
        found=found,
        wanted=f"a {name} picture",
    )
