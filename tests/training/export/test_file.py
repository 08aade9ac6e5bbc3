"""The file of an exported version: what it says of itself, and that nothing is written unless the proof succeeds."""

import json

import jax
import numpy as np
import onnx
import pytest
from msgspec.structs import replace

from training.data.digits import DataError
from training.export import outputs
from training.export.file import export
from training.export.outputs import ExportError, prove
from training.store import Store, UnknownModel

WRITTEN = {
    "model": "tiny",
    "version": "1",
    "verdicts": "0 accepted, 1 uncertain, 2 not_a_digit",
}


def said_by(card):
    return WRITTEN | {
        "digits_sha256": card.data.sha256,
        "created": card.created.isoformat(),
        "code": card.code,
    }


def test_an_onnx_file_says_which_version_it_is_and_takes_pixels(trained_store, trained, tmp_path):
    assert export(trained_store, "tiny", "champion", "onnx", tmp_path / "tiny.onnx") == 1
    model = onnx.load(tmp_path / "tiny.onnx")
    assert {of.key: of.value for of in model.metadata_props} == said_by(trained[0])
    (images,) = model.graph.input
    assert images.name == "images"
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [of.dim_param or of.dim_value for of in images.type.tensor_type.shape.dim] == ["n", 28, 28]
    assert [of.name for of in model.graph.output] == [*outputs.OUTPUTS]


def test_a_stablehlo_file_says_which_version_it_is_and_where_it_runs(trained_store, trained, tmp_path):
    export(trained_store, "tiny", 1, "stablehlo", tmp_path / "tiny.stablehlo")
    exported = jax.export.deserialize(bytearray((tmp_path / "tiny.stablehlo").read_bytes()))
    assert json.loads(exported.fun_name) == said_by(trained[0])
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert ".py" not in exported.mlir_module(), "it names files of this machine"
    (images,) = exported.in_avals
    assert (str(images.dtype), [str(side) for side in images.shape]) == ("uint8", ["n", "28", "28"])


@pytest.mark.parametrize("form", ["onnx", "stablehlo"])
def test_the_same_version_gives_the_same_file(trained_store, tmp_path, form):
    for name in ("first", "second"):
        export(trained_store, "tiny", 1, form, tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize("form", ["onnx", "stablehlo"])
def test_a_version_that_does_not_answer_as_published_is_not_written(trained, tmp_path, form):
    """Its weights are whole, and not those that the card speaks of."""
    card, params = trained
    store = Store(tmp_path / "store")
    store.publish(card, jax.tree.map(lambda leaf: leaf * 1.5, params))
    with pytest.raises(
        ExportError, match=r"does not answer as tiny did when it was published: a golden probability is off by"
    ):
        export(store, "tiny", 1, form, tmp_path / f"tiny.{form}")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_digit_confidence_or_verdict_that_does_not_follow_is_refused(trained):
    card, _ = trained
    golden = card.golden
    probabilities = np.array(golden.probabilities, np.float32)
    found = {
        "probabilities": probabilities,
        "digit": probabilities.argmax(axis=1),
        "confidence": probabilities.max(axis=1),
        "certainty": np.ones(len(probabilities), np.float32),
        "novelty": np.array(golden.novelty, np.float32),
    }
    found["verdict"] = np.where(found["novelty"] > np.float32(card.trust.novelty.limit), 2, 0)
    prove(card, found)
    for name in ("digit", "confidence", "verdict"):
        with pytest.raises(ExportError, match=f"the {name} of a golden picture does not follow from the other outputs"):
            prove(card, found | {name: found[name] + 1})
    with pytest.raises(ExportError, match="a golden novelty is off by nan"):
        prove(card, found | {"novelty": found["novelty"] * np.float32(np.nan)})


def test_what_cannot_be_exported_or_written_is_named(trained_store, trained, tmp_path):
    with pytest.raises(UnknownModel, match="there is no model 'tyni' in the store"):
        export(trained_store, "tyni", 1, "onnx", tmp_path / "tiny.onnx")
    with pytest.raises(DataError, match=r"no/tiny.onnx: cannot be written: No such file or directory"):
        export(trained_store, "tiny", 1, "onnx", tmp_path / "no" / "tiny.onnx")
    assert replace(trained[0]) == trained[0]
