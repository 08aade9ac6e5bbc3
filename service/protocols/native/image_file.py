"""Bodies that are PNG or JPEG pictures -> uint8 [1, 28, 28], on threads of their own: large ones take a while.

Pillow and SciPy are loaded with the first picture.
"""

from __future__ import annotations

import asyncio
import io
import threading
import time
from contextlib import nullcontext
from queue import Full
from typing import TYPE_CHECKING, Final

from service.concurrency import ThreadPool
from service.engine.batcher import DeadlineExceeded
from service.errors import MalformedBody, NotReady, TooLarge, WrongMediaType, WrongValue
from service.http.media_types import JPEG, PNG
from service.protocols.decode import Decoded, shortened

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from PIL import Image

    from training.picture import Ink

THREADS: Final = 2
LIMIT_WAITING: Final = 64
LIMIT_WAITING_BYTES: Final = 2**26
"""Of the bodies that wait, together."""
LIMIT_SIDE: Final = 2**14
"""No camera has more pixels in a row; one line of 25 million takes 1 GB to make smaller."""
LARGE_PIXELS: Final = 2**21
"""Larger pictures are prepared one at a time: each takes 120 MB for a moment."""
BLOCK_BYTES: Final = 2**27
"""Pillow takes memory in blocks of at most so much. A picture in one block goes back to the system when closed; of the
16 MB blocks that it takes by default, the C library keeps some for each thread."""
LIMIT_SCANS: Final = 64
"""Of a progressive JPEG: each is a pass over the whole picture, and a few bytes. Cameras make about ten."""
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
"""How files of some types begin."""
NAMES: Final = {PNG: "PNG", JPEG: "JPEG"}


class Pictures:
    """Prepares pictures on a few threads, which start with the first one; `limit_pixels` is the size of the largest."""

    def __init__(self, limit_pixels: int, *, threads: int = THREADS, limit_waiting: int = LIMIT_WAITING) -> None:
        self._limit_pixels, self._threads, self._limit_waiting = limit_pixels, threads, limit_waiting
        self._pool: ThreadPool | None = None
        self._waiting_bytes = 0
        self._large = threading.Lock()

    async def prepare(self, body: bytes, media_type: str, ink: Ink | None, deadline_s: float) -> Decoded:
        """The picture of a body.

        Raises what `decode_picture` does, NotReady when too many pictures wait, and DeadlineExceeded.
        """
        if self._pool is None:
            self._pool = ThreadPool(self._threads, self._limit_waiting, "picture")
        if self._waiting_bytes + len(body) > LIMIT_WAITING_BYTES:
            raise _busy(f"{self._waiting_bytes} bytes of pictures")
        try:
            future = self._pool.submit(lambda: self._decode(body, media_type, ink))
        except Full:
            raise _busy(f"{self._limit_waiting} pictures") from None
        self._waiting_bytes += len(body)
        try:
            async with asyncio.timeout(deadline_s - time.monotonic()):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise DeadlineExceeded from None
        finally:
            self._waiting_bytes -= len(body)

    def _decode(self, body: bytes, media_type: str, ink: Ink | None) -> Decoded:
        return decode_picture(body, media_type, ink, limit_pixels=self._limit_pixels, large=self._large)

    def close(self) -> None:
        """Ends the threads, without waiting for them."""
        if self._pool:
            self._pool.close()


def _busy(waiting: str) -> NotReady:
    return NotReady("queue_full", f"{waiting} wait to be prepared, and that is the limit; try again later")


def decode_picture(
    body: bytes,
    media_type: str,
    ink: Ink | None,
    *,
    limit_pixels: int,
    large: AbstractContextManager[object] = nullcontext(),  # noqa: B008 - it has no state
) -> Decoded:
    """The picture of a PNG or JPEG body, prepared as MNIST's were; a large one is prepared within `large`.

    How large it is says its header: nothing of a picture over the limit is decoded. Raises MalformedBody,
    WrongMediaType, TooLarge, and WrongValue for a picture that is animated or blank.
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
        except Exception as error:  # whatever Pillow's readers raise for what is damaged
            raise _invalid(media_type, error) from None
        grey = levels(picture, ink)
        picture.close()  # the rest needs no pixels, and memory of its own
        try:
            return Decoded(prepare_levels(grey, ink)[None], many=False)  # [1, 28, 28]
        except NoInk as error:
            raise WrongValue("no_ink", str(error), found="no ink", wanted="a digit") from None


def _opened(body: bytes, media_type: str) -> Image.Image:
    """A picture of which only the header has been read."""
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
    except Exception as error:  # as above
        raise _invalid(media_type, error) from None


def _load(picture: Image.Image) -> None:
    """Decodes the picture; a JPEG only its luminance, and no finer than is looked at."""
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
