"""All that is compiled is lowered for GPUs and TPUs, on one device and on eight, where there is no such device."""

import jax
import numpy as np
import pytest
from jax import export
from jax.sharding import AbstractMesh, AxisType

from training.distributed.mesh import BATCH
from training.fitting import batches
from training.fitting.batches import STEPS_PER_CALL, Batches
from training.fitting.device_digits import DeviceDigits
from training.fitting.loop import before_first_epoch, compile_steps
from training.network.compiled import ROW_SIZES, abstract_arguments, columns_function
from training.network.convolution import HALF, inference_form, training_form
from training.network.layers import Conv, Dense, Dropout, Flatten, MaxPool, Reshape, count_features
from training.network.models import MODELS
from training.network.module import abstract_params, forward
from training.recipe import MEDIUM, TEACHER, recipe_for
from training.uncertainty.novelty import READ

PLATFORMS = ("cuda", "tpu")
ROWS = 128
NETWORKS = {
    **MODELS,
    "teacher": TEACHER.layers,
    "own": (
        Conv(8, kernel=3, padding="same", stride=2, activation="gelu"),
        MaxPool(2),
        Flatten(),
        Dropout(0.2),
        Dense(16, activation="tanh"),
        Reshape((4, 4, 1)),
        Conv(4, kernel=2, activation="silu"),
        Flatten(),
        Dense(10),
    ),
}
IMAGES = jax.ShapeDtypeStruct((STEPS_PER_CALL, 1, ROWS, 28, 28), np.uint8)
TARGETS = jax.ShapeDtypeStruct((STEPS_PER_CALL, 1, ROWS, 10), np.float32)
PICTURES, LABELS = jax.ShapeDtypeStruct((1000, 28, 28), np.uint8), jax.ShapeDtypeStruct((1000,), np.uint8)
KEY = jax.ShapeDtypeStruct((2,), np.uint32)
LAYOUTS = export.DisabledSafetyCheck.custom_call("LayoutConstraint")
"""All platforms have it, but files of later versions of JAX may not."""


def lowered(function, *arguments):
    """What XLA would compile, for each of PLATFORMS."""
    return [
        export.export(function, platforms=[platform], disabled_checks=[LAYOUTS])(*arguments) for platform in PLATFORMS
    ]


@pytest.fixture(params=[1, 8])
def mesh(request):
    """Devices that are not there."""
    return AbstractMesh((request.param,), (BATCH,), axis_types=(AxisType.Auto,))


EACH = [name if name == "lenet" else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]


@pytest.mark.parametrize("name", EACH)
def test_the_training_step_is_lowered(name, mesh):
    recipe = recipe_for(name)
    state = before_first_epoch(NETWORKS[name], recipe).state
    for platform in PLATFORMS:
        step = compile_steps(forward(NETWORKS[name], training_form(platform)), recipe, 100, mesh)
        exported = export.export(step, platforms=[platform])(state, Batches(IMAGES, TARGETS), KEY, 0, STEPS_PER_CALL)
        assert exported.nr_devices == mesh.size
        assert "bf16" in exported.mlir_module(), "GPUs and TPUs have units for it"


@pytest.mark.parametrize("name", EACH)
def test_an_epoch_that_draws_its_batches_is_lowered(name, mesh):
    recipe, teacher = recipe_for(name), TEACHER.layers
    state = before_first_epoch(NETWORKS[name], recipe).state
    of_one_device = abstract_params(teacher, inference_form())
    weights = [jax.tree.map(lambda of: jax.ShapeDtypeStruct(of.shape, of.dtype), of_one_device)] * 2
    order = jax.ShapeDtypeStruct((429, 1, ROWS), np.int32)
    digits = DeviceDigits(PICTURES, LABELS, weights, (teacher,) * 2, 10, MEDIUM, mesh, order, KEY, 0)
    for platform in PLATFORMS:
        steps = compile_steps(forward(NETWORKS[name], training_form(platform)), recipe, 429, mesh)
        exported = export.export(steps, platforms=[platform], disabled_checks=[LAYOUTS])(state, digits, KEY, 0, 429)
        assert exported.nr_devices == mesh.size


def test_the_distortion_is_lowered(mesh):
    taken, distorted, _ = batches._compile(recipe_for("lenet").distortion, 10, mesh)
    for exported in lowered(distorted, IMAGES, 0, KEY, 0):
        assert exported.nr_devices == mesh.size
        assert exported.out_avals[0].shape == IMAGES.shape[1:]
    lowered(taken, PICTURES, LABELS, jax.ShapeDtypeStruct((STEPS_PER_CALL, 1, ROWS), np.int32))


@pytest.mark.parametrize("name", EACH)
def test_the_evaluation_and_all_sizes_of_the_predictor_are_lowered(name):
    layers = NETWORKS[name]
    evaluation = jax.jit(forward(layers, inference_form()))
    lowered(evaluation, abstract_params(layers, inference_form()), jax.ShapeDtypeStruct((1000, 28, 28), np.uint8))
    head_rows = count_features(layers) + READ + 2
    for rows in ROW_SIZES:
        for exported in lowered(jax.jit(columns_function(layers)), *abstract_arguments(layers, head_rows, rows)):
            assert [(out.shape, out.dtype) for out in exported.out_avals] == [((rows, 16), np.float32)]


def test_the_form_is_that_of_the_platform_that_is_lowered_for():
    assert training_form() == training_form("cpu") != HALF
    assert training_form("cuda") == training_form("tpu") == HALF
