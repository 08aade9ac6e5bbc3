"""From an empty process to a published lenet, as a user waits for it: start, compilation, training, checkpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.project import ROOT
from training.errors import DigitsError
from training.recipe import Recipe

RECIPE = Path(__file__).parent / "quickest.toml"
WANTED_ERROR = 0.01


@dataclass(frozen=True)
class Quickest:
    """A lenet, the wall-clock seconds that it took, and its share of wrong answers on the test images."""

    seconds: float
    test_error: float
    epochs: int
    wanted_error: float = WANTED_ERROR


def quickest() -> Quickest:
    """Trains by quickest.toml in a process and a store of its own. Raises DigitsError when that fails."""
    with tempfile.TemporaryDirectory() as store:
        began = time.perf_counter()
        _training("fit", "lenet", "--recipe", str(RECIPE), "--store", store)
        seconds = time.perf_counter() - began
        found = json.loads(_training("evaluate", "lenet", "--json", "--store", store))
    return Quickest(seconds, found["error"], Recipe.read(RECIPE).epochs)


def _training(*arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    command = [sys.executable, "-m", "training", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DigitsError(f"python -m training {arguments[0]} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
