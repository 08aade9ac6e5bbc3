"""Exported networks of every kind of layer answer as the network that the service computes, in both forms."""

import numpy as np
import pytest
from msgspec.structs import replace

from tests.support.networks import EVERY_KIND, IMAGES, card_with
from training.answers import EVERYTHING, NOVELTY
from training.export import onnx, stablehlo
from training.export.outputs import OUTPUTS, prove
from training.network.compiled import CompiledNetwork
from training.uncertainty.novelty import NOWHERE

FORMS = {"onnx": onnx, "stablehlo": stablehlo}
SAID = {"model": "tiny", "version": "1"}


def computed(card, params):
    """The outputs by name, as the service computes them."""
    network = CompiledNetwork(
        card.layers,
        params,
        temperature=card.calibration.temperature,
        detector=card.trust.novelty.detector if card.trust else NOWHERE,
        limits=card.trust.limits if card.trust else EVERYTHING,
        row_sizes=[len(IMAGES)],
    )
    columns = network.columns(IMAGES)
    return {name: columns[:, column] for name, column in OUTPUTS.items()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layers", EVERY_KIND.values(), ids=EVERY_KIND)
def test_every_kind_of_layer_and_activation_is_exported(trained, layers, form):
    card, params = card_with(trained[0], layers)
    found = FORMS[form].run(FORMS[form].build(card, params, SAID), IMAGES)
    wanted = computed(card, params)
    assert [*found] == [*OUTPUTS] or form == "stablehlo"
    assert set(wanted["verdict"]) == {0, 1, 2}
    prove(card, found)
    on_the_limit = {
        np.argsort(np.abs(wanted[name] - of))[0]
        for name, of in zip(("certainty", "novelty"), card.trust.limits, strict=True)
    }
    rows = [row for row in range(len(IMAGES)) if row not in on_the_limit]
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name][rows], values[rows], rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("form", FORMS)
def test_any_number_of_pictures_can_be_asked_at_once(trained, form):
    content = FORMS[form].build(*trained, SAID)
    together = FORMS[form].run(content, IMAGES)
    for rows in (1, 3):
        alone = FORMS[form].run(content, IMAGES[:rows])
        assert {name: (values.dtype, values.shape) for name, values in alone.items()} == {
            **dict.fromkeys(("confidence", "certainty", "novelty"), (np.float32, (rows,))),
            **dict.fromkeys(("digit", "verdict"), (np.int32, (rows,))),
            "probabilities": (np.float32, (rows, 10)),
        }
        for name, values in alone.items():
            np.testing.assert_allclose(values, together[name][:rows], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_a_version_without_limits_has_no_verdicts(trained, form):
    """Its card has format 1."""
    card, params = trained
    card = replace(card, trust=None)
    found = FORMS[form].run(FORMS[form].build(card, params, SAID), card.golden.images)
    assert found.keys() == {"probabilities", "digit", "confidence"}
    prove(card, found)


@pytest.mark.parametrize("form", FORMS)
def test_a_version_without_a_head_has_the_distance_as_its_novelty(trained, form):
    """Its card has format 2."""
    card, params = trained
    card = replace(card, trust=replace(card.trust, novelty=replace(card.trust.novelty, head=b"")))
    found = FORMS[form].run(FORMS[form].build(card, params, SAID), IMAGES)
    np.testing.assert_allclose(found["novelty"], computed(card, params)["novelty"], rtol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_numbers_that_are_not_finite_have_a_verdict_of_their_own(trained, form):
    card, params = trained
    last = params["dense_3"]
    params = {**params, "dense_3": {**last, "bias": last["bias"] + np.float32(np.nan)}}
    assert FORMS[form].run(FORMS[form].build(card, params, SAID), IMAGES)["verdict"].tolist() == [-1] * len(IMAGES)


def test_certainty_and_novelty_are_columns_of_the_service():
    assert OUTPUTS["novelty"] == NOVELTY
