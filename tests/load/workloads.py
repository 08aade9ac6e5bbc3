"""What servers are asked to do: five workloads, each a form of question from so many clients at once."""

from __future__ import annotations

from typing import Literal, NamedTuple

Form = Literal["one", "many", "raw"]
"""One picture as JSON, many as JSON, or many as bytes."""


class Workload(NamedTuple):
    """Clients that each ask again as soon as they are answered."""

    name: str
    form: Form
    rows: int
    clients: int


LONELY = Workload("1 image JSON, 1 client", "one", 1, 1)
FEW = Workload("1 image JSON, 16 clients", "one", 1, 16)
CROWD = Workload("1 image JSON, 64 clients", "one", 1, 64)
NUMBERS = Workload("256 images JSON, 4 clients", "many", 256, 4)
BYTES = Workload("256 images bytes, 4 clients", "raw", 256, 4)
WORKLOADS = (LONELY, FEW, CROWD, NUMBERS, BYTES)
