"""`python -m service` whose networks are fakes: it does without JAX, and starts in half the processor time.

Only where a test is about JAX, networks or their cards does it need the real one.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from service.__main__ import app
from service.models.loader import Loader, _Runtime
from tests.support.fake_predictor import FakePredictor
from training.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class FakeNetworks:
    """In the place of `training.predictor.Predictor`: a version is a folder, and nothing is read from it."""

    @staticmethod
    def load(store: Store, model: str, version: int, *, row_sizes: Sequence[int]) -> FakePredictor:
        return FakePredictor(model, store.resolve(model, version), row_sizes=tuple(row_sizes))


def fake_store(folder: Path) -> Store:
    """A store with the versions 1 and 2 of `tiny`, of which 1 is the champion; they have no files."""
    for version in (1, 2):
        (folder / "tiny" / str(version)).mkdir(parents=True)
    store = Store(folder)
    store.promote("tiny", 1)
    return store


def use_fake_networks() -> None:
    """From now on, what this process loads are fakes."""
    Loader._runtime = _Runtime(FakeNetworks, SimpleNamespace(row_sizes=(1, 4, 16), at_once=1, inline_rows=0))


if __name__ in ("__main__", "__mp_main__"):  # the second one in a worker
    use_fake_networks()
if __name__ == "__main__":
    app(prog_name="python -m tests.support.fake_service")
