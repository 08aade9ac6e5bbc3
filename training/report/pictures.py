"""Pictures inside the page: digits and filters as PNG in data: URLs."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from training.images import SIDE
from training.network.layers import INPUT, Conv, Dense, shapes
from training.network.module import name

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from training.images import Images
    from training.network.layers import Layers
    from training.network.module import Params

FOR, AGAINST = (217, 108, 0), (43, 108, 214)
"""Colours of positive and negative weights, RGB; they read on white and on black."""
SHEET_PX = 800
"""Approximate width of a sheet of filters in pixels, enough for high-resolution phones."""


def png(pixels: NDArray[np.uint8]) -> str:
    """A data: URL of a picture: grey [h, w], grey with alpha [h, w, 2], or RGB with alpha [h, w, 4]."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def strip(images: Images, zoom: int = 3, gap: int = 2) -> str:
    """Images uint8 [n, 28, 28] side by side, each pixel a square of `zoom`, with transparent gaps."""
    tiles = np.stack([images, np.full_like(images, 255)], axis=-1)  # [n, 28, 28, 2]: ink and alpha
    return png(_enlarged(_sheet(tiles, columns=len(images), gap=gap), zoom))


def filters(kernels: NDArray[np.float32], columns: int = 8) -> str:
    """Filters [n, h, w] in a grid: orange where ink speaks for the feature, blue where it speaks against it."""
    strength = np.minimum(1.0, np.abs(kernels) / max(float(np.quantile(np.abs(kernels), 0.995)), 1e-12))
    tiles = np.empty((*kernels.shape, 4), np.uint8)
    tiles[..., :3] = np.where(kernels[..., None] > 0, FOR, AGAINST)
    tiles[..., 3] = np.rint(255 * strength)
    sheet = _sheet(tiles, columns, gap=max(1, kernels.shape[2] // 10))
    return png(_enlarged(sheet, max(1, SHEET_PX // sheet.shape[1])))


def first_filters(layers: Layers, params: Params) -> NDArray[np.float32] | None:
    """The filters [features, h, w] of the first layer with weights; None if its input is not a picture."""
    for place, (layer, before) in enumerate(zip(layers, [INPUT, *shapes(layers)], strict=False)):
        if not isinstance(layer, Conv | Dense):
            continue
        kernel = np.asarray(params[name(place, layer)]["kernel"])
        if isinstance(layer, Conv) and before[-1] == 1:
            return kernel[:, :, 0, :].transpose(2, 0, 1)  # [features, kernel, kernel]
        if before == (SIDE * SIDE,):
            return kernel.T.reshape(-1, SIDE, SIDE)  # [features, 28, 28]
        return None
    return None


def strongest(kernels: NDArray[np.float32], at_most: int) -> NDArray[np.float32]:
    """The filters [m, h, w] with the largest norms, m <= at_most, in their order."""
    by_norm = np.argsort(-np.linalg.norm(kernels.reshape(len(kernels), -1), axis=1), kind="stable")
    return kernels[np.sort(by_norm[:at_most])]


def of_each(digits: ArrayLike, count: int) -> list[NDArray[np.intp]]:
    """The rows of the first `count` of each of the digits 0…9 that occur."""
    labels = np.asarray(digits)
    return [np.flatnonzero(labels == digit)[:count] for digit in np.unique(labels)]


def _sheet(tiles: NDArray[np.uint8], columns: int, gap: int) -> NDArray[np.uint8]:
    """Tiles [n, h, w, c] in a grid with transparent gaps: [rows, cells, c]."""
    n, height, width, channels = tiles.shape
    across = min(n, columns)
    down = -(-n // across)
    sheet = np.zeros((down * (height + gap) - gap, across * (width + gap) - gap, channels), np.uint8)
    for place, tile in enumerate(tiles):
        top, left = (place // across) * (height + gap), (place % across) * (width + gap)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def _enlarged(pixels: NDArray[np.uint8], zoom: int) -> NDArray[np.uint8]:
    return pixels.repeat(zoom, axis=0).repeat(zoom, axis=1)
