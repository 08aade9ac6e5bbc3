"""A training run on disk: the state after its last epoch, from which an interrupted run goes on."""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
from orbax.checkpoint import v1 as ocp

from training.distributed import parallel
from training.errors import DigitsError
from training.filesystem import flush_tree, locked
from training.fitting.loop import Epoch, State
from training.store.card import EpochRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etils import epath

    from training.network.layers import Layers
    from training.recipe import Recipe

_EPOCH = re.compile(r"epoch-(\d+)")


class RunBusy(DigitsError):
    """Another process is training with just the same layers, recipe and data."""


class Run:
    """The folder of one run. It is found again by what determines the outcome: layers, recipe and data."""

    def __init__(self, folder: epath.Path) -> None:
        self._folder = folder

    @classmethod
    @contextmanager
    def open(cls, runs: epath.Path, layers: Layers, recipe: Recipe, data: str, *, resume: bool) -> Iterator[Run]:
        """The run in a folder of runs, held against other processes; without `resume` it is emptied first.

        Raises RunBusy.
        """
        identity = msgspec.json.encode([layers, recipe, data])
        folder = runs / hashlib.sha256(identity).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, wait=False) as got:
            if not got:
                raise RunBusy(
                    f"another process is training just this (it holds {folder}): wait for it, or change the seed, "
                    "unless it is a teacher that both want"
                )
            run = cls(folder)
            run._sweep(keep=run._last() if resume else 0)
            yield run

    @property
    def epochs(self) -> int:
        """How many epochs the run has behind it."""
        return self._last()

    def load(self, like: State) -> Epoch:
        """Where the run stands. `like` has the shapes, dtypes and devices of its state; its values do not matter."""
        path = self._folder / f"epoch-{self._last()}"
        rows = ocp.metadata(path).custom_metadata["history"]
        return Epoch(parallel.load(path, like), msgspec.convert(rows, tuple[EpochRow, ...]))

    def save(self, epoch: Epoch) -> None:
        """Keeps where the run stands, and only then drops the epoch before it."""
        path = self._folder / f"epoch-{len(epoch.history)}"
        parallel.save(path, epoch.state, {"history": msgspec.to_builtins(epoch.history)})
        flush_tree(path)
        self._sweep(keep=len(epoch.history))

    def remove(self) -> None:
        """Forgets the run: its outcome is published."""
        self._folder.rmtree(missing_ok=True)

    def _last(self) -> int:
        names = (_EPOCH.fullmatch(child.name) for child in self._folder.iterdir())
        return max((int(name[1]) for name in names if name), default=0)

    def _sweep(self, keep: int) -> None:
        """Removes every epoch but one, and what a killed process left half-written."""
        for child in self._folder.iterdir():
            if child.name != f"epoch-{keep}":
                child.rmtree(missing_ok=True)
