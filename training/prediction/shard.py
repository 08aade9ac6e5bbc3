"""A shard: one of N parts of the input, its rows, and the file that has its answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from training.errors import DigitsError

if TYPE_CHECKING:
    from pathlib import Path

MOST = 100_000
"""The number of shards is below this: the names of their files have five digits."""
PART = re.compile(r"part-([0-9]{5})-of-([0-9]{5})\.parquet")


class ShardError(DigitsError, ValueError):
    """A shard that there is not."""


@dataclass(frozen=True)
class Shard:
    """Part `index`, counted from 0, of `of` parts."""

    index: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The shard I/N, such as 3/16. Raises ShardError."""
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if not found or not int(found[1]) < int(found[2]) < MOST:
            raise ShardError(f"the shard is {text!r}, want I/N with 0 <= I < N, such as 0/16, and N below {MOST:,}")
        return cls(int(found[1]), int(found[2]))

    def rows(self, total: int) -> tuple[int, int]:
        """Its first row, and the row behind its last: all shards in their order are all rows in their order."""
        return total * self.index // self.of, total * (self.index + 1) // self.of

    def file(self, folder: Path) -> Path:
        """Its file, such as part-00003-of-00016.parquet."""
        return folder / f"part-{self.index:05}-of-{self.of:05}.parquet"

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"
