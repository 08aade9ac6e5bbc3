"""Request bodies of the Open Inference Protocol -> pictures, and the requested outputs with their forms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from service.errors import WrongValue, describe, shortened, wrong_type
from service.protocols.json_body import ObjectForm, read_object
from service.protocols.json_pictures import scale_of
from service.protocols.octets import decode_octets
from service.protocols.open_inference.binary_tensors import SIZE, check_size, split
from service.protocols.open_inference.tensors import (
    DATATYPES,
    INPUT,
    OUTPUT_METADATA,
    check_datatype,
    check_shape,
    pictures_of_binary,
    pictures_of_json,
)

if TYPE_CHECKING:
    from service.headers import Headers
    from training.images import Images

FORM: Final = ObjectForm(
    (),  # any key: clients of other servers send further keys, such as model_name
    '"inputs", and "id", "parameters", "outputs"',
    f'{{"inputs": [{{"name": "{INPUT}", "shape": [1, 784], "datatype": "UINT8", "data": [784 numbers]}}]}}',
)
OUTPUTS: Final = tuple(output["name"] for output in OUTPUT_METADATA)
CLASSIFIED: Final = "probabilities"
SHARED_MEMORY: Final = "shared_memory_region"


class Output(NamedTuple):
    """A requested output tensor: name, and whether in binary or in JSON."""

    name: str
    binary: bool
    classes: int = 0
    """Classification extension: number of best classes to return as strings; 0 returns numbers."""


class InferenceRequest(NamedTuple):
    """Pictures uint8 [n, 28, 28], the optional id of the request, and the requested outputs."""

    images: Images
    id: str | None
    outputs: tuple[Output, ...]


def decode_inference(body: bytes, headers: Headers, *, limit_rows: int) -> InferenceRequest:
    """The request in a body: JSON, JSON followed by binary tensors, or only the bytes of pictures.

    Raises MalformedBody, WrongValue, TooLarge.
    """
    json, tensors = split(body, headers)
    if json is None:
        images = decode_octets(bytes(tensors), limit_rows=limit_rows).images
        return InferenceRequest(images, None, tuple(Output(name, binary=True) for name in OUTPUTS))
    return read_object(
        json, FORM, lambda request, booleans: _decode(request, tensors, limit_rows, booleans), limit_rows=limit_rows
    )


def _decode(request: dict[str, Any], tensors: memoryview, limit_rows: int, booleans: bool) -> InferenceRequest:
    number = request.get("id")
    if number is not None and type(number) is not str:
        raise wrong_type("id", number, "a string")
    parameters = _parameters(request, "")
    scale = scale_of(parameters, "parameters.scale")
    binary = _flag(parameters, "binary_data_output", "parameters", default=False)
    outputs = _outputs(request.get("outputs"), binary=binary)
    return InferenceRequest(_images(request, tensors, scale, limit_rows, booleans), number, outputs)


def _images(request: dict[str, Any], tensors: memoryview, scale: float, limit_rows: int, booleans: bool) -> Images:
    tensor = _only_input(request)
    field = "inputs[0]"
    datatype = check_datatype(_required(tensor, "datatype", field), f"{field}.datatype")
    shape = check_shape(_required(tensor, "shape", field), f"{field}.shape", limit_rows)
    parameters = _parameters(tensor, field)
    _refuse_shared_memory(parameters, field)
    if (tensor.get("data") is None) == (SIZE not in parameters):
        found = f'both "data" and "{SIZE}"' if SIZE in parameters else f'neither "data" nor "{SIZE}"'
        code = "conflicting_fields" if SIZE in parameters else "missing_field"
        wanted = f'"data", or "parameters": {{"{SIZE}": …}} with the bytes behind the JSON'
        raise WrongValue(code, f"{field} has {found}, want {wanted}", field=field, found=found, wanted=wanted)
    if SIZE in parameters:
        itemsize = np.dtype(DATATYPES[datatype]).itemsize
        why = f"{list(shape)} of {datatype}, {itemsize} byte{'' if itemsize == 1 else 's'} each"
        content = check_size(parameters[SIZE], math.prod(shape) * itemsize, tensors, field, why)
        return pictures_of_binary(content, datatype, shape, scale, field)
    if len(tensors):
        message = f"the body has {len(tensors)} bytes behind its JSON, and no input has {SIZE}, want none"
        raise WrongValue("wrong_length", message, field=field, found=f"{len(tensors)} bytes", wanted="none")
    return pictures_of_json(tensor["data"], datatype, shape, scale, field, booleans=booleans)


def _only_input(request: dict[str, Any]) -> dict[str, Any]:
    """The only input tensor. Raises WrongValue for any other number or name of inputs."""
    inputs = _required(request, "inputs", "the body")
    if type(inputs) is not list:
        raise wrong_type("inputs", inputs, "a list of one tensor")
    names = [tensor.get("name") if type(tensor) is dict else None for tensor in inputs]
    for i, (tensor, name) in enumerate(zip(inputs, names, strict=True)):
        if type(tensor) is not dict:
            raise wrong_type(f"inputs[{i}]", tensor, 'an object with "name", "shape", "datatype" and "data"')
        if name != INPUT:
            found = describe(_required(tensor, "name", f"inputs[{i}]"))
            message = f'inputs[{i}].name is {found}, want "{INPUT}"'
            raise WrongValue("unknown_field", message, field=f"inputs[{i}].name", found=found, wanted=INPUT)
    if len(inputs) != 1:
        found = f"{len(inputs)} tensors"
        message = f'inputs has {found}, want one, named "{INPUT}"; several pictures make one tensor of several rows'
        raise WrongValue("wrong_length", message, field="inputs", found=found, wanted="one tensor")
    return dict(inputs[0])


def _outputs(given: Any, *, binary: bool) -> tuple[Output, ...]:
    """The requested outputs; by default all outputs. Raises WrongValue."""
    if given is None or given == []:
        return tuple(Output(name, binary) for name in OUTPUTS)
    if type(given) is not list:
        raise wrong_type("outputs", given, "a list of outputs, each with a name")
    outputs = tuple(_output(output, f"outputs[{i}]", binary=binary) for i, output in enumerate(given))
    for i, output in enumerate(outputs):
        if any(output.name == other.name for other in outputs[:i]):
            message = f"outputs[{i}] is {output.name} a second time, want it once"
            raise WrongValue("conflicting_fields", message, field=f"outputs[{i}]", found=output.name, wanted="once")
    return outputs


def _output(output: Any, field: str, *, binary: bool) -> Output:
    if type(output) is not dict:
        raise wrong_type(field, output, 'an object with a "name"')
    name = _required(output, "name", field)
    if name not in OUTPUTS:
        found, wanted = describe(name), f"one of {', '.join(OUTPUTS)}"
        message = f"{field}.name is {found}, want {wanted}"
        raise WrongValue("unknown_field", message, field=f"{field}.name", found=found, wanted=wanted)
    parameters = _parameters(output, field)
    _refuse_shared_memory(parameters, field)
    place = f"{field}.parameters"
    return Output(name, _flag(parameters, "binary_data", place, default=binary), _classes(parameters, name, place))


def _classes(parameters: dict[str, Any], name: str, place: str) -> int:
    classes = parameters.get("classification")
    if classes is None:
        return 0
    field = f"{place}.classification"
    if type(classes) is not int or classes < 1:
        raise wrong_type(field, classes, "how many of the best classes, a whole number from 1")
    if name != CLASSIFIED:
        message = f"{field} goes with {CLASSIFIED}; with {name}, want none"
        raise WrongValue("unknown_parameter", message, field=field, found=name, wanted=CLASSIFIED)
    return classes


def _parameters(of: dict[str, Any], field: str) -> dict[str, Any]:
    """The parameters of a request or a tensor; unknown ones are ignored, as in the protocol. Raises WrongValue."""
    parameters = of.get("parameters")
    if parameters is None:
        return {}
    if type(parameters) is not dict:
        raise wrong_type(f"{field}.parameters" if field else "parameters", parameters, "an object")
    return parameters


def _flag(parameters: dict[str, Any], name: str, place: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if type(value) is not bool:
        raise wrong_type(f"{place}.{name}", value, "true or false")
    return value


def _required(of: dict[str, Any], key: str, field: str) -> Any:
    if of.get(key) is None:
        message = f'{field} has no "{key}", want {FORM.wanted}'
        raise WrongValue("missing_field", message, field=shortened(key), found="nothing", wanted=FORM.wanted)
    return of[key]


def _refuse_shared_memory(parameters: dict[str, Any], field: str) -> None:
    if SHARED_MEMORY in parameters:
        message = f"{field}.parameters has {SHARED_MEMORY}, want the values in the body: no memory is shared here"
        raise WrongValue("unknown_parameter", message, field=field, found=SHARED_MEMORY, wanted="values in the body")
