"""Parquet with a label and a picture file in each row, as Hugging Face writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyarrow import compute

from training.data.columns import IMAGE, fields_of_image, label_name, labels_of
from training.data.digits import DataError
from training.data.pictures import Labelled, read_pictures
from training.data.pixels import checked_labels
from training.data.tabular import opened_parquet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from training.data.digits import Digits
    from training.picture import Ink


def has_pictures(path: Path) -> bool:
    """Whether a Parquet file has picture files. Raises DataError."""
    with opened_parquet(path) as file:
        return bool(fields_of_image(file.schema_arrow))


def read_picture_table(
    path: Path,
    ink: Ink | None = None,
    tell: Callable[[str], None] = lambda _: None,
    skip: Callable[[str], None] | None = None,
) -> Digits:
    """Digits from the picture files and the labels of a Parquet file; for `ink`, `tell` and `skip` see `read_pictures`.

    Raises DataError naming the file and the row.
    """
    with opened_parquet(path) as file:
        name = label_name(file.schema_arrow.names)
        if name not in file.schema_arrow.names:
            raise DataError(f"{path}: has pictures and no labels, want a column label with whole numbers from 0 to 9")
        table = file.read([f"{IMAGE}.bytes", name])
    if not len(table):
        raise DataError(f"{path}: there are 0 digits, want at least 1")
    digits = checked_labels(path, labels_of(path, table)).tolist()
    files = compute.struct_field(table.column(IMAGE), "bytes").to_pylist()
    rows = enumerate(zip(files, digits, strict=True))
    return read_pictures(
        path, (Labelled(f"{path}: row {row}", of or b"", digit) for row, (of, digit) in rows), ink, tell, skip
    )
