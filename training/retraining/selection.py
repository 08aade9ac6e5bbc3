"""Selection of corrections: duplicates, contested and known ones are dropped, the rest is split by hash."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from training.data.digits import Digits
from training.images import SIDE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from training.images import Images

HELD_OUT = 64
"""A picture is held out if the first byte of its SHA-256 is below this, which is so for one in four."""


class Counts(msgspec.Struct, frozen=True):
    """Numbers of corrections; all the others add up to `given`."""

    given: int
    repeated: int
    """Duplicates: the same picture with the same digit once more."""
    contested: int
    """Pictures that came with different digits, each time counted."""
    known: int
    """Pictures among the digits that the champion was trained or validated on."""
    training: int
    held_out: int


class Selection(NamedTuple):
    """The selected corrections, each picture once, in the order of their hashes; n may be 0."""

    images: Images
    labels: NDArray[np.uint8]
    held_out: NDArray[np.bool_]
    counts: Counts

    def appended_to(self, digits: Digits) -> Digits:
        """The digits, followed by all corrections."""
        return Digits(np.concatenate([digits.images, self.images]), np.concatenate([digits.labels, self.labels]))

    def learned_with(self, digits: Digits, *, copies: int) -> Digits:
        """The digits, followed by `copies` copies of the training corrections."""
        mine = ~self.held_out
        return Digits(
            np.concatenate([digits.images, *[self.images[mine]] * copies]),
            np.concatenate([digits.labels, *[self.labels[mine]] * copies]),
        )

    @property
    def held_out_digits(self) -> Digits:
        """The held-out corrections. Raises DataError when there are none."""
        return Digits(self.images[self.held_out], self.labels[self.held_out])


def select(images: Images, labels: NDArray[np.uint8], known: Digits) -> Selection:
    """The selection from corrections uint8 [n, 28, 28] with labels uint8 [n] in 0…9, n >= 0.

    The SHA-256 of the pixels alone decides whether a picture is held out, so it stays on its side when more corrections
    come, and no later challenger is trained on pictures that judged an earlier one. A picture with different digits is
    dropped and not taken with the latest one, or one client could overwrite the corrections of all others. A picture of
    `known` is dropped because its digit is known, and because it may be one of the validation images.
    """
    digits_of: dict[bytes, list[int]] = {}
    row_of: dict[bytes, int] = {}
    for row, (key, digit) in enumerate(zip(_hashes(images), labels.tolist(), strict=True)):
        digits_of.setdefault(key, []).append(digit)
        row_of.setdefault(key, row)
    known_keys = set(_hashes(known.images))
    unknown = {key: given for key, given in digits_of.items() if key not in known_keys}
    agreed = sorted(key for key, given in unknown.items() if len(set(given)) == 1)
    held_out = np.array([key[0] < HELD_OUT for key in agreed], dtype=np.bool_)
    counts = Counts(
        given=len(images),
        repeated=sum(len(unknown[key]) - 1 for key in agreed),
        contested=sum(len(given) for given in unknown.values() if len(set(given)) > 1),
        known=sum(len(given) for key, given in digits_of.items() if key in known_keys),
        training=int(np.count_nonzero(~held_out)),
        held_out=int(np.count_nonzero(held_out)),
    )
    rows = np.array([row_of[key] for key in agreed], dtype=np.intp)
    return Selection(images.reshape(-1, SIDE, SIDE)[rows], labels[rows], held_out, counts)


def _hashes(images: Images) -> Iterable[bytes]:
    return (hashlib.sha256(image.tobytes()).digest() for image in images)
