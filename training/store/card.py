"""The card of a version: what it is, where it came from, how good it is. Any answer can be traced to one."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from training.answers import NOVELTY
from training.drift import Reference
from training.images import CLASSES, SIDE
from training.network.layers import Layers
from training.recipe import Recipe
from training.uncertainty.novelty import Novelty
from training.uncertainty.rejection import Rejection, Sets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.images import Images

FORMAT = 2
"""Raised when a card can no longer be read as before."""


class EpochRow(msgspec.Struct, frozen=True):
    """What one epoch of training came to."""

    epoch: int
    """Counted from 1."""
    loss: float
    """Mean cross-entropy over the epoch's batches, in nats, with dropout on."""
    validation_error: float
    """The share of wrong answers on the validation images, 0…1."""
    images_per_s: float
    seconds: float


class Data(msgspec.Struct, frozen=True):
    """What a version was trained on."""

    source: str
    """`mnist`, or the path that was given."""
    sha256: str
    """Over all pictures and labels, training and validation together."""
    training_images: int
    validation_images: int


class Retrained(msgspec.Struct, frozen=True):
    """What a version learned on top of what an earlier one knew."""

    champion: int
    """The version whose weights it started from."""
    digits_sha256: str
    """Of the digits without the corrections; the validation images are taken from them."""
    corrections: int
    """How many it learned from, each counted once."""
    held_out: int
    """How many it was judged by."""


class Metrics(msgspec.Struct, frozen=True):
    """How a version does on a set of pictures."""

    images: int
    errors: int
    error: float
    """errors / images, 0…1."""
    interval: tuple[float, float]
    """The 95 % interval of the error (Wilson 1927)."""
    log_loss: float
    """Mean negative log-probability of the right digit, in nats."""


class Calibration(msgspec.Struct, frozen=True):
    """What turns logits into probabilities that can be trusted."""

    temperature: float
    """Logits are divided by it (Guo et al. 2017)."""


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """What tells answers that can be acted on from others, fitted to the validation images."""

    rejection: Rejection
    sets: Sets
    novelty: Novelty
    reference: Reference
    """What drift is measured against."""

    @property
    def limits(self) -> tuple[float, float]:
        """Of certainty and novelty: an answer is accepted with more of the one, and no more of the other."""
        return self.rejection.certainty, self.novelty.limit


class Golden(msgspec.Struct, frozen=True):
    """Pictures with the probabilities that the version gave when it was published."""

    pixels: bytes
    """n x 784 bytes; base64 in JSON."""
    probabilities: tuple[tuple[float, ...], ...]
    novelty: tuple[float, ...] = ()
    """The squared distances; empty on cards of format 1."""

    @property
    def images(self) -> Images:
        """The pictures, uint8 [n, 28, 28]."""
        return np.frombuffer(self.pixels, np.uint8).reshape(-1, SIDE, SIDE)


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """card.json."""

    format: int = FORMAT
    model: str
    layers: Layers
    weights: int
    recipe: Recipe
    data: Data
    created: datetime.datetime
    code: str
    """The version of this package, with the commit where it runs from a checkout."""
    libraries: dict[str, str]
    device: str
    training_seconds: float
    """Its teachers' included, even if these were trained for an earlier job."""
    history: tuple[EpochRow, ...]
    validation: Metrics
    calibration: Calibration
    golden: Golden
    trust: Trust | None = None
    """None on cards of format 1: such a version answers, and says of no answer that it can be acted on."""
    retrained: Retrained | None = None
    """None: it was trained from random weights."""

    @property
    def digits_sha256(self) -> str:
        """The fingerprint of the digits that its validation images were taken from."""
        return self.retrained.digits_sha256 if self.retrained else self.data.sha256


def golden(images: Images, columns: NDArray[np.float32]) -> Golden:
    """Golden predictions: pictures uint8 [n, 28, 28] with what a network computes of them, columns [n, 16]."""
    probabilities = tuple(tuple(row) for row in columns[:, :CLASSES].tolist())
    return Golden(images.tobytes(), probabilities, tuple(columns[:, NOVELTY].tolist()))
