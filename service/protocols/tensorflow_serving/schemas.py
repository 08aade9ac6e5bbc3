"""Pydantic schemas of TensorFlow Serving's REST API, for the OpenAPI page and for tests."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from service.protocols.native.schemas import Picture, Probability
from training.images import CLASSES


class Base64(BaseModel):
    """A picture as 784 bytes in base64, row by row."""

    model_config = ConfigDict(extra="forbid")

    b64: Annotated[str, Field(pattern="^([A-Za-z0-9+/]{4})+([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$")]


Tensor: TypeAlias = Picture | Base64


class Named(BaseModel):
    """A picture under the name of the input."""

    model_config = ConfigDict(extra="forbid")

    pixels: Tensor


class Columns(BaseModel):
    """All pictures under the name of the input."""

    model_config = ConfigDict(extra="forbid")

    pixels: Annotated[list[Tensor], Field(min_length=1)]


Signature: TypeAlias = Annotated[
    Literal["serving_default", "unit_scale"],
    Field(description="`serving_default`, also without it: pixels run from 0 to 255; `unit_scale`: from 0 to 1"),
]


class RowRequest(BaseModel):
    """Row form."""

    model_config = ConfigDict(extra="forbid")

    signature_name: Signature = "serving_default"
    instances: Annotated[list[Tensor | Named], Field(min_length=1)]


class ColumnRequest(BaseModel):
    """Column form."""

    model_config = ConfigDict(extra="forbid")

    signature_name: Signature = "serving_default"
    inputs: Annotated[list[Tensor], Field(min_length=1)] | Columns


Probabilities: TypeAlias = Annotated[list[Probability], Field(min_length=CLASSES, max_length=CLASSES)]


class RowAnswer(BaseModel):
    """The answer to row form: ten probabilities for each picture, in the same order."""

    model_config = ConfigDict(extra="forbid")

    predictions: list[Probabilities]


class ColumnAnswer(BaseModel):
    """The answer to column form."""

    model_config = ConfigDict(extra="forbid")

    outputs: list[Probabilities]


class LoadStatus(BaseModel):
    """How it went to load a version."""

    error_code: str
    error_message: str


class VersionStatus(BaseModel):
    """The state of a version."""

    version: str
    state: Literal["AVAILABLE", "END"]
    status: LoadStatus


class ModelStatus(BaseModel):
    """The states of a model's versions; `name` and `ready` are what KServe's clients look for."""

    name: str
    ready: bool
    model_version_status: list[VersionStatus]


class ModelSpec(BaseModel):
    """Which model and version metadata are about."""

    name: str
    signature_name: str
    version: str


class ModelMetadata(BaseModel):
    """Signatures of a model."""

    model_spec: ModelSpec
    metadata: dict[str, Any]


class ModelNames(BaseModel):
    """The names of the models that are loaded."""

    models: list[str]
