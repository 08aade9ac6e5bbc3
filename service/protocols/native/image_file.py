"""PNG and JPEG files -> pictures uint8 [1, 28, 28], prepared as MNIST was. Imports Pillow and SciPy on first use."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final, NamedTuple

from service.errors import MalformedBody, TooLarge, WrongMediaType, WrongValue, shortened
from service.http.media_types import JPEG, PNG
from service.http.offload import LARGE_PICTURES, SMALL_PICTURES
from service.protocols.native.image_header import SIGNATURE, Size, Unreadable, essential_jpeg, essential_png, size_of
from service.protocols.pictures import Decoded

if TYPE_CHECKING:
    from PIL import ImageFile as PillowFile

    from service.http.offload import Kind
    from training.picture import Ink, Levels

LIMIT_SIDE: Final = 2**14
"""Maximum side in pixels, above that of any camera: resizing one line of 25 million pixels takes 1 GB."""
LARGE_PIXELS, LARGE_BYTES = 2**21, 2**21
"""Pictures of more pixels, or in larger files, are prepared one at a time."""
BLOCK_BYTES: Final = 2**27
"""Maximum size of Pillow's memory blocks. A picture in one block is returned to the system when closed; of Pillow's
default blocks of 16 MB, the C library keeps some for each thread."""
BEGINNINGS: Final = {
    SIGNATURE: PNG,
    b"\xff\xd8\xff": JPEG,
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"%PDF": "application/pdf",
}
"""Magic bytes -> media type."""
NAMES: Final = {PNG: "PNG", JPEG: "JPEG"}


class ImageFile(NamedTuple):
    """A PNG or JPEG file: its bytes, its media type, and the size of its picture as the header has it."""

    body: bytes
    media_type: str
    size: Size

    @property
    def kind(self) -> Kind:
        """The kind of work that decoding is, by the size."""
        large = self.size.pixels > LARGE_PIXELS or len(self.body) > LARGE_BYTES
        return LARGE_PICTURES if large else SMALL_PICTURES


def open_image(body: bytes, media_type: str, limit_pixels: int) -> ImageFile:
    """Reads the header of a PNG or JPEG body: a picture over the limit is not decoded.

    Raises MalformedBody, WrongMediaType, TooLarge.
    """
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
    try:
        size = size_of(body, media_type)
    except Unreadable as error:
        raise _invalid(media_type, error) from None
    found, wanted = f"{size.width} x {size.height} pixels", ""
    if max(size) > LIMIT_SIDE:
        wanted = f"sides of at most {LIMIT_SIDE} pixels"
    elif size.pixels > limit_pixels:
        wanted = f"at most {limit_pixels} pixels"
    if wanted:
        raise TooLarge("picture_too_large", f"the picture has {found}, want {wanted}", found=found, wanted=wanted)
    return ImageFile(body, media_type, size)


def decode_image(file: ImageFile, ink: Ink | None) -> Decoded:
    """The picture uint8 [1, 28, 28] of a file, prepared as MNIST was.

    Raises MalformedBody for a file that cannot be decoded, and WrongValue for a picture that is animated or blank.
    """
    from training.picture import NoInk, prepare_levels

    try:
        body = essential_png(file.body) if file.media_type == PNG else essential_jpeg(file.body, file.size)
        grey = _levels(file._replace(body=body), ink)
    except WrongValue:
        raise
    except Exception as error:  # Pillow may raise any exception for a damaged file
        raise _invalid(file.media_type, error) from None
    try:
        return Decoded(prepare_levels(grey, ink)[None], many=False)  # [1, 28, 28]
    except NoInk as error:
        raise WrongValue("no_ink", str(error), found="no ink", wanted="a digit") from None


def _levels(file: ImageFile, ink: Ink | None) -> Levels:
    """The grey levels of the picture in a file. Raises WrongValue for several pictures, and any error of Pillow."""
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile

    from training.picture import levels

    with PngImageFile(BytesIO(file.body)) if file.media_type == PNG else JpegImageFile(BytesIO(file.body)) as picture:
        if picture.size != file.size:
            raise Unreadable(
                f"it has two sizes, {file.size[0]} x {file.size[1]} and {picture.size[0]} x {picture.size[1]}"
            )
        frames = getattr(picture, "n_frames", 1)
        if frames != 1:
            message = f"the picture has {frames} frames, want 1: a still picture"
            raise WrongValue("animated_picture", message, found=f"{frames} frames", wanted="1 frame")
        _load(picture, len(file.body))
        return levels(picture, ink)


def _load(picture: PillowFile.ImageFile, size_bytes: int) -> None:
    """Decodes the pixels; of a JPEG only the luminance, at a reduced resolution (libjpeg's draft mode)."""
    from PIL import Image

    from training.picture import LONGEST

    Image.core.set_block_size(BLOCK_BYTES)  # type: ignore[attr-defined] # documented, not typed
    if picture.format == "JPEG":
        part = min(LONGEST / max(picture.size), 1)
        picture.draft("L", (max(round(picture.width * part), 1), max(round(picture.height * part), 1)))
        picture.decodermaxblock = size_bytes  # in smaller blocks, Pillow copies what is not decoded yet again and again
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
