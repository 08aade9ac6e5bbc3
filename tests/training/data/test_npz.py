"""Digits in NumPy archives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.digits import problem, same, some
from training.data.load import load

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("shape", [(20, 28, 28), (20, 784), (20, 28, 28, 1)])
def test_an_npz_archive_is_read(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.savez(tmp_path / "x.npz", images=some().images.reshape(shape) / 255, labels=some().labels.astype(int))
    assert same(load(tmp_path / "x.npz", scale=1.0), some())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"x": [1], "y_train": [1]}, "holds x, y_train, want images and labels"),
        ({"images": [1], "x_train": [1], "y_train": [1]}, "holds images, x_train, y_train, want images and labels"),
        ({"images": [[1, 2]], "labels": [1]}, "images have shape [1, 2], want [n, 784], [n, 28, 28] or [n, 28, 28, 1]"),
        ({"images": np.zeros((2, 784)), "labels": [1]}, "labels have shape [1], want [2]: one for each image"),
        ({"images": np.zeros((1, 784)), "labels": ["1"]}, "labels are <U1, want numbers"),
        ({"images": np.zeros((1, 784), bool), "labels": [1]}, "images are bool, want numbers"),
        ({"images": np.full((1, 784), 256), "labels": [1]}, "row 0, pixel0 is 256, want a number from 0 to 255"),
        ({"images": np.zeros((1, 784)), "labels": [10]}, "row 0, digit is 10, want a whole number from 0 to 9"),
    ],
)
def test_npz_errors_name_the_file_and_what_was_found(tmp_path: Path, content: dict[str, object], text: str) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, **{name: np.asarray(values) for name, values in content.items()})
    assert problem(lambda: load(path)) == f"{path}: {text}"


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, images=np.array([{}], dtype=object), labels=np.zeros(1))
    assert problem(lambda: load(path)) == f"{path}: an array holds Python objects, want numbers"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is no zip archive"),
        (b"no archive", "it is no zip archive"),
        (b"PK\3\4 cut off", "File is not a zip file"),
    ],
)
def test_what_is_no_npz_archive_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    """NumPy takes what it does not know for a pickle, and says how to load that "unsafely"."""
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    assert problem(lambda: load(path)) == f"{path}: not a readable .npz file: {reason}"


def test_a_lone_array_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with path.open("wb") as file:
        np.save(file, some().images)
    assert problem(lambda: load(path)) == f"{path}: holds no named arrays, want images and labels"


def test_keras_mnist_has_digits_for_training_and_others_for_tests(tmp_path: Path) -> None:
    parts = {"train": some(20), "test": some(10, seed=1)}
    arrays = {
        f"{axis}_{name}": values for name, of in parts.items() for axis, values in (("x", of.images), ("y", of.labels))
    }
    np.savez(tmp_path / "mnist.npz", **arrays)
    told: list[str] = []
    assert same(load(tmp_path / "mnist.npz", tell=told.append), parts["train"])
    assert same(load(tmp_path / "mnist.npz", part="test", tell=told.append), parts["test"])
    assert [of.partition(";")[0] for of in told] == [
        f"{tmp_path / 'mnist.npz'}: x_{name} and y_{name} are read" for name in parts
    ]
