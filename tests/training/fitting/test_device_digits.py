"""Digits in the devices' memory: the batches that are drawn within the loop are those that are made ahead on CPU."""

import jax
import numpy as np
import pytest
from msgspec.structs import replace

from tests.support.small import QUICK, TINY
from training.data.split import split
from training.distributed.mesh import data_parallel_mesh
from training.fitting import loop
from training.fitting.batches import compile_draw
from training.fitting.device_digits import keep_on_devices
from training.fitting.loop import before_first_epoch, compile_shuffle, fit
from training.network.convolution import NATIVE
from training.network.module import initialise
from training.recipe import MEDIUM, Distortion

STEPS, PARTS, ROWS = 3, 2, 8
KEY = jax.random.key_data(jax.random.key(3))


@pytest.mark.parametrize("taught", [False, True])
@pytest.mark.parametrize("distortion", [Distortion(), MEDIUM])
def test_batches_are_those_that_are_made_ahead(few_digits, distortion, taught):
    mesh = data_parallel_mesh()
    teachers = [(TINY, initialise(TINY, NATIVE, jax.random.key(seed))) for seed in range(2)] if taught else []
    order = compile_shuffle(len(few_digits), (STEPS, PARTS, ROWS), mesh)(KEY)
    arguments = few_digits, replace(QUICK, distortion=distortion), 10, mesh, teachers
    ahead = compile_draw(*arguments)(order, KEY, 1)
    batch = jax.jit(lambda digits, step: digits.batch(step))
    for step in range(2):
        images, targets = batch(keep_on_devices(*arguments)(order, KEY, 1), step)
        expected_images, expected_targets = ahead.batch(step)
        assert images.shape == (PARTS, ROWS, 28, 28)
        apart = np.abs(np.int32(images) - np.int32(expected_images))
        assert apart.max() <= 1, "sums in another order are rounded to another level at most"
        assert (apart > 0).mean() < 0.001
        np.testing.assert_allclose(targets, expected_targets, atol=1e-3)
        assert np.asarray(targets).sum(axis=-1) == pytest.approx(1)


def test_an_epoch_is_one_call_and_learns_what_one_of_several_calls_learns(few_digits, monkeypatch):
    training, validation = split(few_digits, 500)
    recipe = replace(QUICK, distortion=MEDIUM, epochs=2)

    def trained(start=None):
        calls = []

        def watch(**progress):
            calls.append(progress["row"])

        start = start or before_first_epoch(TINY, recipe)
        return [*fit(TINY, recipe, training, validation, start, watch)], calls

    ahead, several = trained()
    monkeypatch.setattr(loop, "draws_ahead", lambda: False)
    within, calls = trained()
    assert len(several) > len(calls) == 2 * len(within)
    for one, other in zip(ahead, within, strict=True):
        assert one.history[-1].loss == pytest.approx(other.history[-1].loss, rel=1e-3)
        assert one.history[-1].validation_error == pytest.approx(other.history[-1].validation_error, abs=0.01)
    (resumed,), _ = trained(within[0])
    assert jax.tree.all(jax.tree.map(np.array_equal, resumed.state, within[1].state)), "bit for bit"
