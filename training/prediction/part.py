"""The Parquet file of a shard: what it says of itself, and whether it is there already."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pyarrow as pa
from pyarrow import parquet

from training.data.digits import DataError
from training.data.replacing import replacing
from training.prediction.shard import PART

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Said = dict[str, str | int | float | None]

KEY: Final = b"digits"
"""In the metadata of the schema: what was read and who answers, as JSON."""
SHARD: Final = "shard"
"""The only fact in which the parts of one output differ."""
ROWS_TOGETHER, BYTES_TOGETHER = 2**16, 2**26
"""A row group is written when it has so many rows, or so many bytes."""


def check_folder(folder: Path, shards: int) -> None:
    """Raises DataError when a folder has a part of another number of shards: rows would be there twice."""
    for name in sorted(part.name for part in folder.glob("part-*.parquet")):
        if (found := PART.fullmatch(name)) and int(found[2]) != shards:
            raise DataError(f"{folder / name}: is one of {int(found[2])} shards, want {shards}: take another folder")


def is_complete(file: Path, said: Said) -> bool:
    """Whether the file is there and answers the same rows by the same version.

    Raises DataError when it, or another part beside it, is of another input or version.
    """
    others = sorted(part for part in file.parent.glob("part-*.parquet") if PART.fullmatch(part.name))
    for part in {file, *others[:1]}:
        if part.exists() and (differs := _difference(part, said, same_shard=part == file)):
            raise DataError(f"{part}: {differs}; --force writes it anew")
    return file.exists()


@contextmanager
def writing(file: Path, schema: pa.Schema, said: Said) -> Iterator[Callable[[pa.Table], None]]:
    """Yields a function that adds rows. The file appears when the block has ended, whole, or not at all.

    Raises DataError when it cannot be written. What a killed process left of the same file is removed.
    """
    for left in file.parent.glob(f".????????-{file.name}"):
        left.unlink(missing_ok=True)
    described = schema.with_metadata({KEY: json.dumps(said).encode()})
    waiting: list[pa.Table] = []
    with replacing(file) as aside, parquet.ParquetWriter(aside, described, compression="zstd") as writer:

        def flush() -> None:
            if waiting:
                writer.write_table(pa.concat_tables(waiting).replace_schema_metadata(described.metadata))
                waiting.clear()

        def add(table: pa.Table) -> None:
            waiting.append(table)
            if sum(map(len, waiting)) >= ROWS_TOGETHER or sum(of.nbytes for of in waiting) >= BYTES_TOGETHER:
                flush()

        yield add
        flush()


def _difference(part: Path, said: Said, *, same_shard: bool) -> str:
    """What a part says otherwise than it would now; nothing if there is no difference."""
    try:
        metadata = parquet.read_schema(part).metadata or {}
        found = json.loads(metadata.get(KEY, b"null"))
    except (OSError, ValueError, pa.ArrowException) as error:
        return f"exists already and is not readable: {error}"
    if not isinstance(found, dict):
        return "exists already and was not written by this command"
    for name, wanted in said.items():
        if name != SHARD and found.get(name) != wanted:
            return f"was written for {name} {found.get(name)}, want {wanted}"
    return (
        f"holds the shard {found.get(SHARD)}, want {said[SHARD]}"
        if same_shard and found.get(SHARD) != said[SHARD]
        else ""
    )
