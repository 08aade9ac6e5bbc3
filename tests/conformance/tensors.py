"""Tensors for a server that says which it takes, and tensors of its answers, checked against what it said."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from tests.conformance.feature import Deviation

NUMBERS = {
    "BOOL": "<?",
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
}
DATATYPES = (*NUMBERS, "BYTES", "BF16")
PYTHON = {"BOOL": bool, "BYTES": str} | {name: int for name in NUMBERS if "INT" in name}


class Metadata(NamedTuple):
    """What a model's metadata say of a tensor."""

    name: str
    datatype: str
    shape: list[int]

    @property
    def batched(self) -> bool:
        """Whether its first axis takes any number."""
        return bool(self.shape) and self.shape[0] == -1

    def sized(self, rows: int) -> list[int]:
        """Its shape with so many rows, and 1 along other axes that take any number."""
        first = [rows if self.batched else self.shape[0]] if self.shape else []
        return first + [1 if size == -1 else size for size in self.shape[1:]]

    def tensor(self, rows: int = 1, *, nested: bool = False, binary: bool = False) -> dict[str, Any]:
        """An input of zeros. In binary its bytes are `zeros`."""
        shape = self.sized(rows)
        tensor: dict[str, Any] = {"name": self.name, "datatype": self.datatype, "shape": shape}
        if binary:
            return tensor | {"parameters": {"binary_data_size": len(self.zeros(rows))}}
        data = self._zeros(shape)
        return tensor | {"data": data.tolist() if nested else data.ravel().tolist()}

    def zeros(self, rows: int = 1) -> bytes:
        """The bytes of a binary input."""
        count = math.prod(self.sized(rows))
        return (
            bytes(4 * count) if self.datatype == "BYTES" else bytes(count * np.dtype(NUMBERS[self.datatype]).itemsize)
        )

    def _zeros(self, shape: list[int]) -> np.ndarray[Any, Any]:
        if self.datatype == "BYTES":
            return np.full(shape, "", object)
        return np.zeros(shape, NUMBERS[self.datatype])


def metadata_of(said: Any, where: str) -> Metadata:
    """What is said of a tensor. Raises Deviation unless it has a name, a datatype and a shape."""
    if type(said) is not dict or not {"name", "datatype", "shape"} <= said.keys():
        raise Deviation(f'{where} is {said}, want "name", "datatype" and "shape"')
    if said["datatype"] not in DATATYPES:
        raise Deviation(f"{where}.datatype is {said['datatype']!r}, want one of {', '.join(DATATYPES)}")
    if type(said["shape"]) is not list or any(type(size) is not int or size < -1 for size in said["shape"]):
        raise Deviation(f"{where}.shape is {said['shape']!r}, want whole numbers from -1")
    return Metadata(said["name"], said["datatype"], said["shape"])


def check_output(output: Any, expected: dict[str, Metadata], rows: int, tail: memoryview) -> memoryview:
    """What is left of the binary part behind an output of `rows` rows. Raises Deviation unless it is as was said."""
    if type(output) is not dict or not {"name", "datatype", "shape"} <= output.keys():
        raise Deviation(f'an output is {str(output)[:100]}, want "name", "datatype" and "shape"')
    name, datatype, shape = output["name"], output["datatype"], output["shape"]
    if said := expected.get(name):
        if said.datatype != datatype:
            raise Deviation(f"output {name} has datatype {datatype}, want {said.datatype}, as the metadata say")
        wanted = [rows if i == 0 and said.batched else size for i, size in enumerate(said.shape)]
        fits = len(shape) == len(wanted) and all(b in (a, -1) for a, b in zip(shape, wanted, strict=True))
        if said.shape and not fits:
            raise Deviation(f"output {name} has shape {shape}, want {wanted}, as the metadata say")
    size = (output.get("parameters") or {}).get("binary_data_size")
    if size is not None:
        return _check_binary(name, datatype, shape, size, tail)
    if "data" not in output:
        raise Deviation(f'output {name} has neither "data" nor "binary_data_size"')
    _check_values(name, datatype, shape, output["data"])
    return tail


def _check_binary(name: str, datatype: str, shape: list[int], size: int, tail: memoryview) -> memoryview:
    if size > len(tail):
        raise Deviation(f"output {name} has {size} bytes, and {len(tail)} are there")
    if datatype in NUMBERS and size != math.prod(shape) * np.dtype(NUMBERS[datatype]).itemsize:
        raise Deviation(f"output {name} has {size} bytes, which are not {shape} of {datatype}")
    return tail[size:]


def _check_values(name: str, datatype: str, shape: list[int], data: list[Any]) -> None:
    values = data
    while values and type(values[0]) is list:
        values = [*chain.from_iterable(values)]
    if len(values) != math.prod(shape):
        raise Deviation(f"output {name} has {len(values)} values, want {math.prod(shape)} for shape {shape}")
    kinds = (PYTHON[datatype],) if datatype in PYTHON else (int, float)
    if strange := [value for value in values if type(value) not in kinds]:
        raise Deviation(f"output {name} of {datatype} has the value {strange[0]!r}")
