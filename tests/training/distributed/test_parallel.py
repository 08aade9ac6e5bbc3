"""One training run on several devices, in one process and in several real ones."""

import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from threading import Timer
from types import SimpleNamespace

import jax
import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.load.server import free_port
from tests.support.small import nobody_watching, unwatched
from training.__main__ import app
from training.data.split import split
from training.distributed.processes import join
from training.errors import DigitsError
from training.fitting import loop
from training.fitting.job import run
from training.fitting.loop import before_first_epoch
from training.network.layers import Conv, Dense, Dropout, Flatten, LayerFile
from training.recipe import Distortion, Recipe, Teacher
from training.store import Store

LAYERS = (Conv(4, kernel=5, stride=4, activation="tanh"), Flatten(), Dropout(0.2), Dense(10))
"""Smooth: at a bend of relu or a tie of max pooling, sums that differ in their last bits would get other gradients."""
RECIPE = Recipe(
    epochs=6,
    optimizer="sgd",  # adamw would make steps of the last bits of small gradients
    learning_rate=0.02,
    average=0.99,
    distortion=Distortion(elastic_px=0.9, rotation_rad=0.12, shift_px=1.0),
    validation_images=200,
)
PLAIN_LAYERS = (Flatten(), Dense(10))
PLAIN_RECIPE = Recipe(epochs=2, optimizer="sgd", learning_rate=0.02, average=0.99, validation_images=200)
"""A network and a recipe that take a quarter of the time to compile."""
PATIENCE_S = 180
"""No process is left after so long; two processors that are free need a tenth of it."""
DEATH_KNOWN_AFTER_S = 40

REPORTING = """
import sys
from tests.support.few_outliers import learn_few
from training.fitting import loop as fit
from training.__main__ import app

def compile_draw(*args, compile_draw=fit.compile_draw):
    draw = compile_draw(*args)
    def reported(*args):
        batches = draw(*args)
        rows = {shard.data.shape[2] for shard in batches.images.addressable_shards}
        devices = len(batches.images.sharding.device_set)
        print(devices, "devices take", *rows, "of", batches.images.shape[2], "rows", file=sys.stderr)
        return batches
    return reported

fit.compile_draw = compile_draw
learn_few()
app()
"""
"""`python -m training` that also says how it shares out its batches."""


@pytest.fixture(scope="module")
def job(tmp_path_factory, few_digits):
    """A folder with what is trained, how and on what, and with what was compiled for it."""
    folder = tmp_path_factory.mktemp("job")
    (folder / "layers.json").write_bytes(msgspec.json.encode(LayerFile(LAYERS)))
    (folder / "plain.json").write_bytes(msgspec.json.encode(LayerFile(PLAIN_LAYERS)))
    (folder / "recipe.json").write_bytes(msgspec.json.encode(RECIPE))
    (folder / "plain_recipe.json").write_bytes(msgspec.json.encode(PLAIN_RECIPE))
    digits = few_digits.take(np.arange(1500))
    np.savez(folder / "few.npz", images=digits.images, labels=digits.labels)
    return folder


@pytest.fixture(scope="module")
def alone(job, tmp_path_factory):
    """What one device leaves behind when nothing happens to it."""
    store = Store(tmp_path_factory.mktemp("alone"))
    with running(job, store) as (process,):
        said = process.communicate()
    assert process.returncode == 0, said
    return store.load("tiny", 1)


@contextmanager
def running(job, store, *options, processes=1, devices=1, program=("-m", "tests.support.few_outliers"), last=()):
    """The processes of a job, each with so many devices; none outlives the block, or PATIENCE_S.

    The last one gets some more options.
    """
    files = ("--layers", str(job / "layers.json"), "--recipe", str(job / "recipe.json"), "--data", str(job / "few.npz"))
    command = [sys.executable, *program, "fit", "tiny", "--store", str(store.path), *files, *options]
    if processes > 1:
        command += ["--coordinator", f"127.0.0.1:{free_port()}", "--processes", str(processes), "--process"]
    environment = {
        **os.environ,
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}",
        "JAX_COMPILATION_CACHE_DIR": str(job / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    started = []
    with ExitStack() as stack:
        for number in range(processes):
            more = [str(number)] * (processes > 1) + [*last] * (number == processes - 1)
            process = subprocess.Popen(command + more, **pipes)
            started.append(stack.enter_context(process))
            stack.callback(process.kill)
            timer = Timer(PATIENCE_S, process.kill)
            stack.callback(timer.cancel)
            timer.start()
        yield started


def assert_same_curve(store, alone):
    (one, params), (other, other_params) = store.load("tiny", 1), alone
    losses, other_losses = ([row.loss for row in card.history] for card in (one, other))
    np.testing.assert_allclose(losses, other_losses, rtol=0, atol=1e-6)
    for weights, other_weights in zip(jax.tree.leaves(params), jax.tree.leaves(other_params), strict=True):
        np.testing.assert_allclose(weights, other_weights, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_eight_devices_have_the_loss_curve_of_one(job, few_digits, tmp_path):
    """As below, for a plain network and without distortion."""
    alone, together = Store(tmp_path / "alone"), Store(tmp_path / "together")
    digits = few_digits.take(np.arange(1500))
    run(
        alone,
        "tiny",
        PLAIN_LAYERS,
        PLAIN_RECIPE,
        digits,
        source="few.npz",
        resume=False,
        watching=nobody_watching,
    )
    options = ("--layers", str(job / "plain.json"), "--recipe", str(job / "plain_recipe.json"))
    with running(job, together, *options, devices=8, program=("-c", REPORTING)) as (process,):
        _, said = process.communicate()
    assert process.returncode == 0, said
    assert set(re.findall(r".* devices .*", said)) == {"8 devices take 8 of 64 rows"}
    assert_same_curve(together, alone.load("tiny", 1))


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "devices"), [(1, 8), (2, 1)])
def test_devices_and_processes_that_share_the_work_have_the_loss_curve_of_one(job, alone, tmp_path, processes, devices):
    store = Store(tmp_path)
    with running(job, store, processes=processes, devices=devices, program=("-c", REPORTING)) as started:
        said = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0] * processes, said
    assert store.versions("tiny") == [1]
    assert_same_curve(store, alone)
    everywhere = processes * devices
    for number, (out, err) in enumerate(said):
        assert set(re.findall(r".* devices .*", err)) == {f"{everywhere} devices take {32 // everywhere} of 32 rows"}
        assert bool(re.search(r"epoch +loss", out)) == ("published" in out) == (number == 0), out


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_the_other_and_both_resume(job, alone, tmp_path, killed):
    store = Store(tmp_path)
    with running(job, store, processes=2) as started:
        assert any(re.match(r" +2 ", line) for line in started[0].stdout), "an epoch is shown before it is saved"
        started[killed].kill()
        other = started[1 - killed]
        _, said = other.communicate(timeout=DEATH_KNOWN_AFTER_S)
        assert other.returncode == 1, said
    (error,) = re.findall(r"^error: .*", said, re.MULTILINE)  # JAX says more, and not as error
    assert error.startswith("error: another process has ended or cannot be reached; with --resume, all go on from")
    assert store.models() == []

    with running(job, store, "--resume", processes=2) as started:
        (resumed, _), _ = said = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    first, *others = map(int, re.findall(r"^ +(\d+) ", resumed, re.MULTILINE))
    assert first > 1
    assert others == list(range(first + 1, RECIPE.epochs + 1))
    assert store.versions("tiny") == [1]
    assert_same_curve(store, alone)


@pytest.mark.slow
def test_processes_share_a_teacher(job, tmp_path):
    """Orbax once could not say on which device of which process a teacher was to be."""
    teacher = Teacher(layers=LAYERS, recipe=RECIPE.changed(epochs=1))
    (tmp_path / "taught.json").write_bytes(msgspec.json.encode(RECIPE.changed(epochs=2, teacher=teacher)))
    stores = [Store(tmp_path / name) for name in ("alone", "together")]
    for store, processes in zip(stores, (1, 2), strict=True):
        with running(job, store, "--recipe", str(tmp_path / "taught.json"), processes=processes) as started:
            said = [process.communicate() for process in started]
        assert [process.returncode for process in started] == [0] * processes, said
    assert_same_curve(stores[1], stores[0].load("tiny", 1))


@pytest.mark.slow
def test_processes_that_were_given_different_recipes_end_with_an_error(job, tmp_path):
    """They once published what none of the recipes would have made, with exit code 0."""
    store = Store(tmp_path)
    with running(job, store, processes=2, last=("--learning-rate", "0.1")) as started:
        (_, first), (_, second) = [process.communicate(timeout=DEATH_KNOWN_AFTER_S) for process in started]
        assert [process.returncode for process in started] == [1, 1], (first, second)
    assert "error: process 1 was given another network, recipe or data than process 0" in second
    assert "error: another process has ended or cannot be reached" in first
    assert store.models() == []


def test_a_process_that_waits_for_the_others_says_so_and_obeys(job, tmp_path):
    """JAX would wait for 300 s, deaf to signals, and abort."""
    with running(job, Store(tmp_path), processes=2) as (first, second):
        second.kill()
        assert re.match(r"process 0 of 2 waits for the others at 127\.0\.0\.1:\d+$", first.stderr.readline())
        first.send_signal(signal.SIGTERM)
        _, said = first.communicate(timeout=DEATH_KNOWN_AFTER_S)
    assert (first.returncode, said) == (128 + signal.SIGTERM, "")


def test_one_of_several_processes_without_a_coordinator_is_refused(tmp_path):
    """It once trained all alone and published, as did every other one."""
    options = ("fit", "mlp", "--store", str(tmp_path), "--processes", "2", "--process", "1")
    done = CliRunner().invoke(app, options, env={"COLUMNS": "200"})
    assert done.exit_code == 1
    assert "this is one of 2 processes: want --coordinator with the host:port of process 0" in done.stderr
    assert Store(tmp_path).models() == []


def test_a_batch_that_the_devices_cannot_share_is_refused(few_digits, monkeypatch):
    monkeypatch.setattr(loop, "data_parallel_mesh", lambda: SimpleNamespace(size=8))
    recipe = RECIPE.changed(batch_size=50)
    start = before_first_epoch(LAYERS, recipe)
    with pytest.raises(DigitsError, match=r"^a batch of 50 is worked on 25 at a time, which 8 devices cannot"):
        next(loop.fit(LAYERS, recipe, *split(few_digits, 200), start, unwatched))


@pytest.mark.parametrize(
    ("coordinator", "process", "found"),
    [
        ("127.0.0.1:1", 2, "this is process 2 of 2: want one from 0 to 1"),
        ("127.0.0.1:1", -1, "this is process -1 of 2: want one from 0 to 1"),
        ("127.0.0.1", 0, "the coordinator is '127.0.0.1': want host:port"),
        (":1", 0, "the coordinator is ':1': want host:port"),
        ("127.0.0.1:99999", 0, "the coordinator is '127.0.0.1:99999': want host:port"),
        ("127.0.0.1:http", 0, "the coordinator is '127.0.0.1:http': want host:port"),
    ],
)
def test_what_names_no_process_or_no_address_is_refused_before_anything_is_joined(
    monkeypatch, coordinator, process, found
):
    joined = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *args, **kwargs: joined.append(args))
    with pytest.raises(DigitsError, match=f"^{re.escape(found)}$"):
        join(coordinator, 2, process)
    assert joined == []
