"""A training run: what it learns, that it is reproducible bit for bit, and that it resumes after any epoch."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
import pytest
from msgspec.structs import replace

from tests.support.compiled import SHARING
from tests.support.small import QUICK, TINY, nobody_watching, unwatched
from training.data.split import split
from training.distributed.mesh import data_parallel_mesh
from training.errors import DigitsError
from training.fitting import job
from training.fitting import loop as training_fit
from training.fitting.batches import STEPS_PER_CALL, Batches
from training.fitting.loop import Diverged, before_first_epoch, compile_steps, fit
from training.fitting.optimizer import learning_rate, optimizer
from training.fitting.run_checkpoints import Run, RunBusy
from training.network.convolution import NATIVE
from training.network.layers import Conv, Dense, Dropout, Flatten, MaxPool
from training.network.module import forward
from training.recipe import Distortion
from training.store import Store

CONVOLUTIONAL = (Conv(4, kernel=5, activation="relu"), MaxPool(4), Flatten(), Dropout(0.2), Dense(10))


@pytest.fixture
def thousand(few_digits):
    """The first 1,000 training images: more steps would show no more, where only bits are compared."""
    return few_digits.take(np.arange(1000))


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def epochs_of(layers, recipe, digits, start=None):
    start = start or before_first_epoch(layers, recipe)
    return list(fit(layers, recipe, *split(digits, recipe.validation_images), start, unwatched))


def test_training_learns(few_digits):
    *_, last = epochs_of(TINY, QUICK, few_digits)
    assert last.history[-1].validation_error < 0.2 < last.history[0].validation_error + 0.1
    assert [row.epoch for row in last.history] == [1, 2, 3]


@pytest.mark.parametrize("layers", [TINY, CONVOLUTIONAL])
def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(thousand, layers):
    first, second, other = (
        epochs_of(layers, replace(QUICK, epochs=1, seed=seed), thousand)[-1].state.average for seed in (0, 0, 1)
    )
    assert same(first, second)
    assert not same(first, other)


def test_going_on_from_any_epoch_ends_bit_identical(thousand):
    whole = epochs_of(CONVOLUTIONAL, QUICK, thousand)
    again = epochs_of(CONVOLUTIONAL, QUICK, thousand, start=whole[0])
    assert same(again[-1].state, whole[-1].state)
    assert len(again) == 2


def test_a_run_on_disk_is_what_it_was(few_digits, tmp_path):
    store = Store(tmp_path)
    (epoch,) = epochs_of(TINY, replace(QUICK, epochs=1), few_digits)
    with Run.open(store.path, TINY, QUICK, "data", resume=True) as run:
        assert run.epochs == 0
        run.save(epoch)
    with Run.open(store.path, TINY, QUICK, "data", resume=True) as run:
        loaded = run.load(like=before_first_epoch(TINY, QUICK).state)
        assert same(loaded.state, epoch.state)
        assert loaded.history == epoch.history
        with pytest.raises(RunBusy, match="another process is training just this"):
            Run.open(store.path, TINY, QUICK, "data", resume=True).__enter__()
    with Run.open(store.path, TINY, QUICK, "data", resume=False) as run:
        assert run.epochs == 0, "without resume a run starts anew"


@pytest.mark.parametrize(
    ("layers", "recipe", "data"),
    [
        (CONVOLUTIONAL, QUICK, "data"),
        (TINY, replace(QUICK, seed=1), "data"),
        (TINY, replace(QUICK, learning_rate=1e-3), "data"),
        (TINY, QUICK, "other data"),
    ],
)
def test_a_run_with_other_layers_recipe_or_data_is_another_run(few_digits, tmp_path, layers, recipe, data):
    (epoch,) = epochs_of(TINY, replace(QUICK, epochs=1), few_digits)
    with Run.open(Store(tmp_path).path, TINY, QUICK, "data", resume=True) as run:
        run.save(epoch)
    with Run.open(Store(tmp_path).path, layers, recipe, data, resume=True) as other:
        assert other.epochs == 0


def test_a_batch_larger_than_the_data_is_refused(few_digits):
    with pytest.raises(DigitsError, match="a batch of 4000 is larger than the 3500 training images, want at most 3500"):
        epochs_of(TINY, replace(QUICK, batch_size=4000), few_digits)


def test_a_loss_that_is_no_number_ends_training_with_advice(few_digits):
    with pytest.raises(
        Diverged, match=r"the loss is .* in epoch 1: try a lower learning rate|the logits are not finite"
    ):
        epochs_of(TINY, replace(QUICK, optimizer="sgd", learning_rate=1e30), few_digits)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_every_optimizer_and_schedule_trains(few_digits, optimizer, schedule):
    recipe = replace(QUICK, epochs=2, optimizer=optimizer, schedule=schedule, learning_rate=0.01)
    assert epochs_of(TINY, recipe, few_digits)[-1].history[-1].validation_error < 0.3


def test_every_epoch_takes_the_training_images_in_another_order(few_digits, monkeypatch):
    drawn = []

    def compile_draw(*args, compile_draw=training_fit.compile_draw):
        draw = compile_draw(*args)

        def recorded(order, key, first):
            drawn.append(np.asarray(order)[first : first + STEPS_PER_CALL].ravel())
            return draw(order, key, first)

        return recorded

    monkeypatch.setattr(training_fit, "compile_draw", compile_draw)
    epochs_of(TINY, replace(QUICK, epochs=2), few_digits)
    half = len(drawn) // 2
    first, second = np.concatenate(drawn[:half]), np.concatenate(drawn[half:])
    assert len(set(first)) == len(first) == 3500 // 64 * 64
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, np.sort(first))


def test_a_job_never_trains_on_the_images_it_validates_on(few_digits, tmp_path, monkeypatch):
    seen = {}

    def spy(layers, recipe, training, validation, *rest):
        seen.update(
            training={i.tobytes() for i in training.images}, validation={i.tobytes() for i in validation.images}
        )
        return fit(layers, recipe, training, validation, *rest)

    monkeypatch.setattr(job, "fit", spy)
    store = Store(tmp_path)
    job.run(
        store,
        "tiny",
        TINY,
        replace(QUICK, epochs=1),
        few_digits,
        source="a test",
        resume=False,
        watching=nobody_watching,
    )
    assert seen["training"] & seen["validation"] == set()
    assert len(seen["training"]) + len(seen["validation"]) == 4000


def test_each_step_drops_other_values(few_digits):
    """Two steps on the same picture, with weights that all but stand still: only dropout can tell them apart."""
    recipe = replace(QUICK, optimizer="sgd", learning_rate=1e-30)
    layers = (Flatten(), Dropout(0.5), Dense(10))
    state = before_first_epoch(layers, recipe).state
    take_steps = compile_steps(forward(layers, NATIVE), recipe, 50, data_parallel_mesh())
    same_picture = np.repeat(few_digits.images[:1], 40, axis=0)[:, None, None]
    batches = Batches(same_picture, jax.nn.one_hot(np.repeat(few_digits.labels[:1], 40)[:, None, None], 10))
    key = jax.random.key_data(jax.random.key(0))
    losses = [float(take_steps(state, batches, key, 0, count)[1]) for count in (1, 2, 3)]
    assert len({round(losses[0], 5), round(losses[1] - losses[0], 5), round(losses[2] - losses[1], 5)}) == 3


def test_the_learning_rate_rises_and_falls_as_the_recipe_says():
    recipe = replace(QUICK, epochs=5, warmup_epochs=1, learning_rate=0.1)
    steps = [0, 100, 300, 500]
    rates = {
        name: [float(learning_rate(replace(recipe, schedule=name), 100)(step)) for step in steps]
        for name in ("cosine", "linear", "constant")
    }
    assert rates["cosine"] == pytest.approx([0.01, 0.1, 0.05, 0.0], abs=1e-6)
    assert rates["linear"] == pytest.approx([0.01, 0.1, 0.05, 0.0], abs=1e-6)
    assert rates["constant"] == pytest.approx([0.01, 0.1, 0.1, 0.1], abs=1e-6)


@pytest.mark.parametrize(("name", "shrinks"), [("adamw", True), ("adam", False), ("sgd", False)])
def test_only_adamw_lets_weights_decay(name, shrinks):
    recipe = replace(QUICK, optimizer=name, schedule="constant", warmup_epochs=0, learning_rate=0.1, weight_decay=0.5)
    tx, weights = optimizer(recipe, 10), {"w": jax.numpy.ones(3)}
    update, _ = tx.update({"w": jax.numpy.zeros(3)}, tx.init(weights), weights)
    assert np.asarray(update["w"]).tolist() == pytest.approx([-0.05 if shrinks else 0.0] * 3)


def test_the_average_lags_behind_the_weights_and_without_one_is_the_weights(thousand):
    lagging = epochs_of(TINY, replace(QUICK, epochs=1, average=0.99), thousand)[-1].state
    plain = epochs_of(TINY, replace(QUICK, epochs=1), thousand)[-1].state
    assert same(plain.average, plain.params)
    assert same(lagging.params, plain.params)
    assert not same(lagging.average, plain.params)


def test_distortion_changes_what_is_learned(thousand):
    distorted = replace(QUICK, epochs=1, distortion=Distortion(elastic_px=1.0))
    assert not same(
        epochs_of(TINY, distorted, thousand)[-1].state,
        epochs_of(TINY, replace(QUICK, epochs=1), thousand)[-1].state,
    )


EPOCHS = 14
"""So many that a process that is stopped after its third one has long to go, three times."""
LAYERS = """
layers = [
  {kind = "flatten"}, {kind = "dense", features = 32, activation = "relu"},
  {kind = "dropout", rate = 0.2}, {kind = "dense", features = 10},
]
"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory, few_digits) -> Path:
    """A file of few digits, so that most of the time of a process is not training."""
    path = tmp_path_factory.mktemp("digits") / "few.npz"
    np.savez(path, images=few_digits.images, labels=few_digits.labels)
    return path


def command(folder: Path, digits: Path, *options: str) -> list[str]:
    (folder / "tiny.toml").write_text(LAYERS)
    return [
        *(sys.executable, "-m", "tests.support.few_outliers", "fit", "tiny", "--layers", str(folder / "tiny.toml")),
        *("--data", str(digits), "--store", str(folder), "--epochs", str(EPOCHS), "--validation-images", "500"),
        *options,
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, digits) -> Store:
    """What the command leaves when nothing happens to it, with code that it compiled itself."""
    folder = tmp_path_factory.mktemp("undisturbed")
    subprocess.run(command(folder, digits), capture_output=True, check=True)
    return Store(folder)


def epochs_shown(lines) -> list[int]:
    """The epochs in the rows of the table that the command prints."""
    return [int(found[1]) for line in lines if (found := re.match(r" +(\d+) ", line))]


def run_in(folder, digits, *, resume, watching=nobody_watching):
    """A job with TINY in a folder: the store, with the version that it published."""
    recipe = replace(QUICK, epochs=5)
    job.run(Store(folder), "tiny", TINY, recipe, digits, source="a test", resume=resume, watching=watching)
    return Store(folder)


def test_a_job_that_is_interrupted_again_and_again_resumes_bit_identical(few_digits, tmp_path):
    epochs = []
    for stop_in in (2, 4):

        @contextmanager
        def interrupting(model, recipe, stop_in=stop_in):
            def watch(*, epoch, row, **progress):
                epochs.append(epoch)
                if epoch == stop_in and row is None:
                    raise KeyboardInterrupt

            yield watch

        with pytest.raises(KeyboardInterrupt):
            run_in(tmp_path / "interrupted", few_digits, resume=bool(epochs), watching=interrupting)
        assert Store(tmp_path / "interrupted").models() == []
    assert epochs == sorted(epochs), "epochs that were done are not done again"
    card, params = run_in(tmp_path / "interrupted", few_digits, resume=True).load("tiny", 1)
    other_card, other_params = run_in(tmp_path / "undisturbed", few_digits, resume=False).load("tiny", 1)
    assert same(params, other_params)
    assert card.golden == other_card.golden
    assert card.calibration == other_card.calibration
    assert [row.epoch for row in card.history] == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_a_process_that_is_stopped_again_and_again_resumes_bit_identical(tmp_path, digits, undisturbed):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": os.environ | SHARING}
    done, options = 1, ()
    for ending, code in ((signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with subprocess.Popen(command(tmp_path, digits, *options), **pipes) as process:
            shown = []
            while len(shown) < 3:
                shown += epochs_shown([process.stdout.readline()])
            time.sleep(0.05)
            process.send_signal(ending)
            _, said = process.communicate()
        assert process.returncode == code
        assert "Traceback" not in said
        assert Store(tmp_path).models() == []
        assert shown[0] >= done, "epochs that were done are not done again"
        done, options = shown[-1], ("--resume",)

    again = subprocess.run(
        command(tmp_path, digits, *options), capture_output=True, text=True, check=True, env=os.environ | SHARING
    )
    shown = epochs_shown(again.stdout.splitlines())
    assert shown[0] >= done
    assert shown[-1] == EPOCHS
    card, params = Store(tmp_path).load("tiny", 1)
    other_card, other_params = undisturbed.load("tiny", 1)
    assert same(params, other_params)
    assert card.golden == other_card.golden
    assert card.calibration == other_card.calibration


def test_a_published_run_leaves_nothing_behind(few_digits, tmp_path):
    store = Store(tmp_path)
    job.run(
        store,
        "tiny",
        TINY,
        replace(QUICK, epochs=1),
        few_digits,
        source="a test",
        resume=True,
        watching=nobody_watching,
    )
    assert list((tmp_path / job.RUNS).iterdir()) == []
