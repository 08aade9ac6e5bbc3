"""The signatures of a model for TensorFlow Serving's clients: names, types and shapes of inputs and outputs."""

from __future__ import annotations

from typing import Any, Final

from service.errors import WrongValue, describe
from training.images import CLASSES, FULL_INK, PIXELS

INPUT: Final = "pixels"
OUTPUT: Final = "probabilities"
"""The only output, so that responses leave out its name."""
DEFAULT: Final = "serving_default"
SIGNATURES: Final = {DEFAULT: FULL_INK, "unit_scale": 1.0}
"""Signature -> value of full ink: a client selects its scale by the name of the signature."""
WANTED: Final = " or ".join(f"{name} (pixels from 0 to {scale:g})" for name, scale in SIGNATURES.items())


def scale_of_signature(request: dict[str, Any]) -> float:
    """The value of full ink for the signature of a request; an empty name is the default, as in TensorFlow Serving.

    Raises WrongValue for an unknown signature.
    """
    name = request.get("signature_name", DEFAULT)
    name = DEFAULT if name == "" else name
    if type(name) is str and name in SIGNATURES:
        return SIGNATURES[name]
    found = describe(name)
    message = f"signature_name is {found}, want {WANTED}"
    raise WrongValue("unknown_signature", message, field="signature_name", found=found, wanted=WANTED)


def signature_def() -> dict[str, Any]:
    """The signatures as TensorFlow's `SignatureDefMap` in JSON."""
    return {name: _signature(name) for name in SIGNATURES}


def _signature(name: str) -> dict[str, Any]:
    return {
        "inputs": {INPUT: _tensor(f"{name}_{INPUT}:0", -1, PIXELS)},
        "outputs": {OUTPUT: _tensor(f"{name}_{OUTPUT}:0", -1, CLASSES)},
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }


def _tensor(name: str, *sizes: int) -> dict[str, Any]:
    dims = [{"size": str(size), "name": ""} for size in sizes]  # 64-bit numbers are strings in protobuf's JSON
    return {"dtype": "DT_FLOAT", "tensor_shape": {"dim": dims, "unknown_rank": False}, "name": name}
