"""Labelled digits, validated when they are made, and their fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from training.errors import DigitsError
from training.images import CLASSES, SIDE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from training.images import Images

    Labels = NDArray[np.uint8]


class DataError(DigitsError, ValueError):
    """Data that cannot be used; the text names the file if there is one, what was found and what is wanted."""


class Examples(Protocol):
    """Labelled examples for splitting and training: Digits, or rows of a table with class indices as labels."""

    @property
    def images(self) -> NDArray[Any]: ...
    @property
    def labels(self) -> NDArray[Any]: ...
    def __len__(self) -> int: ...
    def take(self, indices: ArrayLike) -> Self: ...


@dataclass(frozen=True, eq=False)
class Digits:
    """Images uint8 [n, 28, 28] (0 is background, 255 is full ink) and their labels uint8 [n] in 0…9, n >= 1.

    Raises DataError when dtype, shape, lengths or labels are anything else.
    """

    images: Images
    labels: Labels

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        for name, array in (("images", images), ("labels", labels)):
            if array.dtype != np.uint8:
                raise DataError(f"{name} are {array.dtype}, want uint8")
        if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
            raise DataError(f"images have shape {list(images.shape)}, want [n, {SIDE}, {SIDE}]")
        if labels.shape != (len(images),):
            raise DataError(f"labels have shape {list(labels.shape)}, want [{len(images)}]: one for each image")
        if len(images) == 0:
            raise DataError("there are 0 digits, want at least 1")
        if labels.max() >= CLASSES:
            row = int(np.argmax(labels >= CLASSES))
            raise DataError(f"labels[{row}] is {labels[row]}, want 0 to {CLASSES - 1}")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: ArrayLike) -> Self:
        """The digits at `indices` (integers [m], or a mask bool [n]), in that order, as copies."""
        wanted = np.asarray(indices)
        return type(self)(self.images[wanted], self.labels[wanted])

    @property
    def missing(self) -> list[int]:
        """The classes, of 0…9, that none of the digits is of."""
        return np.flatnonzero(np.bincount(self.labels, minlength=CLASSES) == 0).tolist()

    @property
    def sha256(self) -> str:
        """A fingerprint, 64 hexadecimal characters, over the shapes and bytes of images and labels, in order."""
        digest = hashlib.sha256()
        for array in (self.images, self.labels):
            digest.update(f"{array.dtype.name}{list(array.shape)}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()
