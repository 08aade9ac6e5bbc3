"""The predictor: calibrated probabilities, row sizes, warm-up, and the check of golden predictions when it loads."""

import threading

import jax
import numpy as np
import pytest
from msgspec.structs import replace

from training.network import compiled
from training.network.compiled import ROW_SIZES, CompiledNetwork
from training.network.convolution import MATMUL
from training.network.layers import Dense, Dropout, Flatten
from training.network.models import MODELS
from training.network.module import forward
from training.predictor import Predictor
from training.store import Store
from training.store.manifest import CorruptVersion
from training.uncertainty.novelty import HIDDEN

pytestmark = pytest.mark.as_served
IMAGES = np.random.default_rng(0).integers(0, 256, (600, 28, 28), dtype=np.uint8)


@pytest.fixture(scope="module")
def predictor(trained_store) -> Predictor:
    return Predictor.load(trained_store, "tiny")


def test_probabilities_are_those_of_the_network_with_the_temperature_of_the_card(predictor, trained):
    card, params = trained
    logits = forward(card.layers, MATMUL)(params, IMAGES)
    wanted = jax.nn.softmax(logits / card.calibration.temperature)
    np.testing.assert_allclose(predictor(IMAGES), wanted, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 63, 64, 65, 255, 256, 257, 511, 513, 600])
def test_any_number_of_rows_gives_each_row_what_it_gets_alone(predictor, rows):
    together = predictor(IMAGES[:rows])
    assert together.shape == (rows, 10)
    assert together.dtype == np.float32
    alone = predictor(IMAGES[rows - 1 : rows])
    np.testing.assert_allclose(together[-1:], alone, atol=1e-5)


def test_nothing_is_compiled_after_loading(predictor):
    """A shape never seen before stalls its request by an eighth of a second."""
    with jax.log_compiles(), jax.check_tracer_leaks(False):
        compilations = []
        jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: compilations.append(name))
        try:
            for rows in (1, 7, 64, 300):
                predictor(IMAGES[:rows])
        finally:
            jax.monitoring.clear_event_listeners()
    assert [name for name in compilations if "compile" in name] == []


@pytest.mark.parametrize("head_rows", [0, 819])
def test_max_pooling_is_fused_with_what_it_begins_with(head_rows):
    """As an argument of the fusion, -inf costs a batch of LeNet a sixth more time."""
    module = compiled._compile(MODELS["lenet"], head_rows, (8,))[8].as_text()
    fusions, main = module.split("ENTRY")
    assert "constant(-inf)" in fusions
    assert "constant(-inf)" not in main


def test_threads_share_a_predictor(predictor):
    wanted = predictor(IMAGES)
    wrong = []

    def ask(first: int) -> None:
        for rows in range(1, 40):
            got = predictor(IMAGES[first : first + rows])
            if not np.allclose(got, wanted[first : first + rows], atol=1e-5):
                wrong.append((first, rows))

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_predictor_knows_what_it_is(predictor, trained):
    assert (predictor.name, predictor.version, predictor.card) == ("tiny", 1, trained[0])
    assert predictor.row_sizes == ROW_SIZES


def test_weights_that_do_not_answer_as_published_are_refused(trained, tmp_path):
    """The manifest is right, and yet the weights are not those that the card speaks of."""
    card, params = trained
    store = Store(tmp_path)
    store.publish(card, jax.tree.map(lambda leaf: leaf * 1.5, params))
    with pytest.raises(CorruptVersion, match=r"tiny version 1 does not answer as it did when it was published"):
        Predictor.load(store, "tiny")
    store.publish(card, jax.tree.map(lambda leaf: leaf * np.nan, params))
    with pytest.raises(CorruptVersion, match=r"a golden probability is off by nan"):
        Predictor.load(store, "tiny", 2)


def test_another_temperature_changes_the_confidence_and_no_answer(trained):
    card, params = trained
    cold, hot = (CompiledNetwork(card.layers, params, temperature=t, row_sizes=[600])(IMAGES) for t in (0.5, 2.0))
    np.testing.assert_array_equal(cold.argmax(axis=1), hot.argmax(axis=1))
    assert cold.max(axis=1).mean() > hot.max(axis=1).mean()


@pytest.mark.parametrize("hidden", [[], [Dense(17, activation="relu"), Dropout(0.1)]])
def test_a_card_with_other_layers_than_the_weights_is_refused(trained, tmp_path, hidden):
    card, params = trained
    store = Store(tmp_path)
    store.publish(replace(card, layers=(Flatten(), *hidden, Dense(10))), params)
    with pytest.raises(CorruptVersion, match="params does not hold the weights of the card's layers"):
        Predictor.load(store, "tiny")


def test_a_card_with_a_head_for_other_layers_is_refused(trained, tmp_path):
    card, params = trained
    store = Store(tmp_path)
    novelty = replace(card.trust.novelty, head=card.trust.novelty.head[2 * HIDDEN :])
    store.publish(replace(card, trust=replace(card.trust, novelty=novelty)), params)
    with pytest.raises(CorruptVersion, match=r"card.json has a head of 34 rows, want 35 for its layers"):
        Predictor.load(store, "tiny")
