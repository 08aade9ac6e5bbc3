"""The model card of a version: layers, recipe, data, provenance, metrics, calibration, golden predictions."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

from training.answers import NOVELTY
from training.drift import Reference
from training.images import CLASSES, PIXELS, SIDE
from training.network.layers import Input, Layers
from training.recipe import Recipe
from training.uncertainty.novelty import Novelty
from training.uncertainty.rejection import Rejection, Sets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.images import Images

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A number of things that every reader of JSON can represent."""
FORMAT = 3
"""Format of cards; raised when older code cannot read them."""


class EpochRow(msgspec.Struct, frozen=True):
    """The figures of one epoch of training."""

    epoch: Count
    """Counted from 1."""
    loss: float
    """Mean cross-entropy over the epoch's batches, in nats, with dropout on."""
    validation_error: float
    """The share of wrong answers on the validation images, 0…1."""
    images_per_s: float
    seconds: float


class Data(msgspec.Struct, frozen=True):
    """The data that a version was trained on."""

    source: str
    """`mnist`, or the path of the user's own digits."""
    sha256: str
    """Fingerprint of all pictures and labels, training and validation together."""
    training_images: Count
    validation_images: Count


class Retrained(msgspec.Struct, frozen=True):
    """The corrections that a version was trained on, starting from an earlier version."""

    champion: Count
    """The version whose weights it started from."""
    digits_sha256: str
    """Fingerprint of the digits without the corrections; the validation images are taken from these digits."""
    corrections: Count
    """Number of corrections in training, each counted once."""
    held_out: Count
    """Number of corrections held out for the gate."""


class Metrics(msgspec.Struct, frozen=True):
    """The error and the log-loss of a version on a set of pictures."""

    images: Count
    errors: Count
    error: float
    """errors / images, 0…1."""
    interval: tuple[float, float]
    """The 95 % interval of the error (Wilson 1927)."""
    log_loss: float
    """Mean negative log-probability of the right digit, in nats."""


class Calibration(msgspec.Struct, frozen=True):
    """Temperature scaling (Guo et al. 2017)."""

    temperature: Annotated[float, msgspec.Meta(ge=1e-3, le=1e3)]
    """Logits are divided by it."""


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of accepted answers, prediction sets and drift, fitted to the validation images."""

    rejection: Rejection
    sets: Sets
    novelty: Novelty
    reference: Reference
    """The histograms that drift is measured against."""

    @property
    def limits(self) -> tuple[float, float]:
        """(certainty, novelty): an answer is accepted with a certainty above and a novelty not above these."""
        return self.rejection.certainty, self.novelty.limit


class Golden(msgspec.Struct, frozen=True):
    """Golden predictions: pictures with the answers that the version gave when it was published."""

    pixels: bytes
    """n x 784 bytes; base64 in JSON."""
    probabilities: tuple[tuple[float, ...], ...]
    novelty: tuple[float, ...] = ()
    """What the detector said; empty on cards of format 1."""

    def __post_init__(self) -> None:
        found = len(self.pixels)
        if not found or found % PIXELS:
            raise ValueError(f"golden pixels are {found} bytes, want {PIXELS} for each of one or more pictures")
        pictures = found // PIXELS
        shape = [len(row) for row in self.probabilities]
        if shape != [CLASSES] * pictures:
            raise ValueError(f"golden probabilities have other numbers than {CLASSES} for each of {pictures} pictures")
        if len(self.novelty) not in (0, pictures):
            raise ValueError(
                f"golden novelty has {len(self.novelty)} numbers, want one for each of {pictures} pictures"
            )

    @property
    def images(self) -> Images:
        """The pictures, uint8 [n, 28, 28]."""
        return np.frombuffer(self.pixels, np.uint8).reshape(-1, SIDE, SIDE)


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """The content of card.json."""

    format: Annotated[int, msgspec.Meta(ge=1, le=FORMAT)] = FORMAT
    model: str
    layers: Layers
    weights: Count
    recipe: Recipe
    data: Data
    created: datetime.datetime
    code: str
    """The version of this package, with the commit where it runs from a checkout."""
    libraries: dict[str, str]
    device: str
    training_seconds: float
    """Includes the time of its teachers, even if these were trained for an earlier job."""
    history: tuple[EpochRow, ...]
    validation: Metrics
    calibration: Calibration
    golden: Golden
    trust: Trust | None = None
    """None on cards of format 1: such a version answers without verdicts."""
    retrained: Retrained | None = None
    """None: the version was trained from random weights."""

    def __post_init__(self) -> None:
        if any(isinstance(layer, Input) for layer in self.layers):
            raise ValueError("layers hold an input layer, want none: a version reads digits")

    @property
    def digits_sha256(self) -> str:
        """The fingerprint of the digits that the validation images were taken from."""
        return self.retrained.digits_sha256 if self.retrained else self.data.sha256


def golden(images: Images, columns: NDArray[np.float32]) -> Golden:
    """Golden predictions of pictures uint8 [n, 28, 28], by a network's columns [n, 16] for them."""
    probabilities = tuple(tuple(row) for row in columns[:, :CLASSES].tolist())
    return Golden(images.tobytes(), probabilities, tuple(columns[:, NOVELTY].tolist()))
