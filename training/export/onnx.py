"""A version as an ONNX graph, for ONNX Runtime: C, C++, C#, Java, JavaScript, Rust, phones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from jax import lax

try:
    import onnxruntime
    from onnx import TensorProto, checker, helper, numpy_helper
except ImportError as error:
    raise ImportError(
        "export to ONNX wants the packages onnx and onnxruntime: python -m pip install onnx onnxruntime"
    ) from error

from training.answers import NOT_A_DIGIT
from training.export.outputs import INPUT_NAME, NOT_FINITE, WHOLE, names
from training.images import CLASSES, FULL_INK, PIXELS, SIDE
from training.network.layers import INPUT, Conv, Dense, Flatten, MaxPool, Reshape, feature_place, shapes
from training.network.module import name as name_of
from training.uncertainty.moments import LEAST_INK, PAPER, basis

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import NodeProto

    from training.images import Images
    from training.network.layers import Layer, Layers, Shape
    from training.network.module import Params
    from training.store.card import Card, Trust

OPSET: Final = 21
IR_VERSION: Final = 10


class _Drawing:
    """The nodes and constants of a graph while it is drawn."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, NDArray[Any] | np.generic] = {}

    def __call__(self, kind: str, *inputs: str | NDArray[Any] | np.generic, output: str = "", **attributes: Any) -> str:
        """Adds a node and returns the name of its output; arrays among the inputs become constants."""
        output = output or f"{kind.lower()}_{len(self.nodes)}"
        given = []
        for number, of in enumerate(inputs):
            if not isinstance(of, str):
                self.constants[f"{output}_{number}"] = of
                of = f"{output}_{number}"
            given.append(of)
        self.nodes.append(helper.make_node(kind, given, [output], **attributes))
        return output


class _Activations(NamedTuple):
    """What a layer gives."""

    name: str
    shape: Shape
    """Of one picture, [h, w, c] as in `layers.py`."""
    channels_first: bool = False
    """Whether they are [n, c, h, w] in the graph, as ONNX computes convolutions."""

    def flat(self, draw: _Drawing) -> str:
        """Their name where the order of values is that of `shape`."""
        return draw("Transpose", self.name, perm=[0, 2, 3, 1]) if self.channels_first else self.name

    def picture(self, draw: _Drawing) -> str:
        """Their name as [n, c, h, w]."""
        height, width, channels = self.shape
        if self.channels_first:
            return self.name
        if channels == 1:
            return _reshaped(draw, self.name, 1, height, width)
        return draw("Transpose", self.name, perm=[0, 3, 1, 2])


def build(card: Card, params: Params, said: dict[str, str]) -> bytes:
    """The version as an ONNX file for any number of pictures, with `said` as its metadata."""
    draw = _Drawing()
    ink = draw("Div", draw("Cast", INPUT_NAME, to=TensorProto.FLOAT), np.float32(FULL_INK))  # [n, 28, 28], 0…1
    logits, features = _network(draw, card.layers, params, ink)
    _answers(draw, logits, card.calibration.temperature)
    if card.trust:
        _verdicts(draw, card.trust, logits, features, ink)
    graph = helper.make_graph(
        draw.nodes,
        "digits",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.UINT8, ["n", SIDE, SIDE])],
        [
            helper.make_tensor_value_info(
                name,
                TensorProto.INT32 if name in WHOLE else TensorProto.FLOAT,
                ["n", CLASSES] if name == "probabilities" else ["n"],
            )
            for name in names(card)
        ],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in draw.constants.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[opset], producer_name="digits")
    helper.set_model_props(model, said)
    checker.check_model(model, full_check=True)
    return model.SerializeToString()


def run(content: bytes, images: Images) -> dict[str, NDArray[Any]]:
    """The outputs of a file's content for images uint8 [n, 28, 28], by ONNX Runtime on CPU."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    wanted = [output.name for output in session.get_outputs()]
    return dict(zip(wanted, session.run(wanted, {INPUT_NAME: images}), strict=True))


def _network(draw: _Drawing, layers: Layers, params: Params, ink: str) -> tuple[str, str]:
    """Draws the network; returns the names of logits [n, 10] and features [n, f] for ink [n, 28, 28]."""
    x = _Activations(ink, INPUT)
    read, features = feature_place(layers), ""
    for place, (layer, after) in enumerate(zip(layers, shapes(layers), strict=True)):
        if place == read:
            features = x.name
        weights = {key: np.asarray(of) for key, of in params.get(name_of(place, layer), {}).items()}
        x = _layer(draw, layer, weights, x, after)
    if read is None:
        half = draw("AveragePool", _Activations(ink, INPUT).picture(draw), kernel_shape=[2, 2], strides=[2, 2])
        features = _reshaped(draw, half, PIXELS // 4)
    return x.name, features


def _layer(
    draw: _Drawing, layer: Layer, weights: dict[str, NDArray[np.float32]], x: _Activations, after: Shape
) -> _Activations:
    """Draws a layer that gives values of the shape `after`."""
    match layer:
        case Conv():
            kernel = np.ascontiguousarray(weights["kernel"].transpose(3, 2, 0, 1))  # [out, in, h, w]
            pads = lax.padtype_to_pads(x.shape[:2], kernel.shape[2:], (layer.stride,) * 2, layer.padding.upper())
            before, after_it = zip(*pads, strict=True)
            found = draw(
                "Conv", x.picture(draw), kernel, weights["bias"], strides=[layer.stride] * 2, pads=[*before, *after_it]
            )
            return _Activations(_activated(draw, layer.activation, found), after, channels_first=True)
        case MaxPool():
            sides = [layer.size] * 2
            found = draw("MaxPool", x.picture(draw), kernel_shape=sides, strides=sides)
            return _Activations(found, after, channels_first=True)
        case Dense():
            found = draw("Gemm", x.name, weights["kernel"], weights["bias"])
            return _Activations(_activated(draw, layer.activation, found), after)
        case Flatten() | Reshape():
            return _Activations(_reshaped(draw, x.flat(draw), *after), after)
        case _:  # dropout does nothing
            return x


def _activated(draw: _Drawing, activation: str | None, x: str) -> str:
    match activation:
        case None:
            return x
        case "silu":
            return draw("Mul", x, draw("Sigmoid", x))
        case "gelu":
            return draw("Gelu", x, approximate="tanh")
        case _:
            return draw(activation.capitalize(), x)


def _answers(draw: _Drawing, logits: str, temperature: float) -> None:
    """Draws probabilities, digit and confidence."""
    calibrated = draw("Div", logits, np.float32(temperature))
    probabilities = draw("Softmax", calibrated, axis=1, output="probabilities")
    draw("Cast", draw("ArgMax", probabilities, axis=1, keepdims=0), to=TensorProto.INT32, output="digit")
    draw("ReduceMax", probabilities, _axis(1), keepdims=0, output="confidence")


def _verdicts(draw: _Drawing, trust: Trust, logits: str, features: str, ink: str) -> None:
    """Draws certainty, novelty and verdict; the arithmetic is that of `uncertainty.detector` and `moments`."""
    detector, limits = trust.novelty.detector, np.array(trust.limits, np.float32)
    certainty = draw("ReduceMax", draw("Softmax", logits, axis=1), _axis(1), keepdims=0, output="certainty")

    sums = draw("MatMul", _reshaped(draw, ink, PIXELS), basis())  # [n, 6]
    mass, others = (draw("Gather", sums, np.arange(*of), axis=1) for of in ((0, 1), (1, 6)))
    mean = draw("Log", draw("Add", draw("Div", mass, np.float32(PIXELS)), np.float32(PAPER)))
    moments = draw("Concat", mean, draw("Div", others, draw("Max", mass, np.float32(LEAST_INK))), axis=1)

    whitened = draw("MatMul", draw("Concat", moments, logits, axis=1), detector.whitening)  # [n, 16]
    apart = draw("Sub", draw("Unsqueeze", whitened, _axis(1)), detector.means)  # [n, 10, 16]
    squared = draw("ReduceMin", draw("ReduceSumSquare", apart, _axis(2), keepdims=0), _axis(1))  # [n, 1]
    if len(head := detector.head):
        logarithm = draw("Log", draw("Add", squared, np.float32(1)))
        numbers = draw("Concat", features, moments, logits, logarithm, axis=1)
        hidden = draw("Relu", draw("Gemm", numbers, head[:-2], head[-2]))
        novelty = draw("MatMul", hidden, head[-1], output="novelty")
    else:
        novelty = draw("Squeeze", squared, _axis(1), output="novelty")

    certain, novel = draw("Greater", certainty, limits[0]), draw("Greater", novelty, limits[1])
    judged = draw("Where", novel, np.int32(NOT_A_DIGIT), draw("Cast", draw("Not", certain), to=TensorProto.INT32))
    sum_of_both = draw("Add", "confidence", novelty)
    finite = draw("Equal", draw("Sub", sum_of_both, sum_of_both), np.float32(0))
    draw("Where", finite, judged, np.int32(NOT_FINITE), output="verdict")


def _reshaped(draw: _Drawing, x: str, *shape: int) -> str:
    """The same values of each picture in another shape."""
    return draw("Reshape", x, np.array([0, *shape]))  # 0: the number of pictures stays


def _axis(axis: int) -> NDArray[np.int64]:
    return np.array([axis])
