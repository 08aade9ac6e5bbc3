"""MNIST as it ships in this folder: 60,000 training and 10,000 test digits, every file checked by its hash before use.

Credit: Y. LeCun, C. Cortes, C. Burges; licence CC BY-SA 3.0, see LICENSE beside this file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from training.data.digits import DataError, Digits
from training.data.idx import parse_idx, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER = Path(__file__).parent
MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
HASHES: Mapping[str, str] = {  # SHA-256 of each file's unpacked content
    "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


class WrongHashError(DataError):
    """A file of MNIST differs from the original: `found` and `wanted` are the SHA-256 of the unpacked content."""

    def __init__(self, path: Path, found: str, wanted: str) -> None:
        self.path, self.found, self.wanted = path, found, wanted
        super().__init__(f"{path}: unpacked SHA-256 is {found}, want {wanted}; delete the file to download it again")


@dataclass(frozen=True)
class FileCheck:
    """What was found where a file of MNIST should be; `found` is its SHA-256, None if missing or corrupt."""

    name: str
    state: Literal["good", "missing", "corrupt", "wrong hash"]
    found: str | None
    wanted: str


def train(folder: Path = FOLDER, mirrors: Sequence[str] = MIRRORS) -> Digits:
    """The 60,000 training digits.

    A file missing from `folder` is downloaded from the first of `mirrors` that has it. Raises WrongHashError for a
    file that is not the original, and DownloadError when no mirror has a missing one; both are DataErrors.
    """
    return _read("train", folder, mirrors)


def test(folder: Path = FOLDER, mirrors: Sequence[str] = MIRRORS) -> Digits:  # noqa: PT028 - it is no test function
    """The 10,000 test digits: for the final score of a finished model, never for a choice. Raises as `train` does."""
    return _read("t10k", folder, mirrors)


def verify(folder: Path = FOLDER) -> list[FileCheck]:
    """What is in `folder`, file by file, against HASHES; nothing is downloaded."""
    return [_check(folder / name, wanted) for name, wanted in HASHES.items()]


def _read(part: str, folder: Path, mirrors: Sequence[str]) -> Digits:
    images, labels = (folder / f"{part}-{ending}-ubyte.gz" for ending in ("images-idx3", "labels-idx1"))
    return Digits(
        parse_idx(_content(images, mirrors), images),  # [n, 28, 28]
        parse_idx(_content(labels, mirrors), labels),  # [n]
    )


def _content(path: Path, mirrors: Sequence[str]) -> bytes:
    """The unpacked and verified content of one file, downloaded first if it is missing."""
    wanted = HASHES[path.name]
    if not path.exists():
        from training.mnist.download import download

        download(path, mirrors, wanted)
    data = unpack(path)
    found = hashlib.sha256(data).hexdigest()
    if found != wanted:
        raise WrongHashError(path, found, wanted)
    return data


def _check(path: Path, wanted: str) -> FileCheck:
    if not path.exists():
        return FileCheck(path.name, "missing", None, wanted)
    try:
        found = hashlib.sha256(unpack(path)).hexdigest()
    except DataError:
        return FileCheck(path.name, "corrupt", None, wanted)
    return FileCheck(path.name, "good" if found == wanted else "wrong hash", found, wanted)
