"""The signatures that TensorFlow Serving's clients know models by: what goes in and what comes out, by name."""

from __future__ import annotations

from typing import Any, Final

from service.errors import WrongValue, describe
from training.images import CLASSES, FULL_INK, PIXELS

INPUT: Final = "pixels"
OUTPUT: Final = "probabilities"
"""The only one, so that answers leave out its name."""
DEFAULT: Final = "serving_default"
SIGNATURES: Final = {DEFAULT: FULL_INK, "unit_scale": 1.0}
"""The value of full ink by the name of the signature: the client states its scale by choosing one."""
WANTED: Final = " or ".join(f"{name} (pixels from 0 to {scale:g})" for name, scale in SIGNATURES.items())


def scale_of_signature(request: dict[str, Any]) -> float:
    """The value of full ink by a request's signature. Raises WrongValue for a signature that there is not."""
    name = request.get("signature_name", DEFAULT)
    if type(name) is str and name in SIGNATURES:
        return SIGNATURES[name]
    found = describe(name)
    message = f"signature_name is {found}, want {WANTED}"
    raise WrongValue("unknown_signature", message, field="signature_name", found=found, wanted=WANTED)


def signature_def() -> dict[str, Any]:
    """The signatures as TensorFlow's `SignatureDefMap` is written in JSON."""
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
