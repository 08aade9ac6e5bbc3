"""Figures of an accelerator: recipes, epochs, the predictor's images a second, the engine's requests a second."""

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import jax
import numpy as np

from service.engine.batcher import Batcher
from training import mnist
from training.data.split import split
from training.fitting.loop import before_first_epoch, fit
from training.network.compiled import ACCELERATOR_ROW_SIZES, CompiledNetwork, abstract_arguments, columns_function
from training.network.convolution import inference_form
from training.network.models import MODELS
from training.network.module import initialise
from training.predictor import Predictor
from training.recipe import MEDIUM, QUICK
from training.store import Store

ROWS = (1, 64, 256, 1024, 4096, 16_384)
BATCHES = (128, 1024, 4096)
REPEATS = 20
CLIENTS = (1, 64, 1024)
SECONDS = 2.0
PATIENCE_S = 300


def recipes(few: bool) -> dict[str, Any]:
    """Seconds from process start to a published version, and errors on the test images; twice where it is quick."""
    found = {}
    runs = [("mlp", "--quick"), ("lenet", "--quick"), ("lenet", "--quick"), ("mlp",), ("mlp_deep",), ("lenet",)]
    with tempfile.TemporaryDirectory() as store:
        for number, (model, *options) in enumerate(runs[:1] if few else runs):
            began = time.perf_counter()
            command = [sys.executable, "-m", "training", "fit", model, *options, "--store", store]
            if few:
                command += ["--epochs", "1"]
            subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
            seconds = time.perf_counter() - began
            predictor = Predictor.load(Store(store), model, max(Store(store).versions(model)))
            test = mnist.test()
            wrong = int((predictor(test.images).argmax(axis=1) != test.labels).sum())
            found[" ".join([f"{number + 1}:", model, *options])] = {"seconds": seconds, "wrong of 10,000": wrong}
    return found


def epochs(few: bool) -> dict[str, Any]:
    """Seconds of an epoch of `lenet` with distortion after the first one, which compiles, by batch size."""
    training, validation = split(mnist.train(), 5000)
    found = {}
    for batch in BATCHES[:1] if few else BATCHES:
        recipe = QUICK.changed(epochs=2 if few else 4, batch_size=batch, distortion=MEDIUM)
        some = training.take(np.arange(2560)) if few else training
        start = before_first_epoch(MODELS["lenet"], recipe)
        *_, last = fit(MODELS["lenet"], recipe, some, validation, start, lambda **_: None)
        found[f"batch {batch}"] = {"seconds of 60,000": 60_000 / median(row.images_per_s for row in last.history[1:])}
    return found


def predictor(few: bool) -> dict[str, Any]:
    """Images a second of `lenet`, from the host's memory and from the device's, and the copy's share of the former."""
    params = initialise(MODELS["lenet"], inference_form(), jax.random.key(0))
    rows = ROWS[:2] if few else ROWS
    network = CompiledNetwork(MODELS["lenet"], params, row_sizes=rows)
    found = {}
    for count in rows:
        images = np.resize(mnist.test().images, (count, 28, 28))
        shapes = abstract_arguments(MODELS["lenet"], 0, count)
        weights = jax.device_put(jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes[:-1]))
        compute = partial(jax.jit(columns_function(MODELS["lenet"])), *weights)
        there = jax.device_put(images)
        from_host = _seconds(lambda images=images: network.columns(images))
        on_device = _seconds(lambda there=there, compute=compute: compute(there).block_until_ready())
        copied = _seconds(lambda images=images: jax.device_put(images).block_until_ready())
        found[f"{count} rows"] = {
            "images/s from the host": count / from_host,
            "images/s from the device": count / on_device,
            "share of the copy": copied / from_host,
        }
    return found


def engine(few: bool) -> dict[str, Any]:
    """Answers a second of the service's engine to clients that send one picture at a time, without HTTP."""
    params = initialise(MODELS["lenet"], inference_form(), jax.random.key(0))
    sizes = ACCELERATOR_ROW_SIZES[:3] if few else ACCELERATOR_ROW_SIZES
    network = CompiledNetwork(MODELS["lenet"], params, row_sizes=sizes)
    image = mnist.test().images[:1]
    return {f"{clients} clients": asyncio.run(_ask(network, image, clients)) for clients in CLIENTS}


async def _ask(network: CompiledNetwork, image: np.ndarray, clients: int) -> dict[str, float]:
    batcher = Batcher(network.columns, max_batch_rows=network.row_sizes[-1], queue_limit_rows=10_000)
    latencies: list[float] = []

    async def client(end: float) -> None:
        while (began := time.perf_counter()) < end:
            await batcher.submit(image)
            latencies.append(time.perf_counter() - began)

    end = time.perf_counter() + SECONDS
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client(end))
    await batcher.close()
    return {"answers/s": len(latencies) / SECONDS, "p50 ms": 1000 * median(latencies)}


def _seconds(call: Callable[[], object]) -> float:
    """The median of REPEATS calls after one more."""
    call()
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return median(taken)
