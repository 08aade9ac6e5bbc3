"""Columns of tables of digits, under the names that they have in several places: label, pixels, picture files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from training.data.digits import DataError
from training.images import PIXELS, SIDE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

LABEL: Final = "digit"
LABELS: Final = (LABEL, "label", "class")
"""What the column of labels is called: here; by Kaggle and Hugging Face; by OpenML."""
PIXEL_NAMES: Final = tuple(f"pixel{index}" for index in range(PIXELS))
COLUMNS: Final = (LABEL, *PIXEL_NAMES)
SCHEMES: Final = (
    PIXEL_NAMES,  # here and by Kaggle
    tuple(f"pixel{index}" for index in range(1, PIXELS + 1)),  # by OpenML
    tuple(f"{row}x{column}" for row in range(1, SIDE + 1) for column in range(1, SIDE + 1)),  # by Kaggle's MNIST in CSV
)
"""What the columns of pixels are called."""
IMAGE: Final = "image"
"""The column of picture files in tables of Hugging Face: a struct with `bytes`."""


def label_name(names: Sequence[str]) -> str:
    """The column of labels among the columns of a table; LABEL if there is none."""
    return next((name for name in LABELS if name in names), LABEL)


def pixel_names(names: Sequence[str]) -> tuple[str, ...]:
    """The columns of pixels, row by row, among the columns of a table; PIXEL_NAMES if there are none."""
    return next((scheme for scheme in SCHEMES if scheme[0] in names and scheme[-1] in names), PIXEL_NAMES)


def fields_of_image(schema: pa.Schema) -> dict[str, pa.DataType]:
    """The fields of the column `image`, by name, if it has picture files in `bytes`; otherwise none."""
    if IMAGE not in schema.names or not pa.types.is_struct(kind := schema.field(IMAGE).type):
        return {}
    fields = {field.name: field.type for field in kind}
    return fields if fields.get("bytes") in {pa.binary(), pa.large_binary()} else {}


def check_columns(path: Path, schema: pa.Schema, wanted: Sequence[str], *, others: bool = False) -> None:
    """Refuses missing, repeated and, without `others`, unknown columns, and wanted pixels that are no numbers.

    Raises DataError naming the first few.
    """
    names = schema.names
    problems = {
        "missing": [name for name in wanted if name not in names],
        "unknown": [name for name in names if not others and name not in wanted],
        "repeated": sorted({name for name in names if names.count(name) > 1}.intersection(wanted)),
    }
    found = [f"{problem}: {_few(columns)}" for problem, columns in problems.items() if columns]
    if found:
        *first, first_pixel = wanted[: -PIXELS + 1]
        columns = "".join(f"{name}, " for name in first)
        raise DataError(f"{path}: {'; '.join(found)}; want the columns {columns}{first_pixel} … {wanted[-1]}")
    for name in wanted[-PIXELS:]:
        kind = schema.field(name).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise DataError(f"{path}: column {name} holds {kind}, want numbers")


def pixels_of(table: pa.Table) -> NDArray[Any]:
    """Pixels uint8 or float32 [n, 784] of a table whose columns are checked; NaN where one is empty."""
    names = pixel_names(table.schema.names)
    pixels = table.select(names).combine_chunks()
    if any(column.type != pa.uint8() or column.null_count for column in pixels.columns):
        pixels = pixels.cast(pa.schema(dict.fromkeys(names, pa.float32())), safe=False)
    if not len(pixels):
        return np.zeros((0, PIXELS), np.uint8)
    (batch,) = pixels.to_batches()
    return np.asarray(batch.to_tensor(null_to_nan=pixels.schema.types[0] != pa.uint8()))


def labels_of(path: Path, table: pa.Table) -> NDArray[Any]:
    """Labels, numbers [n], of a table; they may be text, or categories of text. Raises DataError."""
    name = label_name(table.schema.names)
    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise DataError(f"{path}: row {row}, {name} is empty, want a number")
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column.to_numpy()
    numbers = np.empty(len(column))
    for row, text in enumerate(column.to_pylist()):
        try:
            numbers[row] = float(str(text))
        except ValueError:
            raise DataError(f"{path}: row {row}, {name} is {text!r}, want a whole number from 0 to 9") from None
    return numbers


def _few(names: list[str], limit: int = 3, length: int = 40) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    words = [name if len(name) <= length else f"{name[:length]}…" for name in names[:limit]]
    return ", ".join(name or "a column without a name" for name in words) + more
