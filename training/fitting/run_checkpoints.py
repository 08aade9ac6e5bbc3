"""Checkpoints of a training run: the state after its last epoch, from which an interrupted run is resumed."""

from __future__ import annotations

import hashlib
import re
import shutil
from contextlib import contextmanager, suppress
from math import nan
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from orbax.checkpoint import v1 as ocp

from training.distributed import checkpoint
from training.distributed.processes import from_first, is_first
from training.errors import DigitsError
from training.filesystem import flush_tree, locked
from training.fitting.loop import Epoch, State
from training.store.card import EpochRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from training.network.layers import Layers
    from training.recipe import Recipe

_EPOCH = re.compile(r"epoch-(\d+)")
UNKNOWN = EpochRow(epoch=0, loss=nan, validation_error=nan, images_per_s=nan, seconds=nan)
"""An epoch before the run was resumed, in a process without the folder, which publishes nothing."""


class RunBusy(DigitsError):
    """Another job is training with just the same layers, recipe and data."""


class Run:
    """The folder of one run, named by the hash of what determines the outcome: layers, recipe and data.

    Where several processes train together, all of them make the same calls; only the first one has the folder.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @classmethod
    @contextmanager
    def open(cls, runs: Path, layers: Layers, recipe: Recipe, data: str, *, resume: bool) -> Iterator[Run]:
        """The run in a folder of runs, locked against other jobs; without `resume` it is emptied first.

        Raises RunBusy.
        """
        if not is_first():
            yield cls(None)
            return
        identity = msgspec.json.encode([layers, recipe, data])
        folder = runs / hashlib.sha256(identity).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, wait=False) as got:
            if not got:
                raise RunBusy(
                    f"another process is training just this (it holds {folder}): wait for it, or change the seed, "
                    "unless it is a teacher that both want"
                )
            _sweep(folder, keep=_last(folder) if resume else 0)
            yield cls(folder)

    @property
    def epochs(self) -> int:
        """How many epochs the run has behind it, in every process."""
        return int(from_first(np.int32(_last(self._folder) if self._folder else 0)))

    def load(self, like: State) -> Epoch:
        """The state after the last epoch, with the shapes, dtypes and devices of `like`."""
        epochs = self.epochs
        path = self._path(epochs)
        history = _history(path) if path else (UNKNOWN,) * epochs
        return Epoch(checkpoint.load(path, like), history)

    def save(self, epoch: Epoch) -> None:
        """Writes the state after an epoch, and only then removes that after the epoch before it."""
        epochs = len(epoch.history)
        path = self._path(epochs)
        checkpoint.save(path, epoch.state, {"history": msgspec.to_builtins(epoch.history)})
        if self._folder and path:
            flush_tree(path)
            _sweep(self._folder, keep=epochs)

    def remove(self) -> None:
        """Removes the folder, once the outcome of the run is published."""
        if self._folder:
            with suppress(FileNotFoundError):
                shutil.rmtree(self._folder)

    def _path(self, epochs: int) -> Path | None:
        return self._folder / f"epoch-{epochs}" if self._folder else None


def _last(folder: Path) -> int:
    """The last epoch that is in the folder of a run; 0 if there is none."""
    names = (_EPOCH.fullmatch(child.name) for child in folder.iterdir())
    return max((int(name[1]) for name in names if name), default=0)


def _history(path: Path) -> tuple[EpochRow, ...]:
    return msgspec.convert(ocp.metadata(path).custom_metadata["history"], tuple[EpochRow, ...])


def _sweep(folder: Path, keep: int) -> None:
    """Removes every epoch but one, and what a killed process left half-written."""
    for child in folder.iterdir():
        if child.name != f"epoch-{keep}":
            with suppress(FileNotFoundError):
                shutil.rmtree(child)
