"""Image files -> pieces of ink uint8 [28, 28], prepared as MNIST was. Imports Pillow and SciPy on first use."""

from __future__ import annotations

from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, Final, NamedTuple

from service.errors import MalformedBody, TooLarge, WrongMediaType, WrongValue, shortened
from service.http.media_types import ALIASES, BMP, GIF, JPEG, OCTETS, PICTURES, PNG, SAVE, TIFF, WEBP, begins_as
from service.http.offload import LARGE_PICTURES, SMALL_PICTURES
from service.protocols.native.bmp_header import bmp_size
from service.protocols.native.gif_header import essential_gif, gif_size
from service.protocols.native.image_header import (
    Size,
    Unreadable,
    essential_jpeg,
    essential_png,
    jpeg_size,
    png_size,
)
from service.protocols.native.tiff_header import tiff_size
from service.protocols.native.webp_header import webp_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import ImageFile as PillowFile

    from service.http.offload import Kind
    from training.picture import Ink, Levels, Line

LIMIT_SIDE: Final = 2**14
"""Maximum side in pixels, above that of any camera: resizing one line of 25 million pixels takes 1 GB."""
LARGE_PIXELS, LARGE_BYTES = 2**21, 2**21
"""Pictures of more pixels, or in larger files, are prepared one at a time."""
BLOCK_BYTES: Final = 2**27
"""Maximum size of Pillow's memory blocks. A picture in one block is returned to the system when closed; of Pillow's
default blocks of 16 MB, the C library keeps some for each thread."""


class Format(NamedTuple):
    """A format of image files: how its headers are read, and which of Pillow's plugins decodes it."""

    name: str
    plugin: str
    size: Callable[[bytes], Size]
    """The size of the picture by the header. Raises Unreadable."""
    essential: Callable[[bytes, Size], bytes] = lambda body, _: body
    """The file without what the pixels do not need. Raises Unreadable for what would take a decoder too long."""
    copies: int = 1
    """How often a decoder has the picture in memory: so much lower is the limit of its pixels."""
    alone: bool = False
    """Whether even small pictures are prepared one at a time."""


FORMATS: Final = {
    PNG: Format("PNG", "Png", png_size, lambda body, _: essential_png(body)),
    JPEG: Format("JPEG", "Jpeg", jpeg_size, essential_jpeg),
    # its tables of codes may take hundreds of megabytes for a small picture; and Pillow copies the pixels once with the
    # interpreter lock held: 60 ms for 12 million
    WEBP: Format("WebP", "WebP", webp_size, copies=4, alone=True),
    GIF: Format("GIF", "Gif", gif_size, lambda body, _: essential_gif(body)),
    BMP: Format("BMP", "Bmp", bmp_size),
    TIFF: Format("TIFF", "Tiff", tiff_size, copies=2),
}
"""Media type -> format. AVIF is not among them, although Pillow may read it: its decoder takes the memory for a picture
of up to 268 million pixels before the size in the header is of any account."""


class ImageFile(NamedTuple):
    """An image file: its bytes, its media type, and the size of its picture as the header has it."""

    body: bytes
    media_type: str
    size: Size

    @property
    def kind(self) -> Kind:
        """The kind of work that decoding is, by the size."""
        large = self.size.pixels > LARGE_PIXELS or len(self.body) > LARGE_BYTES
        return LARGE_PICTURES if large or FORMATS[self.media_type].alone else SMALL_PICTURES


def type_of_file(media_type: str, body: bytes) -> str:
    """The media type of an image file; told by its first bytes where its Content-Type is of no image, or missing.

    Raises WrongMediaType for a file of another kind.
    """
    said = ALIASES.get(media_type, media_type)
    if not body:
        found = said or PNG
    elif said.startswith("image/"):
        found = said
    else:
        found = begins_as(body) or ("of no known kind" if said in ("", OCTETS) else said)
    if found not in PICTURES:
        wanted = ", ".join(form.name for form in FORMATS.values())
        raise WrongMediaType(
            "unsupported_media_type",
            f"the file is {found}, want one of {wanted}; {SAVE}",
            field="Content-Type",
            found=found,
            wanted=wanted,
        )
    return found


def open_image(body: bytes, media_type: str, limit_pixels: int) -> ImageFile:
    """Reads the header of an image file: a picture over the limit is not decoded.

    Raises MalformedBody, WrongMediaType, TooLarge.
    """
    form = FORMATS[media_type]
    if not body:
        raise MalformedBody(
            "empty_body", f"the body is empty, want a {form.name} picture", found="nothing", wanted=form.name
        )
    begins = begins_as(body)
    if begins not in (media_type, None):
        what_to_do = "" if begins in PICTURES else f": {SAVE}"
        raise WrongMediaType(
            "mismatched_media_type",
            f"Content-Type is {media_type} and the body is {begins}, want a {form.name} picture{what_to_do}",
            field="Content-Type",
            found=begins,
            wanted=media_type,
        )
    try:
        size = form.size(body)
    except Unreadable as error:
        raise _invalid(media_type, error) from None
    found, wanted = f"{size.width} x {size.height} pixels", ""
    limit_pixels = max(limit_pixels // form.copies, 1)
    if max(size) > LIMIT_SIDE:
        wanted = f"sides of at most {LIMIT_SIDE} pixels"
    elif size.pixels > limit_pixels:
        wanted = f"at most {limit_pixels} pixels" + (f" in {form.name}" if form.copies > 1 else "")
    if wanted:
        raise TooLarge("picture_too_large", f"the picture has {found}, want {wanted}", found=found, wanted=wanted)
    return ImageFile(body, media_type, size)


def decode_image(file: ImageFile, ink: Ink | None, *, alone: bool = True) -> Line:
    """The pieces of ink in the picture of a file that may be digits, prepared as MNIST was; of one digit if `alone`.

    Raises MalformedBody for a file that cannot be decoded, and WrongValue for a picture that is animated or blank.
    """
    from training.picture import NoInk, find_line

    try:
        body = FORMATS[file.media_type].essential(file.body, file.size)
        grey = _levels(file._replace(body=body), ink)
    except WrongValue:
        raise
    except Exception as error:  # Pillow may raise any exception for a damaged file
        raise _invalid(file.media_type, error) from None
    try:
        return find_line(grey, ink, alone=alone)
    except NoInk as error:
        raise WrongValue("no_ink", str(error), found="no ink", wanted="a digit") from None


def _levels(file: ImageFile, ink: Ink | None) -> Levels:
    """The grey levels of the picture in a file. Raises WrongValue for several pictures, and any error of Pillow."""
    from training.picture import UNSTATED_MODES, levels

    with _opened(file) as picture:
        if picture.size != file.size:
            raise Unreadable(
                f"it has two sizes, {file.size[0]} x {file.size[1]} and {picture.size[0]} x {picture.size[1]}"
            )
        if picture.mode in UNSTATED_MODES:
            raise Unreadable("it has 32 bits for a pixel, want 8 or 16")
        # to count the frames of other formats, Pillow would go through all of them
        frames = getattr(picture, "n_frames", 1) if file.media_type == PNG else 1
        if frames != 1:
            message = f"the picture has {frames} frames, want 1: a still picture"
            raise WrongValue("animated_picture", message, found=f"{frames} frames", wanted="1 frame")
        _load(picture, len(file.body))
        return levels(picture, ink)


def _opened(file: ImageFile) -> PillowFile.ImageFile:
    """The file, opened by the plugin of its format: no other one is imported. Raises any error of Pillow."""
    if file.media_type == TIFF:
        from PIL import TiffImagePlugin

        TiffImagePlugin.READ_LIBTIFF = True  # Pillow itself would list all strips, any number of them, in Python
    name = FORMATS[file.media_type].plugin
    reader = getattr(import_module(f"PIL.{name}ImagePlugin"), f"{name}ImageFile")
    opened: PillowFile.ImageFile = reader(BytesIO(file.body))
    return opened


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
    name = FORMATS[media_type].name
    return MalformedBody(
        "invalid_picture",
        f"the body is not a readable {name} picture: {found}",
        found=found,
        wanted=f"a {name} picture",
    )
