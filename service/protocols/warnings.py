"""Warnings about pictures in another frame than MNIST's: scale, polarity, place, or several channels.

Arrays are taken as they are (`training.images`): what looks like a mistake is told beside the answer. Only pictures
whose answers are not accepted are looked at. Of a lone one, a few sums say whether all is well, which takes a fifth of
the time.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from training.answers import ACCEPTED, VERDICT
from training.images import FULL_INK, PIXELS, SIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.answers import Answers
    from training.images import Images

HEADER: Final = "X-Warnings"
HEADER_NAME: Final = HEADER.lower().encode()
CODES: Final = {code: code.encode() for code in ("channels", "scale", "polarity", "not_centred")}
"""Codes as they are in JSON, and in the header."""
DOCUMENTATION: Final[dict[str, dict[str, Any]]] = {
    HEADER: {
        "description": "Codes of the warnings about pictures in an array that look wrong, with commas between: "
        + ", ".join(f"`{code}`" for code in CODES),
        "schema": {"type": "string"},
    }
}
"""The header in OpenAPI."""
FULL: Final = int(FULL_INK)
FULLEST: Final = 128
"""Least ink of a digit's fullest pixel, of 255: MNIST's 60,000 training digits have at least 254."""
CENTRE: Final = SIDE // 2
"""The row and the column of the centre of mass of MNIST's digits."""
AWAY: Final = 2.0
"""Greatest distance of a digit's centre of mass, in pixels: at most 0.52 in MNIST's training digits."""
LONGER_SIDE: Final = (16, 22)
"""Least and greatest longer side of a digit's strokes, in pixels: 16 to 20 in all but 8 of MNIST's training digits."""
CHANNELS: Final = {4: "RGBA", 3: "RGB", 2: "grey and alpha"}
"""Number of channels -> what pictures of several channels have; the most first, because 4 are also twice 2."""
FILE: Final = "the picture as an image file, which is prepared as MNIST was"
PLACES: Final = np.arange(SIDE, dtype=np.float64)
ONES: Final = np.ones(SIDE)
SUMS: Final = np.stack([np.ones(PIXELS), *np.mgrid[:SIDE, :SIDE].reshape(2, PIXELS)]).astype(np.float32)
"""Float32 [3, 784]: with it, pixels make the sums of ink, of ink by row and of ink by column."""
ANY: Final = np.ones(SIDE, bool)
BITS: Final = 2 ** np.arange(SIDE)
COUNT: Final = np.ones(SIDE, np.intp)
BORDER: Final = np.pad(np.zeros((SIDE - 2, SIDE - 2), bool), 1, constant_values=True)
LEAST_BORDER: Final = 2 * (SIDE - 1)
"""Least number of pixels of the border, half of it, that are strokes where 0 is ink; MNIST's digits have up to 4."""


class FrameWarning(NamedTuple):
    """What looks wrong with some pictures of a request: a code for programs, a message for people."""

    code: str
    message: str
    pictures: list[int]
    """Which pictures, from 0."""


def frame_warnings(answers: Answers, images: Images, *, many: bool) -> Sequence[FrameWarning]:
    """Warnings about images uint8 [n, 28, 28] whose answers are not accepted, one for each code.

    `many` is whether the request has a list of pictures. Of a version whose card has no limits, all are looked at.
    """
    if not many:
        accepted = answers.judged and answers.columns[0, VERDICT] == ACCEPTED
        return () if accepted or _is_in_frame(images[0]) else _look(images, None)
    looked_at = np.flatnonzero(answers.columns[:, VERDICT]) if answers.judged else np.arange(len(images))
    if not looked_at.size:
        return ()
    if (channels := _channels(images)) is not None:
        count = len(images) // channels
        message = (
            f"the body looks like {count} picture{'s' if count > 1 else ''} of {SIDE} x {SIDE} in {CHANNELS[channels]} "
            f"and is read as {len(images)} pictures: send one number for each pixel, or {FILE}"
        )
        return [FrameWarning("channels", message, [*range(len(images))])]
    return _look(images[looked_at], looked_at)


def warning_headers(warnings: Sequence[FrameWarning]) -> list[tuple[bytes, bytes]]:
    """The header with the codes of warnings, in every protocol; none without a warning."""
    return [(HEADER_NAME, b", ".join([CODES[warning.code] for warning in warnings]))] if warnings else []


def _channels(images: Images) -> int | None:
    """The number of channels if pictures of several bytes for each pixel were read as more pictures; else None.

    Then one is opaque everywhere, or all colours are grey, which is true of no digit, nor of its negative.
    """
    for channels in CHANNELS:
        if len(images) % channels == 0:
            pixels = images.reshape(-1, channels)
            if _alike(pixels[:PIXELS], channels) and _alike(pixels, channels) and np.ptp(images):
                return channels
    return None


def _alike(pixels: NDArray[np.uint8], channels: int) -> bool:
    """Whether pixels [n, channels] are all opaque, or all grey."""
    opaque = channels != 3 and (pixels[:, -1] == FULL_INK).all()
    return bool(opaque or (channels != 2 and (pixels[:, :3] == pixels[:, :1]).all()))


def _is_in_frame(image: Images) -> bool:
    """Whether `_look` would surely find nothing wrong with an image uint8 [28, 28]."""
    ink = image.tobytes()
    fullest = FULL if FULL in ink else max(ink)
    if fullest < FULLEST:
        return False
    table = _stroke_table(fullest)
    strokes = ink.translate(table)
    if 1 in strokes[:SIDE] or 1 in strokes[-SIDE:] or 1 in strokes[::SIDE] or 1 in strokes[SIDE - 1 :: SIDE]:
        return False
    by_columns = image.T.tobytes().translate(table)
    height, width = (of.rfind(1) // SIDE - of.find(1) // SIDE + 1 for of in (strokes, by_columns))
    total, row, column = SUMS.dot(image.reshape(PIXELS)).tolist()
    least, greatest = LONGER_SIDE
    return (
        least <= max(height, width) <= greatest and max(abs(row / total - CENTRE), abs(column / total - CENTRE)) <= AWAY
    )


@cache
def _stroke_table(fullest: int) -> bytes:
    """For `bytes.translate`: 1 where a pixel has at least half of the fullest one's ink, else 0."""
    return bytes(ink >= fullest - fullest // 2 for ink in range(FULL + 1))


def _look(images: Images, numbers: NDArray[np.intp] | None) -> list[FrameWarning]:
    """Warnings about images uint8 [m, 28, 28]; `numbers` [m] are their places in the request, None for a lone one."""
    fullest = np.maximum.reduce(images, axis=(1, 2))  # [m]; pixels of half as much ink are strokes
    strokes = images >= (fullest - fullest // 2)[:, None, None]
    inked = fullest > 0
    inverted = inked & ((strokes & BORDER) @ ONES @ ONES >= LEAST_BORDER)
    rows, columns = images @ ONES, ONES @ images  # sums of ink [m, 28]
    total = rows @ ONES
    total += total == 0
    row, column = rows @ PLACES / total, columns @ PLACES / total  # the centre of mass [m]
    height, width = _span(strokes @ ANY), _span(ANY @ strokes)
    away = (row < CENTRE - AWAY) | (row > CENTRE + AWAY) | (column < CENTRE - AWAY) | (column > CENTRE + AWAY)
    least, greatest = LONGER_SIDE
    misplaced = (
        inked & ~inverted & (away | (height < least) & (width < least) | (height > greatest) | (width > greatest))
    )

    def warning(code: str, found: NDArray[np.bool_]) -> FrameWarning:
        which, pictures, first = "", [0], 0
        if numbers is not None:
            pictures, first = numbers[found].tolist(), int(found.argmax())
            which = f"picture {pictures[0]}: "
            if len(pictures) > 1:
                which = f"{len(pictures)} pictures, the first is number {pictures[0]}: "
        if code == "scale":
            message = (
                f"the most ink is {fullest[first]} of 255, as if the numbers ran from 0 to {fullest[first]}: send "
                'numbers from 0 to 255, or say which one means full ink as "scale", for .npy as ?scale='
            )
        elif code == "polarity":
            message = (
                "the border is full of ink, as if the strokes were dark on white: send 0 for the background and full "
                f"ink for the strokes, or {FILE}"
            )
        else:
            message = (
                f"the ink has its centre at row {row[first]:.0f}, column {column[first]:.0f} and spans "
                f"{height[first]} x {width[first]} pixels: send a digit with its centre at row {CENTRE}, column "
                f"{CENTRE} and a longer side of 20 pixels, or {FILE}"
            )
        return FrameWarning(code, which + message, pictures)

    checks = ("scale", inked & (fullest < FULLEST)), ("polarity", inverted), ("not_centred", misplaced)
    return [warning(code, found) for code, found in checks if True in found]


def _span(there: NDArray[np.bool_]) -> NDArray[np.intp]:
    """How many lines there are from the first one to the last one that is true, [m] for lines [m, 28]."""
    bits = there @ BITS
    lowest = bits & -bits
    lowest += lowest == 0
    return ((bits // lowest)[:, None] >= BITS) @ COUNT
