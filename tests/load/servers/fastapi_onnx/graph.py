"""The network as an ONNX graph: pixels uint8 [n, 784] in, probabilities float32 [n, 10] out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from tests.load.servers.network import Layer

OPSET = 21
IR_VERSION = 10


def graph(layers: list[Layer]) -> ModelProto:
    """What ONNX Runtime loads; it fuses activations into the layers before them by itself."""
    constants = {"side": np.array([-1, 1, 28, 28]), "full_ink": np.array(255, np.float32)}
    nodes = [
        helper.make_node("Cast", ["pixels"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["numbers", "full_ink"], ["ink"]),
        helper.make_node("Reshape", ["ink", "side"], ["images"]),
    ]
    before = "images"
    for place, layer in enumerate(layers):
        if layer.kernel.size:
            constants |= {f"kernel_{place}": layer.kernel, f"bias_{place}": layer.bias}
        nodes.append(_node(layer, place, before))
        before = f"layer_{place}"
        if layer.relu:
            nodes.append(helper.make_node("Relu", [before], [f"relu_{place}"]))
            before = f"relu_{place}"
    nodes.append(helper.make_node("Softmax", [before], ["probabilities"], axis=1))
    drawn = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 784])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(drawn, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)])


def _node(layer: Layer, place: int, before: str) -> NodeProto:
    weights, after = [f"kernel_{place}", f"bias_{place}"], [f"layer_{place}"]
    match layer.kind:
        case "conv":
            return helper.make_node("Conv", [before, *weights], after, strides=[layer.stride] * 2)
        case "dense":
            return helper.make_node("Gemm", [before, *weights], after, transB=1)
        case "max_pool":
            sides = [layer.size] * 2
            return helper.make_node("MaxPool", [before], after, kernel_shape=sides, strides=sides)
        case _:
            return helper.make_node("Flatten", [before], after)
