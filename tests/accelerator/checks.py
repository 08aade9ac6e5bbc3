"""Checks of an accelerator: losses like the CPU's, resumed runs bit for bit, checkpoints that other devices load."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from training import mnist
from training.data.split import split
from training.fitting import loop
from training.fitting.loop import before_first_epoch, fit
from training.network.convolution import NATIVE
from training.network.models import MODELS
from training.predictor import Predictor
from training.recipe import QUICK
from training.store import Store

TOLERANCE = {"float32": 0.005, "bfloat16": 0.03}
"""Largest relative difference of the loss of an epoch from the CPU's, whose activations are float32."""
PATIENCE_S = 240


def losses(few: bool) -> dict[str, Any]:
    """The loss of one epoch of each network, on this device and on the CPU."""
    found: dict[str, Any] = {}
    for name in MODELS:
        on_cpu = _in_process("loss", name, "float32", str(few), cpu=True)
        for dtype, tolerance in TOLERANCE.items():
            here = loss_of(name, dtype, few)
            found[f"{name}, {dtype}"] = {"here": here, "cpu": on_cpu}
            _check(abs(here / on_cpu - 1) <= tolerance, f"{name} in {dtype}: loss {here}, on CPU {on_cpu}")
    return found


def loss_of(name: str, dtype: str, few: bool) -> float:
    """The loss of one epoch."""
    default = loop.training_form
    if dtype == "float32" and jax.default_backend() != "cpu":
        loop.training_form = lambda: NATIVE  # type: ignore[assignment] # the form of accelerators computes in bfloat16
    try:
        return _epochs(name, 1, few)[-1].history[-1].loss
    finally:
        loop.training_form = default


def resumed(few: bool) -> dict[str, Any]:
    """A run that is resumed after its first epoch ends bit-identical."""
    whole = _epochs("lenet", 2, few)
    again = _epochs("lenet", 2, few, start=whole[0])
    same = jax.tree.map(np.array_equal, whole[-1].state.params, again[-1].state.params)
    _check(all(jax.tree.leaves(same)), f"weights differ after a resumed run: {same}")
    return {"weights": len(jax.tree.leaves(same)), "bit-identical": True}


def checkpoints(few: bool) -> dict[str, Any]:
    """A version that was made here answers its golden pictures on the CPU, and one that was made there does so here."""
    with tempfile.TemporaryDirectory() as folder:
        here, there = Path(folder) / "here", Path(folder) / "there"
        _in_process("publish", str(here), str(few))
        _in_process("load", str(here), cpu=True)
        _in_process("publish", str(there), str(few), cpu=True)
        load(str(there))
    return {"from here to the CPU": True, "from the CPU to here": True}


def publish(store: str, few: bool) -> None:
    """Trains `mlp` and publishes it."""
    options = ["--data", _few_digits(store)] if few else []
    command = [sys.executable, "-m", "training", "fit", "mlp", "--epochs", "1", "--store", store, *options]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)


def load(store: str) -> None:
    """Loads `mlp`: that compares its answers with the golden predictions. Raises CorruptVersion."""
    Predictor.load(Store(store), "mlp")


def _few_digits(store: str) -> str:
    path, digits = Path(f"{store}.npz"), mnist.train()
    np.savez(path, images=digits.images[:3000], labels=digits.labels[:3000])
    return str(path)


def _epochs(name: str, count: int, few: bool, start: loop.Epoch | None = None) -> list[loop.Epoch]:
    training, validation = split(mnist.train(), 5000)
    training = training.take(np.arange(1280 if few else 12_800))
    recipe = QUICK.changed(epochs=count, batch_size=128)
    start = start or before_first_epoch(MODELS[name], recipe)
    return list(fit(MODELS[name], recipe, training, validation, start, lambda **_: None))


def _in_process(function: str, *arguments: str, cpu: bool = False) -> Any:
    """The result of a function here, in a process of its own, on the CPU or on the default device."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"} if cpu else dict(os.environ)
    environment["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # this process has memory of the device, too
    command = [sys.executable, "-m", "tests.accelerator.checks", function, *arguments]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=PATIENCE_S)
    _check(ran.returncode == 0, f"{' '.join(command[2:])}: {ran.stderr[-2000:]}")
    return json.loads(ran.stdout)


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def _answer(function: str, *arguments: str) -> Any:
    match function, arguments:
        case "loss", (name, dtype, few):
            return loss_of(name, dtype, few == "True")
        case "publish", (store, few):
            return publish(store, few == "True")
        case "load", (store,):
            return load(store)
    raise ValueError(function)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_answer(*sys.argv[1:])))
